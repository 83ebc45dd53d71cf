"""zarr's view of our storage: a version's layers as one store in which nothing may be missing.

zarr takes a chunk that is not there for one of fill values. Here every chunk is written, so one
that is missing is damage, and reading it is an error: a whole object as well as a chunk of a shard.
Stores pickle by address, without an open connection: a graph that holds them runs anywhere.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from obstore.exceptions import BaseError
from obstore.store import LocalStore
from zarr.abc.store import Store
from zarr.storage import ObjectStore

from lake_assets.arrays.zarr_damage import damage_of
from lake_assets.arrays.zarr_grid import Grid
from lake_assets.arrays.zarr_versions import Layer, holding
from lake_assets.errors import BodyMismatchError, SettingsError, StorageError, first_line
from lake_assets.s3 import Access, Location, parse_url
from lake_assets.s3.access import located
from lake_assets.s3.client import access_in_force, endpoint_in_force, obstore_store
from lake_assets.s3.obstore_paths import can_spell

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["VALUES", "LayerWriter", "VersionStore"]

#: The array itself in the group of a layer; the others are its coordinates.
VALUES = "values"
_CHUNK = re.compile(r"(?:(?P<array>.+)/)?c(?P<place>(?:/\d+)*)")
#: What describes arrays, of both formats; everything else is a chunk.
_DESCRIBES = (".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class _Located(Store):
    """Objects below an address; what they are is a subclass's business. None is ever deleted."""

    def __init__(self, url: Location, access: Access | None, *, read_only: bool) -> None:
        super().__init__(read_only=read_only)
        url, access = located(url, access)
        self.url = parse_url(url).text
        self._access = access_in_force(url, access) if parse_url(url).is_s3 else None
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

    @property
    def supports_writes(self) -> bool:
        """Whether ``set`` is there."""
        return not self.read_only

    @property
    def supports_deletes(self) -> bool:
        """Never: what a version refers to stays."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Always."""
        return True

    def with_read_only(self, read_only: bool = False) -> Self:  # noqa: FBT001, FBT002 (zarr's way)
        """This store; it is what it is."""
        if read_only != self.read_only:
            raise ValueError(f"{self!r} is {'read-only' if self.read_only else 'for writing'}")
        return self

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
        return await self._store.exists(self._root + self._path(key))

    async def set(self, key: str, value: "Buffer") -> None:
        """Refuse to write ``key``.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self!r} is read-only; {key!r} ({len(value)} bytes) was not written")

    async def delete(self, key: str) -> None:
        """Refuse to remove ``key``.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"nothing of {self!r} is ever deleted; {key!r} stays")

    def list(self) -> AsyncIterator[str]:
        """All keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # pyright: ignore[reportIncompatibleMethodOverride] (as zarr's own stores)
        """The keys below a prefix."""
        above = self._root + self._path("")
        async for key in self._store.list_prefix(above + prefix):
            yield key.removeprefix(above)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """What is right below a prefix."""
        return self._store.list_dir(self._root + self._path("") + prefix)

    def _path(self, key: str) -> str:
        """Of an object, below the address."""
        return key

    async def _read(
        self,
        path: str,
        prototype: "BufferPrototype",
        byte_ranges: "Sequence[ByteRequest | None]",
    ) -> "list[Buffer | None]":
        asked = [(self._root + path, byte_range) for byte_range in byte_ranges]
        try:
            if len(asked) == 1:  # one that is not there is None
                return [await self._store.get(asked[0][0], prototype, asked[0][1])]
            return await self._store.get_partial_values(prototype, asked)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return [None] * len(asked)
        except (BaseError, OSError) as error:
            raise StorageError(f"cannot read {self.url}/{path}: {first_line(error)}") from error

    def _connect(self) -> None:
        parsed = parse_url(self.url)
        #: Before every path: the store of a bucket is one for all, with its connections.
        self._root = f"{parsed.path}/" if parsed.is_s3 and parsed.path else ""
        if not parsed.is_s3:
            store = LocalStore(Path(self.url), mkdir=not self.read_only)
        elif can_spell(parsed.path or VALUES):
            store = obstore_store(self.url, self._access)
        else:
            raise SettingsError(
                f"zarr arrays cannot lie at {self.url!r}; give an address without empty segments,"
                " '.', '..' and control characters"
            )
        self._store = ObjectStore(store, read_only=self.read_only)


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
            BodyMismatchError: It is a chunk that is missing or damaged, or a shard that lacks one.
            StorageError: The store refuses.
        """
        [body] = await self._read(self._path(key), prototype, [byte_range])
        self._check(key, byte_range, body)
        return body

    async def get_ranges(
        self,
        key: str,
        byte_ranges: "Sequence[ByteRequest | None]",
        *,
        prototype: "BufferPrototype",
        **_limits: int,
    ) -> "AsyncIterator[Sequence[tuple[int, Buffer | None]]]":
        """Parts of one object, as zarr 3.3 and later ask for the chunks of a shard.

        The store merges those that lie near each other, and each is checked by itself: ranges that
        zarr merges have no checksum.

        Args:
            key: Of the object.
            byte_ranges: The parts.
            prototype: Of the buffers.
            _limits: Of zarr's own merging.

        Yields:
            All parts at once, each with its place in ``byte_ranges``.

        Raises:
            BodyMismatchError: As of ``get``.
            StorageError: The store refuses.
        """
        bodies = await self._read(self._path(key), prototype, byte_ranges)
        for byte_range, body in zip(byte_ranges, bodies, strict=True):
            self._check(key, byte_range, body)
        yield list(enumerate(bodies))

    def _check(self, key: str, byte_range: "ByteRequest | None", body: "Buffer | None") -> None:
        place = self._place(key)
        if self.fill_missing or (body is None and key.endswith(_DESCRIBES)):
            return
        if body is None:
            raise BodyMismatchError(
                f"{self.url}/{self._path(key)} is missing: a chunk of the array is gone, and what"
                " it held is not known. Restore it, or read another version"
            )
        if place is None:
            return
        read, has_sums = body.as_numpy_array(), bool(self.layers)
        if reason := damage_of(read, self.grid, place, byte_range, has_sums=has_sums):
            raise BodyMismatchError(
                f"{self.url}/{self._path(key)} is damaged: {reason}. Restore it, or read another"
                " version"
            )

    def _place(self, key: str) -> tuple[int, ...] | None:
        """Of a chunk or shard of ``values``, along each axis; None for any other key."""
        found = _CHUNK.fullmatch(key)
        if found is None or found["array"] != (VALUES if self.layers else None):
            return None
        return tuple(int(part) for part in found["place"].split("/") if part)

    def _path(self, key: str) -> str:
        """In the layer that holds a chunk; all else in the newest, which describes the array."""
        if not self.layers:
            return key
        place = self._place(key)
        layer = self.layers[-1] if place is None else holding(self.layers, place)
        return f"{layer.data}/{key}"


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
        [body] = await self._read(key, prototype, [byte_range])
        return body

    async def set(self, key: str, value: "Buffer") -> None:
        """Write an object."""
        body = value.as_numpy_array()
        digest = await asyncio.to_thread(lambda: hashlib.sha256(body.data).hexdigest())
        try:
            await self._store.set(self._root + key, value)
        except (BaseError, OSError) as error:
            raise StorageError(f"cannot write {self.url}/{key}: {first_line(error)}") from error
        self._written[key] = (len(body), digest)
