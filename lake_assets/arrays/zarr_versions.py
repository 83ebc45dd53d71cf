"""The versions of a zarr array: what lies below its address, and which of it is the array now.

    <url>/_versions/000000000001.json     one version: its layers and what they hold; never changed
    <url>/_data/<id>/zarr.json            a zarr 3 group: `values`, and a coordinate each, `model` …
    <url>/_data/<id>.objects.json         every object of the layer with its size and sha256

A version is made by writing its data first and its number last, with a PUT that only one writer
can win; the highest number is the array. What an append adds is a layer of its own over those
before it, so data that a version refers to is never written again. A version of one layer is plain
zarr, for any reader.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lake_assets.arrays.zarr_grid import Grid
from lake_assets.errors import (
    ArrayFormatError,
    MissingObjectError,
    PublishConflictError,
    StorageError,
)
from lake_assets.s3 import Access, Location, ObjectInfo, Store, open_store
from lake_assets.s3.access import located
from lake_assets.s3.address import parse_address
from lake_assets.s3.remove import remove_keys

__all__ = [
    "DATA",
    "Cleaned",
    "Layer",
    "ZarrVersion",
    "canonical",
    "clean_zarr",
    "discard_layer",
    "find_zarr_version",
    "holding",
    "publish_version",
    "remove_zarr",
    "zarr_version",
    "zarr_versions",
]

_FOLDER = "_versions/"
DATA = "_data/"
_KEY = re.compile(r"_versions/(\d{12})\.json")
_FORMAT = 1
#: Younger data without a version may be that of a writer that is under way, whatever is cleaned.
_ABANDONED = timedelta(days=1)
#: Writers that win each number before this one does.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Layer:
    """Data that one write made."""

    data: str
    """Folder below the address: ``_data/<id>``."""
    start: tuple[int, ...]
    """First object along each axis that this layer holds; all after it, along all axes, too."""
    sha256: str
    """Of its record."""
    n_objects: int
    stored_bytes: int
    """As compressed."""

    @property
    def record(self) -> str:
        """Key of what was written: JSON, ``[key, size, sha256]`` of each object, by key."""
        return f"{self.data}.objects.json"


@dataclass(frozen=True, slots=True)
class ZarrVersion:
    """One state of an array."""

    number: int
    """From 1; 0 until it is published."""
    created_at: datetime
    """UTC."""
    layers: tuple[Layer, ...]
    """Oldest first; an object is that of the newest layer that holds its place."""
    shape: tuple[int, ...]
    dtype: str
    """As numpy spells it; a structured one as zarr does."""
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    codec: str
    """For people: ``zstd(1) + crc32c``."""
    nbytes: int
    """Uncompressed."""
    coordinates: tuple[str, ...] = ()
    """Names of the arrays beside ``values``."""
    changed: bool = field(default=True, compare=False)
    """Whether the call that gave it made it; a write of what is there already makes none."""

    @property
    def grid(self) -> Grid:
        """How it is cut."""
        return Grid(self.shape, self.chunks, self.shards)

    @property
    def stored_bytes(self) -> int:
        """Compressed bytes of all layers."""
        return sum(layer.stored_bytes for layer in self.layers)

    @property
    def n_objects(self) -> int:
        """Objects of all layers, those below others included."""
        return sum(layer.n_objects for layer in self.layers)

    @property
    def checksum(self) -> str:
        """sha256 over the layers' own: another one for other contents, shape or codec."""
        return hashlib.sha256(canonical([layer.sha256 for layer in self.layers])).hexdigest()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What ``clean_zarr`` removed."""

    versions: tuple[int, ...]
    objects: int
    freed_bytes: int


def canonical(value: object) -> bytes:
    """Plain values as JSON, spelled the same way every time."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def zarr_versions(url: Location, *, access: Access | None = None) -> list[int]:
    """The numbers of an array's versions, oldest first; none where there is no array of ours.

    Raises:
        StorageError: The store refuses.
    """
    return _numbers(open_store(url, access))


def zarr_version(
    url: Location, number: int | None = None, *, access: Access | None = None
) -> ZarrVersion:
    """One version of an array, by default the newest.

    Raises:
        MissingObjectError: There is no such version, or no array.
        ArrayFormatError: What says it is damaged.
    """
    found = find_zarr_version(url, number, access=access)
    if found is None:
        raise MissingObjectError(
            f"no array at {url}: no version was found; give an address that write_zarr wrote"
        )
    return found


def find_zarr_version(
    url: Location, number: int | None = None, *, access: Access | None = None
) -> ZarrVersion | None:
    """As ``zarr_version``; None where there is no array of ours.

    Raises:
        MissingObjectError: There is an array, and no such version of it.
    """
    store = open_store(url, access)
    there = _numbers(store)
    if not there:
        return None
    if number is not None and number not in there:
        raise MissingObjectError(
            f"no version {number} of {store.url}: there are {there[0]} to {there[-1]}; ask for one"
            " of them"
        )
    return _read(store, there[-1] if number is None else number)


def publish_version(
    url: Location, version: ZarrVersion, *, base: int | None = None, access: Access | None = None
) -> ZarrVersion:
    """Make a version, whose data is all there, the array; the last step of every write.

    Args:
        url: The array.
        version: Without its number.
        base: Number of the version that it was made from (0 for none); None replaces whatever is
            there.
        access: How to reach the bucket.

    Raises:
        PublishConflictError: Another writer was faster and ``base`` is not the array any more.
    """
    store = open_store(url, access)
    for _ in range(_TRIES):
        newest = max(_numbers(store), default=0)
        if base is not None and newest != base:
            raise PublishConflictError(
                f"{url} is at version {newest} now, and this was made from version {base}; nothing"
                " of it is visible. Run it again on what is there"
            )
        document = _document(version, newest + 1)
        if store.create(f"{_FOLDER}{newest + 1:012d}.json", canonical(document)):
            return _version(document)
    raise PublishConflictError(f"other writers of {url} kept winning; nothing of this is visible")


def holding(layers: Sequence[Layer], place: Sequence[int]) -> Layer:
    """The newest layer that holds the object at ``place``, counted along each axis."""
    return next(
        layer
        for layer in reversed(layers)
        if all(at >= first for at, first in zip(place, layer.start, strict=True))
    )


def discard_layer(url: Location, data: str, *, access: Access | None = None) -> None:
    """Remove the data of one write (``Layer.data``), which no version names.

    What cannot be removed stays for ``clean_zarr``.
    """
    with suppress(StorageError):
        _remove(url, [info.key for info in open_store(url, access).list(data)], access)


def clean_zarr(
    url: Location,
    *,
    keep: int = 1,
    keep_for: timedelta = timedelta(days=7),
    access: Access | None = None,
) -> Cleaned:
    """Remove versions that nobody should read any more, and data that belongs to none.

    Args:
        url: The array.
        keep: Newest versions that stay, at least 1.
        keep_for: Younger versions stay as well, for lazy arrays may still read them; so does
            younger data without a version, of a day at least: its writer may be under way.
        access: How to reach the bucket.

    Raises:
        StorageError: The store refuses, or a version is gone or of a newer format.
        ArrayFormatError: A version is damaged: what it needs is not known, and nothing is removed.
    """
    store, now = open_store(url, access), datetime.now(UTC)
    listed = list(store.list(DATA))
    # After the data: a version that was published meanwhile needs some that was listed.
    versions = [_read(store, number) for number in _numbers(store)]
    newest = versions[-max(1, keep) :]
    young = [version for version in versions if now - version.created_at < keep_for]
    kept = {version.number for version in (*newest, *young)}
    needed = {
        layer.data for version in versions if version.number in kept for layer in version.layers
    }
    gone = [version.number for version in versions if version.number not in kept]
    named = {layer.data for version in versions for layer in version.layers}
    objects = _unneeded(listed, needed, named, before=now - max(keep_for, _ABANDONED))
    # Versions first: one whose data is gone must not be there to be read.
    _remove(url, [f"{_FOLDER}{number:012d}.json" for number in gone], access)
    _remove(url, [info.key for info in objects], access)
    return Cleaned(tuple(gone), len(objects), sum(info.size_bytes for info in objects))


def remove_zarr(url: Location, *, access: Access | None = None) -> None:
    """Remove an array and all its versions; nothing else that lies at its address.

    Raises:
        StorageError: The store refuses.
    """
    store = open_store(url, access)
    for folder in (_FOLDER, DATA):  # first what says that there is an array
        _remove(url, [info.key for info in store.list(folder)], access)


def _remove(url: Location, keys: Sequence[str], access: Access | None) -> None:
    text, access = located(url, access)
    address = parse_address(text.rstrip("/"), access)
    report = remove_keys(address, [address.prefix + key for key in keys], prune=True)
    if report.failed:
        failed = report.failed[0]
        raise StorageError(f"cannot remove {failed.url}: {failed.reason}")


def _unneeded(
    listed: Iterable[ObjectInfo], needed: set[str], named: set[str], *, before: datetime
) -> list[ObjectInfo]:
    """Objects of folders that no kept version names; a folder named by none must be old."""
    folders: dict[str, list[ObjectInfo]] = {}
    for info in listed:
        folder = info.key.removeprefix(DATA).partition("/")[0].partition(".")[0]
        folders.setdefault(DATA + folder, []).append(info)
    return [
        info
        for folder, infos in folders.items()
        if folder not in needed
        and (folder in named or max(info.modified_at for info in infos) <= before)
        for info in infos
    ]


def _numbers(store: Store) -> list[int]:
    found = (_KEY.fullmatch(info.key) for info in store.list(_FOLDER))
    return [int(match[1]) for match in found if match]


def _read(store: Store, number: int) -> ZarrVersion:
    key = f"{_FOLDER}{number:012d}.json"
    body = store.get(key)
    try:
        document = json.loads(body)
        found = document.get("format")
        version = _version(document) if found == _FORMAT else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArrayFormatError(
            f"{store.url}/{key} is no whole version of an array ({error!r}); restore it, read"
            f" another version, or remove it: its data stay in {store.url}/{DATA}"
        ) from error
    if version is None:
        raise StorageError(
            f"{store.url}/{key} is of format {found!r}, known is {_FORMAT};"
            " read it with a newer lake_assets"
        )
    return version


def _document(version: ZarrVersion, number: int) -> dict[str, Any]:
    values = asdict(version)
    del values["changed"]
    created = version.created_at.isoformat(timespec="microseconds")
    return {**values, "format": _FORMAT, "number": number, "created_at": created}


def _version(document: Mapping[str, Any]) -> ZarrVersion:
    layers = tuple(
        Layer(**{**layer, "start": _shape(layer["start"])}) for layer in document["layers"]
    )
    return ZarrVersion(
        number=document["number"],
        created_at=datetime.fromisoformat(document["created_at"]),
        layers=layers,
        shape=_shape(document["shape"]),
        dtype=document["dtype"],
        chunks=_shape(document["chunks"]),
        shards=None if document["shards"] is None else _shape(document["shards"]),
        codec=document["codec"],
        nbytes=document["nbytes"],
        coordinates=tuple(document["coordinates"]),
    )


def _shape(value: Iterable[object]) -> tuple[int, ...]:
    shape = tuple(n for n in value if isinstance(n, int) and n >= 0)
    if len(shape) != len(tuple(value)):
        raise ValueError(f"{value!r} is no shape")
    return shape
