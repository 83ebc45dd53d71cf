"""From a chunk of NDJSON text to a typed frame that holds all of it.

Joins the readings: ``proven_rows`` for what can be read fast and proven, ``exact_rows`` for the rest, ``lossless`` for
the types. What a type cannot hold goes to ``_rescued_data``, so for every column
``present = non-null values of the frame + rescued``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from lake_assets.errors import BadInputError
from lake_assets.export.exact_rows import read_exact
from lake_assets.export.lossless import lost_text, typed_text
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, column_type
from lake_assets.export.proven_rows import read_proven

__all__ = ["RowChunk", "read_rows"]

#: A text that cannot be proven is split into so many parts, down to the smallest size in bytes.
_PARTS = 16
_SMALLEST_BYTES = 128 * 1024

_RESCUED = INTERNAL_COLUMNS[0]
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RowChunk:
    """The rows of one chunk of text, and the count of what they hold."""

    frame: pl.DataFrame
    """The source's columns, in the type of the contract, rows in order; last ``_rescued_data``.

    ``_rescued_data`` is a JSON object from column to the value's text as it stood (a string without its quotes), null
    where nothing was rescued.
    """
    present: Mapping[str, int]
    """Values per source column: neither null nor, in a column that is no String, the empty string."""
    rescued: Mapping[str, int]
    """Values per column that went to ``_rescued_data``; only columns that have some."""
    duplicate_keys: int
    """Values dropped because their key stood earlier in the same object; a dropped null is none."""


def read_rows(key: str, chunk: bytes, spec: TableSpec, *, first_line: int = 1) -> RowChunk:
    """Read a chunk of NDJSON without losing a value.

    A column is there when a row of the chunk has its key. One whose values are all null may be
    missed when few rows have it: it carries no value.

    Args:
        key: Names the object in errors.
        chunk: Whole lines of UTF-8; blank lines are skipped.
        spec: Types the columns.
        first_line: 1-based number of the chunk's first line in its payload, for errors.

    Raises:
        BadInputError: A line is not one JSON object, or a column's name is empty, reserved or not
            UTF-8.
    """
    frames: list[pl.DataFrame] = []
    rescued: Counter[str] = Counter()
    duplicate_keys = 0
    for part in _parts(_Source(key, spec), chunk, first_line):
        _check_names(key, part.columns.columns)
        frame, lost = _typed(part, spec)
        frames.append(frame)
        rescued.update(lost)
        duplicate_keys += part.duplicate_keys
    frame = pl.concat(frames, how="diagonal")
    names = [name for name in frame.columns if name != _RESCUED]
    present = {name: frame.height - frame[name].null_count() + rescued[name] for name in names}
    return RowChunk(frame.select(*names, _RESCUED), present, dict(rescued), duplicate_keys)


@dataclass(frozen=True, slots=True)
class _Source:
    """What all parts of a chunk share."""

    key: str
    spec: TableSpec
    read_as: dict[str, pl.DataType] = field(default_factory=dict)
    """The columns met so far: what one part teaches, the next one knows."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive rows, before the contract."""

    columns: pl.DataFrame
    """Columns of text, or of their own type already."""
    unstorable: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """By column and row: the escaped form of strings that are not UTF-8; null in ``columns``."""
    duplicate_keys: int = 0


def _parts(source: _Source, text: bytes, first_line: int) -> Iterator[_Part]:
    """The rows of a text, proven where possible, in few parts.

    Few odd rows are fenced in by splitting; a text that is odd everywhere is not split at all,
    which three small samples decide. So a row is read at most once per level, and there are three.
    """
    proven = read_proven(text, source.spec, source.read_as)
    if proven is not None:
        yield _Part(proven)
    elif len(text) <= _SMALLEST_BYTES or not _partly_provable(source, text):
        yield _exact(source, text, first_line)
    else:
        for piece in _pieces(text, len(text) // _PARTS + 1):
            yield from _parts(source, piece, first_line)
            first_line += piece.count(b"\n")


def _partly_provable(source: _Source, text: bytes) -> bool:
    if len(text) <= _PARTS * _SMALLEST_BYTES:
        return True
    starts = (0, len(text) // 2, len(text) - _SMALLEST_BYTES)
    samples = (_whole_lines(text, start, _SMALLEST_BYTES) for start in starts)
    return any(read_proven(each, source.spec, source.read_as) is not None for each in samples)


def _whole_lines(text: bytes, start: int, size: int) -> bytes:
    begin = text.rfind(b"\n", 0, start) + 1
    end = text.find(b"\n", begin + size)
    return text[begin : end + 1 if end >= 0 else None]


def _pieces(text: bytes, size: int) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + size) + 1 or len(text)
        yield text[start:end]
        start = end


def _exact(source: _Source, text: bytes, first_line: int) -> _Part:
    rows = read_exact(source.key, text, first_line)
    _check_names(source.key, rows.columns)
    for name in rows.columns:
        dtype = column_type(source.spec, name)
        source.read_as.setdefault(name, dtype if dtype.is_numeric() else pl.String())
    columns = pl.DataFrame(rows.columns, schema=dict.fromkeys(rows.columns, pl.String))
    if not rows.columns:
        columns = pl.DataFrame(height=rows.n_rows)
    return _Part(columns, rows.unstorable, rows.duplicate_keys)


def _typed(part: _Part, spec: TableSpec) -> tuple[pl.DataFrame, dict[str, int]]:
    """A part in the types of the contract with its ``_rescued_data``, and how many it rescued."""
    columns: list[pl.Series] = []
    rescues: dict[str, dict[int, str]] = {}
    for source in part.columns.iter_columns():
        dtype = column_type(spec, source.name)
        values = source if source.dtype == dtype else typed_text(source, dtype)
        columns.append(values)
        lost = dict(part.unstorable.get(source.name, {}))
        if values is not source and values.null_count() > source.null_count():
            rows = lost_text(source, values).arg_true()
            lost.update(zip(rows, source.gather(rows), strict=True))
        if lost:
            rescues[source.name] = lost
    columns.append(_rescued_column(rescues, part.columns.height))
    return pl.DataFrame(columns), {name: len(lost) for name, lost in rescues.items()}


def _rescued_column(rescues: Mapping[str, Mapping[int, str]], height: int) -> pl.Series:
    by_row: dict[int, dict[str, str]] = {}
    for name, lost in rescues.items():
        for row, text in lost.items():
            by_row.setdefault(row, {})[name] = text
    texts: list[str | None] = [None] * height
    for row, lost in by_row.items():
        texts[row] = json.dumps(lost, ensure_ascii=False)
    return pl.Series(_RESCUED, texts, dtype=pl.String)


def _check_names(key: str, names: Iterable[str]) -> None:
    for name in names:
        if not name or name in INTERNAL_COLUMNS or _SURROGATE.search(name):
            problem = "reserved" if name in INTERNAL_COLUMNS else "not UTF-8" if name else "empty"
            raise BadInputError(
                key,
                expected="column names that a table can have",
                found=f"the {problem} name {name!r}",
                remedy="rename it in the export",
            )
