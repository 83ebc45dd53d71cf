"""How an array is cut: into chunks, and chunks into the objects that hold them. Pure arithmetic.

A chunk is what is compressed and read at once. An object holds one chunk, or, where there would be
too many objects, a shard: a block of chunks that can be read one by one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np

from lake_assets.errors import SettingsError

__all__ = ["Grid", "Layout", "Region", "grown", "plan_grid", "tiles"]

Region = tuple[slice, ...]

_MIB = 1024**2
#: Chunks that are an object each: zarr 3.1, the last one for Python 3.11, reads the chunks of one
#: shard after another, objects side by side, so shards are for arrays whose objects would be too
#: many to list.
_MOST_OBJECTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a caller may say of the cutting; everything else follows from shape and dtype."""

    chunk_bytes: int = _MIB
    """Upper bound of a chunk, uncompressed; one element may be larger."""
    axis: int | None = None
    """Cut along this axis alone, for whole slices of it; None cuts all axes alike (isotropic)."""
    chunks: tuple[int, ...] | None = None
    """The chunk shape itself; it may be longer than the array, for what will be appended."""
    shard_bytes: int | None = None
    """Upper bound of a shard, uncompressed; 0 is none. By default 64 MiB beyond 1,024 chunks."""
    shards: tuple[int, ...] | None = None
    """The shard shape itself; a multiple of the chunk shape."""
    zstd_level: int = 1
    """1 is the fastest, and leaves chunks as they are that would shrink by less than a tenth; 22 is
    the smallest."""

    def __post_init__(self) -> None:  # noqa: D105 (checks the fields)
        if self.chunk_bytes < 1 or (self.shard_bytes or 0) < 0:
            raise SettingsError(
                f"chunk_bytes is at least 1 and shard_bytes at least 0; found {self.chunk_bytes}"
                f" and {self.shard_bytes}"
            )
        for name in ("chunks", "shards"):
            shape = getattr(self, name)
            if shape is not None and not _is_shape(shape):
                raise SettingsError(f"{name} is a shape, such as (512, 512); found {shape!r}")
        if not 1 <= self.zstd_level <= 22:  # noqa: PLR2004 (zstd's own bounds)
            raise SettingsError(f"zstd_level is between 1 and 22; found {self.zstd_level}")


@dataclass(frozen=True, slots=True)
class Grid:
    """The cutting of one array."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def blocks(self) -> tuple[int, ...]:
        """Shape of what one object holds."""
        return self.shards or self.chunks

    @property
    def counts(self) -> tuple[int, ...]:
        """Objects along each axis."""
        pairs = zip(self.shape, self.blocks, strict=True)
        return tuple(-(-size // block) for size, block in pairs)

    @property
    def n_objects(self) -> int:
        """Objects of the whole array; an empty one has none."""
        return math.prod(self.counts)

    def keys(self, region: Region | None = None) -> Iterator[str]:
        """Names of the objects that hold a region, by default all, as zarr 3 spells them.

        Example:
            >>> list(Grid((3, 4), (2, 4)).keys()), list(Grid((), ()).keys())
            (['c/0/0', 'c/1/0'], ['c'])
        """
        if region is None:
            spans = [range(count) for count in self.counts]
        else:
            pairs = zip(region, self.blocks, strict=True)
            spans = [range(part.start // b, -(-part.stop // b)) for part, b in pairs]
        for place in product(*spans):
            yield "/".join(["c", *map(str, place)])

    def regions(self, itemsize: int, *, memory_bytes: int) -> Iterator[Region]:
        """The array in blocks of whole objects, each up to ``memory_bytes`` or of one object."""
        block = grown(self.blocks, self.shape, itemsize, target_bytes=memory_bytes)
        return tiles(self.shape, block)

    def chunks_inside(self, place: Sequence[int]) -> np.ndarray:
        """Which chunks of the shard at ``place`` lie in the array: those that must be there.

        Returns:
            bool ``(chunks along each axis of a shard)``.
        """
        axes = zip(self.shape, self.chunks, self.blocks, place, strict=True)
        inside = [
            np.arange(block // chunk) * chunk + at * block < size for size, chunk, block, at in axes
        ]
        return reduce(np.logical_and.outer, inside, np.array(True))  # noqa: FBT003 (a value)


def plan_grid(shape: Sequence[int], itemsize: int, layout: Layout | None = None) -> Grid:
    """The cutting of an array of that shape.

    Args:
        shape: Of the array; axes may be empty, and there may be none.
        itemsize: Bytes of an element.
        layout: What is wished.

    Raises:
        SettingsError: The layout does not fit the shape.

    Example:
        >>> plan_grid((8192, 8192), 4).chunks
        (512, 512)
        >>> plan_grid((8192, 8192), 4, Layout(axis=0)).chunks
        (32, 8192)
    """
    layout, size = layout or Layout(), tuple(max(1, n) for n in shape)
    # An axis that is empty will be appended to: it is cut as a long one, not into single slices.
    long = tuple(n or max(1, layout.chunk_bytes // max(1, itemsize)) for n in shape)
    axis = layout.axis
    if axis is not None and not -len(size) <= axis < len(size):
        raise SettingsError(f"axis {axis} is none of an array of shape {tuple(shape)}")
    axes = range(len(size)) if axis is None else [axis % len(size)]
    chunks = layout.chunks or _cut(long, itemsize, axes, target_bytes=layout.chunk_bytes)
    if len(chunks) != len(size) or min(chunks, default=1) < 1:
        raise SettingsError(f"chunks {chunks} do not fit an array of shape {tuple(shape)}")
    return Grid(tuple(shape), tuple(chunks), _shards(size, chunks, itemsize, layout))


def tiles(shape: Sequence[int], block: Sequence[int]) -> Iterator[Region]:
    """Regions that cover a shape, in C order; none of an empty one."""
    spans = [range(0, size, step) for size, step in zip(shape, block, strict=True)]
    for starts in product(*spans):
        yield tuple(
            slice(start, min(start + step, size))
            for start, step, size in zip(starts, block, shape, strict=True)
        )


def grown(
    block: Sequence[int], shape: Sequence[int], itemsize: int, *, target_bytes: int
) -> tuple[int, ...]:
    """A multiple of ``block`` along each axis, as large as ``target_bytes`` allow.

    The last axes grow first: what then is together lies together in memory.
    """
    grown_block = list(block)
    for axis in reversed(range(len(grown_block))):
        room = target_bytes // max(1, itemsize * math.prod(grown_block))
        most = -(-max(1, shape[axis]) // block[axis])
        grown_block[axis] = block[axis] * max(1, min(room, most))
    return tuple(grown_block)


def _is_shape(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(n, int | np.integer) for n in value)


def _cut(
    shape: tuple[int, ...], itemsize: int, axes: Sequence[int], *, target_bytes: int
) -> tuple[int, ...]:
    """Halve the axes in turn, each as often as the others, until a chunk is small enough."""
    parts, chunk = [1] * len(shape), list(shape)
    while itemsize * math.prod(chunk) > target_bytes:
        open_axes = [axis for axis in axes if chunk[axis] > 1]
        if not open_axes:
            break
        axis = min(open_axes, key=lambda axis: (parts[axis], -chunk[axis]))
        parts[axis] *= 2
        chunk[axis] = -(-shape[axis] // parts[axis])
    return tuple(chunk)


def _shards(
    shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, layout: Layout
) -> tuple[int, ...] | None:
    if layout.shards is not None:
        fits = len(layout.shards) == len(chunks) and all(
            shard >= chunk and shard % chunk == 0
            for shard, chunk in zip(layout.shards, chunks, strict=False)
        )
        if not fits:
            raise SettingsError(f"shards {layout.shards} are no multiple of the chunks {chunks}")
        return layout.shards
    n_chunks = Grid(shape, chunks).n_objects
    target = layout.shard_bytes
    if target is None:
        target = 64 * _MIB if n_chunks > _MOST_OBJECTS else 0
    # A shard may be larger than the array at its ends, so whole axes are rounded up.
    shards = _doubled(chunks, shape, itemsize, target_bytes=target)
    return None if shards == chunks else shards


def _doubled(
    chunks: tuple[int, ...], shape: tuple[int, ...], itemsize: int, *, target_bytes: int
) -> tuple[int, ...]:
    """Double the axes in turn, each as often as the others, while a shard is small enough."""
    times = [1] * len(chunks)
    while True:
        size = itemsize * math.prod(chunks) * math.prod(times)
        axes = [
            axis
            for axis, (n, chunk, length) in enumerate(zip(times, chunks, shape, strict=True))
            if n * chunk < length
        ]
        if not axes or 2 * size > target_bytes:
            break
        times[min(axes, key=lambda axis: times[axis])] *= 2
    return tuple(n * chunk for n, chunk in zip(times, chunks, strict=True))
