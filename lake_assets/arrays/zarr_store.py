"""Arrays in zarr 3: written chunk by chunk, shown by a pointer that is swapped last, read lazily.

``write_zarr(url, array)`` makes a new version of the array at ``url`` (a folder or ``s3://…``);
``open_zarr(url)`` is the newest one, and what is opened stays as it is: later writes do not change
it. How it lies in the store is in ``zarr_versions``.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize

from lake_assets.arrays.labelled import Coordinate, LabelledArray, Values
from lake_assets.arrays.place import place_of
from lake_assets.arrays.selection import Selection, box_of
from lake_assets.arrays.zarr_grid import Grid, Layout, grown, plan_grid
from lake_assets.arrays.zarr_layers import VALUES, VersionStore
from lake_assets.arrays.zarr_versions import (
    Layer,
    ZarrVersion,
    canonical,
    discard_layer,
    find_zarr_version,
    publish_version,
    zarr_version,
    zarr_versions,
)
from lake_assets.arrays.zarr_write import Codec, NewLayer, checked_values, quiet_zarr, write_layer
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    LakeError,
    MissingObjectError,
    SettingsError,
    first_line,
)
from lake_assets.s3 import Access, Location, open_store
from lake_assets.s3.access import located

__all__ = [
    "as_labelled",
    "is_zarr",
    "make_version",
    "open_labelled",
    "open_zarr",
    "open_zarr_array",
    "read_zarr",
    "write_zarr",
]

#: Bytes of a block of a lazy array; a slice of it reads less.
_BLOCK_BYTES = 32 * 1024**2


def is_zarr(url: Location, *, access: Access | None = None) -> bool:
    """Whether a zarr array lies at ``url``: one of ours, or anybody's (format 2 or 3).

    Raises:
        StorageError: The store refuses.
        ArrayFormatError: What should say so, ``zarr.json``, is damaged.
    """
    if zarr_versions(url, access=access):
        return True
    store = open_store(url, access)
    if store.head("zarr.json"):
        try:
            return json.loads(store.get("zarr.json")).get("node_type") == "array"
        except (ValueError, AttributeError) as error:
            raise _undescribed(url, error) from error
    return store.head(".zarray") is not None


def write_zarr(
    url: Location,
    array: object,
    *,
    layout: Layout | None = None,
    attributes: Mapping[str, Any] | None = None,
    access: Access | None = None,
) -> ZarrVersion:
    """Make ``array`` the newest version at ``url``; readers see the old one until all is there.

    Two writers at once both write whole versions, and the later one is the array. The same array
    again makes no version, and leaves the store as it was.

    Args:
        url: A folder or ``s3://bucket/prefix``, of this array alone.
        array: numpy of any order, dask (never held whole), zarr (copied block by block), or a
            ``LabelledArray`` of one of these.
        layout: How it is cut; by default chunks of 1 MiB, cut along all axes alike.
        attributes: Of the array, as JSON can hold them.
        access: How to reach the bucket.

    Raises:
        SettingsError: It cannot be stored without loss (Python objects, a mask), the layout does
            not fit, the attributes are no JSON, or ``url`` is the root of the file system.
        StorageError: The store refuses; the old version stays the array.
    """
    url, access = located(url, access)
    place_of(url, access)  # what can be no address, is refused
    layout, labelled = layout or Layout(), as_labelled(array)
    values = labelled.values
    attributes = {**labelled.attributes, **(attributes or {})}
    try:
        canonical(attributes)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"the attributes are no JSON ({error}); found {attributes!r}, convert what is not"
        ) from error
    new = NewLayer(
        url,
        plan_grid(values.shape, values.dtype.itemsize, layout),
        Codec(layout.zstd_level),
        dims=labelled.dims,
        coordinates=labelled.coordinates,
        attributes=attributes,
        access=access,
    )
    return make_version(new, values)


def open_zarr(
    url: Location,
    *,
    version: int | None = None,
    fill_missing: bool = False,
    access: Access | None = None,
) -> da.Array:
    """The array at ``url``, lazily: a slice fetches the chunks that it touches.

    Args:
        url: What ``write_zarr`` wrote, or a zarr array of somebody else.
        version: An earlier one; the newest by default.
        fill_missing: Take chunks that are not there for fill values: only for arrays of writers
            that leave such chunks out. Ours never do, and a missing chunk is an error.
        access: How to reach the bucket; sent along where the array is computed elsewhere.

    Returns:
        Blocks of whole objects, about 32 MiB; of the stored dtype in native byte order.

    Raises:
        MissingObjectError: There is no such array or version.
        ArrayFormatError: What describes it is damaged.
        BodyMismatchError: While computing: a chunk is missing, or not what was written.
    """
    return _lazy(open_zarr_array(url, version=version, fill_missing=fill_missing, access=access))


def open_zarr_array(
    url: Location,
    *,
    version: int | None = None,
    fill_missing: bool = False,
    access: Access | None = None,
) -> "zarr.Array[Any]":
    """The array at ``url`` as zarr's own type, read only; arguments as of ``open_zarr``."""
    found = find_zarr_version(url, version, access=access)
    if found is None:
        return _foreign(url, version, fill_missing=fill_missing, access=access)
    return _array(VersionStore(url, found.layers, found.grid, access), VALUES)


def read_zarr(
    url: Location,
    region: Selection = ...,
    *,
    version: int | None = None,
    access: Access | None = None,
) -> np.ndarray:
    """The values of ``region``, by default all, in memory.

    Args:
        url: As of ``open_zarr``.
        region: Numbers, slices of any step and ``...`` as between brackets.
        version: An earlier one; the newest by default.
        access: How to reach the bucket.

    Raises:
        MissingObjectError: There is no such array or version.
        BodyMismatchError: A chunk is missing, or not what was written.
        IndexError: A number is out of bounds.
        SettingsError: An index that is no number, slice or ``...``.
    """
    array = open_zarr_array(url, version=version, access=access)
    box = box_of(region, array.shape)
    # zarr takes no step below 1: what is asked backwards is read forwards, and turned.
    bounds = tuple(
        slice(start, start + length, abs(index.step or 1) if isinstance(index, slice) else 1)
        for start, length, index in zip(box.starts, box.shape, box.inner, strict=True)
    )
    turned = tuple(
        slice(None, None, -1 if (index.step or 1) < 0 else 1) if isinstance(index, slice) else index
        for index in box.inner
    )
    values = _values(array, bounds)
    found = values[turned]
    # As it came where all of it was asked for; else one of its own, that holds nothing else.
    return values if found.shape == values.shape and found.flags.c_contiguous else found.copy()


def open_labelled(
    url: Location, *, version: int | None = None, access: Access | None = None
) -> LabelledArray:
    """The array with the names of its axes and its coordinates.

    Values and coordinates of several axes are lazy; labels of one axis are in memory.
    """
    found = zarr_version(url, version, access=access)
    store = VersionStore(url, found.layers, found.grid, access)
    array = _array(store, VALUES)
    labels = {name: _array(store, name) for name in found.coordinates}
    return LabelledArray(
        _lazy(array),
        _dims(array),
        {name: _coordinate(item) for name, item in labels.items()},
        dict(array.attrs),
    )


def as_labelled(array: object) -> LabelledArray:
    """A labelled array as it is; any other with the names of its axes, or ``dim_0``, ``dim_1`` ….

    Raises:
        SettingsError: It cannot be stored without loss.
    """
    if isinstance(array, LabelledArray):
        return replace(array, values=checked_values(array.values))
    values = checked_values(array)
    attributes = dict(values.attrs) if isinstance(values, zarr.Array) else {}
    return LabelledArray(values, _dims(values), attributes=attributes)


def make_version(
    new: NewLayer,
    values: Values,
    *,
    base: ZarrVersion | None = None,
    over: tuple[Layer, ...] = (),
) -> ZarrVersion:
    """Write a layer, then make it the array, over the layers that it continues.

    Args:
        new: The layer.
        values: What it holds.
        base: The version that it was made from; None replaces whatever is there.
        over: Layers below it.

    Raises:
        PublishConflictError: ``base`` is not the newest version any more.
    """
    layer = write_layer(new, values)
    itemsize, shape = values.dtype.itemsize, new.grid.shape
    version = ZarrVersion(
        number=0,
        created_at=datetime.now(UTC),
        layers=(*over, layer),
        shape=shape,
        dtype=values.dtype.str if values.dtype.names is None else str(values.dtype),
        chunks=new.grid.chunks,
        shards=new.grid.shards,
        codec=str(new.codec),
        nbytes=int(np.prod(shape, dtype=object)) * itemsize,
        coordinates=tuple(new.coordinates),
    )
    try:
        newest = _newest(new, may_be_damaged=base is None)
        if newest and newest.checksum == version.checksum:
            discard_layer(new.url, layer.data, access=new.access)
            return replace(newest, changed=False)
        return publish_version(
            new.url, version, base=base.number if base else None, access=new.access
        )
    except LakeError:
        discard_layer(new.url, layer.data, access=new.access)
        raise


def _newest(new: NewLayer, *, may_be_damaged: bool) -> ZarrVersion | None:
    try:
        return find_zarr_version(new.url, access=new.access)
    except ArrayFormatError:
        if may_be_damaged:  # what replaces it need not know it
            return None
        raise


def _array(store: VersionStore, path: str) -> "zarr.Array[Any]":
    with quiet_zarr():
        try:
            return zarr.open_array(
                store, path=path, mode="r", zarr_format=3 if store.layers else None
            )
        except LakeError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # zarr's, for bad JSON
            raise _undescribed(f"{store}/{path}" if path else str(store), error) from error


def _undescribed(url: Location, error: Exception) -> ArrayFormatError:
    return ArrayFormatError(
        f"what describes the zarr array at {url} is damaged or gone ({error!r}); restore it, read"
        " another version, or write the array anew"
    )


def _foreign(
    url: Location, version: int | None, *, fill_missing: bool, access: Access | None
) -> "zarr.Array[Any]":
    if not is_zarr(url, access=access):
        raise MissingObjectError(
            f"there is no zarr array at {url}: neither versions nor zarr.json nor .zarray were"
            " found; look what is there with `lake fs ls`"
        )
    if version is not None:
        raise SettingsError(f"{url} has no versions: it was not written by write_zarr")
    store = VersionStore(url, (), Grid((), ()), access, fill_missing=fill_missing)
    array = _array(store, "")
    folder = open_store(url, access)
    found = folder.head("zarr.json") or folder.head(".zarray")
    store.described_by = found.etag if found else ""
    store.grid = Grid(array.shape, array.chunks, array.shards)
    return array


def _lazy(array: Values) -> da.Array:
    blocks = array.shards or array.chunks
    size = array.dtype.itemsize
    chunks = grown(blocks, array.shape, size, target_bytes=_BLOCK_BYTES)
    # Named by what it reads: two arrays never share a name, the same version always has its own.
    store = cast("VersionStore", array.store)
    name = f"zarr-{tokenize(store.identity, array.path, array.shape, chunks)}"
    meta = np.empty((0,) * array.ndim, array.dtype)
    return da.from_array(array, chunks=cast("Any", chunks), name=name, meta=meta)


def _values(array: Values, region: Any = ...) -> np.ndarray:  # noqa: ANN401 (what zarr takes)
    """What is stored; of our chunks the store names the damaged ones, of others zarr says less."""
    try:
        return np.asarray(array[region])
    except LakeError:
        raise
    except (ValueError, RuntimeError) as error:  # a checksum, a codec
        place = f"{array.store}/{array.path}".rstrip("/")
        raise BodyMismatchError(
            f"a chunk of {place} is damaged ({first_line(error)}); restore it, or write it again"
        ) from error


def _coordinate(array: Values) -> Coordinate:
    is_small = array.ndim <= 1
    return Coordinate(_dims(array), _values(array) if is_small else _lazy(array))


def _dims(array: Values) -> tuple[str, ...]:
    names = getattr(getattr(array, "metadata", None), "dimension_names", None) or ()
    return tuple(names) if all(names) and names else tuple(f"dim_{n}" for n in range(array.ndim))
