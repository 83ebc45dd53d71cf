"""Arrays on S3 and in folders: dense, chunked, sparse, trees of them; every cottoncandy object.

``read_any(url)`` finds out what is there and ``write_any(url, value)`` chooses how to store it; the
others say which format they mean. All of it needs the extra ``[arrays]``, which nothing else of
lake_assets imports; how a bucket is reached is told once, by ``lake_assets.s3.use_access``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lake_assets.errors import MissingExtraError

if TYPE_CHECKING:
    from lake_assets.arrays.anything import read_any, write_any
    from lake_assets.arrays.browser import Browser, browse
    from lake_assets.arrays.chunked import ChunkedArray, open_chunked, read_chunked
    from lake_assets.arrays.chunked_write import append_chunked, rechunk_chunked, write_chunked
    from lake_assets.arrays.dense import read_metadata, read_npy, read_raw, write_npy, write_raw
    from lake_assets.arrays.describing import describe
    from lake_assets.arrays.documents import (
        open_stream,
        read_bytes,
        read_json,
        read_pickle,
        write_bytes,
        write_json,
        write_pickle,
        write_stream,
    )
    from lake_assets.arrays.grid import Cut
    from lake_assets.arrays.labelled import Coordinate, LabelledArray
    from lake_assets.arrays.migration import Migration, migrate
    from lake_assets.arrays.records import Description, Written
    from lake_assets.arrays.sparse import read_sparse, write_sparse
    from lake_assets.arrays.tree import read_tree, write_tree
    from lake_assets.arrays.zarr_append import append_zarr, rechunk_zarr
    from lake_assets.arrays.zarr_grid import Layout
    from lake_assets.arrays.zarr_store import (
        is_zarr,
        open_labelled,
        open_zarr,
        open_zarr_array,
        read_zarr,
        write_zarr,
    )
    from lake_assets.arrays.zarr_verify import verify_zarr

__all__ = [
    "Browser",
    "ChunkedArray",
    "Coordinate",
    "Cut",
    "Description",
    "LabelledArray",
    "Layout",
    "Migration",
    "Written",
    "append_chunked",
    "append_zarr",
    "browse",
    "describe",
    "is_zarr",
    "migrate",
    "open_chunked",
    "open_labelled",
    "open_stream",
    "open_zarr",
    "open_zarr_array",
    "read_any",
    "read_bytes",
    "read_chunked",
    "read_json",
    "read_metadata",
    "read_npy",
    "read_pickle",
    "read_raw",
    "read_sparse",
    "read_tree",
    "read_zarr",
    "rechunk_chunked",
    "rechunk_zarr",
    "verify_zarr",
    "write_any",
    "write_bytes",
    "write_chunked",
    "write_json",
    "write_npy",
    "write_pickle",
    "write_raw",
    "write_sparse",
    "write_stream",
    "write_tree",
    "write_zarr",
]

_NAMES = {
    "anything": ("read_any", "write_any"),
    "browser": ("Browser", "browse"),
    "chunked": ("ChunkedArray", "open_chunked", "read_chunked"),
    "chunked_write": ("append_chunked", "rechunk_chunked", "write_chunked"),
    "dense": ("read_metadata", "read_npy", "read_raw", "write_npy", "write_raw"),
    "describing": ("describe",),
    "documents": (
        *("open_stream", "read_bytes", "read_json", "read_pickle"),
        *("write_bytes", "write_json", "write_pickle", "write_stream"),
    ),
    "grid": ("Cut",),
    "labelled": ("Coordinate", "LabelledArray"),
    "migration": ("Migration", "migrate"),
    "records": ("Description", "Written"),
    "sparse": ("read_sparse", "write_sparse"),
    "tree": ("read_tree", "write_tree"),
    "zarr_append": ("append_zarr", "rechunk_zarr"),
    "zarr_grid": ("Layout",),
    "zarr_store": (
        *("is_zarr", "open_labelled", "open_zarr", "open_zarr_array", "read_zarr", "write_zarr"),
    ),
    "zarr_verify": ("verify_zarr",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
#: What the extra brings, by the names that are imported.
_EXTRA = frozenset({"dask", "google_crc32c", "matplotlib", "numcodecs", "scipy", "zarr"})


def __getattr__(name: str) -> object:
    """A public name, loaded with its first use (PEP 562).

    Raises:
        MissingExtraError: The extra is not installed.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise MissingExtraError(
            f"lake_assets.arrays.{name} needs {error.name}, which is not installed: "
            'pip install "lake_assets[arrays]"'
        ) from error
    globals()[name] = found
    return found
