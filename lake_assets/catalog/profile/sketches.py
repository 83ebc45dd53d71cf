"""The sketches of the datasketches library that profiles use, with types: it brings none itself.

Belongs here: making, reading and uniting them. Does not: what is fed to them (``distinct``,
``quantiles``).
"""

from collections.abc import Iterable
from typing import Any, Protocol

import datasketches
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Digest",
    "Hll",
    "Kll",
    "new_digest",
    "new_hll",
    "new_kll",
    "read_digest",
    "read_hll",
    "read_kll",
    "unite_hlls",
]

_LIBRARY: Any = datasketches


class Kll(Protocol):
    """``kll_doubles_sketch``: quantiles with the same rank error everywhere."""

    def update(self, array: NDArray[np.float64], /) -> None:
        """Take values; a read-only array is a TypeError."""

    def merge(self, sketch: "Kll", /) -> None:
        """Take the values of another sketch."""

    def get_quantile(self, rank: float, /, inclusive: bool = False) -> float:  # noqa: FBT001, FBT002 (the library's)
        """The value at a rank; a RuntimeError if empty."""
        ...

    def get_quantiles(
        self,
        ranks: NDArray[np.float64],
        /,
        inclusive: bool = False,  # noqa: FBT001, FBT002 (the library's)
    ) -> list[float]:
        """The values at some ranks."""
        ...

    def get_cdf(
        self,
        split_points: NDArray[np.float64],
        /,
        inclusive: bool = False,  # noqa: FBT001, FBT002 (the library's)
    ) -> list[float]:
        """The ranks of ascending, different values, and 1 at the end."""
        ...

    def normalized_rank_error(self, as_pmf: bool) -> float:  # noqa: FBT001 (the library's)
        """The error of a rank with 99 % confidence."""
        ...

    def is_empty(self) -> bool:
        """No value came yet."""
        ...

    def is_estimation_mode(self) -> bool:
        """Not all values are held any more."""
        ...

    def serialize(self) -> bytes:
        """The format all languages of Apache DataSketches read."""
        ...


class Digest(Protocol):
    """``tdigest_double``: quantiles that are best in the far tails."""

    def update(self, array: NDArray[np.float64], /) -> None:
        """Take values."""

    def merge(self, sketch: "Digest", /) -> None:
        """Take the values of another sketch."""

    def get_quantile(self, rank: float, /) -> float:
        """The value at a rank; a RuntimeError if empty."""
        ...

    def get_total_weight(self) -> int:
        """How many values came."""
        ...

    def serialize(self) -> bytes:
        """The format all languages of Apache DataSketches read."""
        ...


class Hll(Protocol):
    """``hll_sketch``: how many different values."""

    def update(self, datum: int | str, /) -> None:
        """Take one value."""

    def get_estimate(self) -> float:
        """How many different values came."""
        ...

    def serialize_compact(self) -> bytes:
        """The format all languages of Apache DataSketches read."""
        ...


def new_kll(k: int) -> Kll:
    """An empty sketch."""
    return _LIBRARY.kll_doubles_sketch(k)


def read_kll(data: bytes) -> Kll:
    """A sketch from its bytes."""
    return _LIBRARY.kll_doubles_sketch.deserialize(data)


def new_digest(k: int) -> Digest:
    """An empty sketch."""
    return _LIBRARY.tdigest_double(k)


def read_digest(data: bytes) -> Digest:
    """A sketch from its bytes."""
    return _LIBRARY.tdigest_double.deserialize(data)


def new_hll(lg_slots: int) -> Hll:
    """An empty sketch of 2 ** ``lg_slots`` slots."""
    return _LIBRARY.hll_sketch(lg_slots)


def read_hll(data: bytes) -> Hll:
    """A sketch from its bytes."""
    return _LIBRARY.hll_sketch.deserialize(data)


def unite_hlls(sketches: Iterable[Hll], lg_slots: int) -> Hll:
    """The sketch of all their values."""
    union = _LIBRARY.hll_union(lg_slots)
    for sketch in sketches:
        union.update(sketch)
    return union.get_result(_LIBRARY.HLL_8)
