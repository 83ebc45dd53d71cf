"""IO managers for arrays: an asset returns one, an input takes one, in a folder or on ``s3://``.

Where they lie and how partitions work is in ``stored_io_manager``. The libraries of the extra
``[arrays]`` are imported where they are used: the graph loads without.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import numpy as np
from pydantic import Field

from lake_assets.defs.array_facts import array_preview, written_facts, zarr_facts
from lake_assets.defs.stored_io_manager import StoredIOManager

if TYPE_CHECKING:
    from lake_assets.arrays.records import Written

__all__ = [
    "ArrayIOManager",
    "JsonIOManager",
    "NpyIOManager",
    "PickleIOManager",
    "RawArrayIOManager",
    "SparseIOManager",
    "TreeIOManager",
    "ZarrIOManager",
]

Facts = dict[str, Any]
#: Arrays from this size on are written as zarr by the manager that chooses.
_LARGE_BYTES = 64 * 1024**2
#: Where a tree has its leaves: their names are free, and below its address lie other assets.
_LEAVES = "tree=leaves"
#: A larger JSON value is not shown in its event.
_PREVIEW_BYTES = 16 * 1024


class ZarrIOManager(StoredIOManager):
    """zarr 3: chunks with zstd and crc32c, a version each time, lazy when it is loaded.

    Takes numpy, dask, zarr and labelled arrays. An input is what it is annotated with:
    ``da.Array`` (lazy, also without annotation), ``zarr.Array`` (lazy), ``np.ndarray``, or
    ``LabelledArray``. The same array again makes no version.
    """

    chunk_bytes: int = Field(default=1024**2, description="Upper bound of a chunk, uncompressed.")
    axis: int | None = Field(
        default=None, description="Cut along this axis alone; by default along all alike."
    )
    zstd_level: int = Field(default=1, description="1 is the fastest, 22 the smallest.")
    keep_versions: int = Field(default=3, description="Newest versions that stay readable.")
    keep_days: float = Field(
        default=7, description="Younger versions stay as well: lazy arrays may still read them."
    )

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (arrays of any kind)
        """A version of the array at ``url``; versions that are out of date go."""
        from lake_assets.arrays.labelled import LabelledArray
        from lake_assets.arrays.zarr_grid import Layout
        from lake_assets.arrays.zarr_store import open_zarr, write_zarr
        from lake_assets.arrays.zarr_versions import clean_zarr

        layout = Layout(chunk_bytes=self.chunk_bytes, axis=self.axis, zstd_level=self.zstd_level)
        if not isinstance(value, LabelledArray) and (
            not hasattr(value, "shape") or hasattr(value, "nnz")
        ):
            raise _no_array(value)
        version = write_zarr(url, value, layout=layout)
        clean_zarr(url, keep=self.keep_versions, keep_for=timedelta(days=self.keep_days))
        values = value.values if isinstance(value, LabelledArray) else value
        # In memory it is not read again, and what is lazy is not computed again.
        shown = values if isinstance(values, np.ndarray) else open_zarr(url)
        return zarr_facts(url, version) | {"preview": array_preview(shown)}

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (what the input wants)
        """The newest version."""
        import zarr

        from lake_assets.arrays import zarr_store
        from lake_assets.arrays.labelled import LabelledArray

        if wanted is LabelledArray:
            return zarr_store.open_labelled(url)
        if wanted is np.ndarray:
            return zarr_store.read_zarr(url)
        if wanted is zarr.Array:
            return zarr_store.open_zarr_array(url)
        return zarr_store.open_zarr(url)


class NpyIOManager(StoredIOManager):
    """One ``.npy`` object an array, as ``np.save`` writes it; never pickled objects."""

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (checked below)
        """``<url>.npy``."""
        from lake_assets.arrays.dense import write_npy

        return _dense_facts(value, lambda array: write_npy(f"{url}.npy", array))

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (what the input wants)
        """The array, lazy where the input is ``da.Array``."""
        from lake_assets.arrays.dense import read_npy

        return _as_wanted(read_npy(f"{url}.npy"), wanted)


class RawArrayIOManager(StoredIOManager):
    """One object an array, that cottoncandy reads too: compressed bytes, dtype in its metadata.

    The object also carries a crc32c of its body.
    """

    compression: Literal["Blosc", "Zstd", "LZ4", "Zlib", "BZ2", "gzip", "none"] = Field(
        default="Blosc", description="none: parts of it can be read by byte ranges."
    )

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (checked below)
        """``<url>.raw``: in a folder, a file ``url`` would be in the way of assets below it."""
        from lake_assets.arrays.dense import write_raw

        codec = False if self.compression == "none" else self.compression
        return _dense_facts(value, lambda array: write_raw(f"{url}.raw", array, compression=codec))

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (what the input wants)
        """The array, lazy where the input is ``da.Array``."""
        from lake_assets.arrays.dense import read_raw

        return _as_wanted(read_raw(f"{url}.raw"), wanted)


class ArrayIOManager(ZarrIOManager):
    """Chooses: zarr for dask, zarr and labelled arrays and for 64 MiB and more, else ``.npy``."""

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (arrays of any kind)
        """One of both; what the other one held before is removed when it is written."""
        from lake_assets.arrays.dense import write_npy
        from lake_assets.arrays.zarr_versions import remove_zarr
        from lake_assets.s3 import open_store

        if isinstance(value, np.ndarray | np.generic) and value.nbytes < _LARGE_BYTES:
            facts = _dense_facts(value, lambda array: write_npy(f"{url}.npy", array))
            remove_zarr(url)
            return facts
        facts = super().write(url, value)
        folder, _, name = url.rpartition("/")
        open_store(folder).delete(f"{name}.npy")
        return facts

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (what the input wants)
        """Whichever is there: lazy by annotation, and without one where it is zarr."""
        from lake_assets.arrays.dense import read_npy
        from lake_assets.arrays.zarr_store import is_zarr

        if is_zarr(url):
            return super().read(url, wanted)
        return _as_wanted(read_npy(f"{url}.npy"), wanted)


class SparseIOManager(StoredIOManager):
    """One ``.npz`` object a sparse matrix or array, as ``scipy.sparse.save_npz`` writes it.

    Every kind comes back as the kind it was; labels come along, see ``LabelledSparse``.
    """

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (checked by the library)
        """``<url>.npz``."""
        from lake_assets.arrays.labelled_sparse import LabelledSparse, write_labelled_sparse

        if not isinstance(value, LabelledSparse):
            value = LabelledSparse(value, {})
        written = write_labelled_sparse(f"{url}.npz", value)
        return written_facts(written) | {
            "stored_values": int(value.matrix.nnz),
            "labels": ", ".join(value.labels) or "none",
            "preview": array_preview(value.matrix),
        }

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401 (a class for each kind)
        """The matrix, with its labels where the input is ``LabelledSparse``."""
        from lake_assets.arrays.labelled_sparse import LabelledSparse, read_labelled_sparse
        from lake_assets.arrays.sparse import read_sparse

        read = read_labelled_sparse if wanted is LabelledSparse else read_sparse
        return read(f"{url}.npz")


class TreeIOManager(StoredIOManager):
    """A dictionary of arrays and dictionaries: one object a leaf, read side by side."""

    @property
    def takes_dicts_apart(self) -> bool:
        """A dict is the value itself."""
        return False

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (checked by the library)
        """Objects below ``<url>/tree=leaves``; those of the last tree that are gone are removed."""
        from lake_assets.arrays.tree import write_tree

        if not isinstance(value, Mapping):
            raise _no_array(value)
        return written_facts(write_tree(f"{url}/{_LEAVES}", value, others="remove")) | {
            "preview": array_preview(value)
        }

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401, ARG002 (a tree)
        """The dictionary."""
        from lake_assets.arrays.tree import read_tree

        return read_tree(f"{url}/{_LEAVES}")


class JsonIOManager(StoredIOManager):
    """One ``.json`` object a value, UTF-8."""

    @property
    def takes_dicts_apart(self) -> bool:
        """A dict is the value itself."""
        return False

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (any JSON)
        """``<url>.json``."""
        from lake_assets.arrays.documents import write_json

        written = write_json(f"{url}.json", value)
        if written.stored_bytes > _PREVIEW_BYTES:
            return written_facts(written)
        shown = dg.MetadataValue.json(value) if isinstance(value, dict | list) else repr(value)
        return written_facts(written) | {"preview": shown}

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401, ARG002 (any JSON)
        """The value."""
        from lake_assets.arrays.documents import read_json

        return read_json(f"{url}.json")


class PickleIOManager(StoredIOManager):
    """One pickle a value; refused unless ``allow_pickle``, and then read restricted.

    A restricted read takes plain containers, dates and numpy arrays, and nothing that runs code.
    """

    allow_pickle: bool = Field(default=False, description="Read and write pickles at all.")
    trusted: bool = Field(
        default=False,
        description="Read anything: a pickle may then run code. For a store that nobody else"
        " writes to.",
    )

    @property
    def takes_dicts_apart(self) -> bool:
        """A dict is the value itself."""
        return False

    def write(self, url: str, value: Any) -> Facts:  # noqa: ANN401 (any object)
        """``<url>.pickle``."""
        from lake_assets.arrays.documents import write_pickle

        return written_facts(write_pickle(f"{url}.pickle", value, allow_pickle=self.allow_pickle))

    def read(self, url: str, wanted: object) -> Any:  # noqa: ANN401, ARG002 (any object)
        """The value."""
        from lake_assets.arrays.documents import read_pickle

        return read_pickle(f"{url}.pickle", allow_pickle=self.allow_pickle, trusted=self.trusted)


def _dense_facts(value: Any, write: "Callable[[np.ndarray], Written]") -> Facts:  # noqa: ANN401 (checked)
    """Write one array that is in memory, or a lazy one after computing it."""
    if not hasattr(value, "shape") or hasattr(value, "nnz"):
        raise _no_array(value)
    from lake_assets.arrays.dtypes import in_memory

    array = in_memory(value)  # with the mask it may have: who writes it refuses that
    return written_facts(write(array)) | {"preview": array_preview(array)}


def _no_array(value: object) -> dg.DagsterInvariantViolationError:
    return dg.DagsterInvariantViolationError(
        f"the asset returned {type(value).__name__}; return an array, or give the asset another"
        " io_manager_key (array_sparse, array_tree, array_json)"
    )


def _as_wanted(array: np.ndarray, wanted: object) -> Any:  # noqa: ANN401 (what the input wants)
    """An array in memory, as dask where the input is annotated so."""
    if getattr(wanted, "__module__", "").startswith("dask."):
        import dask.array as da

        return da.from_array(array)
    return array
