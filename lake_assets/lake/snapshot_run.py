"""Database tables through all stages in one process: for a laptop, a cron job, a notebook."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lake_assets import delta
from lake_assets.errors import LakeError, PublishConflictError, StalePlanError
from lake_assets.export.refused_snapshot import RefusedSnapshot
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.source import SnapshotExport
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.lake.databases import (
    Databases,
    compact_snapshots,
    find_exports,
    is_staged,
    pending_snapshots,
    plan_export,
    plan_lake,
    publish_snapshots,
    record_staged,
    refused_exports,
    stage_groups,
    staged_snapshots,
    tasks_of,
    wanted_exports,
)
from lake_assets.lake.publish import Published
from lake_assets.lake.read import table_uri
from lake_assets.s3 import storage_options
from lake_assets.s3.kept import kept_locally
from lake_assets.staging.snapshot_plan import SnapshotPlan
from lake_assets.staging.tasks import is_done_record, new_worker
from lake_assets.staging.write import is_staged_content

__all__ = [
    "SnapshotProgress",
    "SnapshotReport",
    "StagedSnapshot",
    "Until",
    "bring_snapshot",
    "run_databases",
    "run_snapshots",
]

SnapshotProgress = Callable[[str, str, int, int], None]
"""Called with (table, stage, done, total) as a run goes on."""

Until = Literal["staging", "compacted", "lake"]

#: Times that a table is planned anew because another process published a later state meanwhile.
_TRIES = 5
#: Between two looks at tasks that other workers hold.
_WAIT_S = 0.5
#: Reasons that a report spells out; more are only counted.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class StagedSnapshot:
    """What came of staging one snapshot."""

    snapshot: str
    tasks: int
    done: int
    written: bool = False
    """Whether this very call staged any of it."""
    quarantined: tuple[str, ...] = ()
    """Why groups are refused, each with its file."""
    failed: tuple[str, ...] = ()
    """Why groups failed; the next run tries them again."""

    @property
    def complete(self) -> bool:
        """Whether all of it is staged and recorded."""
        return self.done == self.tasks and not self.failed and not self.quarantined


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What a run found and left of one table; published, ``rows_in = rows + Σ rows_dropped``."""

    table: str
    snapshots: tuple[StagedSnapshot, ...] = ()
    waiting: tuple[WaitingSnapshot, ...] = ()
    refused: tuple[RefusedSnapshot, ...] = ()
    """Finished snapshots that the table would hold if they could be taken."""
    rows_in: int = 0
    rows_dropped: dict[str, int] = field(default_factory=dict)
    """By rule; below 0 under ``transform`` where that multiplies rows."""
    rows: int = 0
    """Rows of the Delta table after the run."""
    partitions: int = 0
    files: int = 0
    version: int | None = None
    """Version of the Delta table; None where nothing was published yet."""
    changed: bool = False
    error: str | None = None
    """Why the table was not brought up to date; what was there before is still there."""
    only_refused: bool = False
    """Whether the error is input that is refused and nothing else: again it is the same."""
    published: Published | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "snapshots": [
                {
                    "snapshot": item.snapshot,
                    "tasks": item.tasks,
                    "done": item.done,
                    "quarantined": list(item.quarantined),
                    "failed": list(item.failed),
                }
                for item in self.snapshots
            ],
            "waiting": [{"key": item.key, "reason": item.reason} for item in self.waiting],
            "refused": [{"key": item.key, "reason": str(item.error)} for item in self.refused],
            "rows_in": self.rows_in,
            "rows_dropped": self.rows_dropped,
            "rows": self.rows,
            "partitions": self.partitions,
            "files": self.files,
            "version": self.version,
            "changed": self.changed,
            **({"error": self.error} if self.error else {}),
        }


def run_databases(
    databases: Databases,
    *,
    tables: Collection[str] = (),
    until: Until = "lake",
    progress: SnapshotProgress | None = None,
    run_id: str = "",
) -> dict[str, SnapshotReport]:
    """Every named table through the stages, one after the other; one that fails stops no other.

    Args:
        databases: The opened lake.
        tables: ``shop.orders``; all of the configuration by default.
        until: The last stage.
        progress: Told of every step.
        run_id: Recorded in the manifests.

    Raises:
        SettingsError: A table that does not exist.
        StorageError: The root cannot be listed.
    """
    wanted = [databases.table(name) for name in dict.fromkeys(tables)] or databases.tables
    next(iter(databases.root.list("staging/")), None)  # a root out of reach is one error, not many
    tell = progress or (lambda *_: None)
    return {
        table.id: run_snapshots(databases, table, until=until, progress=tell, run_id=run_id)
        for table in wanted
    }


def run_snapshots(
    databases: Databases,
    table: SnapshotTable,
    *,
    until: Until = "lake",
    progress: SnapshotProgress = lambda *_: None,
    run_id: str = "",
) -> SnapshotReport:
    """One table through the stages; an error becomes part of its report. Again it writes nothing.

    A snapshot that is refused, or has a group that is or that fails, is not published, and no
    other in its place: the table stays as it is, and the report says why. In mode ``history`` the
    snapshots that are whole are published all the same.
    """
    with kept_locally(databases.root, _is_read_again) as root:
        kept = replace(databases, root=root)
        report = _through(kept, table, until=until, progress=progress, run_id=run_id)
    try:
        return _with_figures(databases, table, report)
    except LakeError as error:  # out of reach: what it holds cannot be said either
        return replace(report, error=report.error or str(error), only_refused=False)


def _is_read_again(key: str) -> bool:
    """Whether a run reads a key that it wrote once more: rows of staging, and what was done."""
    return is_staged_content(key) or is_done_record(key) or key.startswith("compacted/")


def _through(
    databases: Databases,
    table: SnapshotTable,
    *,
    until: Until,
    progress: SnapshotProgress,
    run_id: str,
) -> SnapshotReport:
    """Stage what is wanted and, where all of that is whole, bring the table up to date."""
    report = SnapshotReport(table.id)
    try:
        found = find_exports(table)
        refused = refused_exports(table, found)
        report = replace(report, waiting=found.waiting, refused=refused)
        for snapshot in wanted_exports(table, found):
            staged = bring_snapshot(databases, table, snapshot, progress=progress, run_id=run_id)
            report = replace(
                report,
                snapshots=(*report.snapshots, staged),
                changed=report.changed or staged.written,
            )
        error = _unfinished(report)
        only_refused = error is not None and not any(item.failed for item in report.snapshots)
        report = replace(report, error=error, only_refused=only_refused)
        # In a history each snapshot stands for itself: those that are whole do not wait.
        if until != "staging" and (report.error is None or table.settings.mode == "history"):
            report = _bring_up_to_date(databases, table, report, until, progress)
    except LakeError as error:
        reasons = [report.error, str(error)]
        report = replace(report, error="; ".join(filter(None, reasons)), only_refused=False)
    return report


def bring_snapshot(
    databases: Databases,
    table: SnapshotTable,
    snapshot: SnapshotExport,
    *,
    progress: SnapshotProgress = lambda *_: None,
    run_id: str = "",
) -> StagedSnapshot:
    """Stage what is open of a snapshot, wait for what others hold, record it when all is done."""
    if is_staged(table, snapshot, staged_snapshots(databases, table)):
        return StagedSnapshot(snapshot.id, 0, 0)
    plan = plan_export(databases, table, snapshot)
    worker, total = new_worker(), len(plan.groups)
    done: set[int] = set()
    quarantined: list[str] = []
    failed: list[str] = []
    written = False
    to_do = {group.number for group in plan.groups}
    while to_do:
        outcomes = stage_groups(databases, plan, numbers=to_do, worker=worker, run_id=run_id)
        for outcome in outcomes:
            written |= outcome.status == "staged"
            if outcome.status == "busy":
                continue
            to_do.discard(outcome.number)
            if outcome.status in {"staged", "unchanged"}:
                done.add(outcome.number)
                progress(table.id, "staging", len(done), total)
            else:
                reasons = quarantined if outcome.status == "quarantined" else failed
                reasons.append(outcome.reason or "")
        if to_do:
            _wait(databases, plan, to_do)
    if len(done) == total:
        record_staged(databases, plan, run_id=run_id)
        written = True
    return StagedSnapshot(snapshot.id, total, len(done), written, tuple(quarantined), tuple(failed))


def _wait(databases: Databases, plan: SnapshotPlan, held: set[int]) -> None:
    """Until one of the tasks that others hold is done, given back or expired."""
    while all(
        state.status == "in_progress" for state in tasks_of(databases, plan) if state.number in held
    ):
        time.sleep(_WAIT_S)


def _unfinished(report: SnapshotReport) -> str | None:
    reasons = [str(item.error) for item in report.refused]
    reasons += [
        f"snapshot {item.snapshot}: {reason}"
        for item in report.snapshots
        for reason in (*item.quarantined, *item.failed)
    ]
    if not reasons:
        return None
    more = f" (and {len(reasons) - _SHOWN} more)" if len(reasons) > _SHOWN else ""
    return "; ".join(reasons[:_SHOWN]) + more


def _bring_up_to_date(
    databases: Databases,
    table: SnapshotTable,
    report: SnapshotReport,
    until: Until,
    progress: SnapshotProgress,
) -> SnapshotReport:
    """Compact and publish what lags."""
    stale: StalePlanError | None = None
    for _ in range(_TRIES):
        state, proof = pending_snapshots(databases, table)
        if proof is not None or not state.current:
            return report
        plan = plan_lake(databases, table, state)
        for compacted, (_, partition) in enumerate(compact_snapshots(databases, table, plan), 1):
            report = replace(
                report, changed=report.changed or bool(partition and partition.written)
            )
            progress(table.id, "compacted", compacted, len(plan.partitions))
        if until == "compacted":
            return report
        try:
            published = publish_snapshots(databases, table, plan)
        except StalePlanError as error:  # another process published a later state meanwhile
            stale = error
            continue
        progress(table.id, "lake", 1, 1)
        changed = report.changed or published.committed
        return replace(report, changed=changed, published=published)
    raise PublishConflictError(
        f"{table.id}: the table stays ahead of its staging ({stale}); where no other process is at"
        f" work, staging manifests were removed: restore {databases.root.url}/staging/{table.path}"
    )


def _with_figures(
    databases: Databases, table: SnapshotTable, report: SnapshotReport
) -> SnapshotReport:
    uri = table_uri(databases.root.url, table)
    options = storage_options(uri)
    standing = delta.standing(uri, options)
    if standing is None or (proof := standing.proof) is None:
        return report
    staged, superseded = int(proof["lake.rows_in"]), int(proof["lake.rows_dropped"])
    read = int(proof.get("lake.rows_read", staged))
    dropped = {"transform": read - staged, "superseded": superseded}
    return replace(
        report,
        version=standing.version,
        rows=standing.rows,
        rows_in=read,
        rows_dropped={rule: rows for rule, rows in dropped.items() if rows},
        files=len(standing.files),
        partitions=len({file.partition for file in standing.files}),
    )
