"""Writing arrays in chunks, one object each: by axis or in even blocks, appended to, cut anew.

The layout is cottoncandy's dask folder. A write puts new parts beside the old ones and swaps the
index last, so readers see the old array or the new one; then parts that it does not name go. An
append keeps the parts that are there. What is made of a version is shown only while that version is
there: two at once cannot lose each other's parts.
"""

import logging
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.arrays.chunk_index import INDEX, ChunkIndex, Chunks, Part
from lake_assets.arrays.chunked import ChunkedArray, chunked_at, chunked_of, index_at
from lake_assets.arrays.dense import put_raw
from lake_assets.arrays.dtypes import in_memory, storable
from lake_assets.arrays.grid import Cut, chunks_of
from lake_assets.arrays.metadata import OWN_NAMES, to_stored
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import Compression
from lake_assets.arrays.records import Written
from lake_assets.errors import (
    ArrayFormatError,
    MissingObjectError,
    PublishConflictError,
    SettingsError,
    StorageError,
)
from lake_assets.s3 import Access, Location
from lake_assets.s3.client import access_in_force
from lake_assets.s3.objects import SIDECAR, Stored

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["append_chunked", "rechunk_chunked", "write_chunked"]

logger = logging.getLogger(__name__)

#: Chunks that are encoded side by side: each may be large.
_CHUNK_THREADS = 8
#: Parts of no version that are older belong to writers that were killed.
_ABANDONED = timedelta(days=1)
_PART = re.compile(r"pt\d{4,}-[0-9a-f]{8}")


def write_chunked(
    url: Location,
    array: "np.ndarray | da.Array",
    *,
    chunks: Chunks | Cut | None = None,
    compression: Compression = True,
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write an array as a folder of parts that old cottoncandy reads, too.

    A dask array is computed chunk by chunk, on whatever scheduler is in force, never whole.

    Args:
        url: Of the folder; an array that is there is replaced when the new one is whole.
        array: Without a mask, Python objects or unknown lengths.
        chunks: Lengths along each axis, or how to cut. By default a dask array keeps its own,
            and others are cut along the last axis into chunks of 64 MiB at most.
        compression: Of each part; False lets parts of parts be read by byte ranges.
        metadata: The user's own, kept at the index.

    Raises:
        SettingsError: The array or the chunks cannot be stored.
        StorageError: The store refused; the old array is still there.
    """
    place, said, array = place_of(url), to_stored(metadata), _array_of(array)
    lengths = _chunks_for(array, chunks)
    old = _parts_at(place)
    made = _write_parts(place, array, lengths, compression)
    _show(place, made.index, said)
    _remove_old(place, old, made.index)
    return made.as_written(place)


def append_chunked(
    url: Location, array: "np.ndarray | da.Array", *, axis: int = -1, n_along: int | None = None
) -> Written:
    """Put an array behind a chunked one along an axis; the parts that are there stay as they are.

    The new parts are cut as the others along the other axes, and compressed unless the others are
    known not to be. Who appends a little at a time gets small parts: ``rechunk_chunked``, or zarr.

    Args:
        url: Of the folder, of ours or of cottoncandy's.
        array: Of the same dtype (byte order aside), and lengths along the other axes.
        axis: Along which.
        n_along: Longest new part along it; by default as the longest part that is there.

    Returns:
        What was written now: the shape is that of the whole array.

    Raises:
        SettingsError: The array does not continue the one that is there.
        MissingObjectError: There is no array.
        PublishConflictError: Another writer was faster; nothing of this is visible.
        StorageError: The store refuses, or knows no conditional writes.
    """
    if n_along is not None and n_along < 1:
        raise SettingsError(f"n_along is {n_along}; it is at least 1")
    array = _array_of(array)
    _refuse_unknown(array)
    place = place_of(url)
    stored, base = _base_of(place)
    axis = _continued(base.index, array, axis)
    n_before, n_added = len(base.index.chunks[axis]), int(array.shape[axis])
    if not n_added:
        return _Made(base.index, ()).as_written(place)
    new = _lengths(n_added, n_along or max(base.index.chunks[axis]) or n_added)
    lengths = tuple(new if at == axis else n for at, n in enumerate(base.index.chunks))
    lengths = _chunks_for(array, lengths)
    dtype: Any = base.index.dtype
    made = _write_parts(place, array.astype(dtype, copy=False), lengths, not base.index.is_plain)
    moved = {
        tuple(n + n_before if at == axis else n for at, n in enumerate(where)): part
        for where, part in made.index.parts.items()
    }
    index = replace(
        base.index,
        shape=tuple(n + n_added if at == axis else n for at, n in enumerate(base.shape)),
        chunks=tuple(n + new if at == axis else n for at, n in enumerate(base.index.chunks)),
        parts={**base.index.parts, **moved},
        is_plain=base.index.is_plain and made.index.is_plain,
    )
    _show_over(place, index, stored, made)
    return replace(made, index=index).as_written(place)


def rechunk_chunked(
    url: Location, chunks: Chunks | Cut, *, compression: Compression = True
) -> Written:
    """Cut a chunked array another way, part by part; its metadata stay.

    Args:
        url: Of the folder, of ours or of cottoncandy's.
        chunks: Lengths along each axis, or how to cut.
        compression: Of each part; see ``write_chunked``.

    Raises:
        SettingsError: The chunks do not fill the array.
        MissingObjectError: There is no array.
        PublishConflictError: Another writer was faster; nothing of this is visible.
        StorageError: The store refuses, or knows no conditional writes.
    """
    place = place_of(url)
    stored, base = _base_of(place)
    array = base.to_dask()
    made = _write_parts(place, array, _chunks_for(array, chunks), compression)
    _show_over(place, made.index, stored, made)
    _remove_old(place, {part.name for part in base.index.parts.values()}, made.index)
    return made.as_written(place)


@dataclass(frozen=True, slots=True)
class _Made:
    """Parts that no index names yet."""

    index: ChunkIndex
    parts: tuple[Written, ...]

    def as_written(self, place: Place) -> Written:
        """For the caller, when the index is there."""
        stored = len(self.index.as_json(place.key)) + sum(done.stored_bytes for done in self.parts)
        return Written(
            place.url,
            "chunks",
            self.index.shape,
            str(self.index.dtype),
            sum(done.n_bytes for done in self.parts),
            stored,
            next((done.codec for done in self.parts), None),
            n_objects=len(self.parts) + 1,
        )


@dataclass(frozen=True, slots=True)
class _PartWriter:
    """Writes one part; sent to workers as it is."""

    url: str
    compression: Compression
    access: Access = field(repr=False)

    def __call__(self, block: np.ndarray, name: str) -> Written:
        place = place_of(f"{self.url}/{name}", self.access)
        return put_raw(place, block, compression=self.compression, metadata={})


def _write_parts(
    place: Place,
    array: Any,  # noqa: ANN401 (numpy's or dask's)
    lengths: Chunks,
    compression: Compression,
) -> _Made:
    grid = list(product(*(range(len(axis)) for axis in lengths)))
    token = uuid.uuid4().hex[:8]
    names = {where: f"pt{n:04}-{token}" for n, where in enumerate(grid)}
    writer = _PartWriter(place.url, compression, access_in_force(place.url, place.access))
    write = _write_numpy if isinstance(array, np.ndarray) else _write_dask
    written = write(array, lengths, names, writer)
    parts = {w: Part(names[w], done.crc32c) for w, done in zip(grid, written, strict=True)}
    is_plain = not any(done.codec for done in written)
    shape = tuple(map(int, array.shape))
    return _Made(ChunkIndex(shape, array.dtype, lengths, parts, is_plain=is_plain), tuple(written))


def _show(
    place: Place, index: ChunkIndex, said: Mapping[str, str], base: Stored | None = None
) -> bool:
    """Swap the index; False where it is not the one any more that this was made from."""
    key, body = place.at(INDEX).key, memoryview(index.as_json(place.key))
    if base is not None:
        return place.objects.swap(key, body, said, base=base)
    place.objects.write(key, body, said)
    return True


def _show_over(place: Place, index: ChunkIndex, base: Stored, made: _Made) -> None:
    """Swap the index that is still there; parts that will not be shown go."""
    kept = base.found.metadata.items()
    said = {name: value for name, value in kept if name not in OWN_NAMES}
    # Where the swap itself fails, nobody knows whether the index names the new parts: they stay.
    if _show(place, index, said, base):
        return
    for part in made.index.parts.values():
        _remove(place, part.name)
    raise PublishConflictError(
        f"{place.url} was written by another writer meanwhile; nothing of this is visible. Run it"
        " again on what is there"
    )


def _base_of(place: Place) -> tuple[Stored, ChunkedArray]:
    stored = index_at(place)
    return stored, chunked_of(stored, place)


def _continued(index: ChunkIndex, array: Any, axis: int) -> int:  # noqa: ANN401 (numpy's or dask's)
    """The axis, from the front; after a look at everything else."""
    shape, n_axes = tuple(array.shape), len(index.shape)
    if not -n_axes <= axis < n_axes:
        raise SettingsError(f"axis {axis} is none of an array of shape {index.shape}")
    axis %= n_axes
    if len(shape) != n_axes or any(
        n != m for at, (n, m) in enumerate(zip(shape, index.shape, strict=True)) if at != axis
    ):
        raise SettingsError(f"shape {shape} does not continue {index.shape} along axis {axis}")
    if array.dtype.newbyteorder("=") != index.dtype.newbyteorder("="):
        raise SettingsError(f"dtype {array.dtype} does not continue {index.dtype}; convert it")
    return axis


def _lengths(length: int, most: int) -> tuple[int, ...]:
    """As few parts as possible."""
    return tuple(min(most, length - at) for at in range(0, length, most))


def _write_numpy(
    array: np.ndarray, chunks: Chunks, names: Mapping[tuple[int, ...], str], writer: _PartWriter
) -> list[Written]:
    index = ChunkIndex(array.shape, array.dtype, chunks, {})
    starts = [index.starts(axis) for axis in range(array.ndim)]

    def write(where: tuple[int, ...]) -> Written:
        slices = tuple(slice(s[n], s[n + 1]) for s, n in zip(starts, where, strict=True))
        return writer(array[(*slices, ...)], names[where])

    return list(in_threads(write, names, _CHUNK_THREADS))


def _write_dask(
    array: Any,  # noqa: ANN401 (a dask array: its methods have no types)
    chunks: Chunks,
    names: Mapping[tuple[int, ...], str],
    writer: _PartWriter,
) -> list[Written]:
    import dask

    from lake_assets.arrays.blocks import checked_blocks

    array = checked_blocks(array)
    blocks = (array.rechunk(chunks) if array.ndim else array).to_delayed()
    # pure=False: a part that is written twice is two writes.
    write = dask.delayed(writer, pure=False)  # pyright: ignore[reportPrivateImportUsage] (its public name)
    return list(dask.compute(*(write(blocks[w], name) for w, name in names.items())))  # pyright: ignore[reportPrivateImportUsage] (its public name)


def _chunks_for(array: Any, chunks: Chunks | Cut | None) -> Chunks:  # noqa: ANN401 (numpy's or dask's)
    """The lengths to write, checked with all else that cannot be stored, before anything is."""
    _refuse_unknown(array)
    storable(array[:0] if isinstance(array, np.ndarray) and array.ndim else _sample(array))
    if chunks is None and not isinstance(array, np.ndarray):
        chunks = array.chunks
    if chunks is None or isinstance(chunks, Cut):
        chunks = chunks_of(array.shape, array.dtype.itemsize, chunks or Cut())
    try:
        lengths = tuple(tuple(int(n) for n in axis) for axis in chunks)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"chunks are {chunks!r}; give the lengths of all chunks along each axis, as"
            " ((2, 2), (5, 5, 1)), or a Cut(axis=…, target_chunk_bytes=…)"
        ) from error
    is_negative = any(n < 0 for axis in lengths for n in axis)
    if tuple(map(sum, lengths)) != tuple(array.shape) or is_negative:
        raise SettingsError(f"chunks {lengths} do not fill the shape {array.shape}")
    return lengths


def _array_of(array: Any) -> Any:  # noqa: ANN401 (numpy's or dask's)
    """A dask array as it is, anything else as numpy's."""
    return array if hasattr(array, "dask") else in_memory(array)


def _refuse_unknown(array: Any) -> None:  # noqa: ANN401 (numpy's or dask's)
    if any(n != n for n in array.shape):  # noqa: PLR0124 (nan: not known)
        raise SettingsError(
            f"the array has lengths that are not known yet ({array.shape}); "
            "call array.compute_chunk_sizes() first"
        )


def _sample(array: Any) -> np.ndarray:  # noqa: ANN401 (numpy's or dask's)
    """What dask says that its chunks are like: masked, plain, sparse."""
    like = array if isinstance(array, np.ndarray) else array._meta  # noqa: SLF001 (no public name)
    if not isinstance(like, np.ndarray):
        raise SettingsError(f"chunks of {type(like).__name__} are no numpy arrays; convert them")
    return like


def _parts_at(place: Place) -> set[str]:
    """Names of the parts of the version that is there; none where there is no whole one."""
    with suppress(MissingObjectError, ArrayFormatError):
        return {part.name for part in chunked_at(place).index.parts.values()}
    return set()


def _remove_old(place: Place, old: set[str], index: ChunkIndex) -> None:
    """Parts of the last version and of writers that were killed; all else in the folder stays.

    Not every part without an index: another writer may be about to swap its own. The new version is
    there by now, so what cannot be removed stays for the next write.
    """
    kept = {part.name for part in index.parts.values()}
    limit = datetime.now(UTC) - _ABANDONED
    try:
        for info in place.objects.store.list(place.prefix):
            name = info.key[len(place.prefix) :].removesuffix(SIDECAR)
            is_abandoned = bool(_PART.fullmatch(name)) and info.modified_at < limit
            if name not in kept and (name in old or is_abandoned):
                place.objects.store.delete(info.key)
    except StorageError as error:
        logger.warning("%s is written; parts of the last version stay: %s", place.url, error)


def _remove(place: Place, name: str) -> None:
    """Remove a part that nobody reads; where that is refused it stays for a later write."""
    at = place.at(name)
    with suppress(StorageError):
        at.objects.store.delete(at.key)
        if not at.objects.is_s3:
            at.objects.store.delete(at.key + SIDECAR)
