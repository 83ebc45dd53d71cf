"""Sparse matrices and arrays of scipy: every kind comes back as the kind it was.

Ours is scipy's own ``.npz`` in one object, readable by ``scipy.sparse.load_npz``; lil and dok,
which that has not, are stored as coo and say so. cottoncandy's folder is read and written.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
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
from lake_assets.s3 import Location

__all__ = ["decode_sparse", "put_npz", "read_sparse", "sparse_at_folder", "write_sparse"]

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


def write_sparse(
    url: Location,
    matrix: sp.spmatrix | sp.sparray,
    *,
    layout: Literal["npz", "folder"] = "npz",
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write a sparse matrix or array of any kind.

    Args:
        url: Of the object, or of the folder.
        matrix: csr, csc, coo, bsr, dia, lil or dok; matrix or array; of numbers.
        layout: One ``npz`` object, which changes in one step; or cottoncandy's ``folder``, which
            does not, for its readers.
        metadata: The user's own.

    Raises:
        SettingsError: It is not sparse, holds Python objects, or the folder has no such kind.
    """
    if not sp.issparse(matrix):
        raise SettingsError(f"{type(matrix).__name__} is not sparse; write it as an array")
    place, said = place_of(url), to_stored(metadata)
    return _put_folder(place, matrix, said) if layout == "folder" else put_npz(place, matrix, said)


def put_npz(
    place: Place,
    matrix: Any,  # noqa: ANN401 (scipy)
    said: Mapping[str, str],
    beside: Mapping[str, np.ndarray] | None = None,
) -> Written:
    """``write_sparse`` as one object at an opened place, with metadata as they are stored.

    ``beside`` are arrays of other names, which readers of sparse matrices pass over.
    """
    kind, plain = matrix.format, _plain(matrix)
    parts = _arrays_of(plain)
    arrays = {
        **(beside or {}),
        **parts,
        "format": np.array(plain.format.encode()),
        "shape": np.array(plain.shape),
    }
    if isinstance(matrix, sp.sparray):
        arrays["_is_array"] = np.ones((), np.bool_)
    if kind in _STORED_AS:
        arrays["lake_kind"] = np.array(kind.encode())
    done = put_body(place, encode_npz(arrays), "sparse", said)
    written = _written(place, plain, parts, done.stored_bytes, "deflate")
    return replace(written, crc32c=done.crc32c, n_objects=1)


def read_sparse(url: Location) -> Any:  # noqa: ANN401 (a class for each kind)
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


def decode_sparse(body: memoryview, name: str) -> Any:  # noqa: ANN401 (a class for each kind)
    """The sparse matrix or array of an ``npz`` object, scipy's own too."""
    arrays = decode_npz(body, name)
    try:
        stored_as = _text(arrays["format"])
        kind = _text(arrays["lake_kind"]) if "lake_kind" in arrays else stored_as
        shape = tuple(int(n) for n in arrays["shape"])
        is_array = bool(arrays.get("_is_array", False))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArrayFormatError(f"{name} is no sparse array of scipy: {error!r}") from error
    return _built(arrays, (stored_as, kind), shape, is_array=is_array, name=name)


def sparse_at_folder(place: Place) -> Any:  # noqa: ANN401 (a class for each kind)
    """The sparse matrix of cottoncandy's folder, or of ours like it."""
    index = place.at(INDEX)
    name = f"{place.url}/{INDEX}"
    try:
        body = index.objects.read(index.key, proof=check_crc32c).body
    except MissingObjectError as error:
        raise MissingObjectError(
            f"there is no sparse array at {place.url}: no object of that name, and no {INDEX} below"
            " it; read_any finds out what is there"
        ) from error
    try:
        said = json.loads(bytes(body))
        stored_as, shape = str(said["type"]), tuple(int(n) for n in said["shape"])
        attrs = tuple(str(attr) for attr in said["attrs"])
        kind, is_array = str(said.get("kind", stored_as)), said.get("is_array") is True
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ArrayFormatError(f"{name} is no index of a sparse array: {error!r}") from error
    if set(attrs) != set(_PARTS.get(stored_as, ())):
        raise ArrayFormatError(f"{name}: type {stored_as!r} with parts {attrs} is not known")
    parts = in_threads(lambda attr: raw_at(place.at(attr)), attrs)
    arrays = dict(zip(attrs, parts, strict=True))
    return _built(arrays, (stored_as, kind), shape, is_array=is_array, name=place.url)


def _put_folder(place: Place, matrix: Any, said: Mapping[str, str]) -> Written:  # noqa: ANN401 (scipy)
    """As cottoncandy reads it; what it has no names for stands beside, for us."""
    plain = _plain(matrix)
    if plain.ndim != _TWO:
        raise SettingsError(f"cottoncandy's folder has 2 axes, the array {plain.ndim}; use npz")
    parts = _arrays_of(plain)
    written = in_threads(
        lambda item: put_raw(place.at(item[0]), item[1], compression=True, metadata={}),
        parts.items(),
    )
    index = {
        "type": plain.format,
        "attrs": _PARTS[plain.format],
        "shape": [int(n) for n in plain.shape],
        "kind": matrix.format,
        "is_array": isinstance(matrix, sp.sparray),
    }
    done = put_body(place.at(INDEX), memoryview(json.dumps(index).encode()), "json", said)
    stored = done.stored_bytes + sum(part.stored_bytes for part in written)
    return _written(place, plain, parts, stored, "Blosc")


def _plain(matrix: Any) -> Any:  # noqa: ANN401 (scipy)
    if matrix.dtype.hasobject:
        raise SettingsError("the matrix holds Python objects, which are no array data")
    return matrix.asformat(_STORED_AS.get(matrix.format, matrix.format))


def _written(
    place: Place,
    plain: Any,  # noqa: ANN401 (scipy)
    parts: Mapping[str, np.ndarray],
    stored_bytes: int,
    codec: str,
) -> Written:
    return Written(
        place.url,
        "sparse",
        tuple(map(int, plain.shape)),
        str(plain.dtype),
        sum(array.nbytes for array in parts.values()),
        stored_bytes,
        codec,
        n_objects=1 + len(parts),
    )


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
        return made.asformat(kind)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ArrayFormatError(f"{name}: its parts make no {stored_as}: {error}") from error


def _text(array: np.ndarray) -> str:
    value = array.item()
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
