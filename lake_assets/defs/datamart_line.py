"""The datamart as a line of the graph: Pega's export files, merged into tables that only grow."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from lake_assets.catalog import content_id
from lake_assets.compacted.compact import CompactedPartition
from lake_assets.compacted.partitions import Table
from lake_assets.compacted.plan import compaction_config_id
from lake_assets.defs.keys import DATAMART
from lake_assets.defs.lines import (
    Line,
    LineRun,
    LineTable,
    OpenTable,
    SourceView,
    Staged,
    StagingNeeds,
    TableNeeds,
)
from lake_assets.defs.metadata import bullets, staging_facts
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.runless import datamart_run
from lake_assets.errors import LakeError
from lake_assets.export.find import Found
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import (
    Datamart,
    Published,
    compact,
    find,
    pending,
    plan,
    publish_current,
    quarantined,
    rescued,
    run_datamart,
    scan_table,
    stage,
    staged,
    staged_months,
    unstaged,
)
from lake_assets.lake.drift import Judged, export_drift
from lake_assets.lake.validate import (
    Conserved,
    conserved_rows,
    duplicate_keys,
    schema_differences,
)
from lake_assets.s3 import Store
from lake_assets.staging.manifests import CODE_VERSION

__all__ = ["DatamartTable", "datamart_line"]

_CHECKS = (
    "nothing_quarantined",
    "nothing_rescued",
    "rows_conserved",
    "key_unique",
    "schema_as_declared",
)


def datamart_line(
    tables: Collection[TableSpec],
    *,
    downstream: Mapping[str, Sequence[dg.AssetKey]],
    profiled: bool = True,
) -> Line:
    """The line of these tables.

    Args:
        tables: Its tables.
        downstream: What is made from them, by the id of the table.
        profiled: Whether their rows are profiled while they are staged.
    """
    return Line(
        name=DATAMART,
        tables=tuple(_line_table(spec, profiled=profiled) for spec in tables),
        open=_open,
        catch_up=_catch_up,
        sensor_description=(
            "Lists the exports, registers every export run whose `.meta` sentinels have come, and"
            " requests one staging run a table for what is new, late or replaced. Also observes"
            " the export assets."
        ),
        downstream=downstream,
    )


class _Listing:
    """The exports of all tables, listed once, when the first of them asks; so is its error."""

    def __init__(self, datamart: Datamart) -> None:
        self._datamart = datamart
        self._result: Found | LakeError | None = None

    @property
    def found(self) -> Found:
        """What is there."""
        if self._result is None:
            try:
                self._result = find(self._datamart)
            except LakeError as error:
                self._result = error
        if isinstance(self._result, LakeError):
            raise self._result
        return self._result


@dataclass(frozen=True, slots=True)
class DatamartTable:
    """A table of the opened datamart."""

    datamart: Datamart
    table: TableSpec
    listing: _Listing

    @classmethod
    def of(cls, datamart: Datamart, name: str) -> "DatamartTable":
        """The table of that name, with a listing of its own."""
        return cls(datamart, datamart.table(name), _Listing(datamart))

    @property
    def root(self) -> Store:
        """The lake's store."""
        return self.datamart.root

    def source_view(self) -> SourceView:
        """Export runs and the files that wait for their sentinels."""
        found = self.listing.found
        exports, waiting = found.exports[self.table.name], found.waiting[self.table.name]
        files = [file for export in exports for file in export.files]
        facts = {
            "export_runs": len(exports),
            "files": len(files),
            "bytes": sum(file.data.size_bytes for file in files),
            "newest_export": exports[-1].id if exports else "none",
            "waiting": len(waiting),
            "waiting_files": bullets([f"`{wait.key}`: {wait.reason}" for wait in waiting]),
        }
        seen = [[export.digest for export in exports], [wait.key for wait in waiting]]
        return SourceView(content_id(seen), facts)

    def staging_needs(self) -> StagingNeeds:
        """What is to be staged; what was staged belongs to the table though its files are gone."""
        found = self.listing.found
        there = [export.id for export in found.exports[self.table.name]]
        known = staged(self.datamart, self.table).exports
        recorded = [export_id for export_id, export in known.items() if export.manifests]
        return StagingNeeds((*recorded, *there), unstaged(self.datamart, self.table, found))

    def table_needs(self) -> TableNeeds | None:
        """All partitions where any lags: a record may have moved out of any of them."""
        state, proof = pending(self.datamart, self.table)
        if not state.current:
            return None
        if proof is not None:
            return TableNeeds(tuple(sorted(json.loads(proof["lake.partitions"]))), None)
        config = compaction_config_id(self.table, self.datamart.compaction)
        work = (state.digest, state.generation, config)
        return TableNeeds(staged_months(self.datamart, state), work)

    def stage(
        self, keys: Collection[str], *, run_id: str, tell: Callable[[str], None]
    ) -> Iterator[Staged]:
        """Bring export runs to staging; a run with a bad file is quarantined."""
        tell(f"{self.table.id}: {len(keys)} export runs")
        for outcome in stage(
            self.datamart, self.table, self.listing.found, export_ids=keys, run_id=run_id
        ):
            warnings = [f"quarantined: {outcome.quarantine.reason}"] if outcome.quarantine else []
            if outcome.rescued:
                warnings.append(f"rescued in {outcome.export_id}: {dict(outcome.rescued)}")
            facts = staging_facts(self.root, self.table, outcome)
            yield Staged(outcome.export_id, facts, tuple(warnings))

    def compact(self, names: Collection[str]) -> Iterator[tuple[str, CompactedPartition | None]]:
        """Compact months."""
        table = plan(self.datamart, self.table)
        return compact(self.datamart, self.table, table, partitions=names)

    def publish(self) -> tuple[Published | None, tuple[str, ...]]:
        """Publish what is compacted; None where no export has come yet."""
        published = publish_current(self.datamart, self.table)
        return published, published.held_back if published else ()

    def scan(self) -> pl.LazyFrame:
        """The published rows."""
        return scan_table(self.root.url, self.table)

    def refused(self) -> list[tuple[str, str]]:
        """The quarantined export runs."""
        found = quarantined(self.datamart, self.table, self.listing.found)
        return [(item.export_id, item.reason) for item in found]

    def proofs(self) -> "_Proofs":
        """What the checks ask."""
        return _Proofs(self.datamart, self.table)

    def drift(self, keys: Collection[str]) -> Sequence[Judged]:
        """These export runs against those before; the newest one if none."""
        return export_drift(self.datamart, self.table, keys)


@dataclass(frozen=True, slots=True)
class _Proofs:
    datamart: Datamart
    table: TableSpec

    def rescued(self) -> Mapping[str, int]:
        return rescued(self.datamart, self.table)

    def conserved(self) -> Conserved:
        return conserved_rows(self.datamart.root.url, self.table)

    def duplicate_keys(self) -> int:
        memory = self.datamart.settings.memory
        return duplicate_keys(self.datamart.root.url, self.table, memory_bytes=memory)

    def schema_differences(self) -> list[str]:
        return schema_differences(self.datamart.root.url, self.table)


def _open(lake: LakeResource) -> Callable[[Table], OpenTable]:
    datamart = lake.open()
    listing = _Listing(datamart)
    return lambda table: DatamartTable(datamart, datamart.table(table.id), listing)


def _catch_up(lake: LakeResource, run_id: str) -> LineRun:
    datamart = lake.open()
    return datamart_run(datamart, run_datamart(datamart, run_id=run_id))


def _line_table(spec: TableSpec, *, profiled: bool) -> LineTable:
    return LineTable(
        table=spec,
        export_kinds=frozenset({"s3", "json"}),
        code_version=CODE_VERSION,
        checks=_CHECKS,
        drift_at="staging" if profiled else None,
        descriptions={
            "export": (
                f"Export files of `{spec.class_name}` as Pega Prediction Studio writes them, each"
                " finished once its `.meta` sentinel lies beside it.\n\n*Grain*: one file. *Stored"
                " at*: the exports' bucket or folder, never changed by us. *Observed by*: the"
                " sensor `datamart_exports`."
            ),
            "staging": (
                f"Rows of `{spec.class_name}` as they were exported, typed by contract; values that"
                " do not fit are kept in `_rescued_data`.\n\n*Grain*: one exported row."
                " *Partitions*: one export run. *Stored at*:"
                f" `staging/{spec.path}/<export id>/`, the manifest last. *Fresh when*: every"
                " finished file of the run is in it. A run with a bad file is quarantined: nothing"
                " of it is loaded."
            ),
            "compacted": (
                f"Rows of `{spec.id}`, one for each key over the whole table (the newest export"
                " wins), sorted by time.\n\n*Grain*: one record. *Partitions*: `_month`, the month"
                f" of `{spec.time}`. *Stored at*: `lake/{spec.path}/_month=…/`, invisible until"
                f" published; manifests under `compacted/{spec.path}/`. *Fresh when*: every staged"
                " row of the month is in it or has a newer one."
            ),
            "lake": (
                f"The Delta table `{spec.id}`.\n\n*Grain*: one record, keyed by {_key_text(spec)}."
                f" *Stored at*: `lake/{spec.path}/`. *Fresh when*: every compacted partition is"
                " published; one commit publishes them all, with the proof that rows in = rows out"
                " + rows dropped in its metadata."
            ),
        },
    )


def _key_text(spec: TableSpec) -> str:
    return " or else by ".join(
        " + ".join(f"`{name.rstrip('?')}`" for name in names) for names in spec.keys
    )
