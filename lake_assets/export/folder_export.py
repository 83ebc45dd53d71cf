"""A folder of parquet, NDJSON or CSV files as one snapshot, without any manifest.

Files count at any depth. Left out are names that begin with ``.`` or ``_`` at any level (markers
and what Spark leaves; a hive column like ``_day=1`` is none of these), text files without a byte,
and files of another type: they are counted in the log. A file of the right type that is packed in a
way that is not read (``.csv.zst``) is an error: it would be missing in silence.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from lake_assets.errors import BadInputError
from lake_assets.export.source import SnapshotExport, SourceFile
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.s3 import ObjectInfo, Store, open_store

__all__ = ["FileFormat", "format_of", "read_folder", "time_in_name"]

logger = logging.getLogger(__name__)

FileFormat = Literal["parquet", "ndjson", "csv", "python"]
"""How the files of a folder are read; all of them belong to ``python``."""

_ENDS: dict[FileFormat, tuple[str, ...]] = {
    "parquet": (".parquet",),
    "ndjson": (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz"),
    "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    "python": ("",),
}
_PACKED = re.compile(r"\.(zst|bz2|xz|zip|lz4|br|snappy|z|gz)")
_TIME = re.compile(
    r"(?:[^=/]+=)?(\d{4})-?(\d{2})-?(\d{2})(?:[T_ -]?(\d{2})[:-]?(\d{2})(?:[:-]?(\d{2}))?)?(?!\d)"
)


def read_folder(
    source: str,
    file_format: FileFormat,
    *,
    ready: str | None = None,
    ready_above: str | None = None,
) -> SnapshotExport | WaitingSnapshot:
    """The files of one format below a folder, or what it waits for.

    The id is the folder's name, its time that of the newest file (of the marker, without files).

    Args:
        source: The folder.
        file_format: Which files are looked for.
        ready: Name of the file, in this folder, whose being there says that all others are; None
            where a file is finished as soon as it is there.
        ready_above: Address of another folder whose marker says it as well, such as that of the
            whole snapshot where ``source`` is one table's folder in it.

    Raises:
        BadInputError: A file of the format is packed in a way that is not read, or the marker is
            there and all data is of another format.
        StorageError: The place cannot be listed.
    """
    store = open_store(source)
    marker = _marker(store, ready, ready_above) if ready else None
    if ready and marker is None:
        return WaitingSnapshot(store.url, f"its marker {ready} is not there yet")
    found: list[ObjectInfo] = []
    others: list[str] = []
    for info in _visible(store, ready):
        if info.key.lower().endswith(_ENDS[file_format]):
            found.append(info)
        else:
            _refuse_packed(store, info.key, file_format)
            others.append(info.key)
    if others:
        logger.info(
            "%s: %d files are no %s, like %s", store.url, len(others), file_format, others[0]
        )
    if not found and marker is None:
        like = f" (but {len(others)} others, like {others[0]})" if others else ""
        return WaitingSnapshot(store.url, f"no {file_format} file is there yet{like}")
    if not found and any(map(format_of, others)):
        raise BadInputError(  # a table that the marker calls finished would become empty
            store.url,
            expected=f"{file_format} files, or none at all",
            found=f"only others, like {others[0]!r}",
            remedy="correct `format`, or `source`",
        )
    return SnapshotExport(
        id=store.url.rpartition("/")[2],
        exported_at=max(info.modified_at for info in (found or [marker]) if info),
        source=store.url,
        format=file_format,
        files=tuple(
            SourceFile(info.key, info.size_bytes, info.etag)
            for info in sorted(found, key=lambda info: info.key)
            # No parquet file is empty: reading one says so.
            if info.size_bytes or file_format in {"parquet", "python"}
        ),
    )


def format_of(key: str) -> FileFormat | None:
    """The format that a file's name says; None for any other.

    Example:
        >>> format_of("2024/part-0.TSV.gz"), format_of("readme.txt")
        ('csv', None)
    """
    for name, ends in _ENDS.items():
        if name != "python" and key.lower().endswith(ends):
            return name
    return None


def time_in_name(name: str) -> datetime | None:
    """The date, or date and time (UTC), that a folder's name begins with; a hive name counts.

    Example:
        >>> time_in_name("2024-12-31T20-37-07Z").isoformat()
        '2024-12-31T20:37:07+00:00'
        >>> time_in_name("day=20241231").isoformat(), time_in_name("orders-2024")
        ('2024-12-31T00:00:00+00:00', None)
    """
    match = _TIME.match(name)
    if match is None:
        return None
    year, month, day, *time = (int(digits or 0) for digits in match.groups())
    try:
        return datetime(year, month, day, *time, tzinfo=UTC)
    except ValueError:
        return None


def _marker(store: Store, ready: str, above: str | None) -> ObjectInfo | None:
    found = store.head(ready)
    return found if found or above is None else open_store(above).head(ready)


def _visible(store: Store, ready: str | None) -> Iterator[ObjectInfo]:
    for info in store.list():
        hidden = any(
            part.startswith(".") or (part.startswith("_") and "=" not in part)
            for part in info.key.split("/")
        )
        if not hidden and info.key != ready:
            yield info


def _refuse_packed(store: Store, key: str, file_format: FileFormat) -> None:
    stem, dot, end = key.lower().rpartition(".")
    if _PACKED.fullmatch(dot + end) and stem.endswith(_ENDS[file_format]):
        raise BadInputError(
            f"{store.url}/{key}",
            expected=f"a file named {' or '.join(_ENDS[file_format])}",
            found=repr(dot + end),
            remedy="pack it with gzip, or unpack it (parquet is packed within)",
        )
