"""Builders for tests: invented rows and exports, folders, buckets, and files broken on purpose."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from lake_assets.demo.exports import ExportObject, export_objects, ndjson, rows, write_folder

DAY = date(2026, 9, 28)
EXPORT_ID = "20260929T020000.041"

Row = Mapping[str, object]


def model_rows(n: int, *, day: date = DAY, seed: int = 7) -> list[dict[str, object]]:
    """Exactly ``n`` rows of model_snapshot: four snapshots of a model, then the next model."""
    return rows("model_snapshot", day=day, seed=seed, n=n)


def table_rows(table: str, n: int = 3, *, day: date = DAY) -> list[dict[str, object]]:
    """Exactly ``n`` rows of any table."""
    return rows(table, day=day, n=n)


def export_files(
    table: str, n: int = 3, *, files: int = 1, export_id: str = EXPORT_ID
) -> list[ExportObject]:
    """One finished export run of ``n`` rows: its files and their sentinels."""
    return export_objects(table, export_id, table_rows(table, n), files=files)


def put_folder(path: Path, objects: Iterable[ExportObject]) -> Path:
    """Write the objects below ``path``, sentinels last; gives the path."""
    path.mkdir(parents=True, exist_ok=True)
    write_folder(objects, path)
    return path


def put_bucket(
    bucket: str, objects: Iterable[ExportObject], endpoint: str | None = None, prefix: str = ""
) -> None:
    """Put the objects into a bucket that is there, sentinels last."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    for item in sorted(objects, key=lambda item: item.is_sentinel):
        client.put_object(Bucket=bucket, Key=prefix + item.key, Body=item.body)


def gzipped(some: Iterable[Row]) -> bytes:
    """The rows as a sound ``.json.gz``."""
    return gzip.compress(ndjson(some), mtime=0)


def truncated_gzip(some: Iterable[Row]) -> bytes:
    """A ``.json.gz`` whose end is missing, as after an upload that was cut."""
    whole = gzipped(some)
    return whole[: len(whole) * 3 // 5]


def flipped_byte(body: bytes, at: int | None = None) -> bytes:
    """The body with one byte inverted, by default the middle one: same size, another content."""
    at = len(body) // 2 if at is None else at % len(body)
    return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


def zip_of(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of these members, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def zip_with_two_members(some: Sequence[Row]) -> bytes:
    """A zip whose rows are in two members of equal rank: which one is the data is not clear."""
    half = len(some) // 2
    return zip_of([("part-1.json", ndjson(some[:half])), ("part-2.json", ndjson(some[half:]))])


def zip_with_dotdot(some: Iterable[Row]) -> bytes:
    """A zip whose one member would be unpacked outside of the target folder."""
    return zip_of([("../data.json", ndjson(some))])


def gzip_bomb(size: int) -> bytes:
    """A ``.json.gz`` of a few thousandths of ``size`` that unpacks to at least ``size`` bytes.

    Built piece by piece: the unpacked bytes are never in memory.
    """
    lines = ndjson([{"pyName": "x" * 1000}]) * 1000
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        for _ in range(-(-size // len(lines))):
            stream.write(lines)
    return buffer.getvalue()


def json_array_file(some: Iterable[Row]) -> bytes:
    """The rows as one JSON array over many lines: JSON, but not one object a line."""
    return json.dumps(list(some), indent=1).encode()
