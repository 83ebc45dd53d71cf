"""Whether what is stored as an array is whole, whatever its format."""

from dataclasses import dataclass

from lake_assets.arrays.place import place_of
from lake_assets.arrays.raw import check_crc32c, crc32c_of
from lake_assets.arrays.zarr_store import is_zarr
from lake_assets.arrays.zarr_verify import verify_zarr
from lake_assets.arrays.zarr_versions import zarr_version
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    MissingObjectError,
    SourceChangedError,
)

__all__ = ["StoredArray", "verify_stored"]

#: What the IO managers add to an address, by format.
_ENDINGS = ("", ".npy", ".npz", ".raw")


@dataclass(frozen=True, slots=True)
class StoredArray:
    """What was found."""

    url: str
    n_objects: int
    stored_bytes: int
    checksum: str
    """Of what is there: ``crc32c …`` of one object, ``sha256 …`` of a zarr version's record."""
    problems: tuple[str, ...]
    """Missing objects, other sizes, other bytes."""

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def verify_stored(url: str) -> StoredArray:
    """Read all of an array and compare it with what was recorded when it was written.

    Args:
        url: Of a zarr array of ours; of a raw, ``.npy`` or ``.npz`` object, with or without its
            ending.

    Raises:
        MissingObjectError: Nothing is there.
        StorageError: The store refuses.
    """
    if is_zarr(url):
        try:
            return _verify_zarr(url)
        except (ArrayFormatError, BodyMismatchError, SourceChangedError) as error:
            # What says which objects there should be is itself damaged or gone.
            return StoredArray(url, 0, 0, "", (str(error),))
    for ending in _ENDINGS:
        try:
            return _verify_object(f"{url}{ending}")
        except MissingObjectError:
            continue
    raise MissingObjectError(f"there is no array at {url}: neither zarr nor .npy, .npz or .raw")


def _verify_zarr(url: str) -> StoredArray:
    found = verify_zarr(url)
    problems = (*(f"{key} is missing" for key in found.missing), *found.wrong)
    checksum = f"sha256 {zarr_version(url, found.version).checksum}"
    return StoredArray(url, found.n_objects, found.stored_bytes, checksum, problems)


def _verify_object(url: str) -> StoredArray:
    place = place_of(url)
    try:
        read = place.objects.read(place.key, proof=check_crc32c)
    except BodyMismatchError as error:
        return StoredArray(url, 1, 0, "", (str(error),))
    return StoredArray(url, 1, len(read.body), f"crc32c {crc32c_of(read.body)}", ())
