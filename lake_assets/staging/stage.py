"""Stage one export: read every file, type the rows, write them by partition, the manifest last.

Bad input is an outcome: the export is quarantined by a record that names the file, nothing of it
is loaded, nothing is deleted. Only faults of the store and bugs are raised.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO

import polars as pl

from lake_assets.catalog import Document, write_document
from lake_assets.catalog.profile import Profile, Profiler, put_profile
from lake_assets.errors import BadInputError, ConservationError
from lake_assets.export.find import Export, ExportFile
from lake_assets.export.payload import PayloadLimits, text_chunks, zip_record_count
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec
from lake_assets.export.rows import RowChunk, read_rows
from lake_assets.export.sentinel import parse_sentinel
from lake_assets.s3 import Store, join_url, sha256_of
from lake_assets.staging.manifests import (
    CODE_VERSION,
    StagingState,
    config_id,
    export_folder,
    work_id,
)
from lake_assets.staging.outcome import Quarantine, StagingOutcome, quarantine_key, staged_outcome
from lake_assets.staging.previous import still_staged
from lake_assets.staging.write import StagingWriter

__all__ = ["StagingWork", "stage_export"]

logger = logging.getLogger(__name__)

#: A sentinel larger than this is no sentinel; its content is not looked at.
_SENTINEL_BYTES = 1024**2
#: A single value that does not fit never stops an export, however small the export is.
_ODD_VALUES_ALLOWED = 1


@dataclass(frozen=True, slots=True)
class StagingWork:
    """Everything that staging a table's exports needs besides the export itself."""

    spec: TableSpec
    exports: Store
    root: Store
    limits: PayloadLimits
    rescue_share: float
    buffer_bytes: int
    """Typed rows held before they are written, in bytes of memory."""
    run_id: str = ""
    """Recorded in the manifest; not part of its id."""
    published: Mapping[str, pl.DataType] = field(default_factory=dict)
    """The columns of the published table: a Delta column keeps its type."""
    new_profiler: Callable[[], Profiler | None] = lambda: None
    """Makes what profiles an export; None where profiles are off."""


@dataclass(slots=True)
class _Tally:
    inputs: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    present: Counter[str] = field(default_factory=Counter)
    rescued: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    duplicate_keys: int = 0
    spellings: dict[str, str] = field(
        default_factory=lambda: {name.casefold(): name for name in INTERNAL_COLUMNS}
    )
    """The columns met so far by their names without case."""


def stage_export(work: StagingWork, export: Export, state: StagingState) -> StagingOutcome:
    """Stage one export, or quarantine it. Twice, or in two processes at once, changes nothing.

    Args:
        work: Table, stores and limits.
        export: The finished files, as they were listed; a file replaced since is an error.
        state: What is staged already; the new manifest follows the export's last one.

    Raises:
        StorageError: The store failed, or a file was replaced since it was listed.
        ConservationError: Not every row that was read was written.
    """
    started = time.monotonic()
    spec = work.spec
    folder = export_folder(spec, export.id)
    writer = StagingWriter(work.root, folder, spec, work.buffer_bytes, work.new_profiler())
    tally = _Tally()
    try:
        known = still_staged(work.root, export, state)
        if known is not None:
            return staged_outcome(*known, "unchanged")
        for file in export.files:
            _read_file(work, export, file, writer, tally)
        _judge_rescued(work, export, tally)
    except BadInputError as error:
        return _quarantine(work, export, error)
    writer.flush()
    if writer.rows != tally.rows:
        raise ConservationError(
            f"{spec.id} export {export.id}: {tally.rows} rows read, {writer.rows} staged;"
            " nothing was recorded"
        )
    profile = writer.profiler.profile() if writer.profiler else None
    document = _manifest(work, export, writer, tally, started)
    manifest = _record(work, export, state, document, profile)
    logger.info("staged %s export %s: %d rows", spec.id, export.id, tally.rows)
    if tally.rescued:
        logger.warning(
            "%s export %s: values kept in _rescued_data: %s",
            spec.id,
            export.id,
            dict(sorted(tally.rescued.items())),
        )
    return replace(staged_outcome(document, manifest, "staged"), written=True)


def _read_file(
    work: StagingWork, export: Export, file: ExportFile, writer: StagingWriter, tally: _Tally
) -> None:
    if ".." in file.key.split("/"):
        raise BadInputError(
            file.key,
            expected="a key without '..'",
            found="a segment that leads out of its folder",
            remedy="copy the file to a plain key and remove this one",
        )
    with work.exports.open(file.data, memory_bytes=work.limits.chunk_bytes) as body:
        digest = sha256_of(body)
        manifest_rows = zip_record_count(file.key, body)
        body.seek(0)
        rows = text_bytes = 0
        for text_size, chunk in _row_chunks(work, file, body):
            text_bytes += text_size
            rows += chunk.frame.height
            _check_spellings(file.key, chunk, tally.spellings)
            _check_published(work, file.key, chunk)
            tally.present.update(chunk.present)
            tally.rescued.update(chunk.rescued)
            tally.duplicate_keys += chunk.duplicate_keys
            writer.add(
                chunk.frame.with_columns(_export_id=pl.lit(export.id), _source_key=pl.lit(file.key))
            )
    _check_sentinel(work, file, rows, text_bytes)
    if manifest_rows is not None and manifest_rows != rows:
        raise _count_error(file.key, "its META-INF/MANIFEST.mf", manifest_rows, rows)
    tally.rows += rows
    name = file.key.rpartition("/")[2]
    tally.inputs.append(
        {"name": name, "sha256": digest, "size_bytes": file.data.size_bytes, "rows": rows}
    )
    tally.sources.append(
        {
            "uri": join_url(work.exports.url, file.key),
            "etag": file.data.etag,
            "modified_at": file.data.modified_at.isoformat(),
            "sentinel_etag": file.sentinel.etag if file.sentinel else None,
        }
    )


def _check_published(work: StagingWork, key: str, chunk: RowChunk) -> None:
    """Refuse a column whose type is another one than that of the published table."""
    there = {name.casefold(): dtype for name, dtype in work.published.items()}
    for name, dtype in chunk.frame.schema.items():
        held = there.get(name.casefold(), dtype)
        if held != dtype:
            raise BadInputError(
                key,
                expected=f"column {name!r} as {held}, which it is in the published table",
                found=f"{dtype}, by the types in force",
                remedy=f"a Delta column keeps its type: take the change under datamart.tables."
                f"{work.spec.name}.types back, or bring the exports to a new root",
            )


def _row_chunks(
    work: StagingWork, file: ExportFile, body: BinaryIO
) -> Iterator[tuple[int, RowChunk]]:
    line = 1
    for text in text_chunks(file.key, body, work.limits):
        yield len(text), read_rows(file.key, text, work.spec, first_line=line)
        line += text.count(b"\n")


def _check_spellings(key: str, chunk: RowChunk, spellings: dict[str, str]) -> None:
    for name in chunk.frame.columns:
        if (other := spellings.setdefault(name.casefold(), name)) != name:
            raise BadInputError(
                key,
                expected="columns of an export that differ in more than case, as Delta demands",
                found=f"{other!r} and {name!r}",
                remedy="rename one of them in the export",
            )


def _check_sentinel(work: StagingWork, file: ExportFile, rows: int, text_bytes: int) -> None:
    """Hold the file to the size and record count of its sentinel, where that says any."""
    if file.sentinel is None or file.sentinel.size_bytes > _SENTINEL_BYTES:
        return
    body = work.exports.get(file.sentinel.key, listed=file.sentinel)
    claim = parse_sentinel(body, file.key.rpartition("/")[2])
    # Pega does not document whether the size is that of the stored or of the unpacked file.
    if claim.size_bytes is not None and claim.size_bytes not in (file.data.size_bytes, text_bytes):
        raise BadInputError(
            file.key,
            expected=f"{claim.size_bytes} bytes, as its sentinel says",
            found=f"{file.data.size_bytes} bytes stored, {text_bytes} unpacked",
            remedy="export the file again, or write the sentinel that belongs to it",
        )
    if claim.rows is not None and claim.rows != rows:
        raise _count_error(file.key, "its sentinel", claim.rows, rows)


def _count_error(key: str, witness: str, expected: int, found: int) -> BadInputError:
    return BadInputError(
        key,
        expected=f"{expected} records, as {witness} says",
        found=f"{found}",
        remedy="export the file again, or write the sentinel that belongs to it",
    )


def _judge_rescued(work: StagingWork, export: Export, tally: _Tally) -> None:
    """Refuse an export with too much of a column rescued: its type changed, that is no noise."""
    for column, count in tally.rescued.items():
        share = count / max(1, tally.present[column])
        if work.spec.strict or (count > _ODD_VALUES_ALLOWED and share > work.rescue_share):
            allowed = (
                "none (the table is strict)" if work.spec.strict else f"{work.rescue_share:.0%}"
            )
            raise BadInputError(
                ", ".join(file.key for file in export.files[:3])
                + (" …" if len(export.files) > 3 else ""),  # noqa: PLR2004 (as many as the slice has)
                expected=f"values of column {column!r} that fit its type, {allowed} to rescue",
                found=f"{count} of {tally.present[column]} ({share:.1%}) that do not fit",
                remedy=f"correct the export, or allow it: strict or rescue_share under datamart"
                " in the configuration; a column that no table holds yet may be declared under"
                f" datamart.tables.{work.spec.name}.types",
            )


def _manifest(
    work: StagingWork, export: Export, writer: StagingWriter, tally: _Tally, started: float
) -> Document:
    content = {
        "asset": f"staging/{work.spec.path}",
        "partition": export.id,
        "code_version": CODE_VERSION,
        "config_id": config_id(work.spec, work.rescue_share),
        "exported_at": export.exported_at.isoformat(),
        "inputs": tally.inputs,
        "outputs": writer.outputs,
        "rows_in": tally.rows,
        "rows": writer.rows,
        "rescued": dict(sorted(tally.rescued.items())),
        "duplicate_keys": tally.duplicate_keys,
    }
    facts = {
        "sources": tally.sources,
        "run_id": work.run_id,
        "written_at": datetime.now(UTC).isoformat(),
        "seconds": round(time.monotonic() - started, 3),
    }
    return Document("staging", content, facts)


def _record(
    work: StagingWork,
    export: Export,
    state: StagingState,
    document: Document,
    profile: Profile | None,
) -> str:
    staged = state.exports.get(export.id)
    number = 1 + (
        int(staged.manifests[-1].rpartition("manifest-")[2][:6])
        if staged and staged.manifests
        else 0
    )
    work_name = work_id(export, config_id(work.spec, work.rescue_share))
    name = f"manifest-{number:06d}-{work_name}-{document.id[:16]}.json"
    key = f"{export_folder(work.spec, export.id)}{name}"
    if profile is not None:
        put_profile(work.root, key, document, profile)
    write_document(work.root, key, document)  # taken already: another process did the same work
    return key


def _quarantine(work: StagingWork, export: Export, error: BadInputError) -> StagingOutcome:
    held_back = tuple(file.key for file in export.files if file.key != error.key)
    record = Quarantine(export.id, error.key, str(error), held_back)
    config = config_id(work.spec, work.rescue_share)
    content = {
        "asset": f"staging/{work.spec.path}",
        "partition": export.id,
        "code_version": CODE_VERSION,
        "config_id": config,
        "inputs": [
            {"name": file.key.rpartition("/")[2], "size_bytes": file.data.size_bytes}
            for file in export.files
        ],
        **record.as_dict(),
    }
    facts = {
        "sources": [join_url(work.exports.url, file.key) for file in export.files],
        "run_id": work.run_id,
        "written_at": datetime.now(UTC).isoformat(),
    }
    key = quarantine_key(work.spec, export, config)
    written = write_document(work.root, key, Document("quarantine", content, facts))
    logger.warning("quarantined %s export %s: %s", work.spec.id, export.id, error)
    return StagingOutcome(
        export.id, "quarantined", None, record, files=len(export.files), written=written
    )
