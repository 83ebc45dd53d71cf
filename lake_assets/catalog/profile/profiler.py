"""Profiles a table while it is written: frames in, a profile out, no second read.

Belongs here: what is looked at for each type of Polars. Does not: how numbers, values and
quantiles are summed up (``numbers``, ``values``, ``quantiles``).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl

from lake_assets.catalog.profile.columns import ColumnProfile
from lake_assets.catalog.profile.numbers import NumberSketch
from lake_assets.catalog.profile.paths import column_path
from lake_assets.catalog.profile.profiles import Profile, filled
from lake_assets.catalog.profile.values import ValueSketch
from lake_assets.errors import SchemaChangeError

__all__ = ["Profiler"]

#: Small frames are looked at together: a column costs about 0.3 ms a time, however few the rows.
_HELD_ROWS = 65_536
#: Held frames take memory that others count on: 16 MiB beside the buffers of a stage.
_HELD_BYTES = 16 * 1024**2
#: Texts are recorded up to here, in characters; longer ones with their hash in place of the rest.
_MAX_TEXT = 256
_FEW_TEXTS = 2048
#: Name of what is counted, whatever the column's: "n" is that of the counts.
_VALUES = "values"
_DAY_US = 86_400_000_000
#: Sums of 128 bit integers could overflow: the parts above and below this are summed apart.
_SPLIT = 10**15
_KINDS: tuple[tuple[str, tuple[type[pl.DataType], ...]], ...] = (
    ("boolean", (pl.Boolean,)),
    ("decimal", (pl.Decimal, pl.Int128, pl.UInt128)),
    ("time", (pl.Date, pl.Datetime, pl.Time, pl.Duration)),
    ("text", (pl.String, pl.Categorical, pl.Enum)),
    ("binary", (pl.Binary,)),
    ("list", (pl.List, pl.Array)),
    ("struct", (pl.Struct,)),
    ("null", (pl.Null,)),
)
#: Kinds that leave nulls out by themselves: dropping them is a query of Polars, 0.1 ms each.
_WITH_NULLS = frozenset({"number", "boolean", "text", "struct"})


class Profiler:
    """Statistics of all columns, fed frame by frame. Not for several threads.

    Columns may come and go between frames: rows without a column count as nulls of it. Members of
    a struct ``a`` are ``a.member``, the values inside a list ``a`` are ``a[]``.

    Args:
        is_hidden: Says of a column's name whether its values must not be recorded anywhere
            (personal data): only rows and nulls are counted. None is by default.

    Example:
        >>> profiler = Profiler()
        >>> profiler.add(pl.DataFrame({"a": [1, 2, None]}))
        >>> column = profiler.profile().columns["a"]
        >>> column.count, column.nulls, column.numbers.mean, column.distinct
        (3, 1, 1.5, 2)
    """

    def __init__(self, is_hidden: Callable[[str], bool] = lambda _: False) -> None:
        self._is_hidden = is_hidden
        self._columns: dict[str, _Column] = {}
        self._rows = 0
        self._held: list[pl.DataFrame] = []
        self._held_rows = self._held_bytes = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows; they are looked at now or with later ones.

        Raises:
            SchemaChangeError: A column is of another kind than in earlier frames.
        """
        if self._held and self._held[0].schema != frame.schema:
            self._look()
        self._held.append(frame)
        self._held_rows += frame.height
        self._held_bytes += int(frame.estimated_size())
        if self._held_rows >= _HELD_ROWS or self._held_bytes >= _HELD_BYTES:
            self._look()

    def add_constants(self, values: Mapping[str, str | None], rows: int) -> None:
        """Take columns that have one text in all of ``rows`` rows, which were added before.

        It costs the same for any number of rows: the keys of a partition are such columns.
        """
        for name, value in values.items():
            path = column_path("", name)
            kind = "hidden" if self._is_hidden(name) else "text"
            column = self._columns[path] = _Column()
            column.start(kind, pl.Series(dtype=pl.String))
            column.count += rows
            if value is None:
                column.nulls += rows
            elif rows and kind == "text":
                _add_few_texts(column, {value: rows})

    def profile(self) -> Profile:
        """The profile of all rows so far; more may be added after it."""
        self._look()
        columns = {name: column.freeze() for name, column in self._columns.items()}
        return Profile(self._rows, filled(columns, self._rows))

    def _look(self) -> None:
        if not self._held:
            return
        frame = pl.concat(self._held) if len(self._held) > 1 else self._held[0]
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        self._rows += frame.height
        for series in frame.iter_columns():
            self._add(column_path("", series.name), series, hidden=self._is_hidden(series.name))

    def _add(self, path: str, series: pl.Series, *, hidden: bool = False) -> None:
        hidden = hidden or self._is_hidden(path)
        kind = "hidden" if hidden else _kind_of(series.dtype)
        series = series.alias(_VALUES)  # the path names it; counts stand beside it in frames
        column = self._columns.get(path)
        if column is None:
            column = self._columns[path] = _Column()
        if kind != "null" and column.kind not in (kind, "null"):
            raise SchemaChangeError(
                f"column {path!r} is of one kind in all frames of a profile, found {kind}"
                f" ({series.dtype}) after {column.kind}; cast it before it is written"
            )
        nulls = column.start(kind, series)
        if hidden or (kind not in {"list", "struct"} and nulls == series.len()):
            return
        present = series.drop_nulls() if nulls and kind not in _WITH_NULLS else series
        if isinstance(series.dtype, pl.Array):
            present = present.arr.to_list()
        if kind in _ADD:
            _ADD[kind](column, present)
        for name, inner in _inner(path, kind, series, present):
            self._add(name, inner)


@dataclass(slots=True)
class _Column:
    kind: str = "null"
    dtypes: set[str] = field(default_factory=set)
    count: int = 0
    nulls: int = 0
    ends: list[str] = field(default_factory=list)
    numbers: NumberSketch | None = None
    seen: ValueSketch = field(default_factory=ValueSketch)

    def start(self, kind: str, series: pl.Series) -> int:
        """Count the values and say how many are null."""
        nulls = series.null_count()
        self.count += series.len()
        self.nulls += nulls
        if kind == "null":
            return nulls
        self.kind = kind
        self.dtypes.add(str(series.dtype))
        if self.numbers is None and kind not in {"boolean", "struct", "hidden"}:
            self.numbers = NumberSketch("integer" if kind == "time" else "float")
        return nulls

    def freeze(self) -> ColumnProfile:
        counted = self.kind in {"number", "time"} and self.seen.is_complete
        counts = self.seen.counts() if counted else None
        numbers, quantiles = self.numbers.freeze(counts) if self.numbers else (None, None)
        valued = self.kind not in {"list", "struct", "null", "hidden"}
        return ColumnProfile(
            kind=self.kind,
            dtypes=tuple(sorted(self.dtypes)) or ("Null",),
            count=self.count,
            nulls=self.nulls,
            least=min(self.ends, default=None),
            greatest=max(self.ends, default=None),
            numbers=numbers,
            values=self.seen.freeze() if valued else None,
            quantiles=quantiles,
        )


def _kind_of(dtype: pl.DataType) -> str:
    for kind, types in _KINDS:
        if isinstance(dtype, types):
            return kind
    return "number" if dtype.is_numeric() else "hidden"


def _inner(
    path: str, kind: str, series: pl.Series, present: pl.Series
) -> Iterator[tuple[str, pl.Series]]:
    """The columns inside a column."""
    if kind == "struct":
        for member in series.struct.unnest().iter_columns():
            yield column_path(path, member.name), member
    elif kind == "list":
        yield f"{path}[]", present.filter(present.list.len() > 0).explode()


def _add_numbers(column: _Column, series: pl.Series) -> None:
    assert column.numbers is not None  # noqa: S101 (``start`` made it)
    if series.dtype.is_float():
        floats = series.cast(pl.Float64).to_numpy(writable=True)  # a null becomes NaN
        column.numbers.add_floats(floats, column.seen, nulls=series.null_count())
        return
    series = series.drop_nulls() if series.has_nulls() else series
    wide = pl.UInt64 if series.dtype.is_unsigned_integer() else pl.Int64
    column.numbers.add_integers(series.cast(wide).to_numpy(), column.seen)


def _add_decimals(column: _Column, series: pl.Series) -> None:
    """Ends and sum are exact; quantiles and histogram are those of the nearest float64."""
    assert column.numbers is not None  # noqa: S101 (``start`` made it)
    scale = series.dtype.scale if isinstance(series.dtype, pl.Decimal) else 0
    physical = series.to_physical()
    column_of = pl.col(physical.name)  # a Series of 128 bits takes no Python integer, a column does
    halves = pl.DataFrame(physical).select(
        (column_of // _SPLIT).sum(), low=(column_of % _SPLIT).sum()
    )
    high, low = (int(half) for half in halves.row(0))
    total = Fraction(high * _SPLIT + low, 10**scale)
    ends = [Decimal(str(end)) for end in (series.min(), series.max())]
    floats = series.cast(pl.Float64).to_numpy(writable=True)
    column.numbers.add_exact(floats, ends, total)
    counts = series.value_counts(name="n").get_columns()
    column.seen.add_texts(counts[0].cast(pl.String), counts[1])


def _add_times(column: _Column, series: pl.Series) -> None:
    assert column.numbers is not None  # noqa: S101 (``start`` made it)
    # Casts are done at once; other methods of a Series set up a query, 0.1 ms each.
    if isinstance(series.dtype, pl.Date):
        micros = series.cast(pl.Int64).to_numpy() * _DAY_US
    elif isinstance(series.dtype, pl.Time):
        micros = series.cast(pl.Int64).to_numpy() // 1000
    elif isinstance(series.dtype, pl.Datetime | pl.Duration) and series.dtype.time_unit == "us":
        micros = series.cast(pl.Int64).to_numpy()
    else:
        micros = series.dt.cast_time_unit("us").to_physical().to_numpy()
    column.numbers.add_integers(micros, column.seen)


def _add_booleans(column: _Column, series: pl.Series) -> None:
    true = int(series.sum())
    counts = {True: true, False: series.len() - series.null_count() - true}
    column.seen.add_counts({value: n for value, n in counts.items() if n})


def _add_texts(column: _Column, series: pl.Series) -> None:
    if not isinstance(series.dtype, pl.String):
        series = series.cast(pl.String)
    texts, counts = series.value_counts(name="n").get_columns()
    if texts.len() <= _FEW_TEXTS:  # done in Python before Polars has set up its queries
        counted = dict(zip(texts.to_list(), counts.to_list(), strict=True))
        counted.pop(None, None)
        _add_few_texts(column, counted)
        return
    if texts.has_nulls():
        there = texts.is_not_null()
        texts, counts = texts.filter(there), counts.filter(there)
    lengths = texts.str.len_chars()
    _note_ends(column, str(texts.min()), str(texts.max()))
    _add_lengths(column, lengths, counts)
    column.seen.add_texts(_shortened(texts, lengths), counts)


def _add_few_texts(column: _Column, counts: Mapping[Any, int]) -> None:
    """Different texts and how often each occurs."""
    assert column.numbers is not None  # noqa: S101 (``start`` made it)
    lengths: dict[int, int] = {}
    if sum(counts.values()) == len(counts):  # each occurs once
        lengths = Counter(map(len, counts))
    else:
        for text, count in counts.items():
            lengths[len(text)] = lengths.get(len(text), 0) + count
    _note_ends(column, min(counts), max(counts))
    column.numbers.add_lengths(lengths)
    if max(lengths) > _MAX_TEXT:
        counts = {_short(text): count for text, count in counts.items()}
    column.seen.add_counts(counts)


def _note_ends(column: _Column, *ends: str) -> None:
    both = [*column.ends, *(end[:_MAX_TEXT] for end in ends)]
    column.ends = [min(both), max(both)]


def _add_binaries(column: _Column, series: pl.Series) -> None:
    binaries, counts = series.value_counts(name="n").get_columns()
    lengths = binaries.bin.size()
    _add_lengths(column, lengths, counts)
    column.seen.add_texts(_shortened(binaries.bin.encode("hex"), lengths * 2), counts)


def _add_lists(column: _Column, series: pl.Series) -> None:
    lengths, counts = series.list.len().value_counts(name="n").get_columns()
    _add_lengths(column, lengths, counts)


def _add_lengths(column: _Column, lengths: pl.Series, counts: pl.Series) -> None:
    assert column.numbers is not None  # noqa: S101 (``start`` made it)
    different, place = np.unique(lengths.to_numpy(), return_inverse=True)
    total = np.bincount(place, counts.to_numpy()).astype(np.int64)
    column.numbers.add_lengths(dict(zip(different.tolist(), total.tolist(), strict=True)))


def _shortened(texts: pl.Series, lengths: pl.Series) -> pl.Series:
    """Long texts as their beginning and their hash, so different ones stay different."""
    if lengths.to_numpy().max() <= _MAX_TEXT:
        return texts
    return pl.Series(texts.name, [_short(text) for text in texts.to_list()], pl.String)


def _short(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[: _MAX_TEXT - 20]}…#{hashlib.sha256(text.encode()).hexdigest()[:16]}"


_ADD = {
    "number": _add_numbers,
    "decimal": _add_decimals,
    "time": _add_times,
    "boolean": _add_booleans,
    "text": _add_texts,
    "binary": _add_binaries,
    "list": _add_lists,
}
assert np.little_endian  # noqa: S101 (sketches and hashes are of little-endian bytes)
