"""Whether a stored zarr array is whole: every object there, of its size, of its bytes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from lake_assets.arrays.zarr_layers import VALUES
from lake_assets.arrays.zarr_versions import ZarrVersion, holding, zarr_version
from lake_assets.errors import BodyMismatchError, SourceChangedError
from lake_assets.fanout import fan_out
from lake_assets.s3 import Access, Location, ObjectInfo, Store, open_store

__all__ = ["VerifiedArray", "verify_zarr"]

_WORKERS = 8


@dataclass(frozen=True, slots=True)
class VerifiedArray:
    """What was found of an array."""

    version: int
    n_objects: int
    """Those that should be there."""
    stored_bytes: int
    """As recorded when they were written."""
    missing: tuple[str, ...]
    """Keys below the address."""
    wrong: tuple[str, ...]
    """What is there and is not what was written, with the reason."""

    @property
    def ok(self) -> bool:
        """Whether nothing is missing and nothing wrong."""
        return not self.missing and not self.wrong


def verify_zarr(
    url: Location, *, version: int | None = None, deep: bool = True, access: Access | None = None
) -> VerifiedArray:
    """Compare what is stored with the grid of the array and with what was recorded of each object.

    Args:
        url: What ``write_zarr`` wrote.
        version: An earlier one; the newest by default.
        deep: Read every object and compare its sha256; else sizes only, from a listing.
        access: How to reach the bucket.

    Raises:
        StorageError: There is no such array, or the record itself is damaged or gone.
    """
    found, store = zarr_version(url, version, access=access), open_store(url, access)
    recorded: dict[str, tuple[int, str]] = {}
    listed: dict[str, ObjectInfo] = {}
    for layer in found.layers:
        body = store.get(layer.record, sha256=layer.sha256)
        recorded |= {
            f"{layer.data}/{key}": (size, digest) for key, size, digest in json.loads(body)
        }
        listed |= {info.key: info for info in store.list(f"{layer.data}/")}
    missing = [key for key in (*_chunks(found), *recorded) if key not in listed]
    wrong = [
        f"{key}: {listed[key].size_bytes} bytes, recorded are {size}"
        for key, (size, _) in recorded.items()
        if key in listed and listed[key].size_bytes != size
    ]
    if deep:
        wrong += _damaged(store, recorded, listed)
    return VerifiedArray(
        found.number,
        len(recorded),
        sum(size for size, _ in recorded.values()),
        tuple(dict.fromkeys(missing)),
        tuple(wrong),
    )


def _chunks(version: ZarrVersion) -> Iterator[str]:
    """Every object that the grid asks for, in the layer that has it."""
    for key in version.grid.keys():  # noqa: SIM118 (a grid is no dict)
        place = tuple(int(part) for part in key.split("/")[1:])
        yield f"{holding(version.layers, place).data}/{VALUES}/{key}"


def _damaged(
    store: Store, recorded: dict[str, tuple[int, str]], listed: dict[str, ObjectInfo]
) -> list[str]:
    def look(key: str) -> str | None:
        try:
            store.get(key, listed=listed[key], sha256=recorded[key][1])
        except (BodyMismatchError, SourceChangedError) as error:
            return f"{key}: {error}"
        return None

    keys = [
        key
        for key, (size, _) in recorded.items()
        if key in listed and listed[key].size_bytes == size
    ]
    return [reason for reason in fan_out(look, keys, workers=_WORKERS) if reason]
