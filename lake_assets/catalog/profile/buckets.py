"""Histograms whose edges belong to no data set: they merge without a rescan, in any order.

A value is mapped to a 64 bit code that keeps the order (the bits of a float64: equal shares of
each power of two; the integer itself for times). A bucket is a code without its last ``shift``
bits. ``shift`` is the smallest at which the histogram is small, so buckets of two histograms
nest, and the histogram of a whole equals the merged histograms of its parts, bit by bit.

Belongs here: codes, edges, counting, merging. Does not: what is drawn of it (``bars``).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lake_assets.errors import SettingsError

if TYPE_CHECKING:
    import boost_histogram

__all__ = ["BucketCounter", "Buckets", "Scale", "buckets_of", "merge_buckets"]

Scale = Literal["float", "integer"]

#: A histogram never has more buckets; those that count nothing are not stored.
MAX_BUCKETS = 256
#: Nor more bins from its first bucket to its last, so a block is counted by one small bincount.
MAX_SPAN = 1 << 16
#: The finest buckets: 32 bits of the mantissa; 1.024 ms. Numbers of buckets stay below 2 ** 53.
_FINEST = {"float": 20, "integer": 10}
_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
_FLOAT_MAX = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts of finite values, in ascending order of the values.

    Bucket ``b`` holds the codes [b · 2**shift, (b + 1) · 2**shift). Of negative floats the lower
    edge is exclusive and the upper one inclusive, of all others the other way round.
    """

    scale: Scale
    shift: int
    bins: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """All values counted."""
        return sum(self.counts)

    def edges(self) -> list[tuple[float, float]]:
        """Lower and upper edge of each bucket, in the unit of the values."""
        lower = _values([b << self.shift for b in self.bins], self.scale)
        upper = _values([(b + 1) << self.shift for b in self.bins], self.scale)
        return list(zip(lower, upper, strict=True))

    def at_shift(self, shift: int) -> "Buckets":
        """The same counts in coarser buckets; ``shift`` is not below this one's."""
        by = shift - self.shift
        bins, counts = _summed(np.array(self.bins, np.int64) >> by, _ints(self.counts))
        return Buckets(self.scale, shift, tuple(bins.tolist()), tuple(counts.tolist()))

    def at_most(self, n: int) -> list[tuple[float, float, int]]:
        """(lower, upper, count) of the finest buckets of which there are no more than ``n``."""
        coarse = self
        while len(coarse.bins) > n:
            coarse = coarse.at_shift(coarse.shift + 1)
        return [(*ends, count) for ends, count in zip(coarse.edges(), coarse.counts, strict=True)]

    def content(self) -> dict[str, Any]:
        """JSON form: the first bucket, the steps from each to the next, the counts."""
        steps = [b - a for a, b in pairwise((0, *self.bins))]
        return {"scale": self.scale, "shift": self.shift, "steps": steps, "counts": [*self.counts]}

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> "Buckets":
        """Read back what ``content`` wrote."""
        bins = np.cumsum(np.array(content["steps"], np.int64)).tolist()
        return cls(content["scale"], content["shift"], tuple(bins), tuple(content["counts"]))

    def histogram(self) -> "boost_histogram.Histogram":
        """A boost-histogram with these edges, to plot, to rebin or to store as UHI JSON."""
        import boost_histogram as bh

        edges = sorted({edge for pair in self.edges() for edge in pair})
        if len(edges) < 2:  # noqa: PLR2004 (an axis has two edges)
            return bh.Histogram(bh.axis.Regular(1, 0.0, 1.0), storage=bh.storage.Int64())
        drawn = bh.Histogram(bh.axis.Variable(edges), storage=bh.storage.Int64())
        view = drawn.view()
        for (lower, _), count in zip(self.edges(), self.counts, strict=True):
            view[edges.index(lower)] += count
        return drawn


class BucketCounter:
    """Counts values block by block. Not for several threads."""

    def __init__(self, scale: Scale) -> None:
        self.scale: Scale = scale
        self._shift = _FINEST[scale]
        self._bins = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)

    def add(
        self,
        values: NDArray[np.float64] | NDArray[np.int64],
        weights: NDArray[np.int64] | None = None,
    ) -> None:
        """Count finite values: float64 for the scale ``float``, int64 for ``integer``.

        Args:
            values: At least one.
            weights: How often each occurs, below 2 ** 53 together; once each if None.
        """
        codes = values.view(np.int64)
        if self.scale == "float" and (codes < 0).any():
            codes = codes ^ ((codes >> 63) & _MAGNITUDE)
        least, greatest = int(codes.min()), int(codes.max())
        shift = max(self._shift, _span_shift(least, greatest))
        if weights is not None:
            self._take(codes >> shift, weights, shift)
            return
        first = least >> shift
        counted = np.bincount((codes >> shift) - first)
        found = np.flatnonzero(counted)
        self._take(found + first, counted[found], shift)

    def take(self, buckets: Buckets) -> None:
        """Add the counts of a histogram of the same scale."""
        if buckets.bins:
            self._take(np.array(buckets.bins, np.int64), _ints(buckets.counts), buckets.shift)

    def freeze(self) -> Buckets:
        """The histogram so far."""
        bins, counts = tuple(self._bins.tolist()), tuple(self._counts.tolist())
        return Buckets(self.scale, self._shift, bins, counts)

    def _take(self, bins: NDArray[np.int64], counts: NDArray[np.int64], shift: int) -> None:
        target = max(self._shift, shift)
        bins = bins >> (target - shift)
        if self._bins.size:
            bins = np.concatenate((self._bins >> (target - self._shift), bins))
            counts = np.concatenate((self._counts, counts))
        order = np.argsort(bins, kind="stable")
        bins, counts = bins[order], counts[order]
        by = _coarsening(bins)
        self._shift = target + by
        self._bins, self._counts = _summed(bins >> by, counts)


def buckets_of(counts: Mapping[Any, int], scale: Scale) -> Buckets:
    """The histogram of a few numbers by how often each occurs: what a ``BucketCounter`` gives.

    In Python, which is done with a few before numpy has begun: a table has a hundred such columns.
    """
    if scale == "integer":
        codes = [*counts]
    else:
        packed = struct.pack(f"<{len(counts)}d", *counts)
        bits = struct.unpack(f"<{len(counts)}q", packed)
        codes = [code if code >= 0 else code ^ _MAGNITUDE for code in bits]
    shift = max(_FINEST[scale], _span_shift(min(codes), max(codes))) if codes else _FINEST[scale]
    found: dict[int, int] = {}
    for code, count in zip(codes, counts.values(), strict=True):
        found[code >> shift] = found.get(code >> shift, 0) + count
    bins = sorted(found)
    return Buckets(scale, shift, tuple(bins), tuple(found[b] for b in bins))


def merge_buckets(parts: Iterable[Buckets]) -> Buckets:
    """The histogram of all values that the parts count.

    Raises:
        SettingsError: The parts are none, or of two scales.
    """
    each = list(parts)
    if len({part.scale for part in each}) != 1:
        raise SettingsError(f"histograms of one scale can be merged, got {each!r}")
    counter = BucketCounter(each[0].scale)
    for part in each:
        counter.take(part)
    return counter.freeze()


def _span_shift(least: int, greatest: int) -> int:
    shift = max((greatest - least).bit_length() - MAX_SPAN.bit_length(), 0)
    while (greatest >> shift) - (least >> shift) >= MAX_SPAN:
        shift += 1
    return shift


def _coarsening(bins: NDArray[np.int64]) -> int:
    """Bits to leave out of ascending bins, so that they are few enough and near enough."""
    by = _span_shift(int(bins[0]), int(bins[-1]))
    if bins.size > MAX_BUCKETS:
        # Neighbours fall together once the highest bit in which they differ is left out.
        differ = bins[1:] ^ bins[:-1]
        bits = np.frexp(differ.astype(np.float64))[1]  # exact: bins are below 2 ** 53
        bits[differ < 0] = 64  # a negative and a positive one: never
        by = max(by, int(np.partition(bits, -MAX_BUCKETS)[-MAX_BUCKETS]))
    return by


def _summed(
    bins: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One row for each bin; they ascend."""
    if not bins.size:
        return bins, counts
    starts = np.flatnonzero(np.concatenate(([True], bins[1:] != bins[:-1])))
    return bins[starts], np.add.reduceat(counts, starts)


def _ints(counts: Iterable[int]) -> NDArray[np.int64]:
    return np.array(tuple(counts), np.int64)


def _values(codes: list[int], scale: Scale) -> list[float]:
    """The numbers that codes stand for; what is beyond float64 is its largest."""
    if scale == "integer":
        return [float(code) for code in codes]
    magnitudes = np.array([min(abs(code), _MAGNITUDE) for code in codes], np.int64)
    numbers = np.fmin(magnitudes.view(np.float64), _FLOAT_MAX)  # of NaN and a number: the number
    is_negative = np.array([code < 0 for code in codes], np.bool_)
    return np.where(is_negative, -numbers, numbers).tolist()
