"""The whole line in one process, table after table: for a laptop, a cron job, a notebook."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lake_assets import delta
from lake_assets.compacted.compact import CompactedPartition
from lake_assets.errors import LakeError, PublishConflictError, StalePlanError
from lake_assets.export.find import Found, Waiting
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake.datamart import (
    Datamart,
    compact,
    find,
    pending,
    plan,
    publish,
    stage,
    staged,
)
from lake_assets.lake.publish import Published
from lake_assets.lake.read import table_uri
from lake_assets.s3 import storage_options
from lake_assets.staging.outcome import Quarantine, StagingOutcome

__all__ = ["Progress", "RunReport", "TableReport", "run_datamart", "run_table"]

#: Times that a table is planned anew because another process published a later state meanwhile.
_TRIES = 5

Progress = Callable[[str, str, int, int], None]
"""Called with (table, stage, done, total) as a run goes on."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a run found and left of one table; published, ``rows_in = rows + Σ rows_dropped``."""

    table: str
    files: int = 0
    """Finished export files that the table is made of."""
    rows_in: int = 0
    rows_dropped: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    """Rows of the Delta table after the run."""
    version: int | None = None
    """Version of the Delta table; None where no export has come yet."""
    waiting: tuple[Waiting, ...] = ()
    quarantined: tuple[Quarantine, ...] = ()
    rescued: dict[str, int] = field(default_factory=dict)
    """Values by column that staging put into ``_rescued_data``, in all exports found."""
    duplicate_keys: int = 0
    """Keys repeated inside one JSON object, the first of which counts, in all exports found."""
    changed: bool = False
    staged: tuple[StagingOutcome, ...] = ()
    """What came of each export."""
    compacted: tuple[tuple[str, CompactedPartition], ...] = ()
    """The hive partitions that were gone through, by name."""
    published: Published | None = None
    error: str | None = None
    """Why the table was not brought up to date; what was there before is still there."""

    @property
    def only_refused(self) -> bool:
        """Whether the error is input that is refused: never, an export of that kind is no error."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "files": self.files,
            "rows_in": self.rows_in,
            "rows_dropped": self.rows_dropped,
            "rows": self.rows,
            "version": self.version,
            "waiting": [{"key": w.key, "reason": w.reason} for w in self.waiting],
            "quarantined": [q.as_dict() for q in self.quarantined],
            "rescued": self.rescued,
            "duplicate_keys": self.duplicate_keys,
            "changed": self.changed,
            **({"error": self.error} if self.error else {}),
        }


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did, table by table."""

    tables: dict[str, TableReport]
    ignored: tuple[str, ...] = ()
    n_ignored: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything was staged or published."""
        return any(table.changed for table in self.tables.values())

    @property
    def errors(self) -> tuple[str, ...]:
        """Why tables failed, each with its table."""
        return tuple(
            f"{table.table}: {table.error}" for table in self.tables.values() if table.error
        )

    @property
    def quarantined(self) -> tuple[Quarantine, ...]:
        """All exports that are not loaded."""
        return tuple(q for table in self.tables.values() for q in table.quarantined)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "tables": {name: table.as_dict() for name, table in self.tables.items()},
            "ignored": self.n_ignored,
            "changed": self.changed,
        }


def run_datamart(
    datamart: Datamart,
    *,
    tables: Collection[str] = (),
    progress: Progress | None = None,
    run_id: str = "",
) -> RunReport:
    """Everything that is exported and finished, to the Delta tables. A second run writes nothing.

    A table that fails does not stop the others: its report carries the error.

    Args:
        datamart: The opened lake.
        tables: Names of the tables to bring; all by default.
        progress: Told of every step.
        run_id: Recorded in the manifests.

    Raises:
        SettingsError: A table that does not exist.
        StorageError: The exports or the root cannot be listed.
    """
    wanted = {(spec := datamart.table(name)).name: spec for name in tables}
    specs = list(wanted.values()) or list(datamart.tables)
    found = find(datamart)
    next(iter(datamart.root.list("staging/")), None)  # a root out of reach is one error, not seven
    tell = progress or (lambda *_: None)
    reports: dict[str, TableReport] = {}
    for spec in specs:
        reports[spec.name] = run_table(datamart, spec, found, progress=tell, run_id=run_id)
    return RunReport(reports, found.ignored, found.n_ignored)


def run_table(
    datamart: Datamart, spec: TableSpec, found: Found, *, progress: Progress, run_id: str = ""
) -> TableReport:
    """One table through all stages; an error becomes part of its report, so that others go on."""
    outcomes: list[StagingOutcome] = []
    total = len(found.exports[spec.name])
    report = TableReport(spec.id, waiting=found.waiting[spec.name])
    try:
        for outcome in stage(datamart, spec, found, run_id=run_id):
            outcomes.append(outcome)
            progress(spec.name, "staging", len(outcomes), total)
        report = _staged_report(report, outcomes)
        return _bring_up_to_date(datamart, spec, report, progress)
    except LakeError as error:
        report = replace(_staged_report(report, outcomes), error=str(error))
        try:
            return _with_rows(datamart, spec, report)
        except LakeError:  # out of reach: what it holds cannot be said either
            return report


def _staged_report(report: TableReport, outcomes: list[StagingOutcome]) -> TableReport:
    quarantined = tuple(o.quarantine for o in outcomes if o.quarantine)
    rescued: dict[str, int] = {}
    for outcome in outcomes:
        for column, count in outcome.rescued.items():
            rescued[column] = rescued.get(column, 0) + count
    return replace(
        report,
        quarantined=quarantined,
        rescued=rescued,
        duplicate_keys=sum(outcome.duplicate_keys for outcome in outcomes),
        changed=any(outcome.written for outcome in outcomes),
        staged=tuple(outcomes),
    )


def _bring_up_to_date(
    datamart: Datamart, spec: TableSpec, report: TableReport, progress: Progress
) -> TableReport:
    """Compact and publish what lags; the report with the table's figures either way."""
    stale: StalePlanError | None = None
    for _ in range(_TRIES):
        state, proof = pending(datamart, spec)
        if proof is not None:
            return _with_figures(datamart, spec, report, proof)
        if not state.current:
            return _with_rows(datamart, spec, report)
        table = plan(datamart, spec)
        compacted: list[tuple[str, CompactedPartition]] = []
        for name, partition in compact(datamart, spec, table):
            compacted += [(name, partition)] if partition else []
            progress(spec.name, "compacted", len(compacted), len(table.partitions))
        if any(partition.written for _, partition in compacted):
            report = replace(report, changed=True)
        try:
            published = publish(datamart, spec, table)
        except StalePlanError as error:  # another process published a later state meanwhile
            stale = error
            continue
        progress(spec.name, "lake", 1, 1)
        report = replace(
            report,
            files=table.n_files,
            rows_in=published.rows_in,
            rows_dropped=published.rows_dropped,
            rows=published.rows,
            version=published.version,
            changed=report.changed or published.committed,
            compacted=tuple(compacted),
            published=published,
        )
        if staged(datamart, spec).digest == table.inputs:
            return report
        # Another process staged more, and may have planned without what this one staged.
    if report.published:
        return report
    raise PublishConflictError(
        f"{spec.id}: the table stays ahead of its staging ({stale}); where no other process is at"
        f" work, staging manifests were removed: restore {datamart.root.url}/staging/{spec.path}"
    )


def _with_figures(
    datamart: Datamart, spec: TableSpec, report: TableReport, proof: Mapping[str, str]
) -> TableReport:
    dropped = int(proof["lake.rows_dropped"])
    return replace(
        _with_rows(datamart, spec, report),
        files=int(proof["lake.files"]),
        rows_in=int(proof["lake.rows_in"]),
        rows_dropped={"superseded": dropped} if dropped else {},
    )


def _with_rows(datamart: Datamart, spec: TableSpec, report: TableReport) -> TableReport:
    uri = table_uri(datamart.root.url, spec)
    standing = delta.standing(uri, storage_options(uri))
    return replace(report, version=standing.version, rows=standing.rows) if standing else report
