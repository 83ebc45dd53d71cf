"""Dtypes as stored, and arrays made ready for storing: what cannot come back is refused here."""

import json
import math
from typing import Any

import numpy as np

from lake_assets.errors import ArrayFormatError, SettingsError, UnsafeDataError

__all__ = [
    "checked_dtype",
    "checked_shape",
    "dtype_from_json",
    "dtype_to_json",
    "flat_items",
    "in_memory",
    "storable",
]

#: Axes and bytes of an array that numpy can have.
_MOST_AXES, _MOST_BYTES = 64, 2**63 - 1
_NUMBER_SIZES = frozenset({1, 2, 4, 8})
_NUMBERS = "biufcmM"


def in_memory(array: object) -> np.ndarray:
    """What numpy makes an array of; a lazy one is computed, and keeps the mask it may have.

    ``numpy.asarray`` of a dask array with a mask gives the values without it.
    """
    compute = getattr(array, "compute", None)
    return np.asanyarray(array if compute is None else compute())


def storable(array: np.ndarray) -> np.ndarray:
    """The same values in C order, as a plain array.

    Raises:
        SettingsError: It has a mask or holds Python objects: neither would come back.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise SettingsError(
            "the array is masked and the mask would be lost; write array.filled(value), or "
            "{'data': array.data, 'mask': np.ma.getmaskarray(array)} as a tree"
        )
    plain = np.asarray(array)
    if plain.dtype.hasobject:
        raise SettingsError(
            f"dtype {plain.dtype} holds Python objects, which are no array data; convert it "
            "(array.astype('U') for texts, astype(float) for numbers), or write JSON"
        )
    return np.asarray(plain, order="C")


def flat_items(array: np.ndarray) -> np.ndarray:
    """The items of a C-order array in one row, as numbers of their size where that is possible.

    Codecs shuffle bytes by the size of an item, and take no dates, texts or structures.
    """
    if not array.nbytes:
        return np.empty(0, np.uint8)
    size = array.dtype.itemsize
    if array.dtype.kind == "U":
        size = 4
    elif array.dtype.kind not in _NUMBERS:
        size = 1
    elif size not in _NUMBER_SIZES:  # complex128, long double
        size = 8 if size % 8 == 0 else 1
    return array.reshape(-1).view(f"u{size}")


def checked_dtype(text: object, name: str) -> np.dtype[Any]:
    """The dtype that foreign data name.

    Raises:
        ArrayFormatError: There is no such dtype.
        UnsafeDataError: It holds Python objects.
    """
    try:
        dtype = (
            np.lib.format.descr_to_dtype(text) if isinstance(text, list) else np.dtype(str(text))
        )
    except (TypeError, ValueError, SyntaxError) as error:
        raise ArrayFormatError(f"{name}: {text!r} is no dtype of numpy") from error
    if dtype.hasobject:
        raise UnsafeDataError(
            f"{name}: refusing dtype {dtype}: it holds Python objects, so the bytes are pointers "
            "of the process that wrote them; the values are lost"
        )
    return dtype


def checked_shape(shape: tuple[int, ...], itemsize: int, name: str) -> tuple[int, ...]:
    """The shape that foreign data name.

    Raises:
        ArrayFormatError: No array can have it.
    """
    # numpy counts an axis without items as one here.
    n_bytes = math.prod(n or 1 for n in shape) * max(itemsize, 1)
    if min(shape, default=0) < 0 or len(shape) > _MOST_AXES or n_bytes > _MOST_BYTES:
        raise ArrayFormatError(
            f"{name}: no array with items of {itemsize} bytes has the shape {str(shape)[:200]}:"
            f" lengths are not negative, axes at most {_MOST_AXES}, and 63 bits count its bytes"
        )
    return shape


def dtype_to_json(dtype: np.dtype[Any]) -> str:
    """A structured dtype as JSON, with fields, sub-arrays and padding."""
    return json.dumps(np.lib.format.dtype_to_descr(dtype), separators=(",", ":"))


def dtype_from_json(text: str, name: str) -> np.dtype[Any]:
    """What ``dtype_to_json`` wrote.

    Raises:
        ArrayFormatError: It is none.
        UnsafeDataError: It holds Python objects.
    """
    try:
        return checked_dtype(_descr(json.loads(text)), name)
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        if isinstance(error, ArrayFormatError):
            raise
        raise ArrayFormatError(f"{name}: {text!r} describes no structured dtype") from error


def _descr(found: Any) -> Any:  # noqa: ANN401 (nested lists of texts)
    """JSON has no tuples, of which numpy wants fields, titles and shapes."""
    if not isinstance(found, list):
        return found
    fields: list[tuple[Any, ...]] = []
    for field in found:
        title = tuple(field[0]) if isinstance(field[0], list) else field[0]
        fields.append((title, _descr(field[1]), *(tuple(shape) for shape in field[2:])))
    return fields
