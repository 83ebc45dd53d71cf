"""Sparse matrices and arrays of scipy: every kind comes back as the kind it was.

Ours is scipy's own ``.npz`` in one object, readable by ``scipy.sparse.load_npz``; lil and dok,
which that has not, are stored as coo and say so. cottoncandy's folder is read and written.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from lake_assets.arrays.chunk_index import INDEX
from lake_assets.arrays.dense import put_raw, raw_at
from lake_assets.arrays.documents import put_body
from lake_assets.arrays.metadata import to_stored
from lake_assets.arrays.npz import decode_npz, encode_npz
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import check_crc32c
from lake_assets.arrays.records import Written
from lake_assets.errors import ArrayFormatError, MissingObjectError, SettingsError

__all__ = [
    "LabelledSparse",
    "decode_sparse",
    "read_labelled_sparse",
    "read_sparse",
    "sparse_at_folder",
    "write_sparse",
]

#: What each kind consists of, and cottoncandy's names of it.
_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("row", "col", "data"),
    "dia": ("data", "offsets"),
}
_STORED_AS = {"lil": "coo", "dok": "coo"}
_KINDS = frozenset({*_PARTS, *_STORED_AS})
_TWO = 2


#: Begins the names of labels beside the parts of the matrix, where scipy does not look.
_LABEL = "label:"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSparse:
    """A sparse matrix or array, and what its rows and columns are."""

    matrix: Any
    """Of scipy."""
    labels: Mapping[str, np.ndarray]
    """By name; whether one is of rows or of columns its name says."""


def write_sparse(
    url: str,
    matrix: sp.spmatrix | sp.sparray,
    *,
    layout: Literal["npz", "folder"] = "npz",
    metadata: Mapping[str, object] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
) -> Written:
    """Write a sparse matrix or array of any kind.

    Args:
        url: Of the object, or of the folder.
        matrix: csr, csc, coo, bsr, dia, lil or dok; matrix or array; of numbers.
        layout: One ``npz`` object, which changes in one step; or cottoncandy's ``folder``, which
            does not, for its readers.
        metadata: The user's own.
        labels: Arrays that are stored with it, in the one object.

    Raises:
        SettingsError: It is not sparse, holds Python objects, the folder has no such kind, or no
            labels.
    """
    if not sp.issparse(matrix):
        raise SettingsError(f"{type(matrix).__name__} is not sparse; write it as an array")
    if labels and layout == "folder":
        raise SettingsError("cottoncandy's folder holds no labels; write an npz object")
    place, said = place_of(url), to_stored(metadata)
    given: Any = matrix
    kind, is_array = given.format, isinstance(given, sp.sparray)
    plain: Any = given.asformat(_STORED_AS.get(kind, kind))
    if layout == "folder":
        stored = _put_folder(place, plain, kind=kind, is_array=is_array, said=said)
        n_objects = 1 + len(_PARTS[plain.format])
    else:
        arrays = _arrays_of(plain)
        arrays |= {"format": np.array(plain.format.encode()), "shape": np.array(plain.shape)}
        if is_array:
            arrays["_is_array"] = np.ones((), np.bool_)
        if kind in _STORED_AS:
            arrays["lake_kind"] = np.array(kind.encode())
        arrays |= {f"{_LABEL}{name}": np.asarray(values) for name, values in (labels or {}).items()}
        stored, n_objects = put_body(place, encode_npz(arrays), "sparse", said).stored_bytes, 1
    n_bytes = sum(array.nbytes for array in _arrays_of(plain).values())
    shape = tuple(map(int, plain.shape))
    return Written(
        place.url,
        "sparse",
        shape,
        str(plain.dtype),
        n_bytes,
        stored,
        "deflate" if layout == "npz" else "Blosc",
        n_objects=n_objects,
    )


def read_sparse(url: str) -> Any:  # noqa: ANN401 (a class for each kind)
    """Read a sparse matrix or array: an ``npz`` object or cottoncandy's folder.

    Returns:
        The kind that was written; a matrix where cottoncandy wrote it.

    Raises:
        MissingObjectError: Neither is there, or a part of the folder is not.
        ArrayFormatError: The parts do not make a sparse matrix.
    """
    place = place_of(url)
    try:
        stored = place.objects.read(place.key, proof=check_crc32c)
    except MissingObjectError:
        return sparse_at_folder(place)
    return decode_sparse(stored.body, place.url)


def read_labelled_sparse(url: str) -> LabelledSparse:
    """Read a sparse matrix or array of an ``npz`` object with the labels beside it.

    Raises:
        MissingObjectError: It is not there.
        ArrayFormatError: The parts do not make a sparse matrix.
    """
    place = place_of(url)
    body = place.objects.read(place.key, proof=check_crc32c).body
    named = {name: array for name, array in decode_npz(body, place.url).items() if _LABEL in name}
    labels = {name.removeprefix(_LABEL): array for name, array in named.items()}
    return LabelledSparse(decode_sparse(body, place.url), labels)


def decode_sparse(body: memoryview, name: str) -> Any:  # noqa: ANN401 (a class for each kind)
    """The sparse matrix or array of an ``npz`` object, scipy's own too."""
    arrays = decode_npz(body, name)
    try:
        stored_as = _text(arrays["format"])
        kind = _text(arrays["lake_kind"]) if "lake_kind" in arrays else stored_as
        shape = tuple(int(n) for n in arrays["shape"])
        is_array = bool(arrays.get("_is_array", False))
    except (KeyError, TypeError, ValueError) as error:
        raise ArrayFormatError(f"{name} is no sparse array of scipy: {error!r}") from error
    return _built(arrays, (stored_as, kind), shape, is_array=is_array, name=name)


def sparse_at_folder(place: Place) -> Any:  # noqa: ANN401 (a class for each kind)
    """The sparse matrix of cottoncandy's folder, or of ours like it."""
    index = place.at(INDEX)
    name = f"{place.url}/{INDEX}"
    try:
        said = json.loads(bytes(index.objects.read(index.key, proof=check_crc32c).body))
        stored_as, shape = str(said["type"]), tuple(int(n) for n in said["shape"])
        attrs = tuple(str(attr) for attr in said["attrs"])
        kind, is_array = str(said.get("kind", stored_as)), said.get("is_array") is True
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArrayFormatError(f"{name} is no index of a sparse array: {error!r}") from error
    if set(attrs) != set(_PARTS.get(stored_as, ())):
        raise ArrayFormatError(f"{name}: type {stored_as!r} with parts {attrs} is not known")
    parts = in_threads(lambda attr: raw_at(place.at(attr)), attrs)
    arrays = dict(zip(attrs, parts, strict=True))
    return _built(arrays, (stored_as, kind), shape, is_array=is_array, name=place.url)


def _put_folder(
    place: Place,
    plain: Any,  # noqa: ANN401 (scipy)
    *,
    kind: str,
    is_array: bool,
    said: Mapping[str, str],
) -> int:
    if plain.ndim != _TWO:
        raise SettingsError(f"cottoncandy's folder has 2 axes, the array {plain.ndim}; use npz")
    arrays = _arrays_of(plain)
    written = in_threads(
        lambda item: put_raw(place.at(item[0]), item[1], compression=True, metadata={}),
        arrays.items(),
    )
    index = {
        "type": plain.format,
        "attrs": _PARTS[plain.format],
        "shape": [int(n) for n in plain.shape],
        "kind": kind,
        "is_array": is_array,
    }
    body = memoryview(json.dumps(index).encode())
    done = put_body(place.at(INDEX), body, "json", said)
    return done.stored_bytes + sum(part.stored_bytes for part in written)


def _arrays_of(plain: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 (scipy)
    if plain.format == "coo" and plain.ndim != _TWO:
        return {"coords": np.array(plain.coords), "data": plain.data}
    return {name: getattr(plain, name) for name in _PARTS[plain.format]}


def _built(
    arrays: Mapping[str, np.ndarray],
    kinds: tuple[str, str],
    shape: tuple[int, ...],
    *,
    is_array: bool,
    name: str,
) -> Any:  # noqa: ANN401 (a class for each kind)
    """Checked to the last index: scipy trusts them, and reads past its memory where they lie."""
    stored_as, kind = kinds
    if stored_as not in _PARTS or kind not in _KINDS:
        raise ArrayFormatError(
            f"{name}: {stored_as!r} is no kind of sparse; known: {sorted(_PARTS)}"
        )
    make = getattr(sp, f"{stored_as}_{'array' if is_array else 'matrix'}")
    try:
        if stored_as == "coo":
            where = arrays["coords"] if "coords" in arrays else (arrays["row"], arrays["col"])
            made = make((arrays["data"], tuple(where)), shape=shape)
        elif stored_as == "dia":
            made = make((arrays["data"], arrays["offsets"]), shape=shape)
        else:
            made = make((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            made.check_format(full_check=True)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ArrayFormatError(f"{name}: its parts make no {stored_as}: {error}") from error
    return made.asformat(kind)


def _text(array: np.ndarray) -> str:
    value = array.item()
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
