"""One document for each materialization: asset × partition × step of a run, failed ones as well.

What it refers to (configuration, graph, schema, log) is written first, as objects; the document is
the commit point. Its id names the event; ``work_id`` names the work without the run that did it,
and is the same wherever and whenever the same inputs meet the same code and configuration.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lake_assets.catalog.documents import Document, content_id, write_document
from lake_assets.errors import SettingsError
from lake_assets.s3 import Store

__all__ = [
    "LOG_FOLDER",
    "CheckResult",
    "Materialization",
    "RecordedFile",
    "Upstream",
    "document_key",
    "record_materialization",
]

#: Below it the documents lie by day (UTC).
LOG_FOLDER = "catalog/log/"
KIND = "materialization"
#: Work that ended longer ago is kept by the day of its recording, where indexers look for news.
_LATE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file that was read or written, by what is in it."""

    uri: str
    """Where it lay; not part of any id."""
    sha256: str | None
    """Of the stored bytes; None where nobody hashed them."""
    size_bytes: int | None
    rows: int | None = None
    format: str = ""
    """``parquet``, ``json`` …"""
    partition: str | None = None
    etag: str = ""
    """Not part of any id."""

    def said(self) -> dict[str, Any]:
        """Everything but the place."""
        return {
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "rows": self.rows,
            "format": self.format,
            "partition": self.partition,
            # Without a hash nothing but its name tells it from another file.
            **({} if self.sha256 else {"name": self.uri.rpartition("/")[2]}),
        }


@dataclass(frozen=True, slots=True)
class Upstream:
    """An asset that was read, as far as it is known which of its versions."""

    asset: str
    data_version: str | None = None
    manifest_id: str | None = None
    """Of the document that tells what was read."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What an asset check said."""

    name: str
    passed: bool
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialization:
    """What one step of one run made of one partition of one asset."""

    asset: str
    """Asset key, ``lake/datamart/model_snapshot``."""
    run_id: str
    step: str
    status: str
    """``failed``, ``canceled``, ``checked`` (checks only), ``materialized``, or the asset's own
    word: ``staged``, ``unchanged``, ``quarantined``, ``compacted``, ``published`` …"""
    started_at: datetime
    finished_at: datetime
    partition: str | None = None
    code_version: str | None = None
    data_version: str | None = None
    config_id: str | None = None
    """Object with the run's configuration."""
    graph_id: str | None = None
    """Object with the snapshot of the graph that ran."""
    schema_id: str | None = None
    """Object with the columns."""
    log_id: str | None = None
    """Object with the captured log."""
    profile_id: str | None = None
    manifest_id: str | None = None
    """Document of the stage that did the work and names the files; they are not said again."""
    inputs: tuple[RecordedFile, ...] = ()
    outputs: tuple[RecordedFile, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    row_count: int | None = None
    size_bytes: int | None = None
    column_lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """(asset, column) that each column is made of."""
    checks: tuple[CheckResult, ...] = ()
    error: str | None = None

    @property
    def work_id(self) -> str:
        """sha256 (hex) of what decides the result: asset, partition, code, configuration, input."""
        return content_id(
            {
                "asset": self.asset,
                "partition": self.partition,
                "code_version": self.code_version,
                "config_id": self.config_id,
                "inputs": _sorted(file.said() for file in self.inputs),
                "upstream": _sorted(asdict(item) for item in self.upstream),
            }
        )

    def document(self) -> Document:
        """Content without places and times, and the facts with them.

        Raises:
            SettingsError: A time has no zone.
        """
        content = {
            "asset": self.asset,
            "partition": self.partition,
            "run_id": self.run_id,
            "step": self.step,
            "status": self.status,
            "work_id": self.work_id,
            "code_version": self.code_version,
            "data_version": self.data_version,
            "config_id": self.config_id,
            "graph_id": self.graph_id,
            "schema_id": self.schema_id,
            "log_id": self.log_id,
            "profile_id": self.profile_id,
            "manifest_id": self.manifest_id,
            "inputs": [file.said() for file in _ordered(self.inputs)],
            "outputs": [file.said() for file in _ordered(self.outputs)],
            "upstream": _sorted(asdict(item) for item in self.upstream),
            "row_count": self.row_count,
            "size_bytes": self.size_bytes,
            "column_lineage": {
                name: sorted(list(pair) for pair in pairs)
                for name, pairs in self.column_lineage.items()
            },
            "checks": [asdict(check) for check in sorted(self.checks, key=lambda c: c.name)],
            "error": self.error,
        }
        facts = {
            "started_at": _utc(self.started_at),
            "written_at": _utc(self.finished_at),
            "inputs": [_place(file) for file in _ordered(self.inputs)],
            "outputs": [_place(file) for file in _ordered(self.outputs)],
        }
        return Document(KIND, content, facts)


def document_key(document: Document, now: datetime | None = None) -> str:
    """Where a materialization's document lies: by the day on which the work ended.

    What is recorded days later lies by the day of the recording.
    """
    ended, now = datetime.fromisoformat(document.facts["written_at"]), now or datetime.now(UTC)
    day = (now if now - ended > _LATE else ended).date()
    return f"{LOG_FOLDER}{day.isoformat()}/{document.id}.json"


def record_materialization(
    store: Store, materialization: Materialization, *, now: datetime | None = None
) -> tuple[str, bool]:
    """Write the document of a materialization, once; the objects that it names come before it.

    Args:
        store: The lake's root.
        materialization: What was done.
        now: The time of recording (UTC).

    Returns:
        Its id, and whether it is new: the same again, by whomever, writes nothing.

    Raises:
        SettingsError: A time has no zone.
        StorageError: The store refuses.
    """
    document = materialization.document()
    return document.id, write_document(store, document_key(document, now), document)


def _ordered(files: tuple[RecordedFile, ...]) -> list[RecordedFile]:
    """In an order that hangs on what they are, and only among equals on where they lie."""
    return sorted(files, key=lambda file: (repr(sorted(file.said().items(), key=str)), file.uri))


def _sorted(items: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: repr(sorted(item.items())))


def _place(file: RecordedFile) -> dict[str, str]:
    return {"uri": file.uri, "etag": file.etag}


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise SettingsError(f"{moment!r} has no time zone; give UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
