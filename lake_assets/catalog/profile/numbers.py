"""Statistics of numbers: exact counts, ends, sum and histogram, and quantile sketches.

Numbers are the values of numeric columns, microseconds of dates and times, and the lengths of
texts, binaries and lists. Belongs here: what is computed of them. Does not: which column has them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake_assets.catalog.profile.buckets import BucketCounter, Buckets, Scale, merge_buckets
from lake_assets.catalog.profile.exact_sum import BLOCK, ExactSum
from lake_assets.catalog.profile.quantiles import Quantiles, QuantileSketch
from lake_assets.catalog.profile.values import ValueSketch

__all__ = ["NumberSketch", "NumberStats", "merge_numbers"]

Number = int | float | Decimal
_T = TypeVar("_T", bound=np.generic)
#: So many values of a block are looked at to see whether they repeat.
_PROBE = 2048
#: With a larger share of different ones among them, a block is sorted.
_MOSTLY = 0.25
#: Counts of values that are no finite numbers: NaN, +infinity, -infinity.
_NONE_ODD = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class NumberStats:
    """Exact statistics of finite numbers. Equal data gives equal ones, in any order and split."""

    finite: int
    nans: int
    infinities: tuple[int, int]
    """How many are +infinity, and how many -infinity."""
    least: Number | None
    """Of the finite values; None where there is none."""
    greatest: Number | None
    total: Fraction
    """The sum, not rounded."""
    buckets: Buckets

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
        """JSON form: no float that is not finite, decimals and the sum as text."""
        ends = (self.least, self.greatest)
        least, greatest = (str(end) if isinstance(end, Decimal) else end for end in ends)
        return {
            "finite": self.finite,
            "nans": self.nans,
            "infinities": [*self.infinities],
            "min": least,
            "max": greatest,
            "sum": str(self.total),
            "buckets": self.buckets.content(),
        }

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> "NumberStats":
        """Read back what ``content`` wrote."""
        ends = (content["min"], content["max"])
        least, greatest = (Decimal(end) if isinstance(end, str) else end for end in ends)
        up, down = content["infinities"]
        return cls(
            content["finite"],
            content["nans"],
            (up, down),
            least,
            greatest,
            Fraction(content["sum"]),
            Buckets.of_content(content["buckets"]),
        )


class NumberSketch:
    """Statistics that grow with the numbers. Not for several threads.

    Args:
        scale: Of the histogram: ``float`` for values and lengths, ``integer`` for microseconds.
    """

    def __init__(self, scale: Scale) -> None:
        self._buckets = BucketCounter(scale)
        self._sum = ExactSum()
        self._exact = Fraction(0)
        self._quantiles: QuantileSketch | None = None
        self._ends: list[Number] = []
        self._finite = 0
        self._odd = _NONE_ODD

    def add_floats(self, values: NDArray[np.float64], seen: ValueSketch) -> None:
        """Take float64; the array is changed, and its finite values go to ``seen`` as well."""
        finite = np.isfinite(values)
        if not finite.all():
            odd = (np.isnan(values).sum(), np.isposinf(values).sum(), np.isneginf(values).sum())
            old = self._odd
            self._odd = (old[0] + int(odd[0]), old[1] + int(odd[1]), old[2] + int(odd[2]))
            values = values[finite]
        if not values.size:
            return
        values += 0.0  # makes 0.0 of -0.0: equal values have equal bits from here on
        self._note(values.size, float(values.min()), float(values.max()))
        for block in _blocks(values):
            different, counts, ordered = _counted(block)
            self._sum.add_floats(different, counts)
            self._buckets.add(different, counts)
            before = self._see(different, counts, seen)
            self._rank(different, counts, ordered, before)

    def add_integers(self, values: NDArray[np.integer[Any]], seen: ValueSketch) -> None:
        """Take integers, which go to ``seen`` as well."""
        if not values.size:
            return
        self._note(values.size, int(values.min()), int(values.max()))
        for block in _blocks(values):
            different, counts, ordered = _counted(block)
            self._sum.add_integers(different, counts)
            floats = different.astype(np.float64)
            if self._buckets.scale == "integer":
                self._buckets.add(different.view(np.int64), counts)
            else:
                self._buckets.add(floats, counts)
            before = self._see(different, counts, seen)
            as_floats = None if ordered is None else ordered.astype(np.float64)
            self._rank(floats, counts, as_floats, before)

    def add_exact(
        self, floats: NDArray[np.float64], ends: Iterable[Number], total: Fraction
    ) -> None:
        """Take numbers with more digits than float64, of which sum and ends are known exactly."""
        if not floats.size:
            return
        self._note(floats.size, *ends)
        self._exact += total
        self._quantiles = self._quantiles or QuantileSketch()
        for block in _blocks(floats):
            self._buckets.add(block)
            self._quantiles.add(np.sort(block))

    def add_lengths(self, lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Take lengths and how often each occurs; there are no quantile sketches of lengths."""
        if not lengths.size:
            return
        self._note(int(counts.sum()), int(lengths.min()), int(lengths.max()))
        self._exact += int((lengths * counts).sum())
        self._buckets.add(lengths.astype(np.float64), counts)

    def freeze(self) -> tuple[NumberStats, Quantiles | None]:
        """The statistics so far, and the sketches where ``seen`` does not say the same exactly."""
        nans, up, down = self._odd
        stats = NumberStats(
            self._finite,
            nans,
            (up, down),
            min(self._ends, default=None),
            max(self._ends, default=None),
            self._exact + self._sum.total(),
            self._buckets.freeze(),
        )
        return stats, None if self._quantiles is None else self._quantiles.freeze()

    def _note(self, n: int, *ends: Number) -> None:
        self._finite += n
        both = [*self._ends, *ends]
        self._ends = [min(both), max(both)]

    def _see(
        self, values: NDArray[np.generic], counts: NDArray[np.int64] | None, seen: ValueSketch
    ) -> dict[float, int] | None:
        """Count the values; what was counted before if the quantile sketches have to begin now."""
        before = seen.counts() if self._quantiles is None else {}
        seen.add_numbers(values, counts)
        if self._quantiles is not None or seen.is_complete:
            return None
        return {float(value): n for value, n in before.items()}

    def _rank(
        self,
        floats: NDArray[np.float64],
        counts: NDArray[np.int64] | None,
        ordered: NDArray[np.float64] | None,
        before: dict[float, int] | None,
    ) -> None:
        """Give a block to the quantile sketches, if there are any."""
        if before is not None:
            self._quantiles = QuantileSketch()
            self._quantiles.add_counts(before)
        if self._quantiles is None:
            return
        if ordered is not None:
            self._quantiles.add(ordered)
        elif counts is not None:
            self._quantiles.add_weighted(floats, counts)


def merge_numbers(parts: Iterable[NumberStats]) -> NumberStats:
    """The statistics of all numbers of the parts, of which there is at least one."""
    each = list(parts)
    ends = [end for part in each for end in (part.least, part.greatest) if end is not None]
    return NumberStats(
        sum(part.finite for part in each),
        sum(part.nans for part in each),
        (sum(part.infinities[0] for part in each), sum(part.infinities[1] for part in each)),
        min(ends, default=None, key=_order),
        max(ends, default=None, key=_order),
        sum((part.total for part in each), Fraction(0)),
        merge_buckets(part.buckets for part in each),
    )


def _order(end: Number) -> tuple[Number, str]:
    """1, 1.0 and Decimal("1.00") in a fixed order, so that merging in any order gives the same."""
    return end, str(end)


def _blocks(values: NDArray[_T]) -> Iterator[NDArray[_T]]:
    """The values in blocks of nearly the same size, none over ``BLOCK``."""
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
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if starts.size == ordered.size:
        return ordered, None, ordered
    return ordered[starts], np.diff(starts, append=ordered.size), ordered
