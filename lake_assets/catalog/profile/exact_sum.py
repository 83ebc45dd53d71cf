"""Sums of floats and integers without any rounding, so that every order and split gives the same.

Belongs here: how values become an exact sum. Does not: what a column's sum means (``numbers``).
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactSum", "exact_total"]

#: Exponents of float64 (11 bits, the sign kept apart in the weights).
_EXPONENTS = 2048
_MANTISSA = (1 << 52) - 1
_IMPLICIT = 1 << 52
_HALF_BITS = 26
_HALF = (1 << _HALF_BITS) - 1
#: A float64 is mantissa · 2 ** (exponent - 1075).
_BIAS = 1075
#: Up to so many runs of one exponent are added up run by run, a fifth of the time.
_FEW_RUNS = 4096
#: Of a half mantissa (27 bits) so many can be added up in a float64 (53 bits) without rounding.
BLOCK = 1 << 16


class ExactSum:
    """A running sum that no order of the values changes. Not for several threads.

    Mantissas are added up as integers, one sum for each exponent of float64.
    """

    def __init__(self) -> None:
        self._integers = 0
        self._high = np.zeros(_EXPONENTS, np.int64)
        self._low = np.zeros(_EXPONENTS, np.int64)

    def add_floats(
        self, values: NDArray[np.float64], counts: NDArray[np.int64] | None = None
    ) -> None:
        """Add finite values, each once or so many times; at most ``BLOCK`` in all."""
        bits = values.view(np.int64)
        exponents = (bits >> 52) & (_EXPONENTS - 1)
        mantissas = bits & _MANTISSA
        mantissas += (exponents > 0) * _IMPLICIT
        if (bits < 0).any():
            mantissas = np.where(bits < 0, -mantissas, mantissas)
        high, low = mantissas >> _HALF_BITS, mantissas & _HALF
        if counts is not None:
            high, low = high * counts, low * counts
        np.maximum(exponents, 1, out=exponents)  # subnormals have the scale of exponent 1
        first = int(exponents.min())
        exponents -= first
        starts = np.flatnonzero(exponents[1:] != exponents[:-1]) + 1
        if starts.size < _FEW_RUNS:  # ordered values have one or two of each exponent
            starts = np.concatenate(([0], starts))
            at = exponents[starts] + first
            np.add.at(self._high, at, np.add.reduceat(high, starts))
            np.add.at(self._low, at, np.add.reduceat(low, starts))
            return
        for sums, parts in ((self._high, high), (self._low, low)):
            added = np.bincount(exponents, parts).astype(np.int64)
            sums[first : first + added.size] += added

    def add_integers(
        self,
        values: NDArray[np.integer[Any]],
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        """Add integers, each once or so many times; at most ``BLOCK`` in all."""
        high, low = (values >> 32).astype(np.int64), (values & 0xFFFFFFFF).astype(np.int64)
        if counts is not None:
            high, low = high * counts, low * counts
        self._integers += (int(high.sum()) << 32) + int(low.sum())

    def total(self) -> Fraction:
        """The sum so far."""
        scaled = 0
        for exponent in np.flatnonzero(self._high | self._low).tolist():
            both = (int(self._high[exponent]) << _HALF_BITS) + int(self._low[exponent])
            scaled += both << exponent
        return Fraction(scaled, 1 << _BIAS) + self._integers


def exact_total(counts: Mapping[Any, int]) -> Fraction:
    """The sum of a few ints and finite floats by how often each occurs.

    Example:
        >>> exact_total({0.5: 3, 2: 1})
        Fraction(7, 2)
    """
    ratios = [(*value.as_integer_ratio(), count) for value, count in counts.items()]
    common = max((below for _, below, _ in ratios), default=1)  # each is a power of 2
    scaled = sum(above * (common // below) * count for above, below, count in ratios)
    return Fraction(scaled, common)
