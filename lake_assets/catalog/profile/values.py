"""Which values a column has: all of them while they are few, sketches once they are many.

A column of at most 256 different values keeps their exact counts and needs no sketch: these
counts are its distribution. At the 257th value the sketches begin with what was counted so far.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake_assets.catalog.profile.distinct import (
    DistinctSketch,
    distinct_estimate,
    hash_bits,
)
from lake_assets.catalog.profile.top_values import CAPACITY, Scalar, TopCounter, TopValues

__all__ = ["ValueSketch", "Values"]

#: Integers up to here are the float64 of the same value, and are hashed as that.
_EXACT_INTEGER = 1 << 53


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a column: counts, and a sketch of how many there are unless all are counted."""

    top: TopValues
    sketch: bytes | None
    """HyperLogLog of datasketches; None where ``top`` is complete."""

    @property
    def distinct(self) -> int:
        """How many different values: exact where ``top`` is complete, else within 1.6 %."""
        return len(self.top.counts) if self.sketch is None else distinct_estimate(self.sketch)


class ValueSketch:
    """Counts values block by block. Not for several threads."""

    def __init__(self) -> None:
        self._top = TopCounter()
        self._distinct: DistinctSketch | None = None

    @property
    def is_complete(self) -> bool:
        """All values so far are counted exactly."""
        return self._top.is_complete

    def counts(self) -> dict[Scalar, int]:
        """The counts so far."""
        return self._top.counts()

    def add_numbers(self, values: NDArray[np.generic], counts: NDArray[np.int64] | None) -> None:
        """Take different finite numbers: float64 (without -0.0), int64 or uint64.

        Args:
            values: A block of them, at least one.
            counts: How often each occurs; once each if None.
        """
        before = self._before()
        error, often = _often(values.size, counts)
        kept, n = (values, counts) if often is None else (values[often], counts)
        if counts is None and often is None:
            self._top.add(dict.fromkeys(kept.tolist(), 1), error)
        elif n is not None:
            n = n if often is None else n[often]
            self._top.add(dict(zip(kept.tolist(), n.tolist(), strict=True)), error)
        else:
            self._top.add({}, error)  # all occur once
        if not self._top.is_complete:
            bits = _bits(values)
            self._sketches(before).add_bits(bits, *hash_bits(bits))

    def add_texts(self, texts: pl.Series, counts: pl.Series) -> None:
        """Take different texts and how often each occurs."""
        before = self._before()
        n = counts.to_numpy()
        error, often = _often(texts.len(), n)
        kept = texts if often is None else texts.filter(pl.Series(often))
        n = n if often is None else n[often]
        self._top.add(dict(zip(kept.to_list(), n.tolist(), strict=True)), error)
        if not self._top.is_complete:
            self._sketches(before).add_texts(texts.to_list())

    def add_counts(self, counts: Mapping[Scalar, int]) -> None:
        """Take a few values and how often each occurs."""
        before = self._before()
        if len(counts) <= CAPACITY:
            self._top.add(counts)
        else:
            error = sorted(counts.values(), reverse=True)[CAPACITY]
            self._top.add({value: n for value, n in counts.items() if n > error}, error)
        if not self._top.is_complete:
            _feed(self._sketches(before), counts)

    def take(self, part: Values) -> None:
        """Take the values of another sketch."""
        before = self._before()
        self._top.add(dict(part.top.counts), part.top.error)
        if self._top.is_complete:
            return
        sketch = self._sketches(before)
        if part.sketch is None:
            _feed(sketch, dict(part.top.counts))
        else:
            sketch.take(part.sketch)

    def freeze(self) -> Values:
        """The values so far."""
        sketch = None if self._distinct is None else self._distinct.freeze()
        return Values(self._top.freeze(), sketch)

    def _before(self) -> dict[Scalar, int]:
        """What a new sketch has to begin with: the counts, as long as they are all there is."""
        return self._top.counts() if self._distinct is None else {}

    def _sketches(self, before: Mapping[Scalar, int]) -> DistinctSketch:
        """The sketch; a new one begins with the values that were counted up to now."""
        if self._distinct is None:
            self._distinct = DistinctSketch()
            _feed(self._distinct, before)
        return self._distinct


def _often(n: int, counts: NDArray[np.int64] | None) -> tuple[int, NDArray[np.bool_] | None]:
    """The greatest count of the values that are left out, and which are kept; None: all of them."""
    if n <= CAPACITY:
        return 0, None
    if counts is None:
        return 1, np.zeros(n, np.bool_)
    error = int(np.partition(counts, n - CAPACITY - 1)[n - CAPACITY - 1])
    return error, counts > error


def _feed(sketch: DistinctSketch, counts: Mapping[Scalar, int]) -> None:
    """Show a sketch values that are all texts, or all numbers."""
    kinds = set(map(type, counts))
    if str in kinds:
        sketch.add_texts(map(str, counts))
    elif kinds:
        numbers = cast("list[float]", [*counts])
        bits = (
            _bits(np.array(numbers, np.float64))
            if kinds == {float}
            else np.array([*map(_bits_of, numbers)], np.uint64)
        )
        sketch.add_bits(bits, *hash_bits(bits))


def _bits(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    """8 bytes for each number, the same for equal numbers of any type."""
    if values.dtype == np.float64:
        return values.view(np.uint64)
    floats = values.astype(np.float64)
    bits = floats.view(np.uint64)
    large = np.abs(floats) > _EXACT_INTEGER
    return np.where(large, values.view(np.uint64), bits) if large.any() else bits


def _bits_of(value: float) -> int:
    """``_bits`` of one number."""
    if isinstance(value, int) and abs(value) > _EXACT_INTEGER:
        return value & 0xFFFF_FFFF_FFFF_FFFF
    return int.from_bytes(struct.pack("<d", value), "little")
