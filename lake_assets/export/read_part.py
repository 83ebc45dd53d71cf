"""The rows of a file of a database snapshot, or of the range of it that one task reads.

Belongs here: opening the file that was listed and no other, its wrapping and range, the checks by
what the export's manifest says, and the choice of the reader. Does not: what the formats mean
(``parquet_rows``, ``csv_rows``, ``ndjson_rows``, ``dynamodb_rows``), nor a user's own reader.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.csv_rows import csv_texts, read_csv
from lake_assets.export.dynamodb_rows import read_dynamodb
from lake_assets.export.ndjson_rows import NdjsonTypes, read_ndjson
from lake_assets.export.parquet_rows import read_parquet
from lake_assets.export.part_rows import PartRows, Reading
from lake_assets.export.payload import text_chunks
from lake_assets.export.shared_bodies import Opens
from lake_assets.export.source import FilePart, SourceFile
from lake_assets.export.text_types import TextTypes
from lake_assets.s3 import ObjectInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PartRows", "Reading", "infer_columns", "read_part"]

_BLOCK_BYTES = 1024**2
#: A store compares size and ETag; when the file was written is not known here.
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_EXPORT_AGAIN = "fetch the object again; if the stored object itself is broken, export it again"


def read_part(store: Opens, part: FilePart, reading: Reading) -> Iterator[PartRows]:
    """Yield the rows of a part, in their order, in chunks of about ``reading.chunk_bytes``.

    What the store hands out is verified against the listed ETag; a file is beyond ``chunk_bytes``
    on local disk, never in memory as a whole. A part without rows yields nothing.

    Raises:
        BadInputError: The file is not what its format, or the export's manifest, says; by key.
        SourceChangedError: The file is gone or was replaced since it was listed.
    """
    with _opened(store, part.file, reading) as file:
        rows = 0
        for chunk in _rows(file, part, reading):
            rows += chunk.frame.height
            yield chunk
    if part.start is None and part.file.rows not in (None, rows):
        raise BadInputError(
            part.file.key,
            expected=f"{part.file.rows} rows, as the export's manifest says",
            found=f"{rows}",
            remedy=_EXPORT_AGAIN,
        )


def infer_columns(
    store: Opens, files: Iterable[SourceFile], reading: Reading
) -> dict[str, ColumnType]:
    """The types of the columns of csv or ndjson files, over all rows of all files, streamed.

    Declared columns come as declared. Nested columns of ndjson are left out: they are typed chunk
    by chunk. A file that is refused tells nothing from there on: reading it as a part says why.

    Raises:
        BadInputError: As ``read_part``; or a column is nested in some rows and not in others.
        SourceChangedError: A file is gone or was replaced since it was listed.
    """
    if reading.format == "csv":
        texts = TextTypes(reading.columns)
        for file in files:
            with suppress(BadInputError), _opened(store, file, reading) as opened:
                for frame in csv_texts(file.key, opened, reading.limits):
                    texts.add(frame)
        return texts.columns()
    if reading.format == "ndjson":
        types = NdjsonTypes(reading.columns)
        for file in files:
            with suppress(BadInputError), _opened(store, file, reading) as opened:
                types.add(file.key, text_chunks(file.key, opened, reading.limits))
        return types.columns()
    msg = f"types of csv and ndjson are inferred, those of {reading.format!r} are in its files"
    raise ValueError(msg)


def _rows(file: BinaryIO, part: FilePart, reading: Reading) -> Iterator[PartRows]:
    key = part.file.key
    if reading.format in ("parquet", "rds"):
        return read_parquet(file, part, reading)
    if reading.format == "csv":
        if part.start is not None:
            msg = f"{key}: a CSV file is read whole; a range may begin inside a quoted value"
            raise ValueError(msg)
        return read_csv(key, file, reading)
    if part.start is not None and part.end is not None:
        file = _lines_of_range(file, part.start, part.end)
    chunks = text_chunks(key, file, reading.limits)
    if reading.format == "ndjson":
        return read_ndjson(key, chunks, reading)
    if reading.format == "dynamodb":
        if part.file.md5 is not None and part.start is None:
            chunks = _proven_by_md5(part.file, file, chunks)
        return read_dynamodb(key, chunks, reading)
    msg = f"{key}: the format {reading.format!r} is not read here"
    raise ValueError(msg)


@contextmanager
def _opened(store: Opens, file: SourceFile, reading: Reading) -> Iterator[BinaryIO]:
    listed = ObjectInfo(file.key, file.size_bytes, file.etag, _UNKNOWN_TIME)
    with store.open(listed, memory_bytes=reading.chunk_bytes) as opened:
        yield opened


def _proven_by_md5(file: SourceFile, stored: BinaryIO, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks; an error at their end unless the md5 is that of the stored or unpacked bytes.

    AWS does not say which of the two it hashes.
    """
    packed = hashlib.md5(usedforsecurity=False)
    stored.seek(0)
    while block := stored.read(_BLOCK_BYTES):
        packed.update(block)
    stored.seek(0)
    unpacked = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        if packed.hexdigest() != file.md5:
            unpacked.update(chunk)
        yield chunk
    if file.md5 not in (packed.hexdigest(), unpacked.hexdigest()):
        raise BadInputError(
            file.key,
            expected=f"bytes with the md5 {file.md5}, as the export's manifest says",
            found=f"{packed.hexdigest()} stored, {unpacked.hexdigest()} unpacked",
            remedy=_EXPORT_AGAIN,
        )


def _lines_of_range(file: BinaryIO, start: int, end: int) -> BinaryIO:
    """The lines that begin in the bytes [start, end), as a file of their own."""
    first = _line_start(file, start)
    return cast("BinaryIO", io.BufferedReader(_Window(file, first, _line_start(file, end))))


def _line_start(file: BinaryIO, position: int) -> int:
    """Where the first line begins that begins at ``position`` or behind it; the file's end else."""
    if position <= 0:
        return 0
    file.seek(position - 1)
    while line := file.readline(_BLOCK_BYTES):
        if line.endswith(b"\n"):
            break
    return file.tell()


class _Window(io.RawIOBase):
    """The bytes [start, end) of a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(self._start, base + offset)
        return self._at - self._start

    def readinto(self, buffer: "Buffer", /) -> int:
        view = memoryview(buffer)
        self._file.seek(self._at)
        block = self._file.read(min(len(view), max(self._end - self._at, 0)))
        view[: len(block)] = block
        self._at += len(block)
        return len(block)
