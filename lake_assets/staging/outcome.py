"""What came of an export in staging, told alike whether it was done now or before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lake_assets.catalog import Document, read_document
from lake_assets.export.find import Export
from lake_assets.export.pega_tables import TableSpec
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedExport, export_folder, work_id

__all__ = [
    "Quarantine",
    "StagingOutcome",
    "quarantine_key",
    "recorded_outcome",
    "staged_outcome",
]

Status = Literal["staged", "unchanged", "quarantined", "absent"]


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One export that is not loaded, and why."""

    export_id: str
    key: str
    reason: str
    held_back: tuple[str, ...]
    """The other files of the export: they wait with it."""

    def as_dict(self) -> dict[str, Any]:
        """For documents and reports."""
        return {
            "export_id": self.export_id,
            "key": self.key,
            "reason": self.reason,
            "held_back": list(self.held_back),
        }


@dataclass(frozen=True, slots=True)
class StagingOutcome:
    """What came of one export: rows in staging, a quarantine, or nothing to read (absent)."""

    export_id: str
    status: Status
    manifest: str | None
    quarantine: Quarantine | None
    rows: int = 0
    files: int = 0
    size_bytes: int = 0
    months: tuple[str | None, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rescued: Mapping[str, int] = field(default_factory=dict)
    duplicate_keys: int = 0
    seconds: float = 0.0
    sources: tuple[str, ...] = ()
    written: bool = False
    """Whether this very call wrote the record: a manifest or a quarantine."""


def staged_outcome(document: Document, manifest: str, status: Status) -> StagingOutcome:
    """The outcome that a staging manifest records."""
    content, outputs = document.content, document.content["outputs"]
    return StagingOutcome(
        export_id=content["partition"],
        status=status,
        manifest=manifest,
        quarantine=None,
        rows=content["rows"],
        files=len(content["inputs"]),
        size_bytes=sum(item["size_bytes"] for item in outputs),
        months=tuple(dict.fromkeys(item["month"] for item in outputs)),
        columns={name: dtype for item in outputs for name, dtype in item["columns"].items()},
        rescued=content["rescued"],
        duplicate_keys=content["duplicate_keys"],
        seconds=document.facts["seconds"],
        sources=tuple(source["uri"] for source in document.facts["sources"]),
    )


def quarantine_key(spec: TableSpec, export: Export, config: str) -> str:
    """Where the quarantine record of exactly these files lies."""
    return f"{export_folder(spec, export.id)}quarantine-{work_id(export, config)}.json"


def recorded_outcome(
    root: Store, spec: TableSpec, export: Export | None, staged: StagedExport | None, config: str
) -> StagingOutcome:
    """The outcome of an export that needs no work: its present input was staged or refused before.

    Args:
        root: The lake's store.
        spec: The table.
        export: What is there now; None where its files are gone (what was staged still counts).
        staged: What the staging folder holds of it.
        config: Names the configuration.
    """
    if export is not None and staged is not None and work_id(export, config) in staged.quarantined:
        content = read_document(root, quarantine_key(spec, export, config)).content
        record = Quarantine(
            content["export_id"], content["key"], content["reason"], tuple(content["held_back"])
        )
        return StagingOutcome(export.id, "quarantined", None, record, files=len(export.files))
    if staged is None or not staged.manifests:
        return StagingOutcome(export.id if export else "", "absent", None, None)
    manifest = staged.manifests[-1]
    return staged_outcome(read_document(root, manifest), manifest, "unchanged")
