"""Which bytes of an array a selection needs: pure arithmetic over shape, item size and slices.

The box around the selection is read as some number of hulls: all bytes from the first to the last
one needed inside one index of the leading axes. Few hulls read bytes that nobody asked for, many
cost a request each; the cheapest depth is chosen. A hull that would not fit into memory is cut
along the first of its axes.
"""

import itertools
import math
import operator
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import EllipsisType
from typing import SupportsIndex, TypeAlias

from lake_assets.errors import SettingsError

__all__ = ["Box", "Hull", "Hulls", "Selection", "box_of", "plan_hulls"]

Selection: TypeAlias = int | slice | EllipsisType | tuple[int | slice | EllipsisType, ...] | None
"""What stands between the brackets: numbers, slices of any step, one ``...``; None is all."""


@dataclass(frozen=True, slots=True)
class Box:
    """The bounds of a selection on each axis, and what to take of what lies in them."""

    starts: tuple[int, ...]
    shape: tuple[int, ...]
    """Lengths of the box; 0 where nothing is selected."""
    inner: tuple[int | slice, ...]
    """Applied to the box it gives the selection."""


@dataclass(frozen=True, slots=True)
class Hull:
    """Bytes of the array that hold a part of a box."""

    index: tuple[int | slice, ...]
    """The part, in the box."""
    shape: tuple[int, ...]
    """Of the part."""
    start: int
    """The first byte."""
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Hulls:
    """A box as pieces of the array's bytes, all of one size but for shorter ones at ends."""

    depth: int
    """How many leading axes are read index by index."""
    run: int
    """How many indices of the next axis are in one hull."""
    n_bytes: int
    """Of one hull."""
    strides: tuple[int, ...]
    """Of the array, in bytes."""

    def pieces(self, box: Box) -> Iterator[Hull]:
        """The hulls, in the order of their bytes."""
        base = sum(start * stride for start, stride in zip(box.starts, self.strides, strict=True))
        is_item = self.depth == len(box.shape)
        length = 1 if is_item else box.shape[self.depth]
        step = 0 if is_item else self.strides[self.depth]
        for index in itertools.product(*map(range, box.shape[: self.depth])):
            start = base + sum(n * s for n, s in zip(index, self.strides, strict=False))
            for first in range(0, length, self.run):
                n_taken = min(self.run, length - first)
                yield Hull(
                    index if is_item else (*index, slice(first, first + n_taken)),
                    () if is_item else (n_taken, *box.shape[self.depth + 1 :]),
                    start + first * step,
                    self.n_bytes - (self.run - n_taken) * step,
                )


def box_of(selection: Selection, shape: tuple[int, ...]) -> Box:
    """The box around a selection.

    Args:
        selection: See ``Selection``.
        shape: Of the array.

    Raises:
        IndexError: A number is out of bounds, or there are more of them than axes.
        SettingsError: An index that is no number, slice or ``...``.

    Example:
        >>> box = box_of((..., slice(2, 9, 3)), (4, 10))
        >>> box.starts, box.shape, box.inner[1]
        ((0, 2), (4, 7), slice(0, 7, 3))
    """
    starts, lengths, inner = [], [], []
    for index, length in zip(_full(selection, len(shape)), shape, strict=True):
        if isinstance(index, slice):
            start, stop, step = index.indices(length)
            n_taken = len(range(start, stop, step))
            last = start + (n_taken - 1) * step
            low, high = (min(start, last), max(start, last) + 1) if n_taken else (0, 0)
            starts.append(low)
            lengths.append(high - low)
            inner.append(slice(0, high - low, step) if step > 0 else slice(None, None, step))
        else:
            place = index + length if index < 0 else index
            if not 0 <= place < length:
                raise IndexError(f"index {index} is out of bounds: the axis has {length}")
            starts.append(place)
            lengths.append(1)
            inner.append(0)
    return Box(tuple(starts), tuple(lengths), tuple(inner))


def plan_hulls(
    box: Box,
    shape: tuple[int, ...],
    itemsize: int,
    *,
    request_bytes: int,
    most_bytes: int,
) -> Hulls:
    """The cheapest way to read a box that is not empty.

    Args:
        box: What is needed.
        shape: Of the whole array, in C order.
        itemsize: In bytes.
        request_bytes: How many bytes more may be read to save one request.
        most_bytes: Upper bound of a hull; one item may be larger.
    """
    strides = _strides(shape, itemsize)
    steps = [(n - 1) * stride for n, stride in zip(box.shape, strides, strict=True)]
    # Of one index of all axes before each, down to one item.
    sizes = [itemsize + sum(steps[depth:]) for depth in range(len(shape) + 1)]
    best, least = Hulls(len(shape), 1, itemsize, strides), math.inf
    for depth, whole in enumerate(sizes[:-1]):
        room = most_bytes - sizes[depth + 1]
        if room < 0:  # one index is too large: a later axis is cut
            continue
        run = min(box.shape[depth], 1 + room // strides[depth])
        n_runs = -(-box.shape[depth] // run)
        cost = math.prod(box.shape[:depth]) * (whole + n_runs * request_bytes)
        if cost < least:
            n_bytes = sizes[depth + 1] + (run - 1) * strides[depth]
            best, least = Hulls(depth, run, n_bytes, strides), cost
    return best


def _full(selection: Selection, ndim: int) -> list[int | slice]:
    """One index for each axis."""
    given = selection if isinstance(selection, tuple) else (selection,)
    if selection is None:
        given = (...,)
    n_dots = sum(index is ... for index in given)
    named = len(given) - n_dots
    if n_dots > 1 or named > ndim:
        raise IndexError(f"{selection!r} has too many indices for {ndim} axes")
    full: list[int | slice] = []
    for index in given if n_dots else (*given, ...):
        if index is ...:
            full += [slice(None)] * (ndim - named)
        elif isinstance(index, slice):
            full.append(index)
        else:
            full.append(_number(index))
    return full


def _number(index: object) -> int:
    with suppress(TypeError):  # an array of numpy says that it could be one
        if isinstance(index, SupportsIndex) and not isinstance(index, bool):
            return operator.index(index)
    raise SettingsError(
        f"cannot select by {index!r}: parts are read by numbers, slices and '...'; "
        "read the array whole, or lazily, for other ways to index it"
    )


def _strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))
