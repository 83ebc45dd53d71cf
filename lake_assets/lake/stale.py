"""Why a table is not what its exports, its settings and the code would make of it now.

Compares what the stages recorded with what is there; nothing is written or read beyond listings and
manifests. Of settings only their id was recorded: one that differs from then is named where setting
it back to its default gives that id.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lake_assets import delta
from lake_assets.catalog import Document, read_document
from lake_assets.compacted.partitions import CODE_VERSION as COMPACTED_CODE
from lake_assets.compacted.partitions import CompactionSettings
from lake_assets.compacted.plan import compaction_config_id
from lake_assets.compacted.snapshot_plan import snapshot_compaction_config_id
from lake_assets.database_settings import SnapshotSettings
from lake_assets.export.find import Export, export_source
from lake_assets.export.pega_tables import DATAMART_TABLES, TableSpec
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.source import SnapshotExport
from lake_assets.lake.databases import (
    Databases,
    find_exports,
    is_staged,
    refused_exports,
    staged_snapshots,
    wanted_exports,
)
from lake_assets.lake.datamart import Datamart, find, staged
from lake_assets.lake.recorded import group_keys, staged_group, table_versions
from lake_assets.s3 import Store, join_url, storage_options
from lake_assets.settings import LakeSettings
from lake_assets.staging.manifests import CODE_VERSION as STAGING_CODE
from lake_assets.staging.manifests import StagedExport, StagingState, config_id, open_exports
from lake_assets.staging.snapshot_plan import CODE_VERSION as SNAPSHOT_CODE

__all__ = ["Reason", "Staleness", "why_database_is_stale", "why_datamart_is_stale"]

_UNNAMED = "the settings have another id than then; which of them was not recorded"
#: As they are without any configuration.
_DEFAULTS = LakeSettings.model_validate({})

ReasonKind = Literal["input", "config", "code", "unpublished"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that changed."""

    kind: ReasonKind
    subject: str
    """The export, or the table."""
    what: str
    files: tuple[str, ...] = ()
    """Input files, each with ``new``, ``changed`` or ``gone`` before it."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "what": self.what,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why a table is stale; without reasons it is not."""

    table: str
    reasons: tuple[Reason, ...]

    @property
    def is_stale(self) -> bool:
        """Whether a run would do anything."""
        return bool(self.reasons)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "table": self.table,
            "stale": self.is_stale,
            "reasons": [reason.as_dict() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class _Now:
    """What an export is now."""

    id: str
    files: Mapping[str, str]
    """ETag by address."""
    config_id: str
    code_version: str
    named: Callable[[str], str]
    """Tells which settings differ from those of a recorded id."""


def why_datamart_is_stale(datamart: Datamart, spec: TableSpec) -> Staleness:
    """What changed since a table of the datamart was brought up to date.

    Raises:
        StorageError: The exports, a manifest or the log cannot be read.
    """
    share, state = datamart.settings.datamart.rescue_share, staged(datamart, spec)
    config = config_id(spec, share)
    settings = datamart.settings
    store, _ = export_source(settings.exports_url, settings.datamart.folder)
    waiting = open_exports(find(datamart).exports[spec.name], state, config)

    def now(export: Export) -> _Now:
        files = {join_url(store.url, file.key): file.data.etag for file in export.files}
        return _Now(export.id, files, config, STAGING_CODE, staging_settings)

    def staging_settings(recorded: str) -> str:
        others = {name: config_id(other, share) for name, other in _with_defaults(spec).items()}
        others["rescue_share"] = config_id(spec, _DEFAULTS.datamart.rescue_share)
        return _said(next((name for name, id_ in others.items() if id_ == recorded), None))

    def compaction_settings(recorded: str) -> str:
        bounds = datamart.compaction
        others = {
            name: compaction_config_id(other, bounds)
            for name, other in _with_defaults(spec).items()
        }
        usual = replace(bounds, target_file_bytes=_DEFAULTS.target_file_size)
        others["target_file_size"] = compaction_config_id(spec, usual)
        return _said(next((name for name, id_ in others.items() if id_ == recorded), None))

    reasons = [
        reason
        for export in waiting
        for reason in _export_reasons(datamart.root, now(export), state.exports.get(export.id))
    ]
    compaction = compaction_config_id(spec, datamart.compaction)
    reasons += _table_reasons(datamart.root, spec, state, compaction, compaction_settings)
    return Staleness(spec.id, tuple(reasons))


def why_database_is_stale(databases: Databases, table: SnapshotTable) -> Staleness:
    """What changed since a database table was brought up to date.

    Raises:
        StorageError: The exports, a manifest or the log cannot be read.
    """
    state, bounds = staged_snapshots(databases, table), databases.compaction(table)
    found = find_exports(table)
    waiting = [
        snapshot
        for snapshot in wanted_exports(table, found)
        if not is_staged(table, snapshot, state)
    ]

    def now(snapshot: SnapshotExport) -> _Now:
        files = {join_url(snapshot.source, file.key): file.etag for file in snapshot.files}
        return _Now(snapshot.id, files, table.staging_config_id, SNAPSHOT_CODE, staging_settings)

    def staging_settings(recorded: str) -> str:
        return _named(table, recorded, lambda other: other.staging_config_id)

    def compaction_settings(recorded: str) -> str:
        return _named(table, recorded, lambda other: _compaction_id(other, bounds))

    reasons = [
        reason
        for snapshot in waiting
        for reason in _export_reasons(databases.root, now(snapshot), state.exports.get(snapshot.id))
    ]
    reasons += [
        Reason("input", item.key, f"this export is refused: {item.error}")
        for item in refused_exports(table, found)
    ]
    compaction = snapshot_compaction_config_id(table, bounds)
    reasons += _table_reasons(databases.root, table, state, compaction, compaction_settings)
    return Staleness(table.id, tuple(reasons))


def _export_reasons(root: Store, now: _Now, known: StagedExport | None) -> Iterator[Reason]:
    """Why an export has to be staged."""
    if known is None or not known.manifests:
        files = tuple(f"new {uri}" for uri in now.files)
        yield Reason("input", now.id, "this export was never staged", files)
        return
    manifest = known.manifests[-1]
    document = read_document(root, manifest)
    if document.content["code_version"] != now.code_version:
        was = document.content["code_version"]
        yield Reason("code", now.id, f"staged by {was}, the code is {now.code_version}")
    if document.content["config_id"] != now.config_id:
        yield Reason("config", now.id, now.named(document.content["config_id"]))
    before = _recorded_files(root, manifest, document)
    files = tuple(
        [f"new {uri}" for uri in now.files if uri not in before]
        + [f"changed {uri}" for uri, tag in now.files.items() if before.get(uri, tag) != tag]
        + [f"gone {uri}" for uri in before if uri not in now.files]
    )
    if files:
        yield Reason("input", now.id, f"{len(files)} of its files are not those of then", files)
    elif (document.content["code_version"], document.content["config_id"]) == (
        now.code_version,
        now.config_id,
    ):
        yield Reason("input", now.id, "a sentinel of its files, or what it says, is another one")


def _recorded_files(root: Store, manifest: str, document: Document) -> dict[str, str]:
    groups = (
        staged_group(key, document if key == manifest else read_document(root, key))
        for key in group_keys(manifest, document)
    )
    return {source.uri: source.etag for group in groups for source in group.sources}


def _table_reasons(
    root: Store,
    table: TableSpec | SnapshotTable,
    state: StagingState,
    config: str,
    named: Callable[[str], str],
) -> Iterator[Reason]:
    """Why the table is not what is staged."""
    uri = join_url(root.url, "lake", table.path)
    proof = delta.last_proof(uri, storage_options(uri))
    if not state.current:
        return
    if proof is None:
        yield Reason("unpublished", table.id, "what is staged was never published")
        return
    if proof["lake.config"] != config:
        version = next(table_versions(root.url, table.path))
        keys = list(version.manifests.values())
        # A partition that is no more may have no manifest; any other one tells.
        was = next((read_document(root, k).content["code_version"] for k in keys), COMPACTED_CODE)
        if was == COMPACTED_CODE:
            yield Reason("config", table.id, named(proof["lake.config"]))
        else:
            yield Reason("code", table.id, f"compacted by {was}, the code is {COMPACTED_CODE}")
    if not proof["lake.inputs"]:
        yield Reason("unpublished", table.id, "partitions of it wait for their compaction")
    elif proof["lake.inputs"] != state.digest:
        exports = proof.get("lake.exports", "?")
        what = f"{len(state.current)} exports are staged, the table was made of {exports}"
        if str(len(state.current)) == exports:
            what = f"an export of the {exports} was staged anew since the table was published"
        yield Reason("unpublished", table.id, what)


def _with_defaults(spec: TableSpec) -> dict[str, TableSpec]:
    """The table with one of its settings as it is without configuration, by name of the setting."""
    usual = {known.name: known for known in DATAMART_TABLES}.get(spec.name)
    names = ("keys", "known", "strict", "time", "types") if usual else ()
    return {name: replace(spec, **{name: getattr(usual, name)}) for name in names}


def _said(name: str | None) -> str:
    return _UNNAMED if name is None else f"{name} was at its default, it is another one now"


def _compaction_id(table: SnapshotTable, bounds: CompactionSettings) -> str:
    chosen = table.settings
    changed = CompactionSettings(
        memory_bytes=bounds.memory_bytes,
        target_file_bytes=chosen.target_file_size,
        workers=bounds.workers,
        rows_per_file=chosen.row_limit_per_file,
        compression=chosen.compression,
    )
    return snapshot_compaction_config_id(table, changed)


def _named(table: SnapshotTable, recorded: str, id_of: Callable[[SnapshotTable], str]) -> str:
    """The setting that, at its default, gives the recorded id."""
    for name, info in SnapshotSettings.model_fields.items():
        if info.is_required():
            continue
        default = info.get_default(call_default_factory=True)
        settings = table.settings.model_copy(update={name: default})
        if id_of(SnapshotTable(table.database, table.name, settings)) == recorded:
            return (
                f"{name} was at its default, {default!r}; it is {getattr(table.settings, name)!r}"
            )
    return _UNNAMED
