"""The profile of a table: the merge of those of its partitions, or of exports; no row is read.

Only ``complete_profiles`` reads rows, once, of partitions that were written without a profile.
"""

import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from lake_assets.catalog import read_document
from lake_assets.catalog.profile import (
    Profile,
    Profiler,
    merge,
    profile_key,
    put_profile,
    read_profiles,
)
from lake_assets.errors import SettingsError
from lake_assets.lake.recorded import PlacedTable, TableVersion, compacted_manifest, newest_version
from lake_assets.s3 import Store
from lake_assets.s3.hive import hive_values
from lake_assets.staging.manifests import staging_state

__all__ = ["TableProfile", "complete_profiles", "partitions_of", "table_profile"]

#: Names that an error lists.
_NAMED = 12


@dataclass(frozen=True, slots=True)
class TableProfile:
    """What is known of the rows of a table, of some of its partitions, or of some exports."""

    table: str
    """``shop.orders``."""
    version: int
    """Of the table."""
    profile: Profile
    parts: tuple[str, ...]
    """The partitions, or the exports, whose profiles are merged in it."""
    missing: tuple[str, ...] = ()
    """Those that have none, and are not in it."""


def table_profile(root: Store, table: str, partitions: Collection[str] = ()) -> TableProfile:
    """The profile of the newest version of a table.

    Args:
        root: The lake's store.
        table: ``shop.orders``.
        partitions: Hive partitions of it (``year=2024/month=01``), or ids of staged exports; by
            default all partitions.

    Raises:
        SettingsError: A partition or export that is not there, or nothing has a profile.
        SchemaChangeError: A column is of other kinds in one part and in another.
        StorageError: A profile cannot be read.
    """
    newest = _newest(root, table)
    manifests = _chosen(root, table, newest.manifests, partitions)
    there: list[str] = []
    missing: list[str] = []
    merged = merge(_noted(root, manifests, there, missing))
    if missing and not there:
        what = "none of its partitions" if len(manifests) > 1 else next(iter(manifests))
        raise SettingsError(
            f"{table}: {what} has a profile: it was written with `profile: false`, or before there"
            f" were profiles; `lake profile {table} --compute` reads the rows once and adds them"
        )
    return TableProfile(table, newest.version, merged, tuple(there), tuple(missing))


def complete_profiles(
    root: Store, table: str, new_profiler: Callable[[], Profiler]
) -> tuple[str, ...]:
    """Profile the partitions of a table that have none, from their files; the names of these.

    Args:
        root: The lake's store.
        table: ``shop.orders``.
        new_profiler: Makes what is shown the rows.

    Raises:
        SettingsError: The table was not published from exports.
        StorageError: A file or a manifest cannot be read, or is not what was written.
    """
    manifests = _newest(root, table).manifests
    open_ = [name for name, key in manifests.items() if root.head(profile_key(key)) is None]
    for name in open_:
        profiler, recorded = new_profiler(), compacted_manifest(root, manifests[name])
        for file in recorded.outputs:
            profiler.add(pl.read_parquet(io.BytesIO(root.get(file.key, sha256=file.sha256))))
        profiler.add_constants(hive_values(f"{name}/"), recorded.rows)
        document = read_document(root, recorded.key)
        put_profile(root, recorded.key, document, profiler.profile())
    return tuple(open_)


def partitions_of(root: Store, table: str) -> tuple[str, ...]:
    """The hive partitions of the newest version of a table; none of one not made of exports."""
    newest = newest_version(root.url, table.replace(".", "/"))
    return tuple(newest.manifests) if newest else ()


def _noted(
    root: Store, manifests: Mapping[str, str], there: list[str], missing: list[str]
) -> Iterator[Profile]:
    """The profiles as they are read, with a note of which parts have one: none is kept here."""
    for name, profile in zip(manifests, read_profiles(root, manifests.values()), strict=True):
        if profile is None:
            missing.append(name)
        else:
            there.append(name)
            yield profile


def _newest(root: Store, table: str) -> TableVersion:
    newest = newest_version(root.url, table.replace(".", "/"))
    if newest is None:
        raise SettingsError(
            f"{table} was not published from exports, so nothing profiled its rows;"
            " ask for a table of the datamart or of a database"
        )
    return newest


def _chosen(
    root: Store, table: str, live: Mapping[str, str], wanted: Collection[str]
) -> Mapping[str, str]:
    """The manifests by what was asked for: partitions, else exports."""
    names = list(dict.fromkeys(wanted))
    if not names:
        return live
    if all(name in live for name in names):
        return {name: live[name] for name in names}
    state = staging_state(root, PlacedTable(table.replace(".", "/")))
    staged = {id_: e.manifests[-1] for id_, e in state.exports.items() if e.manifests}
    if all(name in staged for name in names):
        return {name: staged[name] for name in names}
    unknown = [name for name in names if name not in live and name not in staged]
    if not unknown:
        raise SettingsError(
            f"{names!r} are partitions of {table} and exports; ask for the one or the other"
        )
    raise SettingsError(
        f"{table} has neither a partition nor an export {unknown[0]!r}; its partitions are"
        f" {_listed(live)}; its exports {_listed(staged)}"
    )


def _listed(names: Collection[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return (", ".join(ordered[-_NAMED:]) + more) or "none"
