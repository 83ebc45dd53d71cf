"""The Pega datamart line as plain functions: find, stage, plan, compact, publish.

One opened ``Datamart`` and values in, values out. The ``lake`` command, the Dagster assets and
notebooks call these; none of them knows more of the stages than this page.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.catalog.profile import Profiler
from lake_assets.compacted.compact import (
    CompactedPartition,
    Passes,
    compact_partition,
    compacted_now,
)
from lake_assets.compacted.partitions import CompactionSettings, TablePlan
from lake_assets.compacted.passes import sorted_passes
from lake_assets.compacted.plan import compaction_config_id, month_partition, plan_table
from lake_assets.delta.records import check_address
from lake_assets.errors import SettingsError, StalePlanError
from lake_assets.export.download import Downloaded, download_exports
from lake_assets.export.find import Export, Found, export_source, list_exports
from lake_assets.export.payload import PayloadLimits
from lake_assets.export.pega_tables import (
    TableSpec,
    canonical,
    configured_tables,
    find_table,
)
from lake_assets.fanout import fan_out
from lake_assets.lake.publish import Published, publish_plan
from lake_assets.lake.read import table_uri
from lake_assets.s3 import Store, join_url, open_store, parse_url, storage_options
from lake_assets.settings import LakeSettings
from lake_assets.staging.manifests import (
    StagingState,
    config_id,
    open_exports,
    read_staged,
    staging_state,
    work_id,
)
from lake_assets.staging.outcome import Quarantine, StagingOutcome, recorded_outcome
from lake_assets.staging.stage import StagingWork, stage_export

__all__ = [
    "Datamart",
    "compact",
    "download",
    "find",
    "open_datamart",
    "pending",
    "plan",
    "publish",
    "publish_current",
    "quarantined",
    "rescued",
    "stage",
    "staged",
    "staged_months",
    "unstaged",
]

_MIB = 1024**2
#: Times that a table is planned anew because another process published a later state meanwhile.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Datamart:
    """An opened lake and the exports that feed it."""

    settings: LakeSettings
    tables: tuple[TableSpec, ...]
    root: Store

    def table(self, name: str) -> TableSpec:
        """The declared table of that name; camelCase and ``datamart.`` are understood."""
        return find_table(name, self.tables)

    @property
    def compaction(self) -> CompactionSettings:
        """Bounds of compaction."""
        settings = self.settings
        return CompactionSettings(settings.memory, settings.target_file_size, settings.workers)

    @property
    def payload_limits(self) -> PayloadLimits:
        """Bounds of reading one export file, for as many readers at once as there are workers."""
        settings = self.settings
        chunk = max(_MIB, min(32 * _MIB, settings.memory // settings.workers // 8))
        return PayloadLimits(chunk, settings.max_row_size, settings.max_payload_size)

    def profiler(self, spec: TableSpec) -> Profiler:
        """What profiles rows of a table."""
        table = self.settings.datamart.tables.get(spec.name)
        hidden = {canonical(name) for name in table.hidden} if table else set[str]()
        hidden |= {canonical("_rescued_data")} if hidden else set()  # it may hold any value's text
        return Profiler(lambda name: canonical(name) in hidden)

    def stage_profiler(self, spec: TableSpec) -> Profiler | None:
        """What a stage shows its rows; None where profiles are off."""
        return self.profiler(spec) if self.settings.datamart.profile else None


def open_datamart(settings: LakeSettings) -> Datamart:
    """Open the lake; nothing is written.

    Raises:
        StorageError: The root is a file.
        SettingsError: A table of one's own is incomplete, or an address cannot be one: also a root
            in which not every reader would find the files of a table.
    """
    tables = configured_tables(settings.datamart.tables)
    settings = settings.model_copy(update={"root": parse_url(settings.root).text})
    if settings.root == "/":
        raise SettingsError(
            "the root of the file system cannot be a lake; give a folder of its own"
        )
    check_address(join_url(settings.root, "lake"))
    return Datamart(settings, tables, open_store(settings.root))


def find(datamart: Datamart) -> Found:
    """What is exported and finished, and what waits: one listing."""
    source = datamart.settings.datamart
    return list_exports(
        datamart.settings.exports_url,
        datamart.tables,
        folder=source.folder,
        sentinel=source.sentinel,
        require_meta=source.require_meta,
    )


def staged(datamart: Datamart, spec: TableSpec) -> StagingState:
    """What is staged of a table: one listing."""
    return staging_state(datamart.root, spec)


def stage(
    datamart: Datamart,
    spec: TableSpec,
    found: Found,
    *,
    export_ids: Collection[str] | None = None,
    run_id: str = "",
) -> Iterator[StagingOutcome]:
    """Bring exports of a table to staging; what was done before is told, not done again.

    Args:
        datamart: The opened lake.
        spec: The table.
        found: What ``find`` returned.
        export_ids: The exports to bring; all by default. An id that is nowhere gives ``absent``.
        run_id: Recorded in the manifests.

    Yields:
        One outcome for each export, in the order of ``export_ids``, else oldest first.
    """
    settings = datamart.settings
    state, share = staged(datamart, spec), settings.datamart.rescue_share
    config = config_id(spec, share)
    by_id = {export.id: export for export in found.exports[spec.name]}
    to_do = {export.id for export in open_exports(by_id.values(), state, config)}
    store, _ = export_source(settings.exports_url, settings.datamart.folder)
    uri = table_uri(datamart.root.url, spec)
    held = delta.table_schema(uri, storage_options(uri)) if to_do else None
    work = StagingWork(
        spec=spec,
        exports=store,
        root=datamart.root,
        limits=datamart.payload_limits,
        rescue_share=share,
        buffer_bytes=max(_MIB, settings.memory // settings.workers // 4),
        run_id=run_id,
        published=held or {},
        new_profiler=lambda: datamart.stage_profiler(spec),
    )

    def bring(export_id: str) -> StagingOutcome:
        export: Export | None = by_id.get(export_id)
        if export is not None and export_id in to_do:
            return stage_export(work, export, state)
        known = recorded_outcome(datamart.root, spec, export, state.exports.get(export_id), config)
        return replace(known, export_id=export_id)

    ids = list(by_id) if export_ids is None else list(dict.fromkeys(export_ids))
    yield from fan_out(bring, ids, workers=settings.workers)


def pending(datamart: Datamart, spec: TableSpec) -> tuple[StagingState, Mapping[str, str] | None]:
    """Whether the table lags behind its staging, cheaply: a listing and the newest commit.

    Returns:
        The staging state, and the proof of the newest commit where it already is exactly this
        state under this configuration; None where there is something to compact or publish.
    """
    state = staged(datamart, spec)
    uri = table_uri(datamart.root.url, spec)
    proof = delta.last_proof(uri, storage_options(uri))
    config = compaction_config_id(spec, datamart.compaction)
    if proof and proof["lake.inputs"] == state.digest and proof["lake.config"] == config:
        return state, proof
    return state, None


def plan(datamart: Datamart, spec: TableSpec) -> TablePlan:
    """What the table has to become, from everything staged."""
    uri = table_uri(datamart.root.url, spec)
    published = delta.table_schema(uri, storage_options(uri)) or {}
    state = staged(datamart, spec)
    return plan_table(datamart.root, spec, state, datamart.compaction, published=published)


def compact(
    datamart: Datamart,
    spec: TableSpec,
    table: TablePlan,
    *,
    partitions: Collection[str] | None = None,
) -> Iterator[tuple[str, CompactedPartition | None]]:
    """Compact partitions by this plan; one that is compacted already is only told.

    Args:
        datamart: The opened lake.
        spec: The table.
        table: What ``plan`` returned.
        partitions: Hive names (``_month=2026-09``); all of the plan by default.

    Yields:
        Name and result; None for a partition of which nothing is staged.
    """
    bounds = datamart.compaction
    done = compacted_now(
        datamart.root, spec, table.partitions.values(), workers=datamart.settings.workers
    )
    for name in table.partitions if partitions is None else dict.fromkeys(partitions):
        wanted = table.partitions.get(name)
        if wanted is None:
            yield name, None
        elif name in done:
            yield name, done[name]
        else:
            frames = sorted_passes(
                datamart.root, spec, wanted, names=table.schema, memory_bytes=bounds.memory_bytes
            )
            passes = Passes(frames, profiler=datamart.stage_profiler(spec))
            yield name, compact_partition(datamart.root, spec, table, wanted, bounds, passes)


def publish(datamart: Datamart, spec: TableSpec, table: TablePlan | None = None) -> Published:
    """Publish what is compacted and not live yet, in one commit.

    Raises:
        StalePlanError: The table holds a later state than ``table``.
    """
    table = table or plan(datamart, spec)
    ready = compacted_now(
        datamart.root, spec, table.partitions.values(), workers=datamart.settings.workers
    )
    return publish_plan(datamart.root, spec, table, ready=ready)


def publish_current(datamart: Datamart, spec: TableSpec) -> Published | None:
    """Publish whatever is compacted and not live yet, planned on the present staging.

    Returns:
        What was published, or the table as it is; None where no export has come yet.
    """
    for attempt in range(_TRIES):
        if not staged(datamart, spec).current:
            return None
        try:
            return publish(datamart, spec)
        except StalePlanError:  # another process published a later state meanwhile
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def quarantined(
    datamart: Datamart, spec: TableSpec, found: Found | None = None
) -> tuple[Quarantine, ...]:
    """The finished exports of a table that are refused as they are now, oldest first."""
    exports = (found or find(datamart)).exports[spec.name]
    state, config = staged(datamart, spec), config_id(spec, datamart.settings.datamart.rescue_share)
    refused: list[Quarantine] = []
    for export in exports:
        known = state.exports.get(export.id)
        if known is not None and work_id(export, config) in known.quarantined:
            outcome = recorded_outcome(datamart.root, spec, export, known, config)
            refused += [outcome.quarantine] if outcome.quarantine else []
    return tuple(refused)


def rescued(datamart: Datamart, spec: TableSpec) -> dict[str, int]:
    """Values by column that did not fit and are kept in ``_rescued_data``, in all staged rows."""
    documents = fan_out(
        lambda key: read_document(datamart.root, key),
        staged(datamart, spec).current,
        workers=datamart.settings.workers,
    )
    found: Counter[str] = Counter()
    for document in documents:
        found.update(document.content["rescued"])
    return dict(sorted(found.items()))


def unstaged(datamart: Datamart, spec: TableSpec, found: Found) -> dict[str, str]:
    """The exports that staging has not seen as they are now: id → name of the work."""
    state, config = staged(datamart, spec), config_id(spec, datamart.settings.datamart.rescue_share)
    to_do = open_exports(found.exports[spec.name], state, config)
    return {export.id: work_id(export, config) for export in to_do}


def staged_months(datamart: Datamart, state: StagingState) -> tuple[str, ...]:
    """The hive partitions (``_month=…``) that any staged export has rows in, in order."""
    manifests = fan_out(
        lambda key: read_staged(datamart.root, key),
        state.current,
        workers=datamart.settings.workers,
    )
    months = {file.values[0] for _, files in manifests for file in files}
    return tuple(month_partition(month) for month in sorted(months, key=lambda m: m or ""))


def download(datamart: Datamart, folder: str | Path, *, tables: Collection[str] = ()) -> Downloaded:
    """The finished export files of tables as local files, new and cached, each verified.

    Args:
        datamart: The opened lake; only its exports are read.
        folder: Where the files go, under their keys.
        tables: Names of tables; all by default.
    """
    found, settings = find(datamart), datamart.settings
    names = [datamart.table(name).name for name in tables] or list(found.exports)
    store, _ = export_source(settings.exports_url, settings.datamart.folder)
    exports = [export for name in names for export in found.exports[name]]
    return download_exports(store, exports, folder, workers=settings.workers)
