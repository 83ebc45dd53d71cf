"""One call that finds out what is there, and its partner that chooses how to store a value."""

import io
from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse as sp
import zarr

from lake_assets.arrays.dense import write_npy, write_raw
from lake_assets.arrays.documents import write_bytes, write_json, write_stream
from lake_assets.arrays.nodes import folder_kind
from lake_assets.arrays.one import Reading, read_folder, value_of
from lake_assets.arrays.place import Place, place_of
from lake_assets.arrays.raw import Compression, OrderPolicy, check_crc32c
from lake_assets.arrays.records import Written
from lake_assets.arrays.sparse import write_sparse
from lake_assets.arrays.tree import is_tree, tree_at, write_tree
from lake_assets.errors import MissingObjectError, SettingsError, StorageError
from lake_assets.s3 import Location
from lake_assets.s3.url import text_of

__all__ = ["any_at", "read_any", "write_any"]

#: A larger array is written in chunks, which are read lazily and in part.
_LARGE_BYTES = 64 * 1024**2
_NPY = ".npy"


def read_any(
    url: Location, *, allow_pickle: bool = False, order_policy: OrderPolicy = "auto"
) -> Any:  # noqa: ANN401 (whatever is there)
    """Read what is at an address, whatever it is.

    Args:
        url: An object or prefix: of ours, of any cottoncandy, of numpy, scipy or zarr.
        allow_pickle: Read a pickle, restricted to plain data; else it is refused.
        order_policy: See ``read_raw``.

    Returns:
        A numpy array (raw, npy), a dict of them (npz, a prefix), a lazy dask array (chunks, zarr),
        a sparse array or matrix, the value of JSON, or bytes.

    Raises:
        MissingObjectError: Nothing is there.
        ArrayFormatError: It is not what it says it is.
        UnsafeDataError: It is a pickle that was not allowed, or names objects or a foreign codec.
        BodyMismatchError: The bytes are not those that were written.
    """
    reading = Reading(order_policy, allow_pickle)
    return any_at(place_of(url), reading, is_folder=text_of(url).endswith("/"))


def any_at(place: Place, reading: Reading, *, is_folder: bool = False) -> Any:  # noqa: ANN401 (whatever is there)
    """``read_any`` at an opened place; no object of its name where it says folder."""
    if place.key and not is_folder:
        try:
            stored = place.objects.read(place.key, proof=check_crc32c)
        except MissingObjectError:
            pass
        else:
            return value_of(stored, place, reading)
    kind = folder_kind(place)
    return tree_at(place, reading) if kind is None else read_folder(place, kind)


def write_any(
    url: Location,
    value: object,
    *,
    compression: Compression = True,
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write a value as what suits it; ``read_any`` gives it back.

    numpy: raw with Blosc, ``.npy`` where the address ends so, zarr above 64 MiB. dask, zarr: zarr.
    Sparse: npz. A dict with arrays: a tree. Bytes and files: as they are. All else: JSON.

    Args:
        url: Where. A prefix that holds other objects is refused for a dict of arrays.
        value: Never a pickle: what none of these formats holds is refused.
        compression: Of raw arrays and trees.
        metadata: The user's own; not for a dict of arrays.

    Raises:
        SettingsError: The value cannot be stored without loss.
        StorageError: The store refused, or a folder and an object would have one name.
    """
    place = place_of(url)
    is_lazy = isinstance(value, da.Array | zarr.Array)
    is_large = isinstance(value, np.ndarray) and value.nbytes > _LARGE_BYTES
    if is_lazy or (is_large and not text_of(url).endswith(_NPY)):
        _refuse_object(place)
        return _write_zarr(url, value, metadata)
    if is_tree(value):
        if metadata:
            raise SettingsError("a dict of arrays is many objects; metadata belong to one of them")
        _refuse_object(place)
        return write_tree(url, value, compression=compression, others="refuse")
    _refuse_folder(place)
    return _write_object(url, value, compression, metadata)


def _write_object(
    url: Location, value: object, compression: Compression, metadata: Mapping[str, object] | None
) -> Written:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asanyarray(value)
        if text_of(url).endswith(_NPY):
            return write_npy(url, array, metadata=metadata)
        return write_raw(url, array, compression=compression, metadata=metadata)
    if sp.issparse(value):
        return write_sparse(url, value, metadata=metadata)  # pyright: ignore[reportArgumentType] (it is sparse)
    if isinstance(value, bytes | bytearray | memoryview):
        return write_bytes(url, value, metadata=metadata)
    if isinstance(value, io.RawIOBase | io.BufferedIOBase):
        return write_stream(url, value, metadata=metadata)  # pyright: ignore[reportArgumentType] (a binary file)
    return write_json(url, value, metadata=metadata)


def _write_zarr(url: Location, value: object, metadata: Mapping[str, object] | None) -> Written:
    from lake_assets.arrays.zarr_store import write_zarr

    made = write_zarr(url, value, attributes=metadata)
    return Written(
        text_of(url),
        "zarr",
        made.shape,
        made.dtype,
        made.nbytes,
        made.stored_bytes,
        made.codec,
        n_objects=made.n_objects,
    )


def _refuse_object(place: Place) -> None:
    """An object of the folder's name would be read in its place."""
    if place.key and place.objects.store.head(place.key):
        raise StorageError(
            f"{place.url} is an object, and the value needs a folder of that name; "
            "remove it first (lake fs rm), or write elsewhere"
        )


def _refuse_folder(place: Place) -> None:
    """An object beside a folder of its name would hide it."""
    if not place.key:
        raise SettingsError(f"{place.url} is a whole bucket; name an object in it")
    below = next(iter(place.objects.store.list(place.prefix)), None)
    if below is not None:
        raise StorageError(
            f"{place.url} is a folder (of {below.key!r} and perhaps more), and the value is one "
            "object; remove it first (lake fs rm -r), or write elsewhere"
        )
