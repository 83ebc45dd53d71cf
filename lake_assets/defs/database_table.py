"""A database table as the graph asks for it: snapshots to stage, partitions to compact."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import polars as pl

from lake_assets import delta
from lake_assets.catalog import content_id
from lake_assets.compacted.compact import CompactedPartition, compacted_now
from lake_assets.compacted.partitions import TablePlan
from lake_assets.compacted.snapshot_plan import snapshot_compaction_config_id
from lake_assets.defs.database_proofs import DatabaseProofs
from lake_assets.defs.lines import SourceView, Staged, StagingNeeds, TableNeeds
from lake_assets.defs.metadata import bullets
from lake_assets.defs.snapshot_metadata import refused_facts, snapshot_facts
from lake_assets.errors import BadInputError, LakeError, StalePlanError, StorageError
from lake_assets.export.refused_snapshot import RefusedSnapshot
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.snapshots import FoundSnapshots
from lake_assets.export.source import SnapshotExport
from lake_assets.lake import Published
from lake_assets.lake.databases import (
    Databases,
    compact_snapshots,
    find_exports,
    is_staged,
    pending_snapshots,
    plan_export,
    plan_lake,
    publish_snapshots,
    refused_exports,
    staged_snapshots,
    tasks_of,
    wanted_exports,
)
from lake_assets.lake.drift import Judged, snapshot_drift
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.snapshot_run import StagedSnapshot, bring_snapshot
from lake_assets.s3 import Store, storage_options
from lake_assets.staging.snapshot_plan import plan_snapshot, snapshot_work
from lake_assets.staging.tasks import TaskState

__all__ = ["DatabaseTable"]

#: Times that a table is planned anew because another process published a later state meanwhile.
_TRIES = 5
#: Messages about the progress of one snapshot.
_TOLD = 10
_NOT_RECORDED = (
    "all of its groups are staged and it is not recorded: stage this partition again to be told"
    " why, or to finish what was interrupted"
)


class _NotPlannedError(Exception):
    """The plan that was asked for is not recorded, and is not to be made."""


@dataclass(frozen=True)
class DatabaseTable:
    """A table of the opened databases; its source is listed once, when it is asked for."""

    databases: Databases
    table: SnapshotTable

    @property
    def root(self) -> Store:
        """The lake's store."""
        return self.databases.root

    def source_view(self) -> SourceView:
        """The snapshots that are finished, those that wait, and what is wrong with one."""
        found = self._found
        refused = [f"`{item.key}`: {item.error}" for item in found.refused]
        files = [file for snapshot in found.ready for file in snapshot.files]
        waiting = [f"`{item.key}`: {item.reason}" for item in found.waiting]
        newest = found.ready[-1] if found.ready else None
        facts = {
            "snapshots": len(found.ready),
            "files": len(files),
            "bytes": sum(file.size_bytes for file in files),
            "newest_snapshot": newest.id if newest else "none",
            "newest_exported_at": newest.exported_at.isoformat() if newest else "none",
            "waiting": len(waiting),
            "waiting_snapshots": bullets(waiting),
            **({"refused_snapshots": bullets(refused)} if refused else {}),
        }
        seen = [[snapshot.id, snapshot.digest] for snapshot in found.ready]
        return SourceView(content_id([seen, waiting, refused]), facts)

    def staging_needs(self) -> StagingNeeds:
        """The snapshots that the table is to hold and that are neither staged nor refused."""
        found = self._found
        state = staged_snapshots(self.databases, self.table)
        wanted = wanted_exports(self.table, found)
        recorded = [key for key, snapshot in state.exports.items() if snapshot.manifests]
        work = {
            snapshot.id: snapshot_work(self.table, snapshot)
            for snapshot in wanted
            if not is_staged(self.table, snapshot, state) and not self._is_refused(snapshot)
        }
        return StagingNeeds((*recorded, *(snapshot.id for snapshot in wanted)), work)

    def table_needs(self) -> TableNeeds | None:
        """The partitions of the snapshots that count; those that are not compacted are to do."""
        state, proof = pending_snapshots(self.databases, self.table)
        if not state.current:
            return None
        if proof is not None:
            return TableNeeds(tuple(sorted(json.loads(proof["lake.partitions"]))), None)
        bounds = self.databases.compaction(self.table)
        config = snapshot_compaction_config_id(self.table, bounds)
        work = (state.digest, state.generation, config)
        try:
            plan = plan_lake(self.databases, self.table)
        except StorageError:
            raise
        except LakeError:  # the run of the lake asset fails with it, where it is seen
            return TableNeeds((), work, frozenset())
        if self.table.settings.mode == "replace":  # also those that vanish: they are told so
            return TableNeeds(tuple(plan.partitions), work)
        return TableNeeds(tuple(plan.partitions), work, self._open(plan))

    def stage(
        self, keys: Collection[str], *, run_id: str, tell: Callable[[str], None]
    ) -> Iterator[Staged]:
        """Bring snapshots to staging; one with a refused group is quarantined."""
        found = self._found
        refused = {item.key: str(item.error) for item in refused_exports(self.table, found)}
        reasons = tuple(f"quarantined: {reason}" for reason in refused.values())
        ready = {snapshot.id: snapshot for snapshot in found.ready}
        for key in keys:
            if key in ready:
                yield self._bring(ready[key], run_id, tell)
            elif refused and key not in staged_snapshots(self.databases, self.table).exports:
                yield Staged(key, refused_facts(refused), reasons)
            else:
                yield Staged(key, snapshot_facts(self.databases, self.table, key))

    def compact(self, names: Collection[str]) -> Iterator[tuple[str, CompactedPartition | None]]:
        """Compact hive partitions."""
        plan = plan_lake(self.databases, self.table)
        return compact_snapshots(self.databases, self.table, plan, partitions=names)

    def publish(self) -> tuple[Published | None, tuple[str, ...]]:
        """Publish what is staged, once all of it is compacted; what is live already is told."""
        for attempt in range(_TRIES):
            state, proof = pending_snapshots(self.databases, self.table)
            if proof is not None or not state.current:
                return self._standing(), ()
            plan = plan_lake(self.databases, self.table)
            if missing := self._open(plan):
                return self._standing(), tuple(sorted(missing))
            try:
                return publish_snapshots(self.databases, self.table, plan), ()
            except StalePlanError:  # another process published a later state meanwhile
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def scan(self) -> pl.LazyFrame:
        """The published rows; before the first publish, none of the declared columns."""
        uri = table_uri(self.root.url, self.table)
        if delta.table_version(uri, storage_options(uri)) is None:
            declared = {name: found.dtype for name, found in self.table.columns.items()}
            return pl.LazyFrame(schema=declared)
        return scan_uri(uri)

    def refused(self) -> list[tuple[str, str]]:
        """The finished snapshots that are not loaded: each refused group with its reason."""
        found = self._found
        refused = [(item.key, str(item.error)) for item in refused_exports(self.table, found)]
        state = staged_snapshots(self.databases, self.table)
        for snapshot in wanted_exports(self.table, found):
            if is_staged(self.table, snapshot, state):
                continue
            try:  # not planned yet, it is planned now, as the next run would
                tasks = tasks_of(self.databases, plan_export(self.databases, self.table, snapshot))
            except BadInputError as error:
                refused.append((snapshot.id, str(error)))
                continue
            refused += [
                (snapshot.id, f"group {task.number}: {task.reason}")
                for task in tasks
                if task.status == "quarantined"
            ]
            if all(task.status == "done" for task in tasks):
                refused.append((snapshot.id, _NOT_RECORDED))
        return refused

    def proofs(self) -> DatabaseProofs:
        """What the checks ask."""
        return DatabaseProofs(self.databases, self.table)

    def drift(self, keys: Collection[str]) -> Sequence[Judged]:  # noqa: ARG002 (hive partitions)
        """The newest published snapshot against those before."""
        return snapshot_drift(self.databases, self.table)

    def _open(self, plan: TablePlan) -> frozenset[str]:
        """The partitions of a plan that are not compacted."""
        workers = self.databases.settings.workers
        done = compacted_now(self.root, self.table, plan.partitions.values(), workers=workers)
        return frozenset(plan.partitions) - frozenset(done)

    @cached_property
    def _found(self) -> FoundSnapshots:
        """What lies at the source; where nothing of it can be told apart, that is refused."""
        try:
            return find_exports(self.table)
        except BadInputError as error:
            refused = RefusedSnapshot(self.table.settings.source, error)
            return FoundSnapshots((), refused=(refused,))

    def _tasks(self, snapshot: SnapshotExport) -> tuple[TaskState, ...]:
        """Where the tasks of a snapshot stand; none of one that nobody has planned yet."""

        def stop() -> NoReturn:
            raise _NotPlannedError

        try:
            plan = plan_snapshot(self.root, self.table, snapshot, groups=stop, infer=stop)
        except _NotPlannedError:
            return ()
        return tasks_of(self.databases, plan)

    def _is_refused(self, snapshot: SnapshotExport) -> bool:
        """Whether there is nothing left to do of it but what is refused as it is."""
        states = {task.status for task in self._tasks(snapshot)}
        return "quarantined" in states and states <= {"quarantined", "done"}

    def _bring(self, snapshot: SnapshotExport, run_id: str, tell: Callable[[str], None]) -> Staged:
        started = time.monotonic()

        def progress(name: str, _stage: str, done: int, total: int) -> None:
            if done == total or done * _TOLD // total > (done - 1) * _TOLD // total:
                tell(f"{name} snapshot {snapshot.id}: {done} of {total} groups are staged")

        try:
            outcome = bring_snapshot(
                self.databases, self.table, snapshot, progress=progress, run_id=run_id
            )
        except BadInputError as error:  # it cannot be planned, or its groups are not the export
            facts = refused_facts({"snapshot": str(error)}, snapshot=snapshot)
            return Staged(snapshot.id, facts, (f"quarantined: {error}",))
        seconds = time.monotonic() - started
        return self._outcome(snapshot, outcome, seconds)

    def _outcome(self, snapshot: SnapshotExport, outcome: StagedSnapshot, seconds: float) -> Staged:
        warnings = tuple(f"quarantined: {reason}" for reason in outcome.quarantined)
        if outcome.failed:
            return Staged(snapshot.id, {}, warnings, failed="; ".join(outcome.failed))
        if outcome.quarantined:
            reasons = {
                f"group {task.number}": task.reason or ""
                for task in self._tasks(snapshot)
                if task.status == "quarantined"
            }
            facts = refused_facts(reasons, snapshot=snapshot, outcome=outcome, seconds=seconds)
            return Staged(snapshot.id, facts, warnings)
        facts = snapshot_facts(
            self.databases,
            self.table,
            snapshot.id,
            is_new=outcome.written,
            seconds=seconds,
        )
        return Staged(snapshot.id, facts)

    def _standing(self) -> Published | None:
        """The table as it is; None where nothing was published yet."""
        uri = table_uri(self.root.url, self.table)
        options = storage_options(uri)
        standing = delta.standing(uri, options)
        if standing is None or (proof := standing.proof) is None:
            return None
        dropped = int(proof["lake.rows_dropped"])
        return Published(
            version=standing.version,
            committed=False,
            rows=standing.rows,
            rows_in=int(proof["lake.rows_in"]),
            rows_dropped={"superseded": dropped} if dropped else {},
            files=len(standing.files),
            size_bytes=sum(file.size_bytes for file in standing.files),
        )
