"""From a chunk of NDJSON text to a typed frame that holds all of it.

Joins the readings: ``proven_rows`` for a text that can be read fast and proven as a whole,
``proven_lines`` for the lines of any other that can, ``exact_rows`` for the rest, ``lossless`` for
the types. What a type cannot hold goes to ``_rescued_data``, so for every column
``present = non-null values of the frame + rescued``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from lake_assets.errors import BadInputError
from lake_assets.export.column_sample import sample_columns
from lake_assets.export.exact_rows import read_exact
from lake_assets.export.lossless import lost_text, typed_text
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, column_type
from lake_assets.export.proven_lines import read_proven_lines
from lake_assets.export.proven_rows import count_marks, read_proven

__all__ = ["RowChunk", "read_rows"]

_RESCUED = INTERNAL_COLUMNS[0]
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RowChunk:
    """The rows of one chunk of text, and the count of what they hold."""

    frame: pl.DataFrame
    """The source's columns, in the type of the contract, rows in order; last ``_rescued_data``.

    ``_rescued_data`` is a JSON object from column to the value's text as it stood (a string without
    its quotes), null where nothing was rescued.
    """
    present: Mapping[str, int]
    """Values per source column: neither null nor, in a column that is no String, the empty string.
    """
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
    parts = _parts(key, chunk, spec, first_line)
    frames: list[pl.DataFrame] = []
    rescued: Counter[str] = Counter()
    for part in parts:
        frame, lost = _typed(part, spec)
        frames.append(frame)
        rescued.update(lost)
    frame = _in_order(parts, frames)
    names = [name for name in frame.columns if name != _RESCUED]
    present = {name: frame.height - frame[name].null_count() + rescued[name] for name in names}
    return RowChunk(
        frame=frame.select(*names, _RESCUED),
        present=present,
        rescued=dict(rescued),
        duplicate_keys=sum(part.duplicate_keys for part in parts),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows before the contract."""

    columns: pl.DataFrame
    """Columns of text, or of their own type already."""
    lines: pl.Series
    """The line of each row; empty where the part has all lines."""
    unstorable: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """By column and row: the escaped form of strings that are not UTF-8; null in ``columns``."""
    duplicate_keys: int = 0


def _parts(key: str, text: bytes, spec: TableSpec, first_line: int) -> list[_Part]:
    """The rows as one proven part, else as the lines that are proven and those that are not."""
    marks = count_marks(text)
    key_ends, lines = (marks.key_ends, marks.lines) if marks else (0, text.count(b"\n") + 1)
    sample = sample_columns(text, spec, key_ends=key_ends, lines=lines)
    _check_names(key, sample.read_as)
    if marks:
        frame = read_proven(text, marks, sample)
        if frame is not None:
            return [_Part(frame, pl.Series(dtype=pl.UInt32))]
    proven = read_proven_lines(_decoded(key, text, first_line), sample)
    odd = [(first_line + number, line) for number, line in proven.odd]
    return [_Part(proven.frame, proven.numbers), _exact_part(key, odd, first_line)]


def _exact_part(key: str, lines: list[tuple[int, str]], first_line: int) -> _Part:
    rows = read_exact(key, lines)
    _check_names(key, rows.columns)
    columns = [pl.Series(name, texts, dtype=pl.String) for name, texts in rows.columns.items()]
    return _Part(
        columns=pl.DataFrame(columns) if columns else pl.DataFrame(height=rows.n_rows),
        lines=pl.Series([number - first_line for number, _ in lines], dtype=pl.UInt32),
        unstorable=rows.unstorable,
        duplicate_keys=rows.duplicate_keys,
    )


def _decoded(key: str, text: bytes, first_line: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        number = first_line + text.count(b"\n", 0, error.start)
        raise BadInputError(
            key,
            expected="UTF-8",
            found=f"{error.reason} on line {number}",
            remedy="export it as UTF-8",
        ) from error


def _typed(part: _Part, spec: TableSpec) -> tuple[pl.DataFrame, dict[str, int]]:
    """A part in the types of the contract with its ``_rescued_data``, and how many it rescued."""
    columns: list[pl.Series] = []
    rescues: dict[str, dict[int, str]] = {}
    for source in part.columns.iter_columns():
        dtype = column_type(spec, source.name)
        text = source if source.dtype == dtype else source.cast(pl.String)
        values = typed_text(text, dtype) if text.dtype == pl.String else text
        columns.append(values)
        lost = dict(part.unstorable.get(source.name, {}))
        if values.null_count() > source.null_count():
            rows = lost_text(text, values).arg_true()
            lost.update(zip(rows, text.gather(rows), strict=True))
        if lost:
            rescues[source.name] = lost
    columns.append(_rescued_column(rescues, part.columns.height))
    return pl.DataFrame(columns), {name: len(lost) for name, lost in rescues.items()}


def _in_order(parts: list[_Part], frames: list[pl.DataFrame]) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    lines = pl.concat([part.lines for part in parts])
    return pl.concat(frames, how="diagonal")[lines.arg_sort()]


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
