"""Objects as cottoncandy writes them, made here byte for byte by its rules, not by our writers."""

import gzip
import json
from collections.abc import Mapping
from itertools import pairwise

import numcodecs
import numpy as np

from lake_assets.arrays.place import place_of


def put(url: str, body: bytes, metadata: Mapping[str, str] | None = None) -> str:
    """One object with user metadata; in a folder, with the sidecar of its local backend."""
    place = place_of(url)
    place.objects.write(place.key, memoryview(body), dict(metadata or {}))
    return url


def raw(url: str, array: np.ndarray, compression="gzip", order="C", **metadata: str) -> str:
    """A raw array of 0.2.0 and later: C bytes, whatever ``order`` says."""
    body = np.asarray(array, order="C").tobytes()
    if compression == "gzip":
        body = gzip.compress(body)
    elif compression != "False":
        body = bytes(numcodecs.get_codec({"id": compression.lower()}).encode(body))
    said = {"dtype": array.dtype.str, "shape": ",".join(map(str, array.shape))}
    return put(url, body, {**said, "compression": compression, "order": order, **metadata})


def legacy(url: str, array: np.ndarray, *, is_gzip: bool, order="C") -> str:
    """A raw array up to 0.1.1: ``gzip`` in place of ``compression``, F bytes where it says F."""
    body = array.tobytes(order=order)
    said = {"dtype": array.dtype.str, "shape": ",".join(map(str, array.shape)), "order": order}
    return put(url, gzip.compress(body) if is_gzip else body, {**said, "gzip": str(is_gzip)})


def dask_folder(url: str, array: np.ndarray, width: int) -> str:
    """A dask folder along the last axis, with the part without items at its end."""
    key = place_of(url).key
    n_columns = array.shape[-1]
    edges = [*range(0, n_columns, width), n_columns, n_columns]
    dask, sizes = [], []
    for n, (start, stop) in enumerate(pairwise(edges)):
        block = array[..., start:stop]
        raw(f"{url}/pt{n:04}", block)
        dask.append([[0] * (array.ndim - 1) + [n], f"old/place/{key}/pt{n:04}"])
        sizes.append(list(block.shape))
    chunks = [*([n] for n in array.shape[:-1]), [size[-1] for size in sizes]]
    said = {"shape": array.shape, "dtype": array.dtype.str, "dask": dask, "chunk_sizes": sizes}
    put(f"{url}/metadata.json", json.dumps({**said, "chunks": chunks}).encode())
    return url


def sparse_folder(url: str, kind: str, parts: Mapping[str, np.ndarray], shape) -> str:
    for name, part in parts.items():
        raw(f"{url}/{name}", part)
    said = {"type": kind, "attrs": list(parts), "shape": list(shape)}
    put(f"{url}/metadata.json", json.dumps(said).encode())
    return url
