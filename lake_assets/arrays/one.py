"""One array or document, whatever it is: a body to a value, a folder to a lazy array.

What trees, ``read_any`` and migration have in common.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake_assets.arrays.nodes import Node
from lake_assets.arrays.npy import array_of
from lake_assets.arrays.npz import decode_npz
from lake_assets.arrays.pickles import load_pickle
from lake_assets.arrays.place import Place
from lake_assets.arrays.raw import OrderPolicy, check_crc32c, from_bytes, header_of
from lake_assets.arrays.sniff import kind_of_object
from lake_assets.errors import ArrayFormatError
from lake_assets.s3.objects import Stored

__all__ = ["Reading", "read_folder", "read_node", "read_object", "value_of"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader was told."""

    order_policy: OrderPolicy = "auto"
    allow_pickle: bool = False


def read_node(place: Place, node: Node, reading: Reading) -> tuple[Any, Mapping[str, str]]:
    """The value of a node below ``place``, and its metadata as they are stored."""
    at = place.at(node.path) if node.path else place
    if node.kind != "object":
        return read_folder(at, node.kind), {}
    stored = read_object(at, node)
    return value_of(stored, at, reading), stored.found.metadata


def read_object(at: Place, node: Node) -> Stored:
    """The body of a node that is one object, verified, as it was listed."""
    etag = node.objects[0].etag
    return at.objects.read(at.key, etag=etag, proof=check_crc32c, n_threads=1)


def read_folder(place: Place, kind: str) -> Any:  # noqa: ANN401 (a lazy or sparse array)
    """The array that a folder is: lazy where it is in chunks."""
    if kind == "zarr":
        from lake_assets.arrays.zarr_store import open_zarr

        return open_zarr(place.url, access=place.access)
    if kind == "chunks":
        from lake_assets.arrays.chunked import chunked_at

        return chunked_at(place).to_dask()
    from lake_assets.arrays.sparse import sparse_at_folder

    return sparse_at_folder(place)


def value_of(stored: Stored, place: Place, reading: Reading) -> Any:  # noqa: ANN401 (any value)
    """What a body is, by its metadata, else by itself.

    Raises:
        ArrayFormatError: It is not what it says.
        UnsafeDataError: It is a pickle that is not allowed, or another danger.
    """
    body, name = stored.body, place.url
    kind = kind_of_object(stored.found.metadata, body, place.key)
    if kind == "raw":
        return from_bytes(body, header_of(stored.found, name, reading.order_policy), name)
    if kind == "npy":
        return array_of(body, name)
    if kind == "npz":
        return decode_npz(body, name)
    if kind == "sparse":
        from lake_assets.arrays.sparse import decode_sparse

        return decode_sparse(body, name)
    return _document(kind, body, name, reading)


def _document(kind: str, body: memoryview, name: str, reading: Reading) -> Any:  # noqa: ANN401 (any value)
    if kind == "pickle":
        return load_pickle(body, name, allow_pickle=reading.allow_pickle)
    if kind == "json":
        try:
            return json.loads(bytes(body))
        except ValueError as error:
            raise ArrayFormatError(f"{name} is no JSON: {error}") from error
    return bytes(body)
