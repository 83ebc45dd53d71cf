"""numpy's arrays, scalars and dtypes as a pickle spells them, made anew from plain values.

numpy's own ``__setstate__`` believes its bytes: a dtype that hides an object field, or offsets
beyond its items, turn bytes into pointers. Here a dtype is what ``numpy.dtype`` makes of a plain
description, holds no objects at any depth, and an array is exactly its bytes.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from lake_assets.errors import UnsafeDataError

__all__ = ["NUMPY", "Pending", "unbuilt"]

_DTYPE = re.compile(r"[biufcSUVmM]\d{1,9}")
_UNIT = re.compile(r"[A-Za-zμ]{1,7}")
#: Of a dtype's flags: made with align=True.
_ALIGNED = 0x80
#: Lengths of a dtype's state; the longest ends with metadata or the unit of a time.
_STATES = range(7, 10)


@dataclass(slots=True, eq=False)
class Pending:
    """An array or dtype that was named, and whose state comes with the next BUILD."""

    base: np.dtype[Any] | None = None
    """Of a dtype; None for an array."""
    value: Any = None
    """What it became."""

    def build(self, state: object) -> Any:  # noqa: ANN401 (an array or a dtype)
        """The array or dtype of a state.

        Raises:
            UnsafeDataError: It holds objects, or is not what numpy writes.
        """
        if self.value is not None or not isinstance(state, tuple):
            _refuse(f"state {type(state).__name__}, a second one or none of numpy's")
        self.value = _array_of(state) if self.base is None else _dtype_of(self.base, state)
        return self.value


def unbuilt(value: object) -> bool:
    """Whether it is an array or dtype that has no state yet."""
    return isinstance(value, Pending) and value.value is None


def _refuse(what: str) -> NoReturn:
    raise UnsafeDataError(
        f"refusing a numpy array or dtype with {what}: only arrays of plain values, as numpy "
        "pickles them, are read; pass trusted=True if you wrote this object yourself"
    )


def _ndarray(*_: object) -> NoReturn:
    """Stands for the class as an argument; a call could name any memory."""
    _refuse("a constructor that was called")


def _reconstruct(kind: object, shape: object = (0,), typecode: object = b"b") -> Pending:  # noqa: ARG001 (of the state to come)
    if kind is not _ndarray:
        _refuse(f"class {kind!r}")
    return Pending()


def _named_dtype(name: object, align: object = False, copy: object = True) -> Pending:  # noqa: ARG001, FBT002 (as numpy calls it)
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        _refuse(f"dtype {name!r}")
    return Pending(np.dtype(name))


def _scalar(dtype: object, raw: object = b"") -> Any:  # noqa: ANN401 (any scalar)
    plain = _plain(dtype)
    if plain.itemsize == 0 and plain.kind in "SU":
        return plain.type()
    return _array((), plain, "C", raw)[()]


def _frombuffer(
    raw: object, dtype: object, shape: object, order: object, axis_order: object = None
) -> np.ndarray:
    if axis_order is None:
        return _array(shape, dtype, order, raw)
    axes = _lengths(axis_order)
    if order != "K" or sorted(axes) != list(range(len(axes))):
        _refuse(f"order {order!r} of axes {axis_order!r}")
    return _array(shape, dtype, "C", raw).transpose(axes)


def _array_of(state: tuple[Any, ...]) -> np.ndarray:
    if len(state) not in {4, 5}:
        _refuse(f"a state of {len(state)} items")
    shape, dtype, is_fortran, raw = state[-4:]
    return _array(shape, dtype, "F" if is_fortran else "C", raw)


def _array(shape: object, dtype: object, order: object, raw: object) -> np.ndarray:
    """An array of exactly these bytes; writable, and its own."""
    plain, lengths = _plain(dtype), _lengths(shape)
    if isinstance(raw, str):  # bytes of Python 2
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        _refuse(f"items that are {type(raw).__name__}, not bytes")
    if plain.subdtype is not None or order not in {"C", "F"}:
        _refuse(f"dtype {plain} in order {order!r}")
    if math.prod(lengths) * plain.itemsize != len(raw):
        _refuse(f"{len(raw)} bytes for shape {lengths} of {plain}")
    made = np.ndarray(lengths, plain, buffer=raw, order="F" if order == "F" else "C")
    return made if isinstance(raw, bytearray) else made.copy(order="K")


def _plain(dtype: object) -> np.dtype[Any]:
    if not isinstance(dtype, np.dtype):
        _refuse(f"{type(dtype).__name__} in place of a dtype")
    if dtype.hasobject:
        _refuse(f"dtype {dtype}, which holds objects")
    return dtype


def _lengths(shape: object) -> tuple[int, ...]:
    lengths: tuple[Any, ...] = shape if isinstance(shape, tuple) else (shape,)
    if any(not isinstance(length, int) or length < 0 for length in lengths):
        _refuse(f"shape {shape!r}")
    return lengths


def _dtype_of(base: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
    if len(state) not in _STATES:
        _refuse(f"a dtype's state of {len(state)} items")
    _, endian, sub, names, fields, itemsize, _ = state[:7]
    flags, more = (*state[7:], None, None)[:2]
    if sub is not None:
        made = np.dtype((_plain(sub[0]), _lengths(sub[1])))
    elif names:
        is_aligned = isinstance(flags, int) and bool(flags & _ALIGNED)
        made = _structure(names, fields, itemsize, is_aligned=is_aligned)
    elif fields or endian not in {"<", ">", "|", "="}:
        _refuse(f"byte order {endian!r} and fields {fields!r}")
    elif base.kind in "mM":
        more, unit = more if isinstance(more, tuple) else (None, ("generic", 1, 1, 1))
        made = _time(base, unit).newbyteorder(endian)
    else:
        made = base.newbyteorder(endian)
    if itemsize not in {-1, made.itemsize}:
        _refuse(f"items of {itemsize!r} bytes for {made}")
    return np.dtype(_plain(made), metadata=more) if isinstance(more, dict) and more else made


def _structure(
    names: tuple[str, ...],
    fields: Mapping[str, tuple[Any, ...]],
    itemsize: int,
    *,
    is_aligned: bool,
) -> np.dtype[Any]:
    """A dtype with fields, each of them within an item."""
    held = [fields[name] for name in names]
    for name, (dtype, offset, *_) in zip(names, held, strict=True):
        if not isinstance(offset, int) or not 0 <= offset <= itemsize - _plain(dtype).itemsize:
            _refuse(f"field {name!r} at {offset!r} in items of {itemsize!r} bytes")
    plain: Any = {
        "names": list(names),
        "formats": [field[0] for field in held],
        "offsets": [field[1] for field in held],
        "titles": [(*field, None)[2] for field in held],
        "itemsize": itemsize,
    }
    return np.dtype(plain, align=is_aligned)


def _time(base: np.dtype[Any], unit: tuple[Any, ...]) -> np.dtype[Any]:
    """A datetime64 or timedelta64 of a unit like ``(b"ns", 1, 1, 1)``."""
    name, n_units, divisor = unit[:3]
    name = name.decode("utf-8") if isinstance(name, bytes) else name
    if not isinstance(n_units, int) or divisor != 1 or not _UNIT.fullmatch(name):
        _refuse(f"unit {unit!r} of a time")
    return base if name == "generic" else np.dtype(f"{base.kind}8[{n_units}{name}]")


NUMPY: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _named_dtype,
    **{
        (f"numpy.{core}.{module}", name): made
        for core in ("core", "_core")
        for module, name, made in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}
"""What stands in for the names of numpy, by module and name, of numpy 1 and 2."""
