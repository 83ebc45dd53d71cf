"""Database snapshots as plain functions: find, plan, stage a group, record, compact, publish.

One opened ``Databases`` and values in, values out. The ``lake`` command, the Dagster assets and
``Snapshot`` call these; each step is complete in itself and may be repeated or left to another
process.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake_assets import delta
from lake_assets.catalog.profile import Profiler
from lake_assets.compacted.compact import (
    CompactedPartition,
    Passes,
    compact_partition,
    compacted_now,
)
from lake_assets.compacted.partitions import CompactionSettings, PartitionPlan, TablePlan
from lake_assets.compacted.snapshot_passes import same_columns, snapshot_passes
from lake_assets.compacted.snapshot_plan import (
    plan_snapshots,
    resolve,
    snapshot_compaction_config_id,
)
from lake_assets.database_settings import ColumnType
from lake_assets.delta.records import check_address
from lake_assets.errors import ConservationError, SettingsError
from lake_assets.export.groups import plan_groups
from lake_assets.export.read_part import Reading, infer_columns, read_part
from lake_assets.export.refused_snapshot import RefusedSnapshot
from lake_assets.export.shared_bodies import SharedBodies
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.snapshots import FoundSnapshots, find_snapshots
from lake_assets.export.source import FilePart, Group, SnapshotExport
from lake_assets.export.user_reader import load_function, read_with
from lake_assets.fanout import fan_out
from lake_assets.lake.publish import Published, publish_plan
from lake_assets.lake.read import table_uri
from lake_assets.s3 import Store, join_url, open_store, parse_url, storage_options
from lake_assets.settings import LakeSettings
from lake_assets.staging.derive import hidden_columns
from lake_assets.staging.manifests import StagingState, staging_state
from lake_assets.staging.snapshot_manifest import record_snapshot
from lake_assets.staging.snapshot_plan import SnapshotPlan, plan_snapshot, snapshot_work
from lake_assets.staging.snapshot_stage import GroupOutcome, GroupWork, ReadPart, stage_group
from lake_assets.staging.tasks import TaskState, new_worker, task_states

__all__ = [
    "Databases",
    "compact_snapshots",
    "find_exports",
    "is_staged",
    "open_databases",
    "pending_snapshots",
    "plan_export",
    "plan_lake",
    "publish_snapshots",
    "record_staged",
    "refused_exports",
    "stage_groups",
    "staged_snapshots",
    "tasks_of",
    "wanted_exports",
]

_MIB = 1024**2
#: Frames of a group that are alive at once (the next one read, joined, split, encoded), with what
#: the allocator keeps back: buffers of 32 MiB were measured to peak at 310 MB.
_GROUP_COPIES = 16
#: Partitions worked on side by side: Polars has the cores, three hide the store's latency.
_SIDE_BY_SIDE = 3


@dataclass(frozen=True, slots=True)
class Databases:
    """An opened lake and the database tables that feed it."""

    settings: LakeSettings
    tables: tuple[SnapshotTable, ...]
    root: Store

    def table(self, name: str) -> SnapshotTable:
        """The table of that name, ``shop.orders``.

        Raises:
            SettingsError: There is none.
        """
        for table in self.tables:
            if table.id == name:
                return table
        known = ", ".join(table.id for table in self.tables) or "none; add it under databases"
        raise SettingsError(f"no database table {name!r} in the configuration; there is: {known}")

    def compaction(self, table: SnapshotTable) -> CompactionSettings:
        """Bounds of compacting a table."""
        chosen = table.settings
        return CompactionSettings(
            memory_bytes=self.settings.memory,
            target_file_bytes=chosen.target_file_size,
            workers=self.settings.workers,
            rows_per_file=chosen.row_limit_per_file,
            compression=chosen.compression,
        )

    def profiler(self, table: SnapshotTable) -> Profiler:
        """What profiles rows of a table."""
        return Profiler(hidden_columns(table.settings).__contains__)

    def stage_profiler(self, table: SnapshotTable) -> Profiler | None:
        """What a stage shows its rows; None where profiles are off."""
        return self.profiler(table) if table.settings.profile else None


def open_databases(settings: LakeSettings) -> Databases:
    """Open the lake; nothing is written.

    Raises:
        StorageError: The root is a file.
        SettingsError: An address in which not every reader would find the files of a table.
    """
    settings = settings.model_copy(update={"root": parse_url(settings.root).text})
    check_address(join_url(settings.root, "lake"))
    tables = tuple(
        SnapshotTable(database, name, chosen)
        for database, members in settings.databases.items()
        for name, chosen in members.items()
    )
    return Databases(settings, tables, open_store(settings.root))


def find_exports(table: SnapshotTable) -> FoundSnapshots:
    """The snapshots at a table's source, finished ones and those that wait."""
    return find_snapshots(table.settings, table=table.id)


def wanted_exports(table: SnapshotTable, found: FoundSnapshots) -> tuple[SnapshotExport, ...]:
    """Those of the finished snapshots that the table is to hold: the newest, or every one.

    None in mode ``replace`` while one that cannot be taken is or may be newer than those that can:
    an older state is not what the source has.
    """
    if table.settings.mode == "history":
        return found.ready
    return () if refused_exports(table, found) else found.ready[-1:]


def refused_exports(table: SnapshotTable, found: FoundSnapshots) -> tuple[RefusedSnapshot, ...]:
    """Those of the refused snapshots that the table would hold if they could be taken."""
    if table.settings.mode == "history" or not found.ready:
        return found.refused
    newest = found.ready[-1].exported_at
    return tuple(
        item for item in found.refused if item.exported_at is None or item.exported_at >= newest
    )


def staged_snapshots(databases: Databases, table: SnapshotTable) -> StagingState:
    """What is staged of a table: one listing."""
    return staging_state(databases.root, table)


def is_staged(table: SnapshotTable, snapshot: SnapshotExport, state: StagingState) -> bool:
    """Whether a snapshot is staged whole, with the files and settings that it has now."""
    staged = state.exports.get(snapshot.id)
    return staged is not None and staged.work == snapshot_work(table, snapshot)


def plan_export(
    databases: Databases, table: SnapshotTable, snapshot: SnapshotExport, *, record: bool = True
) -> SnapshotPlan:
    """How a snapshot is staged; the same files and settings give the same plan in any process.

    With ``record=False`` nothing is written: a look, whose undeclared types may be unknown.
    """
    store = open_store(snapshot.source)

    def groups() -> tuple[Group, ...]:
        return plan_groups(store, snapshot, table.settings.group_size)

    def infer() -> Mapping[str, ColumnType]:
        if snapshot.format not in {"csv", "ndjson"}:
            return table.columns
        return infer_columns(store, snapshot.files, _reading(databases, table, snapshot, {}))

    return plan_snapshot(
        databases.root, table, snapshot, groups=groups, infer=infer if record else None
    )


def tasks_of(databases: Databases, plan: SnapshotPlan) -> tuple[TaskState, ...]:
    """Where each task of a plan stands: one listing."""
    return task_states(databases.root, plan)


def stage_groups(
    databases: Databases,
    plan: SnapshotPlan,
    *,
    numbers: Collection[int] | None = None,
    worker: str | None = None,
    run_id: str = "",
) -> Iterator[GroupOutcome]:
    """Stage groups; those that are done, or that another worker holds, are only told.

    Args:
        databases: The opened lake.
        plan: Of the snapshot.
        numbers: Of the groups; all by default.
        worker: Name of this worker; a new one by default.
        run_id: Recorded in the manifests.

    Yields:
        One outcome for each group, in order.
    """
    chosen = plan.table.settings
    groups = [group for group in plan.groups if numbers is None or group.number in numbers]
    with SharedBodies(open_store(plan.snapshot.source)) as bodies:
        work = GroupWork(
            root=databases.root,
            plan=plan,
            read=_read_part(databases, plan, bodies),
            buffer_bytes=max(_MIB, databases.settings.memory // _GROUP_COPIES),
            worker=worker or new_worker(),
            transform=load_function(chosen.transform) if chosen.transform else None,
            run_id=run_id,
        )
        # One after the other: inside a group reading ahead and writing overlap as it is.
        yield from (stage_group(work, group) for group in groups)


def record_staged(databases: Databases, plan: SnapshotPlan, *, run_id: str = "") -> str:
    """Write the manifest of a snapshot whose groups are all staged; gives its key.

    Raises:
        StorageError: A group is not staged yet.
        BadInputError: The rows are not those that the export's own manifest says.
        SettingsError: A column that the configuration names is in no file.
    """
    state = staged_snapshots(databases, plan.table)
    return record_snapshot(databases.root, plan, state, run_id=run_id)


def pending_snapshots(
    databases: Databases, table: SnapshotTable
) -> tuple[StagingState, Mapping[str, str] | None]:
    """Whether the table lags behind its staging, cheaply: a listing and the newest commit.

    Returns:
        The staging state, and the proof of the newest commit where it already is exactly this
        state under this configuration; None where there is something to compact or publish.
    """
    state = staged_snapshots(databases, table)
    uri = table_uri(databases.root.url, table)
    proof = delta.last_proof(uri, storage_options(uri))
    config = snapshot_compaction_config_id(table, databases.compaction(table))
    if proof and proof["lake.inputs"] == state.digest and proof["lake.config"] == config:
        return state, proof
    return state, None


def plan_lake(
    databases: Databases, table: SnapshotTable, state: StagingState | None = None
) -> TablePlan:
    """What the table has to become, from the snapshots that are staged whole.

    ``state`` is what ``pending_snapshots`` saw; by default staging is listed anew.
    """
    uri = table_uri(databases.root.url, table)
    published = delta.table_schema(uri, storage_options(uri)) or {}
    state = state or staged_snapshots(databases, table)
    bounds = databases.compaction(table)
    return plan_snapshots(databases.root, table, state, bounds, published=published)


def compact_snapshots(
    databases: Databases,
    table: SnapshotTable,
    plan: TablePlan,
    *,
    partitions: Collection[str] | None = None,
) -> Iterator[tuple[str, CompactedPartition | None]]:
    """Compact partitions by this plan; one that is compacted already is only told.

    Args:
        databases: The opened lake.
        table: The table.
        plan: What ``plan_lake`` returned.
        partitions: Hive names (``year=2024/month=01``); all of the plan by default.

    Yields:
        Name and result, in the order of the names; None for a partition of which nothing is staged.

    Raises:
        ConservationError: What would be written is not what was staged.
    """
    root, bounds = databases.root, databases.compaction(table)
    done = compacted_now(root, table, plan.partitions.values(), workers=bounds.workers)
    names = list(plan.partitions if partitions is None else dict.fromkeys(partitions))
    to_do = [plan.partitions[name] for name in names if name in plan.partitions.keys() - done]
    open_plans = _with_snapshot_mates(table, plan, to_do)
    resolved = resolve(root, table, open_plans, bounds)
    columns = {name: t for name, t in plan.schema.items() if name not in table.partition_by}

    def bring(name: str) -> CompactedPartition | None:
        if name in done or name not in plan.partitions:
            return done.get(name)
        wanted, checks = resolved[name], dict[str, Any]()
        frames = snapshot_passes(
            root,
            table,
            wanted,
            schema=columns,
            memory_bytes=bounds.memory_bytes // _SIDE_BY_SIDE,
            checks=checks,
        )
        profiler, same = databases.stage_profiler(table), same_columns(wanted, columns)
        passes = Passes(frames, checks, profiler, same)
        return compact_partition(root, table, plan, wanted, bounds, passes)

    yield from zip(names, fan_out(bring, names, workers=_SIDE_BY_SIDE), strict=True)


def publish_snapshots(databases: Databases, table: SnapshotTable, plan: TablePlan) -> Published:
    """Publish a compacted plan, in one commit; the table is the whole plan or stays as it is.

    Raises:
        ConservationError: A partition is not compacted, or no snapshot is staged whole.
        StalePlanError: The table holds a later state than the plan.
        SchemaChangeError: A column would change its type.
    """
    if not plan.export_ids:
        raise ConservationError(
            f"{table.id}: no snapshot is staged whole; stage one, plan again, then publish"
        )
    workers = databases.settings.workers
    done = compacted_now(databases.root, table, plan.partitions.values(), workers=workers)
    if missing := sorted(set(plan.partitions) - set(done)):
        raise ConservationError(
            f"{table.id}: {len(missing)} of {len(plan.partitions)} partitions are not compacted,"
            f" first {missing[0]}; compact them, then publish"
        )
    return publish_plan(databases.root, table, plan, ready=done)


def _with_snapshot_mates(
    table: SnapshotTable, plan: TablePlan, wanted: Collection[PartitionPlan]
) -> list[PartitionPlan]:
    """The partitions and all others of their snapshots: a record's newest row may be in any."""
    if not wanted or table.settings.mode == "replace":
        return list(plan.partitions.values()) if wanted else []
    snapshots = {item.values[0] for item in wanted}
    return [item for item in plan.partitions.values() if item.values[0] in snapshots]


def _reading(
    databases: Databases,
    table: SnapshotTable,
    snapshot: SnapshotExport,
    columns: Mapping[str, ColumnType],
) -> Reading:
    memory = databases.settings.memory
    return Reading(
        format=snapshot.format,
        columns={**table.columns, **columns},
        chunk_bytes=max(_MIB, min(32 * _MIB, memory // _GROUP_COPIES)),
        max_row_bytes=databases.settings.max_row_size,
    )


def _read_part(databases: Databases, plan: SnapshotPlan, bodies: SharedBodies) -> ReadPart:
    store = open_store(plan.snapshot.source)
    if plan.snapshot.format == "python":
        reader = load_function(plan.table.settings.reader or "")

        def read_own(part: FilePart) -> Iterator[tuple[pl.DataFrame, Mapping[str, int]]]:
            return ((frame, {}) for frame in read_with(reader, store, part))

        return read_own
    reading = _reading(databases, plan.table, plan.snapshot, plan.columns)

    def read(part: FilePart) -> Iterator[tuple[pl.DataFrame, Mapping[str, int]]]:
        opener = store if part.start is None else bodies  # several groups read of a large file
        return ((rows.frame, rows.rescued) for rows in read_part(opener, part, reading))

    return read
