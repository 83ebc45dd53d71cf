"""Is the newest of a table like those before it? Of the datamart an export, of a database a state.

An export of the datamart is compared as it was staged: the table it goes into only grows, so one
export would drown in it. A database table is a snapshot, and is compared as it was published.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog import read_document
from lake_assets.catalog.profile import (
    DriftReport,
    DriftThresholds,
    Profile,
    drift,
    merge,
    read_profiles,
)
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, canonical
from lake_assets.export.snapshot_table import SNAPSHOT_COLUMN, SnapshotTable
from lake_assets.fanout import fan_out
from lake_assets.lake.databases import Databases
from lake_assets.lake.datamart import Datamart
from lake_assets.lake.recorded import PlacedTable, table_versions
from lake_assets.profile_settings import DriftSettings
from lake_assets.s3 import Store
from lake_assets.s3.hive import hive_values
from lake_assets.staging.manifests import staging_state

__all__ = ["JUDGED", "Judged", "export_drift", "snapshot_drift"]

#: Exports that are judged at once, the newest; a first load of years is not looked through.
JUDGED = 20
#: Manifests read at once: small objects, so only their latency counts.
_READERS = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """One export, or one snapshot, held against those before it."""

    name: str
    before: tuple[str, ...]
    """Those that it was compared with, oldest first; the ones without a profile are not there."""
    report: DriftReport | None
    """None where it has no profile."""


def export_drift(
    datamart: Datamart, spec: TableSpec, names: Collection[str] = ()
) -> tuple[Judged, ...]:
    """Exports of a datamart table against those before each, by the time of export.

    Args:
        datamart: The opened lake.
        spec: The table.
        names: Ids of exports; those not staged are left out, of many the newest are judged. The
            newest one by default.

    Raises:
        StorageError: A manifest or a profile cannot be read.
    """
    manifests = _by_time(datamart.root, spec.path)
    order = list(manifests)
    judged = [name for name in order if name in names] if names else order[-1:]
    table = datamart.settings.datamart.tables.get(spec.name)
    chosen = (table.drift if table else None) or datamart.settings.datamart.drift
    unlike = {canonical(name) for name in (*chosen.ignored, *INTERNAL_COLUMNS[1:])}
    return _judge(
        order,
        judged[-JUDGED:],
        lambda wanted: _profiles(datamart.root, [[manifests[name]] for name in wanted]),
        chosen,
        lambda column: canonical(column) in unlike,
    )


def snapshot_drift(databases: Databases, table: SnapshotTable) -> tuple[Judged, ...]:
    """The newest published snapshot of a database table against those published before it.

    Raises:
        StorageError: The log, a manifest or a profile cannot be read.
    """
    root, chosen = databases.root, table.settings.drift
    history = table.settings.mode == "history"
    manifests = _kept(root, table) if history else _replaced(root, table, chosen.before + 1)
    unlike = {*chosen.ignored, SNAPSHOT_COLUMN}
    order = list(manifests)
    return _judge(
        order,
        order[-1:],
        lambda wanted: _profiles(root, [manifests[name] for name in wanted]),
        chosen,
        unlike.__contains__,
    )


def _judge(
    order: Sequence[str],
    judged: Sequence[str],
    read: Callable[[Sequence[str]], Iterable[Profile | None]],
    chosen: DriftSettings,
    is_ignored: Callable[[str], bool],
) -> tuple[Judged, ...]:
    """Each of ``judged`` against as many before it in ``order`` as are to be compared with."""
    windows = {}
    for name in judged:
        place = order.index(name)
        windows[name] = order[max(place - chosen.before, 0) : place]
    wanted = list(dict.fromkeys(n for name, before in windows.items() for n in (*before, name)))
    profiles = dict(zip(wanted, read(wanted), strict=True))
    found = []
    for name, window in windows.items():
        before = {n: profile for n in window if (profile := profiles[n]) is not None}
        current = profiles[name]
        report = None
        if current is not None:
            limits = _thresholds(chosen, [current, *before.values()], is_ignored)
            report = drift(current, list(before.values()), limits)
        found.append(Judged(name, tuple(before), report))
    return tuple(found)


def _thresholds(
    chosen: DriftSettings, profiles: Iterable[Profile], is_ignored: Callable[[str], bool]
) -> DriftThresholds:
    """The settings for these profiles; with a column what is inside it is ignored."""
    columns = {name for profile in profiles for name in profile.columns}
    return DriftThresholds(
        psi=chosen.psi,
        ks=chosen.ks,
        null_share=chosen.null_share,
        rows=chosen.rows,
        least_rows=chosen.least_rows,
        times=chosen.times,
        ignored=frozenset(name for name in columns if is_ignored(_outermost(name))),
    )


def _outermost(column: str) -> str:
    return column.partition(".")[0].partition("[")[0]


def _profiles(root: Store, groups: Sequence[Sequence[str]]) -> list[Profile | None]:
    """The profile of each group of manifests; None where one of them has none.

    One group after the other: what is held is the parts of one, and a profile for each.
    """
    found: list[Profile | None] = []
    for group in groups:
        parts = list(read_profiles(root, group))
        known = [part for part in parts if part is not None]
        found.append(merge(known) if len(known) == len(parts) else None)
    return found


def _by_time(root: Store, path: str) -> Mapping[str, str]:
    """The manifests that count, by export or snapshot, oldest first."""
    keys = staging_state(root, PlacedTable(path)).current
    documents = fan_out(lambda key: read_document(root, key).content, keys, workers=_READERS)
    staged = [
        (c["exported_at"], c["partition"], key) for c, key in zip(documents, keys, strict=True)
    ]
    return {name: key for _, name, key in sorted(staged)}


def _replaced(root: Store, table: SnapshotTable, n: int) -> Mapping[str, Sequence[str]]:
    """The compacted manifests of the last ``n`` states that were published, oldest first.

    By snapshot and version (``2026-09-01@3``): an export may be replaced under its name.
    """
    found: dict[str, Sequence[str]] = {}
    for version in table_versions(root.url, table.path):
        manifests = sorted(version.manifests.values())
        if manifests not in found.values():
            found[f"{version.proof.get('lake.snapshot', '')}@{version.version}"] = manifests
        if len(found) == n:
            break
    return dict(reversed(found.items()))


def _kept(root: Store, table: SnapshotTable) -> Mapping[str, Sequence[str]]:
    """The compacted manifests of each snapshot in the newest version, oldest first."""
    newest = next(table_versions(root.url, table.path), None)
    found: dict[str, list[str]] = {name: [] for name in _by_time(root, table.path)}
    for partition, key in (newest.manifests if newest else {}).items():
        snapshot = hive_values(f"{partition}/").get(SNAPSHOT_COLUMN)
        found.setdefault(snapshot or "", []).append(key)
    return {name: keys for name, keys in found.items() if keys}
