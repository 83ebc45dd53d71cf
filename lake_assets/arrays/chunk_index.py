"""``metadata.json`` of a chunked array: cottoncandy's dask folder, its grid and its parts. Pure.

Part names are absolute keys there, so a folder that was moved reads by their last segment alone.
Ours have names that no other write uses: a writer that is killed changes nothing that is read.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any, TypeAlias

import numpy as np

from lake_assets.arrays.dtypes import (
    checked_dtype,
    checked_shape,
    dtype_from_json,
    dtype_to_json,
)
from lake_assets.errors import ArrayFormatError

__all__ = ["INDEX", "ChunkIndex", "Chunks", "Part", "parse_index"]

INDEX = "metadata.json"
"""Name of the index in the folder; cottoncandy's sparse folders have one of the same name."""

Chunks: TypeAlias = tuple[tuple[int, ...], ...]
"""Lengths of the chunks along each axis, as dask has them."""
Coordinates: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One chunk that is stored."""

    name: str
    """Below the folder."""
    crc32c: str | None = None
    """Of its body, where the writer left it: a part of another version is noticed."""


@dataclass(frozen=True, slots=True)
class ChunkIndex:
    """Grid and parts of a chunked array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: Chunks
    parts: Mapping[Coordinates, Part]
    """By place in the grid; chunks without items may be absent."""
    is_plain: bool = False
    """Whether parts are known to be uncompressed, so that pieces of them can be read."""

    def starts(self, axis: int) -> list[int]:
        """Where the chunks of an axis begin, and where the last one ends."""
        return [0, *accumulate(self.chunks[axis])]

    def shape_of(self, coordinates: Coordinates) -> tuple[int, ...]:
        """Lengths of one chunk."""
        return tuple(lengths[n] for lengths, n in zip(self.chunks, coordinates, strict=True))

    def as_json(self, folder: str) -> bytes:
        """As cottoncandy reads it.

        Args:
            folder: Key of the folder, from which cottoncandy's absolute names are made.
        """
        said: dict[str, Any] = {
            "shape": self.shape,
            "dtype": self.dtype.str,
            "dask": [[c, f"{folder}/{part.name}"] for c, part in self.parts.items()],
            "chunk_sizes": [self.shape_of(c) for c in self.parts],
            "chunks": self.chunks,
            "crc32c": [part.crc32c for part in self.parts.values()],
            "plain": self.is_plain,
        }
        if self.dtype.names is not None:
            said["descr"] = dtype_to_json(self.dtype)
        return json.dumps(said).encode()


def parse_index(body: bytes, name: str) -> ChunkIndex:
    """The index of a folder, proven: chunks fill the shape and every one with items has one part.

    Raises:
        ArrayFormatError: It is no such index, or not a whole one.
        UnsafeDataError: The dtype holds Python objects.
    """
    try:
        said = json.loads(body)
        shape = tuple(int(n) for n in said["shape"])
        chunks = tuple(tuple(int(n) for n in lengths) for lengths in said["chunks"])
        placed = [(tuple(int(n) for n in where), str(part)) for where, part in said["dask"]]
        sums: Sequence[str | None] = said.get("crc32c") or [None] * len(placed)
        named = [
            (where, Part(part.rstrip("/").rpartition("/")[2], crc32c))
            for (where, part), crc32c in zip(placed, sums, strict=True)
        ]
    except (
        ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ArrayFormatError(
            f"{name} is no whole index of a chunked array ({error!r}); restore it, or write the"
            " array again"
        ) from error
    dtype = checked_dtype(said.get("dtype"), name)
    if isinstance(said.get("descr"), str):
        dtype = dtype_from_json(said["descr"], name)
    checked_shape(shape, dtype.itemsize, name)
    parts = dict(named)
    filled = _filled(chunks, shape, name)
    index = ChunkIndex(shape, dtype, filled, parts, is_plain=said.get("plain") is True)
    if len(parts) != len(placed):
        raise ArrayFormatError(f"{name}: {len(placed) - len(parts)} chunks are there twice")
    _check_parts(index, name)
    return index


def _filled(chunks: Chunks, shape: tuple[int, ...], name: str) -> Chunks:
    """The chunks, if they fill the shape; an array without items may have none along an axis."""
    if len(chunks) == len(shape) and not math.prod(shape):
        chunks = tuple(lengths or (n,) for lengths, n in zip(chunks, shape, strict=True))
    is_negative = any(n < 0 for lengths in chunks for n in lengths)
    if tuple(map(sum, chunks)) != shape or is_negative:
        raise ArrayFormatError(f"{name}: chunks {chunks} do not fill the shape {shape}")
    return chunks


def _check_parts(index: ChunkIndex, name: str) -> None:
    counts = tuple(map(len, index.chunks))
    inside = {
        where
        for where in index.parts
        if len(where) == len(counts)
        and all(0 <= n < count for n, count in zip(where, counts, strict=True))
    }
    # Counted, and looked for up to the first one: a damaged grid may have any number of chunks.
    filled = [[n for n, length in enumerate(lengths) if length] for lengths in index.chunks]
    n_there = sum(math.prod(index.shape_of(where)) > 0 for where in inside)
    n_absent = math.prod(map(len, filled)) - n_there
    n_outside = len(index.parts) - len(inside)
    odd = [part.name for part in index.parts.values() if part.name in {"", ".", "..", INDEX}]
    if n_outside or n_absent or odd:
        first = next((where for where in product(*filled) if where not in inside), None)
        raise ArrayFormatError(
            f"{name}: {n_absent} chunks have no part (first {first}), "
            f"{n_outside} parts are outside the grid, {len(odd)} have no name; "
            "restore the folder, or write it again"
        )
