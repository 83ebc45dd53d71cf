"""Writing one layer of a zarr array: cut, compressed, checksummed, whole objects in parallel.

A worker gets plain values (an address, a region, a block) and gives back what it wrote, so blocks
of a dask array are written wherever dask computes them. Memory is that of the blocks under way.
"""

import hashlib
import math
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import dask
import dask.array as da
import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.dtype import parse_dtype
from zarr.errors import UnstableSpecificationWarning

from lake_assets.arrays.blocks import checked_blocks
from lake_assets.arrays.labelled import Coordinate, Values
from lake_assets.arrays.zarr_grid import Grid, Region, plan_grid, tiles
from lake_assets.arrays.zarr_layers import VALUES, LayerWriter
from lake_assets.arrays.zarr_versions import DATA, Layer, canonical, discard_layer
from lake_assets.arrays.zarr_zstd import sparing
from lake_assets.errors import SettingsError
from lake_assets.fanout import fan_out
from lake_assets.s3 import Access, join_url, open_store
from lake_assets.s3.client import access_in_force

__all__ = ["Codec", "NewLayer", "checked_values", "quiet_zarr", "write_layer"]

Written = dict[str, tuple[int, str]]

#: Blocks of a numpy array or a stored one that are under way at once, and bytes of each.
_WORKERS = 4
_REGION_BYTES = 32 * 1024**2


@dataclass(frozen=True, slots=True)
class Codec:
    """How chunks are compressed; each also carries its crc32c."""

    zstd_level: int = 1

    @classmethod
    def of(cls, text: str) -> "Codec":
        """The codec that a version names."""
        return cls(int(text.partition("(")[2].partition(")")[0]))

    def __str__(self) -> str:  # noqa: D105 (for people)
        return f"zstd({self.zstd_level}) + crc32c"


@dataclass(frozen=True, slots=True)
class NewLayer:
    """Where a layer is to lie and how it is cut."""

    url: str
    grid: Grid
    """Of the whole array."""
    codec: Codec
    dims: tuple[str, ...]
    coordinates: Mapping[str, Coordinate]
    """Of the whole array."""
    attributes: Mapping[str, Any]
    offset: tuple[int, ...] = ()
    """Where the given values begin in the array, a multiple of what an object holds; () is 0."""
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """An array of a layer, as a worker finds it."""

    url: str
    """Of the layer's folder."""
    path: str
    grid: Grid
    access: Access = field(repr=False)


def checked_values(values: Values) -> Values:
    """What can be stored without loss: numpy (any order, read-only, memory-mapped), dask, zarr.

    Raises:
        SettingsError: Python objects, a mask, unknown chunk sizes, or a dtype that zarr lacks.
    """
    _refuse_mask(values)
    if isinstance(values, zarr.Array):
        return values
    if not isinstance(values, da.Array):
        values = np.asarray(values)
    elif any(math.isnan(size) for size in values.shape):
        raise SettingsError("the dask array does not know its shape; call compute_chunk_sizes()")
    if values.dtype.hasobject and values.dtype.kind != "T":
        raise SettingsError(
            f"dtype {values.dtype} holds Python objects; convert it to numbers, str or a structure"
        )
    with quiet_zarr():
        try:
            parse_dtype(values.dtype, zarr_format=3)
        except (ValueError, TypeError) as error:
            raise _no_dtype(values.dtype) from error
    if _holds_arrays(values.dtype):  # taken by zarr, and broken when it is written
        raise _no_dtype(values.dtype)
    return values


def write_layer(new: NewLayer, values: Values) -> Layer:
    """Write values and coordinates into a folder of their own; no version names it yet.

    Args:
        new: Where and how.
        values: From the offset on, as ``checked_values`` gives them.

    Raises:
        LakeError: It cannot be written whole; then nothing of it stays, but what dask's workers
            are still writing: that is for ``clean_zarr``.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    data = f"{DATA}{stamp}"
    try:
        return _write_into(data, new, values)
    except BaseException:  # Ctrl-C as well: the layer that was begun goes, then it is raised
        discard_layer(new.url, data, access=new.access)
        raise


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """Let zarr not warn that str, bytes and structures have no final specification yet.

    docs/arrays.md names them; what is written is read by the same library.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        yield


def _write_into(data: str, new: NewLayer, values: Values) -> Layer:
    folder = join_url(new.url, data)
    access = access_in_force(new.url, new.access)  # workers elsewhere were not told
    writer = LayerWriter(folder, access)
    zarr.create_group(writer)
    written = writer.taken(["zarr.json"])
    for name, labels in new.coordinates.items():
        array = checked_values(labels.values)
        grid = plan_grid(array.shape, array.dtype.itemsize)
        place = _Place(folder, name, grid, access)
        written |= _created(writer, place, array.dtype, new.codec, labels.dims, {})
        written |= _write_values(place, array, ())
    place = _Place(folder, VALUES, new.grid, access)
    written |= _created(writer, place, values.dtype, new.codec, new.dims, new.attributes)
    written |= _write_values(place, values, new.offset)
    objects = canonical(sorted([key, size, sha256] for key, (size, sha256) in written.items()))
    first = new.offset or (0,) * len(new.grid.shape)
    layer = Layer(
        data,
        tuple(at // block for at, block in zip(first, new.grid.blocks, strict=True)),
        hashlib.sha256(objects).hexdigest(),
        n_objects=len(written),
        stored_bytes=sum(size for size, _ in written.values()),
    )
    open_store(new.url, new.access).put(layer.record, objects)
    return layer


def _refuse_mask(values: object) -> None:
    if isinstance(values, np.ma.MaskedArray):
        raise SettingsError(
            "a masked array would lose its mask; store .filled(…), or .data and .mask as two arrays"
        )


def _no_dtype(dtype: np.dtype[Any]) -> SettingsError:
    return SettingsError(f"zarr has no dtype for {dtype}; store it as .npy, or convert it")


def _holds_arrays(dtype: np.dtype[Any]) -> bool:
    """Whether a field of a structure is an array itself."""
    fields = [dtype[name] for name in dtype.names or ()]
    return any(field.subdtype is not None or _holds_arrays(field) for field in fields)


def _created(
    writer: LayerWriter,
    place: _Place,
    dtype: np.dtype[Any],
    codec: Codec,
    dims: Sequence[str],
    attributes: Mapping[str, Any],
) -> Written:
    with quiet_zarr():
        zarr.create_array(
            writer,
            name=place.path,
            shape=place.grid.shape,
            dtype=dtype,
            chunks=place.grid.chunks,
            shards=place.grid.shards,
            compressors=[ZstdCodec(level=codec.zstd_level), Crc32cCodec()],
            attributes=dict(attributes),
            dimension_names=list(dims) or None,
            config={"write_empty_chunks": True},
        )
    return writer.taken([f"{place.path}/zarr.json"])


def _write_values(place: _Place, values: Values, offset: tuple[int, ...]) -> Written:
    write = _write_dask if isinstance(values, da.Array) else _write_blocks
    return write(place, values, offset)


def _write_blocks(place: _Place, values: Values, offset: tuple[int, ...]) -> Written:
    """Write block by block, read from memory, from a mapped file or from another stored array."""
    itemsize, written = values.dtype.itemsize, Written()
    block = Grid(values.shape, place.grid.chunks, place.grid.shards)
    regions = block.regions(itemsize, memory_bytes=_REGION_BYTES)
    for part in fan_out(
        lambda region: _write_region(place, _moved(region, offset), np.asarray(values[region])),
        regions,
        workers=_WORKERS,
    ):
        written |= part
    return written


def _write_dask(place: _Place, values: Values, offset: tuple[int, ...]) -> Written:
    """Write each block where dask computes it; blocks are made whole objects first."""
    if values.size == 0:
        return {}
    # Near to the chunks that are there: each becomes at most a few more.
    region = tuple(
        max(1, round(max(sizes) / block)) * block
        for sizes, block in zip(values.chunks, place.grid.blocks, strict=True)
    )
    values = checked_blocks(values)
    blocks = values.rechunk(region).to_delayed().ravel() if region else [values.to_delayed().item()]
    write = dask.delayed(_write_region, pure=False, traverse=False)  # pyright: ignore[reportPrivateImportUsage] (dask's public name)
    tasks = [
        write(place, _moved(part, offset), block)
        for part, block in zip(tiles(values.shape, region), blocks, strict=True)
    ]
    parts = cast("tuple[Written, ...]", dask.compute(*tasks))  # pyright: ignore[reportPrivateImportUsage] (as above)
    return {key: found for part in parts for key, found in part.items()}


def _write_region(place: _Place, region: Region, block: object) -> Written:
    _refuse_mask(block)  # a dask array does not tell before
    writer, array = _opened(place)
    array[region] = np.asarray(block)
    return writer.taken(f"{place.path}/{key}" for key in place.grid.keys(region))


@lru_cache(maxsize=8)
def _opened(place: _Place) -> "tuple[LayerWriter, zarr.Array]":
    """The array to write to; once for a process and layer, not once for each block."""
    writer = LayerWriter(place.url, place.access)
    with quiet_zarr():
        array = zarr.open_array(writer, path=place.path, mode="r+")
    # Not by an argument of open_array: zarr 3.1 takes it and forgets it where the array exists.
    return writer, sparing(array.with_config({"write_empty_chunks": True}))


def _moved(region: Region, offset: tuple[int, ...]) -> Region:
    if not offset:
        return region
    return tuple(
        slice(part.start + at, part.stop + at) for part, at in zip(region, offset, strict=True)
    )
