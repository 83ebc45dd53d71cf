"""zarr's view of our storage: a version's layers as one store in which nothing may be missing.

zarr takes a chunk that is not there for one of fill values. Here every chunk is written, so one
that is missing is damage, and reading it is an error: a whole object as well as a chunk of a shard.
Stores pickle by address, without an open connection: a graph that holds them runs anywhere.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from obstore.exceptions import BaseError
from obstore.store import LocalStore
from zarr.abc.store import SuffixByteRequest
from zarr.storage import ObjectStore, WrapperStore

from lake_assets.arrays.zarr_grid import Grid
from lake_assets.arrays.zarr_versions import Layer, holding
from lake_assets.errors import BodyMismatchError, LakeError, SettingsError, StorageError
from lake_assets.s3 import Access, Location, parse_url
from lake_assets.s3.access import located
from lake_assets.s3.client import access_in_force, endpoint_in_force, obstore_store

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["VALUES", "LayerWriter", "VersionStore"]

#: The array itself in the group of a layer; the others are its coordinates.
VALUES = "values"
_CHUNK = re.compile(r"(?:(?P<array>.+)/)?c(?P<place>(?:/\d+)*)")
#: What describes arrays, of both formats; everything else is a chunk.
_DESCRIBES = (".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
#: Offset and length of a chunk that a shard does not hold.
_ABSENT = 2**64 - 1
_CRC_BYTES = 4


class _Located(WrapperStore[ObjectStore[Any]]):
    """Objects below an address; what they are is a subclass's business."""

    def __init__(self, url: Location, access: Access | None, *, read_only: bool) -> None:
        url, access = located(url, access)
        self.url = parse_url(url).text
        self._access = access_in_force(url, access) if parse_url(url).is_s3 else None
        self._is_read_only = read_only
        self._connect()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_store"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._connect()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Located) and self.__getstate__() == other.__getstate__()

    __hash__ = None  # pyright: ignore[reportAssignmentType] (zarr's stores have none)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def with_read_only(self, read_only: bool = False) -> Self:  # noqa: FBT001, FBT002 (zarr's way)
        """This store; it is what it is."""
        if read_only != self._is_read_only:
            raise ValueError(f"{self!r} is {'read-only' if self._is_read_only else 'for writing'}")
        return self

    async def _read(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None"
    ) -> "Buffer | None":
        try:
            return await self._store.get(key, prototype, byte_range)
        except BaseError as error:
            raise StorageError(
                f"cannot read {self.url}/{key}: {str(error).splitlines()[0]}"
            ) from error

    def _connect(self) -> None:
        parsed = parse_url(self.url)
        if parsed.is_s3:
            try:
                store = obstore_store(self.url, self._access, prefix=parsed.path)
            except ValueError as error:
                if isinstance(error, LakeError):
                    raise
                raise SettingsError(
                    f"zarr arrays cannot lie at {self.url!r}: {str(error).splitlines()[0]}; give an"
                    " address without empty segments, '.' and '..'"
                ) from error
        else:
            store = LocalStore(Path(self.url), mkdir=not self._is_read_only)
        self._store = ObjectStore(store, read_only=self._is_read_only)


class VersionStore(_Located):
    """One version of an array, read only.

    Args:
        url: Of the array.
        layers: Of the version, oldest first; none for a zarr array of somebody else, that lies
            right at ``url``.
        grid: How ``values`` is cut.
        access: How to reach the bucket.
        fill_missing: Leave what is missing to zarr.
    """

    def __init__(
        self,
        url: Location,
        layers: Iterable[Layer],
        grid: Grid,
        access: Access | None = None,
        *,
        fill_missing: bool = False,
    ) -> None:
        self.layers = tuple(layers)
        self.grid = grid
        self.fill_missing = fill_missing
        #: ETag of what describes an array of somebody else: another one is another array.
        self.described_by = ""
        super().__init__(url, access, read_only=True)

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from every other one: where, which version, and how gaps are read."""
        data = [layer.data for layer in self.layers]
        endpoint = endpoint_in_force(self.url, self._access)
        return (self.url, endpoint, data, self.described_by, self.fill_missing)

    async def get(
        self,
        key: str,
        prototype: "BufferPrototype",
        byte_range: "ByteRequest | None" = None,
    ) -> "Buffer | None":
        """One object, or a part of it.

        Raises:
            BodyMismatchError: It is a chunk that is missing, or a shard that lacks one.
            StorageError: The store refuses.
        """
        place = self._place(key)
        path = self._path(key, place)
        body = await self._read(path, prototype, byte_range)
        if self.fill_missing:
            return body
        if body is None and not key.endswith(_DESCRIBES):
            raise BodyMismatchError(
                f"{self.url}/{path} is missing: a chunk of the array is gone, and what it held is"
                " not known. Restore it, or read another version"
            )
        if body is not None and place is not None and self.grid.shards:
            self._refuse_holes(path, place, body, byte_range)
        return body

    async def get_partial_values(
        self,
        prototype: "BufferPrototype",
        key_ranges: "Iterable[tuple[str, ByteRequest | None]]",
    ) -> "list[Buffer | None]":
        """Several objects or parts of them, side by side."""
        gets = (self.get(key, prototype, byte_range) for key, byte_range in key_ranges)
        return list(await asyncio.gather(*gets))

    async def exists(self, key: str) -> bool:
        """Whether an object is there."""
        return await self._store.exists(self._path(key, self._place(key)))

    def list(self) -> AsyncIterator[str]:
        """The objects of the newest layer."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # pyright: ignore[reportIncompatibleMethodOverride] (as zarr's own stores)
        """The objects of the newest layer below a prefix."""
        above = self._path("", None)
        async for key in self._store.list_prefix(above + prefix):
            yield key.removeprefix(above)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """What is right below a prefix of the newest layer."""
        return self._store.list_dir(self._path(prefix, None))

    def _place(self, key: str) -> tuple[int, ...] | None:
        """Of a chunk or shard of ``values``, along each axis; None for any other key."""
        found = _CHUNK.fullmatch(key)
        if found is None or found["array"] != (VALUES if self.layers else None):
            return None
        return tuple(int(part) for part in found["place"].split("/") if part)

    def _path(self, key: str, place: tuple[int, ...] | None) -> str:
        """Below the address; by default in the newest layer, which has what describes the array."""
        if not self.layers:
            return key
        layer = self.layers[-1] if place is None else holding(self.layers, place)
        return f"{layer.data}/{key}"

    def _refuse_holes(
        self, path: str, place: tuple[int, ...], body: "Buffer", asked: "ByteRequest | None"
    ) -> None:
        """Look for chunks that a shard should hold and does not, where its index was read."""
        inside = self.grid.chunks_inside(place)
        n_bytes = inside.size * 16 + _CRC_BYTES
        reads_index = asked is None or (
            isinstance(asked, SuffixByteRequest) and asked.suffix == n_bytes
        )
        if not reads_index or len(body) < n_bytes:
            return
        entries = body.as_numpy_array()[-n_bytes:-_CRC_BYTES].tobytes()
        index = np.frombuffer(entries, "<u8").reshape(-1, 2)
        holes = (index[:, 0] == _ABSENT).reshape(inside.shape) & inside
        if holes.any():
            raise BodyMismatchError(
                f"{self.url}/{path} lacks {int(holes.sum())} of the {int(inside.sum())} chunks that"
                " this shard holds. Restore it, or read another version"
            )


class LayerWriter(_Located):
    """Writes the objects of one layer and remembers size and sha256 of each."""

    def __init__(self, url: str, access: Access | None = None) -> None:
        super().__init__(url, access, read_only=False)
        self._written: dict[str, tuple[int, str]] = {}

    def taken(self, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Size and sha256 of objects that were written, each once.

        Raises:
            KeyError: One was not written.
        """
        return {key: self._written.pop(key) for key in keys}

    async def get(
        self,
        key: str,
        prototype: "BufferPrototype",
        byte_range: "ByteRequest | None" = None,
    ) -> "Buffer | None":
        """What is there already."""
        return await self._read(key, prototype, byte_range)

    async def set(self, key: str, value: "Buffer") -> None:
        """Write an object."""
        body = value.as_numpy_array()
        digest = await asyncio.to_thread(lambda: hashlib.sha256(body.data).hexdigest())
        try:
            await self._store.set(key, value)
        except BaseError as error:
            raise StorageError(
                f"cannot write {self.url}/{key}: {str(error).splitlines()[0]}"
            ) from error
        self._written[key] = (len(body), digest)
