"""Which columns a text has and how Polars should read them, from looking at some of its lines.

A guess that saves time: the proofs of ``proven_rows`` and ``proven_lines`` catch every line it does
not fit.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from lake_assets.export.pega_tables import TableSpec, column_type

__all__ = ["ColumnSample", "sample_columns"]

#: Lines looked at where all rows have the same number of keys, evenly spread.
_EVEN_LINES = 8

#: Lines looked at where the number differs, evenly spread ...
_UNEVEN_LINES = 256

#: ... and one more for each number of keys, up to so many.
_KEY_COUNTS = 64


@dataclass(frozen=True, slots=True)
class ColumnSample:
    """A schema to read a text with."""

    read_as: dict[str, pl.DataType]
    """Numeric columns whose numbers stood bare in their own type, all others as String.

    A column that the contract makes a String is read as Int64 where only bare integers were seen.
    """
    regular: bool
    """Whether all lines looked at fit ``read_as``, and there is a column."""
    reprinted: bool
    """Whether there is such a column, so that a -0 would come out as 0."""


class _Bare(str):
    """The text of a number that stood without quotes."""

    __slots__ = ()


def sample_columns(text: bytes, spec: TableSpec, *, key_ends: int, lines: int) -> ColumnSample:
    """Look at some lines of a text; at more of them where rows differ in their keys.

    Args:
        text: Whole lines.
        spec: Types the columns.
        key_ends: How often `":` stands in the text; 0 where it was not counted.
        lines: Number of lines in the text.
    """
    kinds: dict[str, set[type]] = {}
    objects = _look(_spread_lines(text, _EVEN_LINES), kinds)
    if key_ends != lines * len(kinds):
        objects &= _look(_spread_lines(text, min(_UNEVEN_LINES, lines)), kinds)
        objects &= _look(_line_per_key_count(text), kinds)
    read_as = {name: _read_as(seen, column_type(spec, name)) for name, seen in kinds.items()}
    fitting = all(_fits(kinds[name], dtype) for name, dtype in read_as.items())
    return ColumnSample(
        read_as=read_as,
        regular=bool(read_as) and objects and fitting,
        reprinted=any(
            dtype == pl.Int64 and column_type(spec, name) != pl.Int64
            for name, dtype in read_as.items()
        ),
    )


def _look(lines: Iterator[bytes], kinds: dict[str, set[type]]) -> bool:
    """Add the kinds of values seen in the lines, null aside; False if one is no JSON object."""
    objects = True
    for line in lines:
        try:
            row = json.loads(line, parse_int=_bare_int, parse_float=_Bare)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            for name, value in row.items():
                kinds.setdefault(name, set()).update(() if value is None else (type(value),))
        elif line.strip():
            objects = False
    return objects


def _bare_int(text: str) -> int | _Bare:
    """An int stands for an integer that prints as it was written, which -0 does not."""
    return _Bare(text) if text == "-0" else 0


def _read_as(seen: set[type], dtype: pl.DataType) -> pl.DataType:
    if dtype.is_numeric():
        return dtype if seen & {int, _Bare} or str not in seen else pl.String()
    return pl.Int64() if seen == {int} else pl.String()


def _fits(seen: set[type], dtype: pl.DataType) -> bool:
    return seen <= ({str} if dtype == pl.String else {int, _Bare})


def _line_per_key_count(text: bytes) -> Iterator[bytes]:
    seen: set[int] = set()
    for line in text.split(b"\n"):
        count = line.count(b'":')
        if count not in seen:
            seen.add(count)
            yield line
            if len(seen) == _KEY_COUNTS:
                return


def _spread_lines(text: bytes, n_lines: int) -> Iterator[bytes]:
    """About so many lines, the first and the last among them; some may come twice."""
    for step in range(n_lines):
        position = (len(text) - 1) * step // max(n_lines - 1, 1)
        start = text.rfind(b"\n", 0, position) + 1
        end = text.find(b"\n", start)
        yield text[start : end if end >= 0 else None]
