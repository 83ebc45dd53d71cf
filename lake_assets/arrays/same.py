"""Whether a copy is the array that it was made of: read back and compared, bit for bit."""

from itertools import pairwise, product
from typing import Any

import numpy as np

from lake_assets.arrays.dense import read_npy
from lake_assets.arrays.sparse import read_sparse
from lake_assets.errors import BodyMismatchError
from lake_assets.s3 import Location

__all__ = ["same_array", "same_sparse"]

#: How much of a lazy array is compared at once.
_BLOCK_BYTES = 64 * 1024**2


def same_array(value: Any, url: Location, stored_as: str) -> None:  # noqa: ANN401 (numpy's or dask's)
    """Compare an array with its copy, in blocks where it is lazy.

    Raises:
        BodyMismatchError: They differ, be it in the bits of a NaN.
    """
    copy: Any
    if stored_as == "zarr":
        from lake_assets.arrays.zarr_store import open_zarr_array

        copy = open_zarr_array(url)
    else:
        copy = read_npy(url)
    # zarr hands items over in the machine's byte order: then values are compared.
    plain = np.dtype(value.dtype).newbyteorder("=")
    if tuple(copy.shape) != tuple(value.shape) or copy.dtype.newbyteorder("=") != plain:
        raise _differs(url, f"it is {copy.dtype} {copy.shape}, not {value.dtype} {value.shape}")
    for block in _blocks(tuple(map(int, value.shape)), plain.itemsize):
        first = np.ascontiguousarray(np.asarray(value[block]).astype(plain, copy=False))
        second = np.ascontiguousarray(np.asarray(copy[block]).astype(plain, copy=False))
        if first.tobytes() != second.tobytes():
            raise _differs(url, f"items of {block} differ")


def same_sparse(value: Any, url: Location) -> None:  # noqa: ANN401 (scipy)
    """Compare a sparse array with its copy.

    Raises:
        BodyMismatchError: They differ.
    """
    copy = read_sparse(url)
    if type(copy) is not type(value) or copy.shape != value.shape or copy.dtype != value.dtype:
        raise _differs(url, f"it is {copy!r}, not {value!r}")
    first, second = value.tocoo(), copy.tocoo()
    parts = [(first.data, second.data), *zip(first.coords, second.coords, strict=True)]
    if any(a.tobytes() != b.astype(a.dtype).tobytes() for a, b in parts):
        raise _differs(url, "its items differ")


def _blocks(shape: tuple[int, ...], itemsize: int) -> Any:  # noqa: ANN401 (indices)
    """Slices along the first axes that hold some 64 MiB each."""
    from lake_assets.arrays.grid import Cut, chunks_of

    if not shape:
        return [()]
    chunks = chunks_of(shape, itemsize, Cut(None, _BLOCK_BYTES))
    edges = [[0, *np.cumsum(lengths).tolist()] for lengths in chunks]
    axes = [[slice(a, b) for a, b in pairwise(e)] for e in edges]
    return product(*axes)


def _differs(url: Location, what: str) -> BodyMismatchError:
    return BodyMismatchError(f"the copy {url} is not its source: {what}; it was not recorded")
