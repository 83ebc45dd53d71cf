"""``.npy`` files: header and body, without pickle, to the last byte.

Pure. numpy's own reader stops at the end of the array and leaves what follows; here a body that is
longer or shorter than the header says is an error. Format: numpy.lib.format (versions 1 to 3).
"""

import ast
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lake_assets.arrays.dtypes import checked_dtype, checked_shape, storable
from lake_assets.errors import ArrayFormatError

__all__ = ["MAGIC", "NpyHeader", "array_of", "encode_npy", "header_size", "parse_header"]

MAGIC = b"\x93NUMPY"
"""How every such file begins."""

_SHORTEST = 12
#: A longer header is hostile: numpy's own limit is 10,000 letters.
_LONGEST_HEADER = 2**20
#: Of the first item, so that a mapped file can be read as it lies.
_ALIGN = 64
_KEYS = {"descr", "fortran_order", "shape"}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What the first bytes of a file say."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    start: int
    """Byte where the array begins."""

    @property
    def n_bytes(self) -> int:
        """Of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def header_size(head: memoryview, name: str) -> int:
    """Bytes before the array; ``head`` has the first twelve at least.

    Raises:
        ArrayFormatError: It is no npy file of a version that is known.
    """
    if len(head) < _SHORTEST or bytes(head[:6]) != MAGIC:
        raise ArrayFormatError(f"{name} is no npy file: it begins {bytes(head[:8])!r}")
    if head[6] not in {1, 2, 3}:
        raise ArrayFormatError(f"{name} is of npy version {head[6]}; known are 1 to 3")
    n_length = 2 if head[6] == 1 else 4
    size = int.from_bytes(head[8 : 8 + n_length], "little")
    if size > _LONGEST_HEADER:
        raise ArrayFormatError(f"{name} says that its npy header has {size} bytes; it is broken")
    return 8 + n_length + size


def parse_header(head: memoryview, name: str) -> NpyHeader:
    """The header of a file, of which all bytes before the array must be there.

    Raises:
        ArrayFormatError: It cannot be read.
        UnsafeDataError: The dtype holds Python objects: the file is a pickle.
    """
    start = header_size(head, name)
    text = bytes(head[8 + (2 if head[6] == 1 else 4) : start])
    try:
        said = ast.literal_eval(text.decode("utf-8" if head[6] == 3 else "latin1").strip())  # noqa: PLR2004 (version 3)
        dtype, order, shape = said["descr"], said["fortran_order"], said["shape"]
        is_right = set(said) == _KEYS and isinstance(order, bool) and isinstance(shape, tuple)
        is_right = is_right and all(isinstance(n, int) for n in shape)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ArrayFormatError(f"{name}: the npy header cannot be read: {text[:80]!r}") from error
    if not is_right or len(head) < start:
        raise ArrayFormatError(f"{name}: the npy header is not whole: {text[:80]!r}")
    known = checked_dtype(dtype, name)
    return NpyHeader(known, checked_shape(shape, known.itemsize, name), order, start)


def array_of(body: memoryview, name: str) -> np.ndarray:
    """The array of a whole file, writable, in the order it was saved in.

    Raises:
        ArrayFormatError: It is no npy file, or not exactly as long as its header says.
        UnsafeDataError: It holds Python objects.
    """
    header = parse_header(body, name)
    data = body[header.start :]
    if len(data) != header.n_bytes:
        raise ArrayFormatError(
            f"{name}: {len(data)} bytes follow the npy header, which needs {header.n_bytes}"
        )
    if not header.n_bytes:
        return np.empty(header.shape, header.dtype)
    order = "F" if header.is_fortran else "C"
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order=order)
    return array if array.flags.writeable else array.copy(order="K")


def encode_npy(array: np.ndarray) -> memoryview:
    """What ``np.save`` writes, the order of Fortran arrays kept.

    Raises:
        SettingsError: The array has a mask or holds Python objects.
    """
    is_fortran = not isinstance(array, np.ma.MaskedArray) and (
        array.flags.f_contiguous and not array.flags.c_contiguous
    )
    plain = storable(array.T if is_fortran else array)
    head = _header_bytes(plain, is_fortran=is_fortran)
    body = np.empty(len(head) + plain.nbytes, np.uint8)
    body[: len(head)] = np.frombuffer(head, np.uint8)
    if plain.nbytes:
        body[len(head) :] = plain.reshape(-1).view(np.uint8)
    return body.data


def _header_bytes(plain: np.ndarray, *, is_fortran: bool) -> bytes:
    """Version 1 where it can say it, else 3: names of fields beyond Latin-1, thousands of them."""
    shape = plain.shape[::-1] if is_fortran else plain.shape
    said = {
        "descr": np.lib.format.dtype_to_descr(plain.dtype),
        "fortran_order": is_fortran,
        "shape": tuple(map(int, shape)),
    }
    text = repr(said)
    try:
        encoded, version, n_length = text.encode("latin1"), 1, 2
    except UnicodeEncodeError:
        encoded, version, n_length = text.encode(), 3, 4
    if len(encoded) + _ALIGN > 2**16:
        encoded, version, n_length = text.encode(), 3, 4
    before = len(MAGIC) + 2 + n_length
    encoded += b" " * (-(before + len(encoded) + 1) % _ALIGN) + b"\n"
    return MAGIC + bytes((version, 0)) + len(encoded).to_bytes(n_length, "little") + encoded
