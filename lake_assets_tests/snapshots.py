"""Builders of database snapshots for tests, in a folder or a bucket: the same bytes each time.

Manifests are spelled by hand, as AWS and s3manifesto write them, not by the code that reads them.
"""

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from lake_assets.database_settings import SnapshotSettings
from lake_assets.s3 import join_url, open_store

EXPORT_ID = "01693685827463-00000001"
EXPORTED_AT = datetime(2024, 12, 31, 20, 37, 7, tzinfo=UTC)
ACCOUNT = "arn:aws:dynamodb:us-east-1:123456789012"

Url = str | Path
Rows = Sequence[Mapping[str, object]]


def snapshot_settings(source: Url, written: str, **others: object) -> SnapshotSettings:
    """Settings of a table whose snapshots lie at ``source`` in the format ``written``."""
    return SnapshotSettings.model_validate({"source": str(source), "format": written, **others})


def order_rows(n: int, *, start: int = 0) -> list[dict[str, object]]:
    """``n`` orders, numbered from ``start``: text, numbers, a time as text, some nulls."""
    first = datetime(2024, 1, 1, 8, tzinfo=UTC)
    return [
        {
            "order_id": f"ord-{i:06}",
            "amount": round((i * 37 % 100_000) / 100, 2),
            "items": i % 7,
            "created_at": f"{first + timedelta(hours=i):%Y-%m-%dT%H:%M:%S}.000Z",
            "status": None if i % 11 == 0 else ("open", "paid", "sent")[i % 3],
        }
        for i in range(start, start + n)
    ]


def orders(n: int, *, start: int = 0) -> pl.DataFrame:
    """The same as a frame."""
    return pl.DataFrame(order_rows(n, start=start))


@dataclass(frozen=True, slots=True)
class DynamoDBExportSpec:
    """What of an export is otherwise than AWS writes it; sound by default."""

    table: str = "orders"
    id: str = EXPORT_ID
    exported_at: datetime = EXPORTED_AT
    side_files: str | None = "md5"
    """``md5``, ``checksum``, or None for none."""
    copied_from: str = "p/"
    """Prefix that the manifests name, whatever the place is."""
    files: Mapping[str, object] = field(default_factory=dict)
    """Fields of each line of manifest-files.json."""
    summary: Mapping[str, object] = field(default_factory=dict)
    """Fields of manifest-summary.json; None removes one."""
    is_finished: bool = True


def put_dynamodb_export(
    parent: Url, files: Sequence[Rows], spec: DynamoDBExportSpec | None = None
) -> str:
    """One full export with a data file for each of ``files``; gives the address of its folder.

    Args:
        parent: What holds ``AWSDynamoDB/``.
        files: Items in plain Python (see ``attribute``); a file may be empty.
        spec: What is otherwise.
    """
    spec = spec or DynamoDBExportSpec()
    folder = join_url(str(parent), "AWSDynamoDB", spec.id)
    store = open_store(folder)
    store.put("_started", b"")
    lines: list[dict[str, object]] = []
    for number, items in enumerate(files):
        text = b"".join(dynamodb_line(item) for item in items)
        body = gzip.compress(text, mtime=0)
        name = base64.b32encode(hashlib.sha256(f"{number}".encode()).digest()).decode()[:26]
        key = f"data/{name.lower()}.json.gz"
        store.put(key, body)
        lines.append(
            {
                "itemCount": len(items),
                "md5Checksum": md5_text(body),
                "etag": f"{hashlib.md5(body, usedforsecurity=False).hexdigest()}-1",
                "dataFileS3Key": f"{spec.copied_from}AWSDynamoDB/{spec.id}/{key}",
                **spec.files,
            }
        )
    if spec.is_finished:
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        n_items = sum(map(len, files))
        _put_with_side_file(folder, "manifest-files", text.encode(), spec.side_files)
        summary = json.dumps(_summary(spec, n_items), separators=(",", ":"))
        _put_with_side_file(folder, "manifest-summary", summary.encode(), spec.side_files)
    return folder


def dynamodb_line(item: Mapping[str, object]) -> bytes:
    """One line of a data file."""
    typed = {name: attribute(value) for name, value in item.items()}
    return json.dumps({"Item": typed}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def attribute(value: object) -> dict[str, object]:
    """A value in DynamoDB's JSON; a ``set`` of text, numbers or bytes is SS, NS or BS."""
    match value:
        case None:
            kind, plain = "NULL", True
        case bool():
            kind, plain = "BOOL", value
        case int() | float() | Decimal():
            kind, plain = "N", str(value)
        case bytes():
            kind, plain = "B", base64.b64encode(value).decode()
        case list():
            kind, plain = "L", [attribute(one) for one in value]
        case dict():
            kind, plain = "M", {name: attribute(one) for name, one in value.items()}
        case set() | frozenset():
            [inner] = {name for one in value for name in attribute(one)}
            kind, plain = f"{inner}S", sorted(str(attribute(one)[inner]) for one in value)
        case _:
            kind, plain = "S", str(value)
    return {kind: plain}


@dataclass(frozen=True, slots=True)
class RdsExportSpec:
    """What of an export is otherwise; finished by default."""

    task: str = "orders-snap-1"
    table: str = "shop/public.orders"
    """Folder of the table below the task's."""
    exported_at: datetime = EXPORTED_AT
    """Time of the database snapshot."""
    status: str = "COMPLETE"
    table_status: str = "COMPLETE"
    marker: str | None = "_success"
    """In each batch folder; None for none."""
    other_tables: tuple[str, ...] = ()
    """Targets that the task exported as well."""


def put_rds_export(
    parent: Url, parts: Sequence[Sequence[pl.DataFrame]], spec: RdsExportSpec | None = None
) -> str:
    """The export of one table; gives the address of the table's folder.

    Args:
        parent: What holds the task's folder.
        parts: The parts of each batch folder; a batch may have none.
        spec: What is otherwise.
    """
    spec = spec or RdsExportSpec()
    folder = join_url(str(parent), spec.task)
    store = open_store(folder)
    for number, batch in enumerate(parts, start=1):
        for part, frame in enumerate(batch):
            # Gaps between the numbers are normal.
            name = f"part-{part * 2:05}-0b7a2d4e-0000-4000-8000-{number:012}.gz.parquet"
            store.put(f"{spec.table}/{number}/{name}", parquet(frame))
        if spec.marker is not None:
            store.put(f"{spec.table}/{number}/{spec.marker}", b"")
    targets = [spec.table.replace("/", "."), *spec.other_tables]
    info = {
        "exportTaskIdentifier": spec.task,
        "sourceArn": "arn:aws:rds:us-east-1:123456789012:snapshot:shop-2024-12-31",
        "exportOnly": targets,
        "snapshotTime": _iso(spec.exported_at),
        "status": spec.status,
        "percentProgress": 100 if spec.status == "COMPLETE" else 40,
    }
    tables = [
        {
            "tableStatistics": {},
            "schemaMetadata": {"originalTypeMappings": []},
            "status": spec.table_status,
            "target": target,
        }
        for target in targets
    ]
    store.put(
        f"export_tables_info_{spec.task}_from_1_to_{len(tables)}.json",
        json.dumps({"perTableStatus": tables}).encode(),
    )
    store.put(f"export_info_{spec.task}.json", json.dumps(info).encode())
    return join_url(folder, spec.table)


def put_files(folder: Url, files: Mapping[str, pl.DataFrame | bytes]) -> str:
    """Files in the format that their names say (``a.parquet``, ``b.csv.gz``); gives the address."""
    store = open_store(str(folder))
    for name, content in files.items():
        store.put(name, content if isinstance(content, bytes) else encoded(name, content))
    return store.url


def encoded(name: str, frame: pl.DataFrame) -> bytes:
    """The frame in the format that a name says; times in CSV and NDJSON as Polars writes them."""
    stem, _, end = name.rpartition(".")
    if end == "gz":
        return gzip.compress(encoded(stem, frame), mtime=0)
    if end == "parquet":
        return parquet(frame)
    if end in {"csv", "tsv"}:
        return frame.write_csv(separator="\t" if end == "tsv" else ",").encode()
    return frame.write_ndjson().encode()


def parquet(frame: pl.DataFrame, *, row_group_rows: int | None = None) -> bytes:
    """The frame as parquet, uncompressed: its row groups are of sizes one can reckon with."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed", row_group_size=row_group_rows)
    return buffer.getvalue()


def put_manifest_pair(
    folder: Url,
    uris: Mapping[str, tuple[str | None, int | None, int | None]],
    *,
    name: str = "manifest-summary",
    summary: Mapping[str, object] | None = None,
) -> str:
    """A manifest of s3manifesto over files that are there; gives the address of its summary.

    Args:
        folder: Where the pair goes.
        uris: ETag, size and rows of each file.
        name: Of both files, without their ends.
        summary: Fields that are otherwise.
    """
    store = open_store(str(folder))
    rows = [(uri, *facts) for uri, facts in uris.items()]
    columns = {"uri": pl.String, "etag": pl.String, "size": pl.Int64, "n_record": pl.Int64}
    listing = pl.DataFrame(rows, schema=columns, orient="row")
    store.put(f"{name}.parquet", parquet(listing.with_columns(extra=pl.lit("kept"))))
    digest = hashlib.md5(usedforsecurity=False)
    for uri, (etag, _, _) in sorted(uris.items()):
        digest.update(uri.encode())
        digest.update((etag or "").encode())
    has_etags = all(etag for etag, _, _ in uris.values())
    document = {
        "manifest": join_url(store.url, f"{name}.parquet"),
        "size": sum(size or 0 for _, size, _ in uris.values()),
        "n_record": sum(rows or 0 for _, _, rows in uris.values()),
        "fingerprint": digest.hexdigest() if has_etags else None,
        "details": {},
        **(summary or {}),
    }
    store.put(f"{name}.json", json.dumps(document, indent=4).encode())
    return join_url(store.url, f"{name}.json")


def listed_files(
    url: Url, rows: Mapping[str, int | None] | None = None
) -> dict[str, tuple[str | None, int | None, int | None]]:
    """What a manifest says of the files that are in a place now."""
    store = open_store(str(url))
    return {
        join_url(store.url, info.key): (info.etag, info.size_bytes, (rows or {}).get(info.key))
        for info in store.list()
    }


def md5_text(body: bytes) -> str:
    """Base64 of the MD5, as AWS's side files hold it."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _summary(spec: DynamoDBExportSpec, n_items: int) -> dict[str, object]:
    folder = f"{spec.copied_from}AWSDynamoDB/{spec.id}"
    fields: dict[str, object] = {
        "version": "2020-06-30",
        "exportArn": f"{ACCOUNT}:table/{spec.table}/export/{spec.id}",
        "startTime": _iso(spec.exported_at),
        "endTime": _iso(spec.exported_at + timedelta(minutes=5)),
        "tableArn": f"{ACCOUNT}:table/{spec.table}",
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": _iso(spec.exported_at),
        "s3Bucket": "b",
        "s3Prefix": spec.copied_from.rstrip("/"),
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": n_items,
        "outputFormat": "DYNAMODB_JSON",
        **spec.summary,
    }
    return {
        name: value
        for name, value in fields.items()
        if value is not None or name not in spec.summary
    }


def _put_with_side_file(folder: str, stem: str, body: bytes, side: str | None) -> None:
    store = open_store(folder)
    store.put(f"{stem}.json", body)
    if side:
        store.put(f"{stem}.{side}", md5_text(body).encode())


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
