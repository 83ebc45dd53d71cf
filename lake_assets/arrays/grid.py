"""How an array is cut into chunks of a size: pure arithmetic."""

import math
from dataclasses import dataclass

from lake_assets.arrays.chunk_index import Chunks
from lake_assets.errors import SettingsError

__all__ = ["Cut", "chunks_of"]


@dataclass(frozen=True, slots=True)
class Cut:
    """How to cut an array into chunks."""

    axis: int | None = -1
    """Along it alone; None cuts all axes alike, as far as their lengths allow."""
    target_chunk_bytes: int = 64 * 1024**2
    """Upper bound of a chunk in memory; one slice or item may be larger."""


def chunks_of(shape: tuple[int, ...], itemsize: int, cut: Cut) -> Chunks:
    """Lengths of chunks as alike as possible.

    Args:
        shape: Of the array.
        itemsize: In bytes.
        cut: See ``Cut``.

    Raises:
        SettingsError: There is no such axis, or the target is not positive.

    Example:
        >>> chunks_of((12, 40), 4, Cut(-1, 480))
        ((12,), (10, 10, 10, 10))
        >>> chunks_of((100, 100), 8, Cut(None, 20_000))
        ((50, 50), (50, 50))
    """
    axis, target = cut.axis, cut.target_chunk_bytes
    if target < 1:
        raise SettingsError(f"target_chunk_bytes is {target}; it is at least 1")
    if not shape:
        return ()
    if not math.prod(shape) * itemsize:
        return tuple((length,) for length in shape)
    if axis is None:
        return tuple(
            _even(length, most)
            for length, most in zip(shape, _blocks(shape, target // itemsize), strict=True)
        )
    if not -len(shape) <= axis < len(shape):
        raise SettingsError(f"axis {axis} of an array of {len(shape)} axes; give one of them")
    cut_axis = axis % len(shape)
    slice_bytes = math.prod(shape) // shape[cut_axis] * itemsize
    most = max(1, target // slice_bytes)
    return tuple(
        _even(length, most) if number == cut_axis else (length,)
        for number, length in enumerate(shape)
    )


def _blocks(shape: tuple[int, ...], n_items: int) -> list[int]:
    """Longest side of a block along each axis: alike, but for axes that are shorter."""
    most = list(shape)
    order = sorted(range(len(shape)), key=shape.__getitem__)
    left = max(1, n_items)
    for place, number in enumerate(order):
        # The root must not round down below a whole side: 125 ** (1 / 3) is 4.999….
        side = int(left ** (1 / (len(order) - place)) + 1e-9)
        most[number] = max(1, min(shape[number], side))
        left = max(1, left // most[number])
    return most


def _even(length: int, most: int) -> tuple[int, ...]:
    """As few chunks as possible, as alike as possible."""
    n_chunks = -(-length // most)
    least, longer = divmod(length, n_chunks)
    return (least + 1,) * longer + (least,) * (n_chunks - longer)
