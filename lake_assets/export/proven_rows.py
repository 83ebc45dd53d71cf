r"""The fast reading of NDJSON: Polars' own reader, and a proof that it lost nothing.

Belongs here: the reading with an explicit schema, and the counting that accepts or declines it. Does not: what to do
with a text that is declined (``rows``), what a text means in its type (``lossless``).

A typed read of Polars raises on every value that does not fit its type (a quoted number, a fraction in Int64, 1e400,
NaN, a nested value) and on everything that is no JSON. Four things it does in silence: it drops keys that are not in
the schema, keeps the first of two equal keys, rounds integers from 2**53 on into Float64, and prints a bare value
that stands in a String column anew (1.50 becomes "1.5"). (The JSON library raises on a lone surrogate.)
This module reads with numeric columns typed and all others as String, and then counts quotes, colons and nulls.

The proof, for a text in which every quote is the start or the end of a JSON string (see the end for escapes) and no
blank stands between a string and its colon. Of all objects at all levels let

    K = keys, Z = explicit nulls among their values, V = strings that are values or list elements
    E = strings (of either kind) that begin with ":", E0 <= E those that begin with ":n" or ": n"

A quote followed by a colon ends a key or starts a string of E. After a key's colon an ``n`` can only be null, so

    N := count of `":`                     = K + E
    M := count of `":n` and of `": n`      = Z' + E0, where Z' <= Z leaves out nulls with more or other blanks
    Q := count of `"`                      = 2 (K + V)
    F := non-null cells of the frame      <= K - Z, for each comes from a member of its own that is not null

1. N - M = F is demanded. N - M = (K - Z') + (E - E0) >= K - Z >= F, so all are equal: every member that is not
   null, at any level, is a cell of the frame. No key was dropped or repeated with a value, and an object within an
   object has nothing but nulls.
2. Let S = non-null cells of the columns that were read as String, B of them made from something that was no string.
   Q = 2N + 2S is demanded, so V = E + S. Lists are excluded (no `[` after a key's colon), thus with 1. every string
   is the value of a column, in a String column since the others raise: V = S - B. So E + B = 0: every cell of a
   String column was a string, and holds it as it stood.
3. No value of a Float64 column is 2**53 or more, so no integer was rounded.
4. There are as many rows as lines.

Not proven: that a column whose values are all null is seen. Its name is found where the lines looked at have it.

Escapes: a backslash may stand before a quote. Where no `\\"` occurs, every `\"` is within a string, and is
left out of Q, N and M; the lines above hold for the quotes that remain.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from lake_assets.export.lossless import EXACT_FLOAT_LIMIT
from lake_assets.export.pega_tables import TableSpec, column_type

__all__ = ["read_proven"]

#: Lines looked at for names, evenly spread, the first and the last among them.
_SAMPLE_LINES = 8

#: Lines looked at where rows differ in their keys.
_SPARSE_SAMPLE_LINES = 256

#: Lines looked at where the number of keys differs from line to line: one for each number, up to this many.
_SAMPLE_COUNTS = 64

_LINE_END, _SPACE, _QUOTE, _COLON, _BRACKET, _BACKSLASH, _NULL = b'\n ":[\\n'
_LONGEST_PATTERN = 4

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]")


class _Bare(str):
    """The text of a number that stood without quotes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Marks:
    """N, M, Q and the number of lines of a text; see the proof."""

    keys: int
    nulls: int
    quotes: int
    lines: int


def read_proven(
    text: bytes, spec: TableSpec, read_as: dict[str, pl.DataType]
) -> pl.DataFrame | None:
    """The rows of a text, if it can be proven that they hold all of it; else None.

    Numbers come in their contract's type where they stood bare, all else as its text.

    Args:
        text: Whole lines.
        spec: Types the columns.
        read_as: The columns met so far and how they were read; what this text teaches is added to it.
    """
    marks = _marks(text)
    if marks is None or not _learn(text, marks, spec, read_as):
        return None
    try:
        frame = pl.read_ndjson(text, schema=read_as)
    except pl.exceptions.ComputeError:
        return None
    if not _proven(marks, frame):
        return None
    integers = [
        name
        for name, dtype in read_as.items()
        if dtype == pl.Int64 and column_type(spec, name) == pl.String
    ]
    if integers and (b":-0" in text or b": -0" in text):  # -0 would be printed as 0
        return None
    return frame.with_columns(pl.col(integers).cast(pl.String)) if integers else frame


def _proven(marks: _Marks, frame: pl.DataFrame) -> bool:
    """Steps 1 to 4 of the proof."""
    cells = {name: frame.height - frame[name].null_count() for name in frame.columns}
    strings = sum(cells[name] for name, dtype in frame.schema.items() if dtype == pl.String)
    return (
        frame.height == marks.lines
        and marks.keys - marks.nulls == sum(cells.values())
        and marks.quotes == 2 * marks.keys + 2 * strings
        and not any(
            _reaches(frame[name], EXACT_FLOAT_LIMIT)
            for name, dtype in frame.schema.items()
            if dtype == pl.Float64
        )
    )


def _reaches(values: pl.Series, limit: float) -> bool:
    low, high = values.min(), values.max()
    return isinstance(low, float) and isinstance(high, float) and max(-low, high) >= limit


def _marks(text: bytes) -> _Marks | None:
    """The counts of the proof; None where a condition on blanks, lists or escapes does not hold.

    A mask for each byte, combined with masks beside it: ten times faster than a search for each
    pattern, since quotes and colons are everywhere.
    """
    if len(text) < _LONGEST_PATTERN or not _plain_blanks(text) or not _plain_escapes(text):
        return None
    octets = pl.Series(pa.Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)]))
    quote, colon, space = octets == _QUOTE, octets == _COLON, octets == _SPACE
    if b"\\" in text:
        quote &= (octets != _BACKSLASH).shift(1, fill_value=True)
    # `" :` and `  :` are how any run of blanks before a colon ends
    if ((quote[:-2] | space[:-2]) & space[1:-1] & colon[2:]).any():
        return None
    key = quote[:-1] & colon[1:]
    key_space = key[:-1] & space[2:]
    if b"[" in text:
        bracket = octets == _BRACKET
        spaced = key_space[:-1] & (bracket | space)[3:]
        if (key[:-1] & bracket[2:]).any() or spaced.any():
            return None
    null = octets == _NULL
    return _Marks(
        keys=_count(key),
        nulls=_count(key[:-1] & null[2:]) + _count(key_space[:-1] & null[3:]),
        quotes=_count(quote),
        lines=_count(octets == _LINE_END) + (not text.endswith(b"\n")),
    )


def _count(mask: pl.Series) -> int:
    return int(mask.sum())


def _plain_blanks(text: bytes) -> bool:
    """Whether all blanks between tokens are spaces, but for line ends."""
    return b"\t" not in text and (b"\r" not in text or text.count(b"\r") == text.count(b"\r\n"))


def _plain_escapes(text: bytes) -> bool:
    """Whether an escaped quote can be told by the byte before it, and surrogates come in pairs."""
    if b"\\" not in text:
        return True
    if b'\\\\"' in text:
        return False
    surrogates = len(_SURROGATE.findall(text)) if b"\\ud" in text or b"\\uD" in text else 0
    if not surrogates:
        return True
    return b"\\\\" not in text and surrogates == 2 * len(_SURROGATE_PAIR.findall(text))


def _learn(text: bytes, marks: _Marks, spec: TableSpec, read_as: dict[str, pl.DataType]) -> bool:
    """Add the columns of some lines to ``read_as``; False where a line rules the proof out."""
    learned: set[str] = set()
    for line in _samples(text, marks, read_as):
        try:
            row = json.loads(line, parse_int=_Bare, parse_float=_Bare)
        except ValueError:
            return False
        if type(row) is not dict:
            return False
        for name, value in row.items():
            dtype = column_type(spec, name)
            if value is None:
                read_as.setdefault(name, dtype if dtype.is_numeric() else pl.String())
                continue
            if type(value) is str:
                dtype = pl.String()
            elif type(value) is not _Bare:
                return False
            elif not dtype.is_numeric():
                if not value.removeprefix("-").isdigit():
                    return False
                dtype = pl.Int64()
            if name in learned and read_as[name] != dtype:
                return False
            read_as[name] = dtype
            learned.add(name)
    return bool(read_as)


def _samples(text: bytes, marks: _Marks, read_as: dict[str, pl.DataType]) -> Iterator[bytes]:
    """Some lines of a text; where rows differ in their keys, many, and one per number of keys."""
    yield from _spread_lines(text, _SAMPLE_LINES)
    if marks.keys == marks.lines * len(read_as):
        return
    yield from _spread_lines(text, min(_SPARSE_SAMPLE_LINES, marks.lines))
    seen: set[int] = set()
    for line in text.split(b"\n"):
        count = line.count(b'":')
        if count not in seen and line and len(seen) < _SAMPLE_COUNTS:
            seen.add(count)
            yield line


def _spread_lines(text: bytes, n_lines: int) -> Iterator[bytes]:
    """About so many lines, the first and the last among them; some may come twice."""
    for step in range(n_lines):
        position = (len(text) - 1) * step // max(n_lines - 1, 1)
        start = text.rfind(b"\n", 0, position) + 1
        end = text.find(b"\n", start)
        yield text[start : end if end >= 0 else None]
