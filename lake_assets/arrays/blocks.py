"""Blocks of a dask array that are what the array says: its metadata are a promise of a function's.

A block of another shape would be cut or repeated to fill its place, one of another dtype
truncated, and both be stored without a word.
"""

from typing import Any

import dask.array as da
import numpy as np

from lake_assets.errors import SettingsError

__all__ = ["checked_blocks"]


def checked_blocks(array: da.Array) -> da.Array:
    """The array; computing a block that is not as its metadata say is an error.

    Before blocks are cut or joined: a block that is too long could then fit by chance.

    Raises:
        SettingsError: When computed: a block has another shape or dtype (byte order aside).
    """
    return array.map_blocks(_checked, dtype=array.dtype, meta=array._meta)  # noqa: SLF001 (no public name)


def _checked(block: Any, block_info: Any = None) -> Any:  # noqa: ANN401 (dask's call)
    said = block_info[None]
    expected = (tuple(map(int, said["chunk-shape"])), said["dtype"])
    found = (np.shape(block), block.dtype if hasattr(block, "dtype") else np.asarray(block).dtype)
    if found[0] != expected[0] or not _is_same(found[1], expected[1]):
        raise SettingsError(
            f"block {tuple(said['chunk-location'])} of the dask array is {found[1]} {found[0]} and "
            f"its metadata say {expected[1]} {expected[0]}; give the function that makes it the "
            "right dtype= and chunks=, or compute the array first"
        )
    return block if found[1] == expected[1] else block.astype(expected[1])  # its byte order alone


def _is_same(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    return one == other or one.newbyteorder("=") == other.newbyteorder("=")
