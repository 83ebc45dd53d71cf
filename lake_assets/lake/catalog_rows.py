"""What each document of the lake says, as rows of the catalog's tables. Pure: nothing is read here.

Documents of stages (``staging``, ``staging-group``, ``quarantine``, ``compacted``) name the files;
a ``materialization`` tells which run did it and refers to the stage's document by ``result_id``. So
a file stands in ``files`` once for each document that names it, and runs find theirs with
``ON files.manifest_id = coalesce(m.result_id, m.manifest_id)``. ``registry`` documents
(``Catalog``) and ``verification`` ones are rows as well: every document is one of
``materializations``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from lake_assets.catalog import Document
from lake_assets.catalog.profile import (
    BUCKETS_SCHEMA,
    PROFILES_SCHEMA,
    bucket_rows,
    profile_from_document,
    profile_rows,
)
from lake_assets.lake.recorded import StoredFile, staged_group
from lake_assets.lake.registry_rows import (
    registered_at,
    registration_blob,
    registration_rows,
    verification_rows,
)

__all__ = [
    "KINDS",
    "LEDGER",
    "SCHEMAS",
    "Listed",
    "blob_ids",
    "rows_of_document",
    "schema_rows",
]

_TIME = pl.Datetime("us", "UTC")
#: Which documents were read: written last, and what is not in it is read again.
LEDGER = "documents"
#: The tables by name. ``LEDGER`` is the last one: children first, so that a crash loses nothing.
SCHEMAS: Mapping[str, pl.Schema] = {
    "files": pl.Schema(
        {
            "manifest_id": pl.String, "file_id": pl.String, "uri": pl.String,
            "version_id": pl.String, "etag": pl.String, "size_bytes": pl.Int64,
            "row_count": pl.Int64, "format": pl.String, "role": pl.String,
            "partition_key": pl.String,
        }
    ),
    "lineage": pl.Schema(
        {
            "out_manifest_id": pl.String, "in_manifest_id": pl.String, "in_file_id": pl.String,
            "in_uri": pl.String, "asset_key": pl.String, "in_asset_key": pl.String,
            "in_data_version": pl.String,
        }
    ),
    "column_lineage": pl.Schema(
        {
            "manifest_id": pl.String, "column": pl.String, "from_asset": pl.String,
            "from_column": pl.String,
        }
    ),
    "checks": pl.Schema(
        {
            "manifest_id": pl.String, "asset_key": pl.String, "check_name": pl.String,
            "passed": pl.Boolean, "severity": pl.String, "checked_at": _TIME,
            "fsck_run_id": pl.String, "level": pl.String, "result": pl.String, "uri": pl.String,
            "file_id": pl.String,
        }
    ),
    "registrations": pl.Schema(
        {
            "manifest_id": pl.String, "what": pl.String, "uuid": pl.String, "name": pl.String,
            "dataset_id": pl.String, "job_id": pl.String, "partition_key": pl.String,
            "object_id": pl.String, "format": pl.String, "size_bytes": pl.Int64,
            "uri": pl.String, "info": pl.String, "document": pl.String, "registered_at": _TIME,
        }
    ),
    "profile_buckets": BUCKETS_SCHEMA,
    "profiles": PROFILES_SCHEMA,
    "schemas": pl.Schema(
        {
            "schema_id": pl.String, "position": pl.Int32, "column": pl.String, "type": pl.String,
            "nullable": pl.Boolean, "description": pl.String, "meta": pl.String,
        }
    ),
    "blobs": pl.Schema(
        {
            "blob_id": pl.String, "kind": pl.String, "size_bytes": pl.Int64, "created_at": _TIME,
        }
    ),
    "materializations": pl.Schema(
        {
            "manifest_id": pl.String, "kind": pl.String, "asset_key": pl.String,
            "partition_key": pl.String, "run_id": pl.String, "step_key": pl.String,
            "status": pl.String, "work_id": pl.String, "code_version": pl.String,
            "data_version": pl.String, "config_id": pl.String, "graph_id": pl.String,
            "schema_id": pl.String, "log_id": pl.String, "profile_id": pl.String,
            "result_id": pl.String, "started_at": _TIME, "finished_at": _TIME,
            "row_count": pl.Int64, "size_bytes": pl.Int64, "error": pl.String,
        }
    ),
    LEDGER: pl.Schema(
        {
            "document": pl.String, "manifest_id": pl.String, "kind": pl.String,
            "written_at": _TIME, "etag": pl.String,
        }
    ),
}  # fmt: skip

_BLOBS = {"config_id": "config", "graph_id": "graph", "schema_id": "schema", "log_id": "log"}
#: What a stage's document says of its status.
_STATUS = {
    "staging": "staged", "staging-group": "staged", "quarantine": "quarantined",
    "compacted": "compacted",
}  # fmt: skip

#: Documents that the tables are made of; what else lies in the log is not theirs.
KINDS = frozenset({*_STATUS, "materialization", "registry", "verification", "profile"})

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A document and where it lies."""

    key: str
    etag: str
    """Of the listing: another one is another document at the same place."""
    document: Document

    @property
    def subject(self) -> str:
        """The id that its rows are of: the manifest's, of a profile."""
        if self.document.kind == "profile":
            return self.document.content["subject"]["manifest_id"]
        return self.document.id


def rows_of_document(root_url: str, item: Listed) -> Iterator[tuple[str, Row]]:
    """(table, row) for all that a document says; ``schemas`` and ``blobs`` are not among them.

    Raises:
        KeyError: The document lacks what its kind, one of ``KINDS``, has.
    """
    document, id_ = item.document, item.document.id
    content, facts = document.content, document.facts
    if document.kind == "registry":
        yield from registration_rows(document, f"{root_url}/{item.key}")
        yield LEDGER, (item.key, id_, document.kind, registered_at(document), item.etag)
        return
    if document.kind == "profile":
        yield from _profile_rows(document)
        yield LEDGER, (item.key, id_, document.kind, _time(facts["written_at"]), item.etag)
        return
    asset = content["asset"]
    if document.kind == "materialization":
        yield "materializations", _event_row(id_, content, facts)
        yield from _event_children(id_, content, facts)
    elif document.kind == "verification":
        yield from verification_rows(document)
    else:
        yield "materializations", _stage_row(document, id_)
        for role, file in _stage_files(root_url, item):
            yield "files", _file_row(id_, role, file)
            if role == "input":
                row = (id_, None, file["sha256"], file["uri"], asset, None, None)
                yield "lineage", row
        for group in content.get("groups", ()):
            yield "lineage", (id_, group["id"], None, None, asset, asset, None)
    yield LEDGER, (item.key, id_, document.kind, _time(facts["written_at"]), item.etag)


def blob_ids(document: Document) -> Iterator[tuple[str, str]]:
    """(id, kind) of the objects that a materialization or a registration names."""
    if document.kind == "registry":
        yield from registration_blob(document)
    elif document.kind == "materialization":
        for name, kind in _BLOBS.items():
            if document.content[name]:
                yield document.content[name], kind


def schema_rows(schema_id: str, columns: list[dict[str, Any]]) -> Iterator[Row]:
    """The columns of a schema object, as ``schemas`` has them."""
    for position, column in enumerate(columns):
        yield (
            schema_id,
            position,
            column["name"],
            column["type"],
            column.get("nullable"),
            column.get("description"),
            column.get("meta"),
        )


def _event_row(id_: str, content: Mapping[str, Any], facts: Mapping[str, Any]) -> Row:
    return (
        id_, "materialization", content["asset"], content["partition"], content["run_id"],
        content["step"], content["status"], content["work_id"], content["code_version"],
        content["data_version"], content["config_id"], content["graph_id"], content["schema_id"],
        content["log_id"], content["profile_id"], content["manifest_id"],
        _time(facts["started_at"]), _time(facts["written_at"]), content["row_count"],
        content["size_bytes"], content["error"],
    )  # fmt: skip


def _event_children(
    id_: str, content: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[tuple[str, Row]]:
    asset = content["asset"]
    for role in ("input", "output"):
        for said, place in zip(content[f"{role}s"], facts[f"{role}s"], strict=True):
            yield "files", _file_row(id_, role, {**said, **place})
            if role == "input":
                yield "lineage", (id_, None, said["sha256"], place["uri"], asset, None, None)
    for up in content["upstream"]:
        row = (id_, up["manifest_id"], None, None, asset, up["asset"], up["data_version"])
        yield "lineage", row
    for column, pairs in content["column_lineage"].items():
        for from_asset, from_column in pairs:
            yield "column_lineage", (id_, column, from_asset, from_column)
    checked_at = _time(facts["written_at"])
    for check in content["checks"]:
        row = (id_, asset, check["name"], check["passed"], check["severity"], checked_at)
        yield "checks", (*row, None, None, None, None, None)


def _profile_rows(document: Document) -> Iterator[tuple[str, Row]]:
    """Rows that name the manifest whose rows were profiled."""
    profile, subject = profile_from_document(document), document.content["subject"]
    manifest_id = subject["manifest_id"]
    about = (document.id, subject["asset"], subject["partition"])
    for row in profile_rows(profile, manifest_id, *about):
        yield "profiles", row
    for row in bucket_rows(profile, manifest_id):
        yield "profile_buckets", row


def _stage_row(document: Document, id_: str) -> Row:
    content, facts = document.content, document.facts
    ended = _time(facts["written_at"])
    group, outputs = content.get("group"), content.get("outputs")
    return (
        id_, document.kind, content["asset"], content["partition"], facts.get("run_id") or None,
        None if group is None else f"group {group}", _STATUS[document.kind], id_,
        content.get("code_version"), None, content.get("config_id"), None, None, None, None, None,
        ended - timedelta(seconds=facts.get("seconds", 0)), ended, content.get("rows"),
        None if outputs is None else sum(item["size_bytes"] for item in outputs),
        content.get("reason"),
    )  # fmt: skip


def _stage_files(root_url: str, item: Listed) -> Iterator[tuple[str, dict[str, Any]]]:
    """(role, file) of a stage's document; a whole snapshot's are those of its groups."""
    document = item.document
    content, facts = document.content, document.facts
    if document.kind == "compacted":
        for key, file in zip(facts["inputs"], content["inputs"], strict=True):
            yield "input", file | {"uri": f"{root_url}/{key}", "format": "parquet"}
        for file in content["outputs"]:
            uri = f"{root_url}/{facts['folder']}{file['path']}"
            yield (
                "output",
                file | {"uri": uri, "format": "parquet", "partition": content["partition"]},
            )
    elif document.kind in {"staging", "staging-group"} and "outputs" in content:
        group = staged_group(item.key, document)
        for source in group.sources:
            yield (
                "input",
                {
                    "sha256": source.sha256, "size_bytes": source.size_bytes, "rows": source.rows,
                    "uri": source.uri, "etag": source.etag, "format": _format(source.uri),
                },
            )  # fmt: skip
        for file in group.files:
            yield "output", _stored(root_url, file)


def _stored(root_url: str, file: StoredFile) -> dict[str, Any]:
    return {
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "rows": file.rows,
        "uri": f"{root_url}/{file.key}",
        "format": "parquet",
        "partition": file.partition or None,
    }


def _file_row(id_: str, role: str, file: Mapping[str, Any]) -> Row:
    return (
        id_, file["sha256"], file["uri"], None, file.get("etag") or None, file["size_bytes"],
        file["rows"], file.get("format") or None, role, file.get("partition"),
    )  # fmt: skip


def _format(uri: str) -> str:
    """The ending of a file's name, compression left out."""
    parts = uri.rpartition("/")[2].lower().removesuffix(".gz").rpartition(".")
    return parts[2] if parts[1] else ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
