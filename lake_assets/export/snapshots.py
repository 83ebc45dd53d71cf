"""The snapshots of one database table: what is there, what is finished, and in which order.

Belongs here: what a ``source`` with ``{snapshot}`` stands for, and who reads which format. Does
not: the formats themselves (a module for each), and what one task reads (``groups``).

A ``source`` with the segment ``{snapshot}`` stands for one snapshot in each folder at that place;
the folder's name is the snapshot's id. For plain files, a name that begins with a date, or a date
and time, is the snapshot's time as well (UTC); else that is the time of its newest file. DynamoDB,
RDS and manifests know their own time. Folders that begin with ``.`` or ``_`` are none.
"""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from lake_assets.database_settings import SnapshotSettings
from lake_assets.errors import BadInputError
from lake_assets.export.dynamodb_export import (
    DynamoDBExport,
    exports_of_table,
    list_dynamodb_exports,
    read_dynamodb_export,
)
from lake_assets.export.folder_export import read_folder, time_in_name
from lake_assets.export.manifest_pair import read_manifest_pair
from lake_assets.export.rds_export import read_rds_export
from lake_assets.export.refused_snapshot import RefusedSnapshot
from lake_assets.export.source import SnapshotExport
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.s3 import Folder, join_url, open_store, quote_segment

__all__ = ["FoundSnapshots", "find_snapshots"]

_ANY = "{snapshot}"
#: Snapshots that are looked at side by side: each is a few small requests after one another.
_THREADS = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class FoundSnapshots:
    """What lies at a table's ``source``."""

    ready: tuple[SnapshotExport, ...]
    """Oldest first: by ``exported_at``, then id."""
    waiting: tuple[WaitingSnapshot, ...] = ()
    """By key."""
    refused: tuple[RefusedSnapshot, ...] = ()
    """By key."""


@dataclass(frozen=True, slots=True)
class _Place:
    source: str
    name: str | None = None
    """Of the ``{snapshot}`` folder."""
    folder: str | None = None
    """Address of the ``{snapshot}`` folder; ``source`` is this or below it."""


def find_snapshots(settings: SnapshotSettings, *, table: str) -> FoundSnapshots:
    """The snapshots of a table: finished ones with their files, and what is with the others.

    Of several, one that says it is finished and cannot be taken is told beside the others.

    Args:
        settings: Where they lie and how they are written.
        table: The lake's table, as ``shop.orders``: tells DynamoDB's exports apart where those of
            several tables lie side by side.

    Raises:
        BadInputError: The only snapshot says that it is finished, and is not whole or not of a kind
            that can be taken; two have the same id.
        SettingsError: ``source`` is not one table's.
        StorageError: A place cannot be listed or read.
    """
    places = _places(settings.source)
    if settings.format == "dynamodb":
        found = _dynamodb(places, table)
    else:
        found = _side_by_side(lambda place: [_read_or_refuse(settings, place)], places)
    refused = [item for item in found if isinstance(item, RefusedSnapshot)]
    if len(found) == 1 and refused:
        raise refused[0].error
    ready = [item for item in found if isinstance(item, SnapshotExport)]
    ready.sort(key=lambda snapshot: (snapshot.exported_at, snapshot.id))
    _refuse_same_ids(ready)
    waiting = [item for item in found if isinstance(item, WaitingSnapshot)]
    return FoundSnapshots(
        tuple(ready),
        tuple(sorted(waiting, key=lambda item: item.key)),
        tuple(sorted(refused, key=lambda item: item.key)),
    )


def _places(source: str) -> list[_Place]:
    above, any_folder, below = source.partition(_ANY)
    if not any_folder:
        return [_Place(source)]
    store = open_store(above or ".")
    names = [item.key[:-1] for item in store.browse() if isinstance(item, Folder)]
    return [
        _Place(join_url(store.url, name, below), name, join_url(store.url, name))
        for name in names
        if not name.startswith((".", "_"))
    ]


def _read_or_refuse(
    settings: SnapshotSettings, place: _Place
) -> SnapshotExport | WaitingSnapshot | RefusedSnapshot:
    try:
        return _read(settings, place)
    except BadInputError as error:
        # Only where the time of the others is that of their names as well can they be compared.
        by_name = settings.format not in {"rds", "manifest"}
        return RefusedSnapshot(
            place.source, error, time_in_name(place.name) if by_name and place.name else None
        )


def _read(settings: SnapshotSettings, place: _Place) -> SnapshotExport | WaitingSnapshot:
    if settings.format == "rds":
        return _named(read_rds_export(place.source), place)
    if settings.format == "manifest":
        return _named(read_manifest_pair(place.source), place)
    if settings.format == "dynamodb":
        raise AssertionError("unreachable: its exports are read together")
    found = _named(
        read_folder(place.source, settings.format, ready=settings.ready, ready_above=place.folder),
        place,
    )
    time = time_in_name(place.name) if place.name else None
    if time and isinstance(found, SnapshotExport):
        return replace(found, exported_at=time)
    return found


def _dynamodb(
    places: list[_Place], table: str
) -> list[SnapshotExport | WaitingSnapshot | RefusedSnapshot]:
    """Summaries first: whose exports they are shows only in all of them together."""
    listed = _side_by_side(
        lambda place: [(place, item) for item in list_dynamodb_exports(place.source)], places
    )
    others = [item for _, item in listed if not isinstance(item, DynamoDBExport)]
    exports = [(place, item) for place, item in listed if isinstance(item, DynamoDBExport)]
    chosen = exports_of_table([export for _, export in exports], table)
    # Beside exports that do not say whose they are, those of one other table alone are no proof.
    if others and chosen and not _is_named(chosen[0], table):
        waiting = WaitingSnapshot(
            chosen[0].source,
            f"it is of {chosen[0].table_arn}, and of other exports beside it the table is not"
            " known yet; name one export folder as `source`, or wait for the others",
        )
        return [*others, waiting]
    ours = [(place, export) for place, export in exports if export in chosen]
    return [*others, *_side_by_side(lambda pair: [_read_dynamodb(*pair)], ours)]


def _is_named(export: DynamoDBExport, table: str) -> bool:
    """Whether an export's DynamoDB table is called as the lake's."""
    return export.table_arn.rpartition("table/")[2] == table.rpartition(".")[2]


def _read_dynamodb(
    place: _Place, export: DynamoDBExport
) -> SnapshotExport | WaitingSnapshot | RefusedSnapshot:
    try:
        return _named(read_dynamodb_export(export), place)
    except BadInputError as error:
        return RefusedSnapshot(export.source, error, export.exported_at)


def _named(
    found: SnapshotExport | WaitingSnapshot, place: _Place
) -> SnapshotExport | WaitingSnapshot:
    """With the id that its folder's name or its format gives, fit for a Dagster partition key."""
    if isinstance(found, WaitingSnapshot):
        return found
    name = place.name or found.id
    return replace(
        found, id=quote_segment(name) if "..." in name or _CONTROL.search(name) else name
    )


def _refuse_same_ids(ready: list[SnapshotExport]) -> None:
    seen: dict[str, SnapshotExport] = {}
    for snapshot in ready:
        other = seen.setdefault(snapshot.id, snapshot)
        if other is not snapshot:
            raise BadInputError(
                snapshot.source,
                expected=f"one snapshot {snapshot.id}",
                found=f"another one in {other.source}",
                remedy="remove one of the copies, or name one folder as `source`",
            )


def _side_by_side(work: Callable[[_In], Iterable[_Out]], items: list[_In]) -> list[_Out]:
    if len(items) <= 1:
        return [made for item in items for made in work(item)]
    with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
        return [made for some in pool.map(work, items) for made in some]
