"""One array in one object: raw and npy, whole or only the bytes that a selection needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lake_assets.arrays import npy
from lake_assets.arrays.dtypes import in_memory
from lake_assets.arrays.metadata import from_stored, to_stored
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import (
    Compression,
    OrderPolicy,
    check_crc32c,
    crc32c_of,
    encode_raw,
    from_bytes,
    header_of,
)
from lake_assets.arrays.records import Written
from lake_assets.arrays.selection import Box, Hull, Selection, box_of, plan_hulls
from lake_assets.errors import ArrayFormatError, MissingObjectError
from lake_assets.s3 import Location
from lake_assets.s3.engine import Found
from lake_assets.s3.objects import Objects

__all__ = [
    "part_of",
    "put_raw",
    "raw_at",
    "read_metadata",
    "read_npy",
    "read_raw",
    "write_npy",
    "write_raw",
]

#: Smaller objects are read whole and verified, whatever part of them was asked for.
_WHOLE_BYTES = 256 * 1024
#: Bytes that are worth a request: some 20 ms, of which 32 pass at once, at 50 MB/s.
_REQUEST_BYTES = {True: 32 * 1024, False: 16 * 1024}
#: A larger hull is read by several requests.
_SPAN_BYTES = 8 * 1024**2
#: No more of an object is held beside the selection, however far apart its bytes lie.
_HULL_BYTES = 64 * 1024**2


def write_raw(
    url: Location,
    array: np.ndarray,
    *,
    compression: Compression = True,
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write one array as one object that cottoncandy can read, too.

    Args:
        url: Of the object; what is there is replaced.
        array: Any shape, order and dtype without Python objects; read-only ones and memory maps.
            Lists and lazy arrays become numpy's first.
        compression: True: Blosc (zstd with shuffle). False: none, so that parts can be read by
            byte ranges. Else a codec by name.
        metadata: The user's own; see ``lake_assets.arrays.metadata``.

    Raises:
        SettingsError: The array has a mask or Python objects, or the metadata cannot be stored.
        StorageError: The store refused.
    """
    return put_raw(place_of(url), array, compression=compression, metadata=to_stored(metadata))


def put_raw(
    place: Place, array: np.ndarray, *, compression: Compression, metadata: Mapping[str, str]
) -> Written:
    """``write_raw`` at an opened place, with metadata as they are stored."""
    array = in_memory(array)
    body, own = encode_raw(array, compression=compression)
    place.objects.write(place.key, body, {**metadata, **own})
    codec = None if own["compression"] == "False" else own["compression"]
    return Written(
        place.url,
        "raw",
        np.shape(array),
        str(array.dtype),
        array.nbytes,
        body.nbytes,
        codec,
        own["crc32c"],
    )


def read_raw(
    url: Location, selection: Selection = None, *, order_policy: OrderPolicy = "auto"
) -> np.ndarray:
    """Read a raw array that lake_assets or any version of cottoncandy wrote.

    A part of an uncompressed one is read by byte ranges under the object's ETag; the checksum is
    of the whole body, and is checked where that is read.

    Args:
        url: Of the object.
        selection: Numbers, slices and ``...`` as between brackets; all by default.
        order_policy: Whether ``order: F`` beside a compression is believed; see ``raw``.

    Returns:
        A new, writable array.

    Raises:
        MissingObjectError: There is no such object.
        ArrayFormatError: It is no raw array, or its body is not what its metadata say.
        UnsafeDataError: The dtype holds Python objects, or the codec is not on the list.
        BodyMismatchError: The bytes have not the checksum that was written with them.
        IndexError: The selection is out of bounds.
    """
    return raw_at(place_of(url), selection, order_policy)


def raw_at(
    place: Place, selection: Selection = None, order_policy: OrderPolicy = "auto"
) -> np.ndarray:
    """``read_raw`` at an opened place."""
    if selection is not None:
        found = _there(place)
        header = header_of(found, place.url, order_policy)
        box = box_of(selection, header.shape)
        if header.is_plain and header.order == "C" and found.size_bytes > _WHOLE_BYTES:
            stored = _Stored(header.dtype, header.shape, 0, found)
            _check_length(place, found, header.n_bytes)
            return _read_box(place, stored, box)
    whole = place.objects.read(place.key, proof=check_crc32c)
    header = header_of(whole.found, place.url, order_policy)
    array = from_bytes(whole.body, header, place.url)
    return part_of(array, selection)


def write_npy(
    url: Location, array: np.ndarray, *, metadata: Mapping[str, object] | None = None
) -> Written:
    """Write one array as ``np.save`` does; in a bucket with a checksum in the metadata.

    In a folder it is a plain file, with a sidecar only where there are ``metadata``.

    Raises:
        SettingsError: The array has a mask or Python objects, or the metadata cannot be stored.
        StorageError: The store refused.
    """
    place, said, array = place_of(url), to_stored(metadata), in_memory(array)
    body = npy.encode_npy(array)
    crc32c = crc32c_of(body)
    if place.objects.is_s3 or said:
        said["crc32c"] = crc32c
    place.objects.write(place.key, body, said)
    return Written(
        place.url,
        "npy",
        np.shape(array),
        str(array.dtype),
        array.nbytes,
        body.nbytes,
        crc32c=crc32c,
    )


def read_npy(url: Location, selection: Selection = None) -> np.ndarray:
    """Read an ``.npy`` object, a selection by its header and byte ranges; never a pickle.

    Returns:
        A new, writable array, in the order it was saved in.

    Raises:
        MissingObjectError: There is no such object.
        ArrayFormatError: It is no npy file, or not exactly as long as its header says.
        UnsafeDataError: It holds Python objects.
        BodyMismatchError: The bytes have not the checksum that was written with them.
        IndexError: The selection is out of bounds.
    """
    place = place_of(url)
    if selection is not None:
        found = _there(place)
        if found.size_bytes > _WHOLE_BYTES:
            return _npy_part(place, found, selection)
    whole = place.objects.read(place.key, proof=check_crc32c)
    array = npy.array_of(whole.body, place.url)
    return part_of(array, selection)


def read_metadata(url: Location) -> dict[str, str]:
    """The user's own metadata of an object, without its body.

    Raises:
        MissingObjectError: There is no such object.
    """
    return from_stored(_there(place_of(url)).metadata)


def part_of(array: np.ndarray, selection: Selection) -> np.ndarray:
    """A selection of an array that is here, refused where a partial read would refuse it."""
    if selection is None:
        return array
    box_of(selection, array.shape)
    return np.array(array[selection])


@dataclass(frozen=True, slots=True)
class _Stored:
    """Plain C-order bytes inside an object."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    found: Found


def _there(place: Place) -> Found:
    found = place.objects.look(place.key)
    if found is None:
        raise MissingObjectError(f"{place.url} is not there")
    return found


def _check_length(place: Place, found: Found, n_bytes: int) -> None:
    if found.size_bytes != n_bytes:
        raise ArrayFormatError(
            f"{place.url}: the body has {found.size_bytes} bytes, shape and dtype need {n_bytes}"
        )


def _npy_part(place: Place, found: Found, selection: Selection) -> np.ndarray:
    objects, key = place.objects, place.key
    head = objects.read_span(key, 0, 4096, etag=found.etag)
    size = npy.header_size(head, place.url)
    if size > len(head):
        head = objects.read_span(key, 0, min(size, found.size_bytes), etag=found.etag)
    header = npy.parse_header(head, place.url)
    _check_length(place, found, header.start + header.n_bytes)
    box = box_of(selection, header.shape)
    if header.is_fortran:  # the same bytes are the transposed array in C order
        turned = Box(box.starts[::-1], box.shape[::-1], box.inner[::-1])
        stored = _Stored(header.dtype, header.shape[::-1], header.start, found)
        return _read_box(place, stored, turned).T
    return _read_box(place, _Stored(header.dtype, header.shape, header.start, found), box)


def _read_box(place: Place, stored: _Stored, box: Box) -> np.ndarray:
    """Read the hulls of a box side by side, each seen through the strides of the whole array."""
    result = np.empty(box.shape, stored.dtype)
    if result.nbytes:
        hulls = plan_hulls(
            box,
            stored.shape,
            stored.dtype.itemsize,
            request_bytes=_REQUEST_BYTES[place.objects.is_s3],
            most_bytes=_HULL_BYTES,
        )

        def read(hull: Hull) -> None:
            start = stored.start + hull.start
            data = _read_hull(place.objects, place.key, start, start + hull.n_bytes, stored.found)
            strides = hulls.strides[len(stored.shape) - len(hull.shape) :]
            result[hull.index] = np.ndarray(hull.shape, stored.dtype, buffer=data, strides=strides)

        # A big hull is read by threads of its own.
        in_threads(read, hulls.pieces(box), 1 if hulls.n_bytes > _SPAN_BYTES else 0)
    return np.array(result[box.inner])


def _read_hull(objects: Objects, key: str, start: int, stop: int, found: Found) -> memoryview:
    if stop - start <= _SPAN_BYTES:
        return objects.read_span(key, start, stop, etag=found.etag)
    data = np.empty(stop - start, np.uint8)

    def fill(at: int) -> None:
        end = min(at + _SPAN_BYTES, stop)
        span = objects.read_span(key, at, end, etag=found.etag)
        data[at - start : end - start] = np.frombuffer(span, np.uint8)

    in_threads(fill, range(start, stop, _SPAN_BYTES))
    return data.data
