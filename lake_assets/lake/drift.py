"""Is the newest of a table like those before it? Of the datamart an export, of a database a state.

An export of the datamart is compared as it was staged: the table it goes into only grows, so one
export would drown in it. A database table is a snapshot, and is compared as it was published.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lake_assets.catalog import content_id, read_document
from lake_assets.catalog.profile import (
    DriftReport,
    DriftThresholds,
    Profile,
    drift,
    is_within,
    merge,
    outermost,
    read_profiles,
)
from lake_assets.export.names import export_time
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, canonical
from lake_assets.export.snapshot_table import SNAPSHOT_COLUMN, SnapshotTable
from lake_assets.fanout import fan_out
from lake_assets.lake.databases import Databases
from lake_assets.lake.datamart import Datamart
from lake_assets.lake.recorded import PlacedTable, newest_version, table_versions
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
    sample: tuple[int, int] | None = None
    """Of how many partitions, and of how many there are, where not all were looked at."""


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
    manifests = _by_time(datamart.root, spec.path, export_time)
    order, asked = list(manifests), frozenset(names)
    judged = [name for name in order if name in asked] if names else order[-1:]
    table = datamart.settings.datamart.tables.get(spec.name)
    chosen = (table.drift if table else None) or datamart.settings.datamart.drift
    unlike = {canonical(name) for name in (*chosen.ignored, *INTERNAL_COLUMNS[1:])}
    return _judge(
        order,
        judged[-JUDGED:],
        lambda name: _profile(datamart.root, [manifests[name]]),
        chosen,
        lambda path: canonical(outermost(path)) in unlike,
    )


def snapshot_drift(databases: Databases, table: SnapshotTable) -> tuple[Judged, ...]:
    """The newest published snapshot of a database table against those published before it.

    Of more partitions than the settings say so many are looked at, chosen by a hash of their names:
    of every snapshot the same ones, whichever were written anew.

    Raises:
        StorageError: The log, a manifest or a profile cannot be read.
    """
    root, chosen = databases.root, table.settings.drift
    history = table.settings.mode == "history"
    kept = _kept(root, table) if history else _replaced(root, table, chosen.before + 1)
    states = dict(list(kept.items())[-chosen.before - 1 :])
    names = {name for state in states.values() for name in state}
    looked_at = frozenset(heapq.nsmallest(chosen.partitions, names, key=content_id))
    manifests = {
        state: [key for name, key in sorted(parts.items()) if name in looked_at]
        for state, parts in states.items()
    }
    order = list(manifests)
    judged = _judge(
        order,
        order[-1:],
        lambda name: _profile(root, manifests[name]),
        chosen,
        lambda path: any(is_within(path, name) for name in (*chosen.ignored, SNAPSHOT_COLUMN)),
    )
    sample = (len(looked_at), len(names)) if len(looked_at) < len(names) else None
    return tuple(replace(each, sample=sample) for each in judged)


def _judge(
    order: Sequence[str],
    judged: Sequence[str],
    read: Callable[[str], Profile | None],
    chosen: DriftSettings,
    is_ignored: Callable[[str], bool],
) -> tuple[Judged, ...]:
    """Each of ``judged`` against as many before it in ``order`` as are to be compared with."""
    windows = {}
    for name in judged:
        place = order.index(name)
        windows[name] = order[max(place - chosen.before, 0) : place]
    wanted = list(dict.fromkeys(n for name, before in windows.items() for n in (*before, name)))
    profiles = {name: read(name) for name in wanted}
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
    paths = {path for profile in profiles for path in profile.columns}
    return DriftThresholds(
        psi=chosen.psi,
        ks=chosen.ks,
        null_share=chosen.null_share,
        rows=chosen.rows,
        least_rows=chosen.least_rows,
        times=chosen.times,
        ignored=frozenset(path for path in paths if is_ignored(path)),
    )


def _profile(root: Store, manifests: Sequence[str]) -> Profile | None:
    """The merge of their profiles, a few of which are in memory; None where one has none."""
    missing: list[str] = []

    def known() -> Iterator[Profile]:
        for key, part in zip(manifests, read_profiles(root, manifests), strict=True):
            if part is None:
                missing.append(key)
                return
            yield part

    merged = merge(known())
    return None if missing else merged


def _by_time(
    root: Store, path: str, time_of: Callable[[str], datetime | None]
) -> Mapping[str, str]:
    """The manifests that count, by export or snapshot, oldest first.

    Args:
        root: The lake's store.
        path: Of the table.
        time_of: What a name alone says of the time; only manifests of the others are read.
    """
    exports = staging_state(root, PlacedTable(path)).exports
    keys = {name: staged.manifests[-1] for name, staged in exports.items() if staged.manifests}
    times = {name: time_of(name) for name in keys}
    untold = [name for name, time in times.items() if time is None]
    told = fan_out(lambda name: _exported_at(root, keys[name]), untold, workers=_READERS)
    times.update(zip(untold, told, strict=True))
    return {name: keys[name] for name in sorted(keys, key=lambda name: (times[name], name))}


def _exported_at(root: Store, manifest: str) -> datetime:
    return datetime.fromisoformat(read_document(root, manifest).content["exported_at"])


def _replaced(root: Store, table: SnapshotTable, n: int) -> Mapping[str, Mapping[str, str]]:
    """The compacted manifests, by partition, of the last ``n`` states that were published.

    Oldest first, by snapshot and version (``2026-09-01@3``): an export may be replaced under its
    name.
    """
    found: dict[str, Mapping[str, str]] = {}
    for version in table_versions(root.url, table.path):
        if version.manifests not in found.values():
            found[f"{version.proof.get('lake.snapshot', '')}@{version.version}"] = version.manifests
        if len(found) == n:
            break
    return dict(reversed(found.items()))


def _kept(root: Store, table: SnapshotTable) -> Mapping[str, Mapping[str, str]]:
    """The compacted manifests of each snapshot in the newest version, oldest first.

    By partition without the snapshot's own folder, so that those of two snapshots are alike.
    """
    newest = newest_version(root.url, table.path)
    order = _by_time(root, table.path, lambda _: None)
    found: dict[str, dict[str, str]] = {name: {} for name in order}
    for partition, key in (newest.manifests if newest else {}).items():
        snapshot = hive_values(f"{partition}/").get(SNAPSHOT_COLUMN)
        folders = partition.split("/")
        own = "/".join(each for each in folders if not each.startswith(f"{SNAPSHOT_COLUMN}="))
        found.setdefault(snapshot or "", {})[own] = key
    return {name: parts for name, parts in found.items() if parts}
