"""cottoncandy's raw array: one blob of C-order bytes, described by the object's user metadata.

Pure: bytes and metadata to arrays and back. Ours add ``crc32c`` (of the body as stored, hex) and,
for structured dtypes, ``descr``; cottoncandy reads them as its own. The reading rules were checked
on objects of every version that can be had: see docs/decisions/0013-array-formats.md.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import google_crc32c
import numpy as np

from lake_assets.arrays import codecs
from lake_assets.arrays.dtypes import (
    checked_dtype,
    checked_shape,
    dtype_from_json,
    dtype_to_json,
    flat_items,
    storable,
)
from lake_assets.errors import ArrayFormatError
from lake_assets.s3.engine import Found

__all__ = [
    "Compression",
    "OrderPolicy",
    "RawHeader",
    "check_crc32c",
    "crc32c_of",
    "encode_raw",
    "from_bytes",
    "header_of",
    "is_raw",
]

logger = logging.getLogger(__name__)

Compression: TypeAlias = bool | str | None
"""True: what is best; False or None: none; else ``Blosc``, ``Zstd``, ``gzip`` … in any case."""

OrderPolicy: TypeAlias = Literal["auto", "trust", "ignore"]
"""Whether ``order: F`` beside ``compression`` is believed.

0.4.0 writes it over C-order bytes, 0.2.0 on Python 2 wrote it over F-order ones. ``auto`` believes
it of objects that were last written before 2020, ``trust`` of all, ``ignore`` of none.
"""

_TRUE = frozenset({"true", "tru", "t", "y", "yes", "1"})
_LAST_PYTHON2 = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RawHeader:
    """What the metadata say of a raw array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    codec: str
    """As written; ``False`` for none."""
    order: Literal["C", "F"]
    """In which the bytes lie, after the rules."""

    @property
    def n_bytes(self) -> int:
        """Of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_plain(self) -> bool:
        """Whether the body is the array's bytes, so that a part of it can be read."""
        return self.codec.lower() in {"false", "none", ""}


def is_raw(metadata: Mapping[str, str]) -> bool:
    """Whether an object's metadata describe a raw array."""
    return "dtype" in metadata and "shape" in metadata


def header_of(found: Found, name: str, policy: OrderPolicy = "auto") -> RawHeader:
    """What the metadata of an object say of its body.

    Args:
        found: The object as stored.
        name: Its address, for messages.
        policy: See ``OrderPolicy``.

    Raises:
        ArrayFormatError: They describe no array.
        UnsafeDataError: The dtype holds Python objects.
    """
    said = found.metadata
    if not is_raw(said):
        raise ArrayFormatError(
            f"{name} is no raw array: its metadata have no dtype and shape (found {sorted(said)}); "
            "read_any finds out what it is"
        )
    dtype = _dtype_of(said, name)
    try:
        shape = tuple(int(n) for n in said["shape"].split(",")) if said["shape"] else ()
    except ValueError as error:
        raise ArrayFormatError(f"{name}: shape {said['shape']!r} is no list of numbers") from error
    checked_shape(shape, dtype.itemsize, name)
    if "gzip" in said:
        codec = "gzip" if said["gzip"].lower() in _TRUE else "False"
    else:
        codec = said.get("compression", "False")
    return RawHeader(dtype, shape, codec, _order_of(found, shape, name, policy))


def from_bytes(body: memoryview, header: RawHeader, name: str) -> np.ndarray:
    """The array of a stored body: writable, in the byte order of its dtype.

    Raises:
        ArrayFormatError: The body is broken, or not exactly as long as shape and dtype need.
        UnsafeDataError: The codec is not on the list.
    """
    try:
        raw = codecs.decode(header.codec, body, header.n_bytes)
    except ArrayFormatError as error:
        raise type(error)(f"{name}: {error}") from error
    if not header.n_bytes:  # frombuffer refuses empty buffers and items of no size
        return np.empty(header.shape, header.dtype)
    array = np.frombuffer(raw, header.dtype).reshape(header.shape, order=header.order)
    return array if array.flags.writeable else array.copy()


def encode_raw(
    array: np.ndarray, *, compression: Compression = True
) -> tuple[memoryview, dict[str, str]]:
    """Body and metadata of an array; its bytes are not copied where they lie in C order.

    Args:
        array: Any shape, order and dtype without Python objects; read-only ones and memory maps.
        compression: See ``Compression``.

    Raises:
        SettingsError: The array has a mask or Python objects, or the codec does not fit.
    """
    array = storable(array)
    items = flat_items(array)
    codec = codecs.codec_named(compression, array.nbytes)
    body = codecs.encode(codec, items) if codec else items.data.cast("B")
    if not array.nbytes:
        body = memoryview(b"")
    metadata = {
        "dtype": array.dtype.str,
        "shape": ",".join(map(str, array.shape)),
        "compression": codecs.CODECS[codec] if codec else "False",
        "order": "C",
        "crc32c": crc32c_of(body),
    }
    if array.dtype.names is not None:  # .str is "|V12", which loses the fields
        metadata["descr"] = dtype_to_json(array.dtype)
    return body, metadata


def crc32c_of(body: memoryview) -> str:
    """CRC-32C (Castagnoli) of bytes, eight hex digits."""
    if not len(body):
        return "00000000"
    return f"{google_crc32c.value(np.frombuffer(body, np.uint8)):08x}"


def check_crc32c(found: Found, body: memoryview) -> bool | None:
    """Whether a body has the checksum of its metadata; None where they have none."""
    said = found.metadata.get("crc32c")
    return None if said is None else crc32c_of(body) == said.lower()


def _dtype_of(said: Mapping[str, str], name: str) -> np.dtype[Any]:
    dtype = checked_dtype(said["dtype"], name)
    if "descr" not in said:
        return dtype
    structured = dtype_from_json(said["descr"], name)
    if structured.itemsize != dtype.itemsize:
        raise ArrayFormatError(
            f"{name}: descr has {structured.itemsize} bytes an item, dtype {dtype.itemsize}"
        )
    return structured


def _order_of(
    found: Found, shape: tuple[int, ...], name: str, policy: OrderPolicy
) -> Literal["C", "F"]:
    if found.metadata.get("order", "C") != "F":
        return "C"
    if "compression" not in found.metadata:
        return "F"  # up to 0.1.1 it was true
    is_old = found.modified_at is not None and found.modified_at < _LAST_PYTHON2
    believed = policy == "trust" or (policy == "auto" and is_old)
    if len(shape) > 1:
        logger.warning(
            "%s says order F beside a compression; read in %s order. cottoncandy 0.4.0 writes so "
            "over C bytes, 0.2.0 on Python 2 over F bytes; order_policy decides",
            name,
            "F" if believed else "C",
        )
    return "F" if believed else "C"
