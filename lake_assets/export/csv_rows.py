r"""Rows of CSV and TSV files (RFC 4180, with a header): exact texts, then types.

Quoted values may hold delimiters, line ends and doubled quotes. An unquoted empty value and an
unquoted ``\N`` are null, a quoted ``""`` is the empty text. A row with more or fewer values than
the header, a repeated name and a stray quote are refused: guessing would move values between
columns.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NoReturn, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.declared_types import fit_text
from lake_assets.export.part_rows import PartRows, Reading, assemble, check_names
from lake_assets.export.payload import PayloadLimits

__all__ = ["csv_texts", "read_csv"]

_BLOCK_BYTES = 1024**2
_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_NULLS = ["", "\\N"]
_STRING = ColumnType("string")
_TAB_ENDINGS = (".tsv", ".tab", ".tsv.gz", ".tab.gz")
_QUOTE, _LINE_END, _RETURN = b'"\n\r'
_EXPORT_AGAIN = "export it again as CSV by RFC 4180, in UTF-8"


def read_csv(key: str, file: BinaryIO, reading: Reading) -> Iterator[PartRows]:
    """The rows of a file, plain or gzip; a column that is not among ``reading.columns`` is String.

    Raises:
        BadInputError: As ``csv_texts``.
    """
    for texts in csv_texts(key, file, reading.limits):
        columns = [fit_text(text, reading.columns.get(text.name, _STRING)) for text in texts]
        yield assemble(columns, texts.height)


def csv_texts(key: str, file: BinaryIO, limits: PayloadLimits) -> Iterator[pl.DataFrame]:
    """The values of a file as String columns, in chunks of whole rows.

    Args:
        key: Names the object in errors; ``.tsv`` and ``.tab`` (``.gz``) mean tabs for commas.
        file: The stored object, seekable.
        limits: Chunk size and upper bounds.

    Raises:
        BadInputError: A broken gzip, no header, a repeated name, a row of another length, a stray
            or an open quote, a row or a text beyond the limits, or no UTF-8; with the line.
    """
    delimiter = "\t" if key.lower().endswith(_TAB_ENDINGS) else ","
    names: list[str] = []
    line = 1
    for chunk in _row_chunks(key, _unpacked(key, file, limits), limits):
        text = chunk
        if not names:
            text = text.removeprefix(_UTF8_BOM)
            names, text = _header(key, text, delimiter)
            line += chunk.count(b"\n") - text.count(b"\n")
        if text.strip(b"\r\n") or (len(names) == 1 and text):
            _check_quotes(key, text, delimiter, line)
            yield _parsed(key, text, names, delimiter, line)
        line += text.count(b"\n")


def _unpacked(key: str, file: BinaryIO, limits: PayloadLimits) -> Iterator[bytes]:
    file.seek(0)
    packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
    total = 0
    try:
        while block := source.read(min(_BLOCK_BYTES, limits.chunk_bytes)):
            total += len(block)
            if total > limits.max_payload_bytes:
                _refuse(key, f"at most {limits.max_payload_bytes} bytes of text", "more")
            yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInputError(
            key,
            expected="a whole gzip",
            found=str(error),
            remedy="fetch the object again; if the stored object is broken, export it again",
        ) from error


def _row_chunks(key: str, blocks: Iterator[bytes], limits: PayloadLimits) -> Iterator[bytes]:
    """The blocks, cut anew where a row ends: at a line end with an even number of quotes before."""
    buffer = bytearray()
    wanted = limits.chunk_bytes
    for block in blocks:
        buffer += block
        if len(buffer) <= wanted:
            continue
        cut = _last_row_end(buffer)
        if cut:
            yield bytes(memoryview(buffer)[:cut])
            del buffer[:cut]
            wanted = limits.chunk_bytes
        elif len(buffer) > max(limits.max_row_bytes, limits.chunk_bytes):
            _refuse(
                key,
                f"rows of at most {limits.max_row_bytes} bytes",
                "a longer one (is a quote left open?)",
            )
        else:  # one row larger than a chunk: looked at again when there is twice as much of it
            wanted = 2 * len(buffer)
    if buffer.count(b'"') % 2:
        _refuse(key, "quotes in pairs", "one that is left open at the end (truncated?)")
    if buffer:
        yield bytes(buffer)


def _last_row_end(buffer: bytearray) -> int:
    end, quotes = len(buffer), buffer.count(b'"')
    while (position := buffer.rfind(b"\n", 0, end)) >= 0:
        quotes -= buffer.count(b'"', position, end)
        if quotes % 2 == 0:
            return position + 1
        end = position
    return 0


def _header(key: str, text: bytes, delimiter: str) -> tuple[list[str], bytes]:
    """The names, and the text behind their row."""
    end = text.find(b"\n") + 1 or len(text)
    while text.count(b'"', 0, end) % 2:
        end = text.find(b"\n", end) + 1 or len(text)
    try:
        first = text[:end].decode()
    except UnicodeDecodeError as error:
        _refuse(key, "UTF-8", f"{error.reason} on line 1")
    rows = list(csv.reader(io.StringIO(first, newline=""), delimiter=delimiter, strict=True))
    if not rows or not rows[0] or "\0" in first:
        _refuse(key, "a header", f"{first[:80]!r} on line 1")
    if len(rows) > 1:
        _refuse(key, "lines that end in LF or CR LF", "a bare CR on line 1")
    check_names(key, rows[0])
    return rows[0], text[end:]


def _check_quotes(key: str, text: bytes, delimiter: str, first_line: int) -> None:
    """Refuse a quote inside a value that is not quoted, and text behind a closing quote."""
    bare = text.count(b"\r") != text.count(b"\r\n")
    if b'"' not in text and not bare:
        return
    octets = pl.Series(pa.Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)]))
    if bare:
        _check_returns(key, text, octets, first_line)
    quotes = (octets == _QUOTE).arg_true().cast(pl.Int64)
    opening, closing = quotes.gather_every(2), quotes.gather_every(2, offset=1)
    before = octets.gather((opening - 1).clip(0)).scatter((opening == 0).arg_true(), _LINE_END)
    last = closing == len(text) - 1
    after = octets.gather((closing + 1).clip(0, len(text) - 1)).scatter(last.arg_true(), _LINE_END)
    wrong = [
        *opening.filter(~before.is_in([ord(delimiter), _LINE_END, _QUOTE])).head(1),
        *closing.filter(~after.is_in([ord(delimiter), _LINE_END, _RETURN, _QUOTE])).head(1),
    ]
    if wrong:
        line = first_line + text.count(b"\n", 0, min(wrong))
        _refuse(key, "quotes around whole values, doubled inside", f"another on line {line}")


def _check_returns(key: str, text: bytes, octets: pl.Series, first_line: int) -> None:
    """Refuse a CR that stands alone outside quotes: Arrow would end the row there."""
    outside = (octets == _QUOTE).cast(pl.UInt32).cum_sum() % 2 == 0
    alone = (octets == _RETURN) & (octets.shift(-1, fill_value=0) != _LINE_END) & outside
    if alone.any():
        line = first_line + text.count(b"\n", 0, int(alone.arg_true()[0]))
        _refuse(key, "lines that end in LF or CR LF", f"a bare CR on line {line}")


def _parsed(
    key: str, text: bytes, names: list[str], delimiter: str, first_line: int
) -> pl.DataFrame:
    single = len(names) == 1
    try:
        table = pc.read_csv(
            pa.BufferReader(text),
            read_options=pc.ReadOptions(column_names=names, block_size=len(text) + 1),
            parse_options=pc.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=not single,  # there an empty line is a null
            ),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=_NULLS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        finding = _finding(text, len(names), delimiter, first_line) or str(error).split("\n")[0]
        raise BadInputError(
            key,
            expected=f"rows of {len(names)} values, in UTF-8",
            found=finding,
            remedy=_EXPORT_AGAIN,
        ) from error
    return cast("pl.DataFrame", pl.from_arrow(table))


def _finding(text: bytes, width: int, delimiter: str, first_line: int) -> str | None:
    """What is wrong in a text, by its line; Arrow says less."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        return f"{error.reason} ({text[error.start : error.start + 4].hex()}) on line {line}"
    reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=delimiter)
    begin = first_line
    for row in reader:
        if row and len(row) != width:
            return f"{len(row)} values on line {begin}"
        begin = first_line + reader.line_num
    return None


def _refuse(key: str, expected: str, found: str) -> NoReturn:
    raise BadInputError(key, expected=expected, found=found, remedy=_EXPORT_AGAIN)
