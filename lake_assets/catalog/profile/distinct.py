"""How many different values: HyperLogLog of datasketches, fed from whole arrays.

The library takes one value a call. What a HyperLogLog keeps is, for each of its 4096 slots, the
one hash with the most leading zeros; so its hash (MurmurHash3 of 8 bytes, fixed by the format of
its sketches) is computed here in numpy, and only the winners of the slots are handed over. The
state is the one that a call for each value gives: a test holds it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lake_assets.catalog.profile.sketches import Hll, new_hll, read_hll, unite_hlls

__all__ = ["SLOTS", "DistinctSketch", "distinct_estimate", "hash_bits"]

_LG_SLOTS = 12
#: Of a slot each; the relative error of the estimate is 1.04 / sqrt(SLOTS), 1.6 %.
SLOTS = 1 << _LG_SLOTS
#: With so many slots in use the sketch is past its list of single hashes (384 of them), which
#: needs all values and not the winners alone.
_DENSE_SLOTS = 1024
_SEED = 9001
_NONE = np.iinfo(np.uint64).max


def hash_bits(bits: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Slot and second half of the library's hash of each 8 byte value.

    Source: Apache DataSketches ``MurmurHash3.h`` and ``HllUtil.hpp`` (address = low bits of the
    first half, value = leading zeros of the second).
    """
    first = bits * np.uint64(0x87C37B91114253D5)
    first = (first << np.uint64(31)) | (first >> np.uint64(33))
    first *= np.uint64(0x4CF5AD432745937F)
    first ^= np.uint64(_SEED ^ 8)
    first += np.uint64(_SEED ^ 8)
    second = first + np.uint64(_SEED ^ 8)
    _mix(first)
    _mix(second)
    first += second
    second += first
    return (first & np.uint64(SLOTS - 1)).view(np.int64), second


class DistinctSketch:
    """A HyperLogLog that grows with the values. Not for several threads."""

    def __init__(self) -> None:
        self._sketch = new_hll(_LG_SLOTS)
        self._best = np.full(SLOTS, _NONE, np.uint64)
        self._winners = np.zeros(SLOTS, np.uint64)
        self._is_dense = False
        self._others: list[Hll] = []

    def add_texts(self, texts: Iterable[str]) -> None:
        """Take different texts, 0.16 µs each; a text taken again changes nothing."""
        update = self._sketch.update
        for text in texts:
            update(text)

    def add_bits(
        self, bits: NDArray[np.uint64], slots: NDArray[np.int64], hashes: NDArray[np.uint64]
    ) -> None:
        """Take values as 8 bytes each, with what ``hash_bits`` says of them."""
        better = np.flatnonzero(hashes < self._best[slots])
        np.minimum.at(self._best, slots[better], hashes[better])
        won = better[hashes[better] == self._best[slots[better]]]
        self._winners[slots[won]] = bits[won]
        if not self._is_dense:
            self._is_dense = int((self._best != _NONE).sum()) >= _DENSE_SLOTS
            if not self._is_dense:
                self._feed(bits)

    def take(self, part: bytes) -> None:
        """Take the values of another sketch."""
        self._others.append(read_hll(part))

    def freeze(self) -> bytes:
        """The sketch of all values so far, in the format of datasketches."""
        if self._is_dense:
            self._feed(self._winners[self._best != _NONE])
        # The first one twice: a sketch that was merged is estimated by its slots alone. The
        # library's other estimator counts the changes while values come; only winners come here.
        each = (self._sketch, self._sketch, *self._others)
        return unite_hlls(each, _LG_SLOTS).serialize_compact()

    def _feed(self, bits: NDArray[np.uint64]) -> None:
        update = self._sketch.update
        for value in bits.view(np.int64).tolist():
            update(value)


def distinct_estimate(sketch: bytes) -> int:
    """How many different values the sketch has seen; near exact below 384, else within 1.6 %."""
    return round(read_hll(sketch).get_estimate())


def _mix(half: NDArray[np.uint64]) -> None:
    half ^= half >> np.uint64(33)
    half *= np.uint64(0xFF51AFD7ED558CCD)
    half ^= half >> np.uint64(33)
    half *= np.uint64(0xC4CEB9FE1A85EC53)
    half ^= half >> np.uint64(33)
