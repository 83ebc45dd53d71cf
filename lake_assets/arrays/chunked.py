"""Arrays in chunks, one object each: read lazily or in part, written by axis or in even blocks.

The layout is cottoncandy's dask folder, both ways. A write puts new parts beside the old ones and
swaps the index last, so readers see the old array or the new one; then the old parts go.
"""

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.arrays.chunk_index import INDEX, ChunkIndex, Chunks, Part, parse_index
from lake_assets.arrays.dense import put_raw, raw_at
from lake_assets.arrays.dtypes import storable
from lake_assets.arrays.grid import Cut, chunks_of
from lake_assets.arrays.metadata import to_stored
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import Compression, check_crc32c, from_bytes, header_of
from lake_assets.arrays.records import Written
from lake_assets.arrays.selection import Selection, box_of
from lake_assets.errors import ArrayFormatError, MissingObjectError, SettingsError
from lake_assets.s3 import Access, Location
from lake_assets.s3.client import access_in_force, endpoint_in_force
from lake_assets.s3.engine import Found
from lake_assets.s3.objects import SIDECAR

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["ChunkedArray", "chunked_at", "open_chunked", "read_chunked", "write_chunked"]

#: Chunks that are encoded or decoded side by side: each may be large.
_CHUNK_THREADS = 8
#: Parts of no version that are older belong to writers that were killed.
_ABANDONED = timedelta(days=1)
_PART = re.compile(r"pt\d{4,}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class ChunkedArray:
    """A chunked array that has been opened and not read; what numpy slices, dask can wrap.

    A plain value: it is pickled to workers, and opens the store there.
    """

    url: str
    etag: str
    """Of the index: another one is another version."""
    index: ChunkIndex
    access: Access | None = field(default=None, repr=False)
    """How the process that opened it reached the bucket: a worker was not told."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self.index.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its items."""
        return self.index.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.index.shape)

    def __getitem__(self, selection: Selection) -> np.ndarray:
        """The selection; only parts that have some of it are read, plain ones by ranges."""
        return _read(place_of(self.url, self.access), self.index, selection)

    def to_dask(self) -> "da.Array":
        """A lazy array of these chunks; its name is that of this version and of no other array."""
        import dask.array as da
        from dask.base import tokenize

        endpoint = endpoint_in_force(self.url, self.access)
        said = self.index.as_json("")
        name = f"lake-chunks-{tokenize(self.url, endpoint, self.etag, said)}"
        chunks: Any = self.index.chunks
        return da.from_array(self, chunks=chunks, name=name, asarray=False, fancy=False)


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
    place, said = place_of(url), to_stored(metadata)
    lengths = _chunks_for(array, chunks)
    old = _parts_at(place)
    grid = list(product(*(range(len(axis)) for axis in lengths)))
    token = uuid.uuid4().hex[:8]
    names = {where: f"pt{n:04}-{token}" for n, where in enumerate(grid)}
    writer = _PartWriter(place.url, compression, access_in_force(place.url, place.access))
    if isinstance(array, np.ndarray):
        written = _write_numpy(array, lengths, names, writer)
    else:
        written = _write_dask(array, lengths, names, writer)
    parts = {w: Part(names[w], done.crc32c) for w, done in zip(grid, written, strict=True)}
    is_plain = not any(done.codec for done in written)
    shape = tuple(map(int, array.shape))
    index = ChunkIndex(shape, array.dtype, lengths, parts, is_plain=is_plain)
    body = index.as_json(place.key)
    place.objects.write(place.at(INDEX).key, memoryview(body), said)
    _remove_old(place, old, index)
    stored = len(body) + sum(done.stored_bytes for done in written)
    return Written(
        place.url,
        "chunks",
        shape,
        str(array.dtype),
        sum(done.n_bytes for done in written),
        stored,
        next((done.codec for done in written), None),
        n_objects=len(written) + 1,
    )


def open_chunked(url: Location) -> "da.Array":
    """The array of a chunked folder, lazy: only the index is read now.

    Raises:
        MissingObjectError: There is no index.
        ArrayFormatError: The index is not whole, or is none of a chunked array.
    """
    return chunked_at(place_of(url)).to_dask()


def read_chunked(url: Location, selection: Selection = None) -> np.ndarray:
    """Read a selection of a chunked folder, its parts side by side; all by default.

    Raises:
        MissingObjectError: There is no index.
        ArrayFormatError: A part is missing or is not the one that the index says.
        IndexError: The selection is out of bounds.
    """
    return chunked_at(place_of(url))[selection]


def chunked_at(place: Place) -> ChunkedArray:
    """The opened array of a folder."""
    stored = place.objects.read(place.at(INDEX).key)
    index = parse_index(bytes(stored.body), f"{place.url}/{INDEX}")
    return ChunkedArray(
        place.url, stored.found.etag, index, access_in_force(place.url, place.access)
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
    if any(n != n for n in array.shape):  # noqa: PLR0124 (nan: not known)
        raise SettingsError(
            f"the array has lengths that are not known yet ({array.shape}); "
            "call array.compute_chunk_sizes() first"
        )
    storable(array[:0] if isinstance(array, np.ndarray) and array.ndim else _sample(array))
    if chunks is None and not isinstance(array, np.ndarray):
        chunks = array.chunks
    if chunks is None or isinstance(chunks, Cut):
        chunks = chunks_of(array.shape, array.dtype.itemsize, chunks or Cut())
    lengths = tuple(tuple(int(n) for n in axis) for axis in chunks)
    is_negative = any(n < 0 for axis in lengths for n in axis)
    if tuple(map(sum, lengths)) != tuple(array.shape) or is_negative:
        raise SettingsError(f"chunks {lengths} do not fill the shape {array.shape}")
    return lengths


def _sample(array: Any) -> np.ndarray:  # noqa: ANN401 (numpy's or dask's)
    """What dask says that its chunks are like: masked, plain, sparse."""
    like = array if isinstance(array, np.ndarray) else array._meta  # noqa: SLF001 (no public name)
    if not isinstance(like, np.ndarray):
        raise SettingsError(f"chunks of {type(like).__name__} are no numpy arrays; convert them")
    return like


def _read(place: Place, index: ChunkIndex, selection: Selection) -> np.ndarray:
    box = box_of(selection, index.shape)
    result = np.empty(box.shape, index.dtype)
    wanted = [
        list(_overlaps(index.starts(axis), start, start + length))
        for axis, (start, length) in enumerate(zip(box.starts, box.shape, strict=True))
    ]

    def read(pieces: tuple[tuple[int, slice, slice], ...]) -> None:
        where = tuple(piece[0] for piece in pieces)
        inside = tuple(piece[1] for piece in pieces)
        result[(*(piece[2] for piece in pieces), ...)] = _read_part(place, index, where, inside)

    in_threads(read, product(*wanted) if result.nbytes else (), _CHUNK_THREADS)
    return np.array(result[(*box.inner, ...)]) if selection is not None else result


def _overlaps(starts: list[int], low: int, high: int) -> list[tuple[int, slice, slice]]:
    """Number of each chunk with items from ``low`` to ``high``; the part of it; where it goes."""
    found: list[tuple[int, slice, slice]] = []
    first = max(int(np.searchsorted(starts, low, side="right")) - 1, 0)
    for number in range(first, len(starts) - 1):
        begin, end = max(starts[number], low), min(starts[number + 1], high)
        if starts[number] >= high:
            break
        if begin < end:
            inside = slice(begin - starts[number], end - starts[number])
            found.append((number, inside, slice(begin - low, end - low)))
    return found


def _read_part(
    place: Place, index: ChunkIndex, where: tuple[int, ...], inside: tuple[Any, ...]
) -> np.ndarray:
    part, shape = index.parts[where], index.shape_of(where)
    at = place.at(part.name)
    is_whole = all(s == slice(0, n) for s, n in zip(inside, shape, strict=True))

    def is_listed(found: Found, body: memoryview) -> bool | None:
        if part.crc32c and found.metadata.get("crc32c", part.crc32c) != part.crc32c:
            return False
        return check_crc32c(found, body)

    try:
        if index.is_plain and not is_whole:
            block = raw_at(at, inside)
            shape = tuple(s.stop - s.start for s in inside)
            inside = (...,)
        else:
            stored = at.objects.read(at.key, proof=is_listed, n_threads=2)
            block = from_bytes(stored.body, header_of(stored.found, at.url), at.url)
    except MissingObjectError as error:
        raise ArrayFormatError(
            f"{place.url}: the part {part.name} of chunk {where} is missing; restore it, or write "
            "the array again (readers that opened it before another write open it again)"
        ) from error
    if block.shape != shape or block.dtype != index.dtype:
        raise ArrayFormatError(
            f"{at.url} is {block.dtype} {block.shape}, the index says {index.dtype} {shape}"
        )
    return block[inside]


def _parts_at(place: Place) -> set[str]:
    """Names of the parts of the version that is there; none where there is no whole one."""
    with suppress(MissingObjectError, ArrayFormatError):
        return {part.name for part in chunked_at(place).index.parts.values()}
    return set()


def _remove_old(place: Place, old: set[str], index: ChunkIndex) -> None:
    """Parts of the last version and of writers that were killed; all else in the folder stays.

    Not every part without an index: another writer may be about to swap its own.
    """
    kept = {part.name for part in index.parts.values()}
    limit = datetime.now(UTC) - _ABANDONED
    for info in place.objects.store.list(place.prefix):
        name = info.key[len(place.prefix) :].removesuffix(SIDECAR)
        is_abandoned = bool(_PART.fullmatch(name)) and info.modified_at < limit
        if name not in kept and (name in old or is_abandoned):
            place.objects.store.delete(info.key)
