"""Manifests in s3manifesto's format: a summary in JSON and a parquet file that lists the files.

The summary is what one names: ``{"manifest": <uri of the parquet>, "size", "n_record",
"fingerprint", "details"}``; the parquet has a row for each file: ``uri, etag, size, n_record``,
further columns are nobody's. The fingerprint is the MD5 over uri and etag of the files sorted by
uri. Files in a bucket are taken as the manifest says them, without a look at each: reading one that
has another ETag by then is an error. Local files, and those without an ETag or a size, are
looked up.

The parquet is written first and the summary last, so a summary without its parquet never is.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.export_json import field, json_object
from lake_assets.export.folder_export import FileFormat, format_of
from lake_assets.export.source import SnapshotExport, SourceFile
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.s3 import ObjectInfo, StoreUrl, open_store, parse_url

__all__ = ["ListedFile", "fingerprint_of", "read_manifest_pair", "write_manifest_pair"]

_SCHEMA = {"uri": pl.String, "etag": pl.String, "size": pl.Int64, "n_record": pl.Int64}
#: What our store calls the ETag of a local file: time and size. Others' manifests have an MD5.
_FOLDER_ETAG = re.compile(r"[0-9a-f]{1,17}-[0-9a-f]{1,16}")
_REMEDY = "write the manifest again"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One row of a manifest."""

    uri: str
    """``s3://bucket/key``, or the absolute path of a local file."""
    etag: str | None
    size_bytes: int | None
    rows: int | None


def read_manifest_pair(source: str) -> SnapshotExport | WaitingSnapshot:
    """The snapshot that a manifest lists; its id is the fingerprint, else the summary's name.

    Args:
        source: Address of the summary.

    Raises:
        BadInputError: The pair does not fit together (fingerprint, size, rows), a file is missing
            or was replaced, or the files have no format or place in common.
    """
    where = parse_url(source)
    folder, name = _split(where)
    store = open_store(folder)
    head = store.head(name)
    if head is None:
        return WaitingSnapshot(where.text, "the manifest's summary is not there yet")
    summary = json_object(store.get(name, listed=head), where.text)
    listed = _listed(field(summary, "manifest", str, where.text), folder)
    _check(summary, listed, where.text)
    root = _common_root(listed, where.text)
    files = _source_files(listed, root, where.text)
    rows = [file.rows for file in listed]
    known = [n for n in rows if n is not None]
    return SnapshotExport(
        id=fingerprint_of(listed) or PurePosixPath(name).stem,
        exported_at=head.modified_at,
        source=root,
        format=_format(listed, where.text),
        files=tuple(sorted(files, key=lambda file: file.key)),
        rows=sum(known) if len(known) == len(rows) else None,
    )


def write_manifest_pair(
    summary: str,
    files: Sequence[ListedFile],
    *,
    data: str | None = None,
    details: Mapping[str, object] | None = None,
) -> str | None:
    """Write the parquet, then the summary; gives the fingerprint.

    Args:
        summary: Address of the summary.
        files: What is listed.
        data: Address of the parquet; by default beside the summary, ``x.parquet`` for ``x.json``.
        details: Whatever else the summary shall hold.
    """
    where = parse_url(summary)
    folder, name = _split(where)
    listing = parse_url(data or f"{folder}/{PurePosixPath(name).stem}.parquet")
    if listing == where:
        raise SettingsError(f"{summary!r} is the name of both files; name the summary x.json")
    rows = [(file.uri, file.etag, file.size_bytes, file.rows) for file in files]
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(buffer, compression="snappy")
    fingerprint = fingerprint_of(files)
    document = {
        "manifest": listing.text,
        "size": _sum(file.size_bytes for file in files),
        "n_record": _sum(file.rows for file in files),
        "fingerprint": fingerprint,
        "details": dict(details or {}),
    }
    above, key = _split(listing)
    open_store(above).put(key, buffer.getvalue())
    open_store(folder).put(name, json.dumps(document, indent=4).encode())
    return fingerprint


def fingerprint_of(files: Sequence[ListedFile]) -> str | None:
    """MD5 (hex) over uri and etag of the files sorted by uri; None where one has no ETag.

    Example:
        >>> fingerprint_of([ListedFile("s3://b/b", '"2"', 1, 1), ListedFile("s3://b/a", "1", 1, 1)])
        'd81a3377b9505a54cc371005d55213ce'
    """
    digest = hashlib.md5(usedforsecurity=False)
    for file in sorted(files, key=lambda file: file.uri):
        if file.etag is None:
            return None
        digest.update(file.uri.encode())
        digest.update(file.etag.strip('"').encode())
    return digest.hexdigest()


def _split(where: StoreUrl) -> tuple[str, str]:
    """The folder of a file's address, and the file's name."""
    folder, _, name = where.text.rpartition("/")
    if not where.path.strip("/"):
        raise SettingsError(f"{where.text} names no file; give the address of the summary JSON")
    return folder or "/", name


def _listed(uri: str, folder: str) -> list[ListedFile]:
    """The rows of the parquet; a bare name lies beside the summary."""
    is_relative = "://" not in uri and not uri.startswith("/")
    where = parse_url(f"{folder}/{uri}" if is_relative else uri)
    above, key = _split(where)
    store = open_store(above)
    head = store.head(key)
    if head is None:
        raise BadInputError(
            where.text,
            expected="the parquet file that the manifest's summary names",
            found="nothing",
            remedy=f"{_REMEDY}: a pair that moved still names its old place",
        )
    body = store.get(key, listed=head)
    try:
        frame = pl.read_parquet(io.BytesIO(body), columns=list(_SCHEMA)).cast(pl.Schema(_SCHEMA))
    except pl.exceptions.PolarsError as error:
        raise BadInputError(
            where.text,
            expected=f"parquet with the columns {', '.join(_SCHEMA)}",
            found=str(error).split("\n")[0],
            remedy=_REMEDY,
        ) from error
    if frame["uri"].null_count() or frame["uri"].n_unique() != frame.height:
        raise BadInputError(
            where.text, expected="each uri once", found="null or twice", remedy=_REMEDY
        )
    return [
        ListedFile(uri, etag.strip('"') if etag else None, size, rows)
        for uri, etag, size, rows in frame.iter_rows()
    ]


def _check(summary: dict[str, Any], listed: list[ListedFile], name: str) -> None:
    """What the summary says of its files is what the parquet says."""
    found = {
        "fingerprint": fingerprint_of(listed),
        "size": _sum(file.size_bytes for file in listed),
        "n_record": _sum(file.rows for file in listed),
    }
    for key, value in found.items():
        said = summary.get(key)
        if value is not None and said is not None and said != value:
            raise BadInputError(
                name,
                expected=f"{key} {said!r}, as the summary says,",
                found=f"{value!r} by the files in {summary['manifest']}",
                remedy=_REMEDY,
            )


def _common_root(listed: list[ListedFile], name: str) -> str:
    """The deepest folder that holds all files: keys count from it."""
    if not listed:
        return _split(parse_url(name))[0]
    folders = {_split(parse_url(file.uri))[0] for file in listed}
    places = {parse_url(folder) for folder in folders}
    buckets = {place.bucket for place in places}
    if len(buckets) > 1:
        raise BadInputError(
            name,
            expected="files in one bucket, or in folders",
            found=", ".join(sorted(bucket or "folders" for bucket in buckets)),
            remedy="write a manifest for each",
        )
    bucket = buckets.pop()
    path = os.path.commonpath([f"/{place.path.strip('/')}" for place in places])
    return f"s3://{bucket}{path}".rstrip("/") if bucket else path


def _source_files(listed: list[ListedFile], root: str, name: str) -> list[SourceFile]:
    store = open_store(root)
    base = f"{root.rstrip('/')}/"
    files: list[SourceFile] = []
    for file in listed:
        key = parse_url(file.uri).text.removeprefix(base)
        etag, size = file.etag, file.size_bytes
        if etag is None or size is None or not root.startswith("s3://"):
            info = _looked_up(file, store.head(key), name)
            etag, size = info.etag, info.size_bytes
        if size or format_of(key) == "parquet":
            files.append(SourceFile(key, size, etag, file.rows))
    return files


def _looked_up(file: ListedFile, info: ObjectInfo | None, name: str) -> ObjectInfo:
    """What is there, if it is what the manifest lists as far as that can be compared."""
    is_comparable = file.uri.startswith("s3://") or _FOLDER_ETAG.fullmatch(file.etag or "")
    if info is None:
        found = "nothing"
    elif file.size_bytes not in {None, info.size_bytes}:
        found = f"{info.size_bytes} bytes"
    elif file.etag and is_comparable and file.etag != info.etag:
        found = f"a file that was replaced (its ETag is {info.etag})"
    else:
        return info
    raise BadInputError(
        file.uri,
        expected=f"the file that {name} lists (size {file.size_bytes}, ETag {file.etag})",
        found=found,
        remedy=f"put it back, or {_REMEDY}",
    )


def _format(listed: list[ListedFile], name: str) -> FileFormat:
    formats: dict[FileFormat | None, str] = {format_of(file.uri): file.uri for file in listed}
    if not formats:
        return "parquet"
    found, *others = formats
    if found is None or others:
        raise BadInputError(
            name,
            expected="files of one format, by their names",
            found=" and ".join(map(repr, formats.values())),
            remedy="write a manifest for each format; served are parquet, NDJSON and CSV",
        )
    return found


def _sum(values: Any) -> int | None:  # noqa: ANN401 (what JSON held)
    found = list(values)
    return None if None in found else sum(found)
