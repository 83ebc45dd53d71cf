"""One table's snapshots as an object with a method for each step, for notebooks and scripts.

``Snapshot`` holds no state of its own: what is done lies in the lake, so a method may be called
again, in another process, or by another worker at the same time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from lake_assets.compacted.compact import CompactedPartition
from lake_assets.compacted.partitions import TablePlan
from lake_assets.errors import SettingsError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.source import SnapshotExport
from lake_assets.lake import databases as steps
from lake_assets.lake.publish import Published
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.snapshot_run import SnapshotReport, Until, run_snapshots
from lake_assets.lake.validate_snapshot import Validation, validate_snapshot
from lake_assets.lake.versions import TableVersion, history, rollback
from lake_assets.settings import LakeSettings, load_settings
from lake_assets.staging.snapshot_plan import SnapshotPlan
from lake_assets.staging.snapshot_stage import GroupOutcome
from lake_assets.staging.tasks import TaskState

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest finished snapshot of one table, and the lake table made of it.

    Example:
        Every step by hand, as a scheduler of one's own would::

            orders = Snapshot.open("shop.orders", config="lake.yaml")
            for task in orders.open_tasks():
                orders.stage(task.number)
            orders.record()
            for name in orders.compaction().partitions:
                orders.compact(name)
            orders.publish()
    """

    databases: steps.Databases
    table: SnapshotTable
    export: SnapshotExport

    @classmethod
    def open(
        cls,
        name: str,
        *,
        config: str | None = None,
        settings: LakeSettings | Mapping[str, Any] | None = None,
        snapshot: str | None = None,
    ) -> Self:
        """Find a table's snapshot; nothing is written.

        Args:
            name: ``shop.orders``.
            config: The YAML file; else as ``load_settings`` finds it.
            settings: Instead of a file: the settings, or a mapping with the file's keys, in which
                ``pl.Expr`` may stand where a file has SQL.
            snapshot: Id of the snapshot; the newest finished one by default.

        Raises:
            SettingsError: The configuration is wrong, or there is no such table or snapshot.
            BadInputError: The snapshot, or what is or may be the newest one, cannot be taken.
            StorageError: The source cannot be listed.
        """
        if settings is None:
            settings = load_settings(config)
        elif not isinstance(settings, LakeSettings):
            settings = LakeSettings.model_validate(settings)
        databases = steps.open_databases(settings)
        table = databases.table(name)
        found = steps.find_exports(table)
        if snapshot is None and (refused := steps.refused_exports(table, found)):
            raise refused[0].error
        for export in reversed(found.ready):
            if snapshot in (None, export.id):
                return cls(databases, table, export)
        for item in found.refused:
            if item.key.rstrip("/").rpartition("/")[2] == snapshot:
                raise item.error
        waiting = "; ".join(f"{item.key}: {item.reason}" for item in found.waiting)
        raise SettingsError(
            f"{name} has no finished snapshot{f' {snapshot!r}' if snapshot else ''} at"
            f" {table.settings.source}; found {[item.id for item in found.ready]}, waiting:"
            f" {waiting or 'none'}"
        )

    def plan(self) -> SnapshotPlan:
        """The groups of files that are staged one by one; recorded, so it is the same for all."""
        return steps.plan_export(self.databases, self.table, self.export)

    def tasks(self) -> tuple[TaskState, ...]:
        """Where each task stands."""
        return steps.tasks_of(self.databases, self.plan())

    def open_tasks(self) -> tuple[TaskState, ...]:
        """The tasks that are neither done, nor refused, nor held by another worker."""
        return tuple(task for task in self.tasks() if task.status in {"open", "failed"})

    def stage(self, *numbers: int, worker: str | None = None) -> tuple[GroupOutcome, ...]:
        """Stage groups by their number; all by default. What is done is told, not done again."""
        plan = self.plan()
        wanted = set(numbers) if numbers else None
        return tuple(steps.stage_groups(self.databases, plan, numbers=wanted, worker=worker))

    def record(self) -> str:
        """Record that the snapshot is staged whole; gives the manifest's key.

        Raises:
            StorageError: A group is not staged yet.
        """
        return steps.record_staged(self.databases, self.plan())

    def compaction(self) -> TablePlan:
        """The partitions that the table has to have, from what is recorded as staged."""
        return steps.plan_lake(self.databases, self.table)

    def compact(self, *partitions: str) -> dict[str, CompactedPartition | None]:
        """Compact partitions by their hive name; all by default."""
        plan, wanted = self.compaction(), partitions or None
        found = steps.compact_snapshots(self.databases, self.table, plan, partitions=wanted)
        return dict(found)

    def publish(self) -> Published:
        """Make the table what is compacted, in one commit.

        Raises:
            ConservationError: A partition is not compacted yet.
        """
        return steps.publish_snapshots(self.databases, self.table, self.compaction())

    def run(self, until: Until = "lake") -> SnapshotReport:
        """All steps that are open, in this process; a second run writes nothing."""
        return run_snapshots(self.databases, self.table, until=until)

    def validate(self) -> Validation:
        """Hold the live table against what was exported, everything read anew."""
        return validate_snapshot(self.databases, self.table)

    def scan(self, version: int | None = None) -> pl.LazyFrame:
        """The published rows."""
        return scan_uri(table_uri(self.databases.root.url, self.table), version=version)

    def history(self) -> tuple[TableVersion, ...]:
        """The versions of the table, newest first."""
        return history(self.databases.root.url, self.table.id)

    def rollback(self, version: int) -> int:
        """Make the table hold what it held at an earlier version; gives the new version."""
        return rollback(self.databases.root.url, self.table.id, version)
