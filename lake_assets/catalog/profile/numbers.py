"""Statistics of numbers: exact counts, ends, sum and histogram, and quantile sketches.

Numbers are the values of numeric columns, microseconds of dates and times, and the lengths of
texts, binaries and lists. Belongs here: what is computed of them. Does not: which column has them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake_assets.catalog.profile.buckets import (
    BucketCounter,
    Buckets,
    Scale,
    buckets_of,
    merge_buckets,
)
from lake_assets.catalog.profile.exact_sum import BLOCK, ExactSum, exact_total
from lake_assets.catalog.profile.quantiles import Quantiles, QuantileSketch
from lake_assets.catalog.profile.values import ValueSketch

__all__ = ["Counted", "NumberSketch", "NumberStats", "Sums", "merge_numbers"]

Number = int | float | Decimal
_T = TypeVar("_T", bound=np.generic)
#: So many values of a block are looked at to see whether they repeat.
_PROBE = 2048
#: With a larger share of different ones among them, a block is sorted.
_MOSTLY = 0.25
#: So many different lengths are counted one by one.
_MANY_LENGTHS = 256
#: Counts of values that are no finite numbers: NaN, +infinity, -infinity.
_NONE_ODD = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sum and histogram of finite numbers."""

    total: Fraction
    """Not rounded."""
    buckets: Buckets


@dataclass(frozen=True, slots=True)
class Counted:
    """How often each finite number occurs, where all are counted: sum and histogram follow."""

    counts: Mapping[Any, int]
    scale: Scale

    @property
    def sums(self) -> Sums:
        """Made when they are asked for: a stage that writes a profile does not look at them."""
        return Sums(exact_total(self.counts), buckets_of(self.counts, self.scale))


@dataclass(frozen=True)  # without slots, for the cached property
class NumberStats:
    """Exact statistics of finite numbers. Equal data gives equal ones, in any order and split."""

    finite: int
    nans: int
    infinities: tuple[int, int]
    """How many are +infinity, and how many -infinity."""
    least: Number | None
    """Of the finite values; None where there is none."""
    greatest: Number | None
    known: Sums | Counted

    @cached_property
    def sums(self) -> Sums:
        """Sum and histogram."""
        return self.known if isinstance(self.known, Sums) else self.known.sums

    @property
    def total(self) -> Fraction:
        """The sum, not rounded."""
        return self.sums.total

    @property
    def buckets(self) -> Buckets:
        """The histogram."""
        return self.sums.buckets

    @property
    def mean(self) -> float | None:
        """The mean of the finite values, correctly rounded; None where there is none."""
        if not self.finite:
            return None
        try:
            return float(self.total / self.finite)
        except OverflowError:  # decimals and 128 bit integers may lie beyond float64
            return math.copysign(float(np.finfo(np.float64).max), self.total)

    def content(self) -> dict[str, Any]:
        """JSON form: no float that is not finite, decimals and the sum as text.

        Sum and histogram are null where the counts of the column's values say both.
        """
        ends = (self.least, self.greatest)
        least, greatest = (str(end) if isinstance(end, Decimal) else end for end in ends)
        known = self.known if isinstance(self.known, Sums) else None
        return {
            "finite": self.finite,
            "nans": self.nans,
            "infinities": [*self.infinities],
            "min": least,
            "max": greatest,
            "sum": None if known is None else str(known.total),
            "buckets": None if known is None else known.buckets.content(),
        }

    @classmethod
    def of_content(cls, content: Mapping[str, Any], counted: Counted | None) -> "NumberStats":
        """Read back what ``content`` wrote.

        Args:
            content: It.
            counted: Of the column, where all its numbers are counted.

        Raises:
            ValueError: The content leaves to the counts what they do not say.
        """
        ends = (content["min"], content["max"])
        least, greatest = (Decimal(end) if isinstance(end, str) else end for end in ends)
        up, down = content["infinities"]
        known: Sums | Counted | None = counted
        if content["sum"] is not None:
            known = Sums(Fraction(content["sum"]), Buckets.of_content(content["buckets"]))
        if known is None:
            raise ValueError("numbers have neither a sum nor counts")
        return cls(content["finite"], content["nans"], (up, down), least, greatest, known)


class NumberSketch:
    """Statistics that grow with the numbers. Not for several threads.

    While a column has few different values their counts, which ``seen`` holds, are all there is to
    know: sum and histogram are made of them in the end. The sketches begin at the 257th.

    Args:
        scale: Of the histogram: ``float`` for values and lengths, ``integer`` for microseconds.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale: Scale = scale
        self._sketches: _Sketches | None = None
        self._lengths: dict[int, int] = {}
        self._ends: list[Number] = []
        self._finite = 0
        self._odd = _NONE_ODD

    def add_floats(self, values: NDArray[np.float64], seen: ValueSketch, *, nulls: int = 0) -> None:
        """Take float64; the array is changed, and its finite values go to ``seen`` as well.

        Args:
            values: With so many NaN for nulls among them.
            seen: Of the same column.
            nulls: Values that are none.
        """
        finite = np.isfinite(values)
        if not finite.all():
            odd = (np.isnan(values).sum(), np.isposinf(values).sum(), np.isneginf(values).sum())
            old = self._odd
            self._odd = (old[0] + int(odd[0]) - nulls, old[1] + int(odd[1]), old[2] + int(odd[2]))
            values = values[finite]
        if not values.size:
            return
        values += 0.0  # makes 0.0 of -0.0: equal values have equal bits from here on
        self._note(values.size, float(values.min()), float(values.max()))
        for block in _blocks(values):
            self._take(block, seen)

    def add_integers(self, values: NDArray[np.integer[Any]], seen: ValueSketch) -> None:
        """Take integers, which go to ``seen`` as well."""
        if not values.size:
            return
        self._note(values.size, int(values.min()), int(values.max()))
        for block in _blocks(values):
            self._take(block, seen)

    def add_exact(
        self, floats: NDArray[np.float64], ends: Iterable[Number], total: Fraction
    ) -> None:
        """Take numbers with more digits than float64, of which sum and ends are known exactly."""
        if not floats.size:
            return
        self._note(floats.size, *ends)
        self._sketches = self._sketches or _Sketches(self._scale)
        self._sketches.add_exact(floats, total)

    def add_lengths(self, lengths: Mapping[int, int]) -> None:
        """Take lengths and how often each occurs; there are no quantile sketches of lengths."""
        if not lengths:
            return
        self._note(sum(lengths.values()), min(lengths), max(lengths))
        held = self._lengths
        for length, count in lengths.items():
            held[length] = held.get(length, 0) + count
        if len(held) > _MANY_LENGTHS:
            self._sketches = self._sketches or _Sketches(self._scale)
            self._sketches.add_lengths(held)
            self._lengths = {}

    def freeze(self, counts: Mapping[Any, int] | None) -> tuple[NumberStats, Quantiles | None]:
        """The statistics so far, and the sketches where ``counts`` do not say the same exactly.

        Args:
            counts: Of the numbers, as long as ``seen`` has all of them; else None.
        """
        nans, up, down = self._odd
        ends = (min(self._ends, default=None), max(self._ends, default=None))
        sketches = self._sketches
        known: Sums | Counted
        if sketches is not None:
            known = sketches.freeze(self._lengths)
        elif counts is not None:
            known = Counted(counts, self._scale)
        else:
            known = Counted(self._lengths, self._scale).sums
        quantiles = sketches.quantiles if sketches is not None else None
        return (
            NumberStats(self._finite, nans, (up, down), *ends, known),
            None if quantiles is None else quantiles.freeze(),
        )

    def _note(self, n: int, *ends: Number) -> None:
        self._finite += n
        both = [*self._ends, *ends]
        self._ends = [min(both), max(both)]

    def _take(self, block: NDArray[Any], seen: ValueSketch) -> None:
        different, counts, ordered = _counted(block)
        before = seen.counts() if self._sketches is None else {}
        seen.add_numbers(different, counts)
        if seen.is_complete:
            return
        if self._sketches is None:
            self._sketches = _Sketches(self._scale)
            self._sketches.add_counts(before)
        self._sketches.add(different, counts, ordered)


class _Sketches:
    """Sum, histogram and quantiles of numbers that are too many to be counted one by one."""

    def __init__(self, scale: Scale) -> None:
        self.quantiles: QuantileSketch | None = None
        """None of lengths."""
        self._buckets = BucketCounter(scale)
        self._sum = ExactSum()
        self._exact = Fraction(0)

    def add(
        self,
        values: NDArray[Any],
        counts: NDArray[np.int64] | None,
        ordered: NDArray[Any] | None,
    ) -> None:
        """Take a block as ``_counted`` gives it."""
        if values.dtype == np.float64:
            floats = values
            self._sum.add_floats(values, counts)
        else:
            floats = values.astype(np.float64)
            self._sum.add_integers(values, counts)
        of_times = self._buckets.scale == "integer"
        self._buckets.add(values.view(np.int64) if of_times else floats, counts)
        self.quantiles = self.quantiles or QuantileSketch()
        if ordered is not None:
            self.quantiles.add(ordered.astype(np.float64, copy=False))
        elif counts is not None:
            self.quantiles.add_weighted(floats, counts)

    def add_counts(self, counts: Mapping[Any, int]) -> None:
        """Take a few numbers and how often each occurs, any number of times."""
        if not counts:
            return
        self._exact += exact_total(counts)
        self._buckets.take(buckets_of(counts, self._buckets.scale))
        self.quantiles = self.quantiles or QuantileSketch()
        self.quantiles.add_counts({float(value): count for value, count in counts.items()})

    def add_exact(self, floats: NDArray[np.float64], total: Fraction) -> None:
        """Take the nearest floats of numbers whose sum is known."""
        self._exact += total
        self.quantiles = self.quantiles or QuantileSketch()
        for block in _blocks(floats):
            self._buckets.add(block)
            self.quantiles.add(np.sort(block))

    def add_lengths(self, lengths: Mapping[int, int]) -> None:
        """Take lengths and how often each occurs."""
        if lengths:
            self._exact += exact_total(lengths)
            self._buckets.take(buckets_of(lengths, self._buckets.scale))

    def freeze(self, lengths: Mapping[int, int]) -> Sums:
        """Sum and histogram so far, with lengths that are taken before."""
        self.add_lengths(lengths)
        return Sums(self._exact + self._sum.total(), self._buckets.freeze())


def merge_numbers(parts: Iterable[NumberStats], counted: Counted | None) -> NumberStats:
    """The statistics of all numbers of the parts, of which there is at least one.

    Args:
        parts: Of one column.
        counted: Of all of them, where that is known.
    """
    each = list(parts)
    ends = [end for part in each for end in (part.least, part.greatest) if end is not None]
    return NumberStats(
        sum(part.finite for part in each),
        sum(part.nans for part in each),
        (sum(part.infinities[0] for part in each), sum(part.infinities[1] for part in each)),
        min(ends, default=None, key=_order),
        max(ends, default=None, key=_order),
        counted or _summed(each),
    )


def _summed(parts: Sequence[NumberStats]) -> Sums:
    return Sums(
        sum((part.total for part in parts), Fraction(0)),
        merge_buckets(part.buckets for part in parts),
    )


def _order(end: Number) -> tuple[Number, str]:
    """1, 1.0 and Decimal("1.00") in a fixed order, so that merging in any order gives the same."""
    return end, str(end)


def _blocks(values: NDArray[_T]) -> Iterator[NDArray[_T]]:
    """The values in blocks of nearly the same size, none over ``BLOCK``."""
    if values.size <= BLOCK:
        yield values
    else:
        yield from np.array_split(values, -(-values.size // BLOCK))


def _counted(
    values: NDArray[_T],
) -> tuple[NDArray[_T], NDArray[np.int64] | None, NDArray[_T] | None]:
    """The different values of a block, how often each occurs, and the block in order.

    Counts are None where all differ. The order is None where a few values repeat, by a sample:
    these are counted in a third of the time that sorting takes.
    """
    if values.size > _PROBE:
        probe = values[:: values.size // _PROBE]
        if pl.Series(probe).n_unique() <= _MOSTLY * probe.size:
            found = pl.Series("value", values).value_counts(name="n")
            different = found["value"].to_numpy(writable=True)
            return different, found["n"].cast(pl.Int64).to_numpy(), None
    ordered = np.sort(values)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1])
    starts += 1
    if starts.size + 1 == ordered.size:
        return ordered, None, ordered
    ends = np.empty(starts.size + 2, np.int64)  # np.diff(append=) takes five times as long
    ends[0], ends[1:-1], ends[-1] = 0, starts, ordered.size
    return ordered[ends[:-1]], ends[1:] - ends[:-1], ordered
