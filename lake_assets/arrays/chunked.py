"""Arrays in chunks, one object each, read lazily or in part; the layout is cottoncandy's folder.

Writing is in ``chunked_write``.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from lake_assets.arrays.chunk_index import INDEX, ChunkIndex, parse_index
from lake_assets.arrays.dense import raw_at
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import check_crc32c, from_bytes, header_of
from lake_assets.arrays.selection import Selection, box_of
from lake_assets.errors import ArrayFormatError, MissingObjectError
from lake_assets.s3 import Access, Location
from lake_assets.s3.client import access_in_force, endpoint_in_force
from lake_assets.s3.engine import Found
from lake_assets.s3.objects import Stored

if TYPE_CHECKING:
    import dask.array as da

__all__ = [
    "ChunkedArray",
    "chunked_at",
    "chunked_of",
    "index_at",
    "open_chunked",
    "read_chunked",
]

#: Chunks that are decoded side by side: each may be large.
_CHUNK_THREADS = 8


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
    return chunked_of(index_at(place), place)


def index_at(place: Place) -> Stored:
    """The index of a folder, as stored.

    Raises:
        MissingObjectError: There is none.
    """
    try:
        return place.objects.read(place.at(INDEX).key)
    except MissingObjectError as error:
        raise MissingObjectError(
            f"there is no chunked array at {place.url}: it has no {INDEX}; read_any finds out what"
            " is there"
        ) from error


def chunked_of(stored: Stored, place: Place) -> ChunkedArray:
    """The opened array of a folder whose index was read."""
    index = parse_index(bytes(stored.body), f"{place.url}/{INDEX}")
    return ChunkedArray(
        place.url, stored.found.etag, index, access_in_force(place.url, place.access)
    )


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
