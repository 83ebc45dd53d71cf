"""A sparse matrix with labels of its rows and columns, in one object that scipy reads as well.

scipy is loaded by its first use: every process that loads the graph loads this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lake_assets.arrays.npz import decode_npz
from lake_assets.arrays.place import place_of
from lake_assets.arrays.raw import check_crc32c
from lake_assets.arrays.records import Written
from lake_assets.errors import SettingsError
from lake_assets.s3 import Location

__all__ = ["LabelledSparse", "read_labelled_sparse", "write_labelled_sparse"]

#: Begins the names of labels among the parts of a matrix.
_LABEL = "label:"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSparse:
    """A sparse matrix or array, and what its rows and columns are."""

    matrix: Any
    """Of scipy, any kind."""
    labels: Mapping[str, np.ndarray]
    """By name; which of rows and which of columns is said where it is made."""


def write_labelled_sparse(url: Location, labelled: LabelledSparse) -> Written:
    """Write matrix and labels as one ``.npz`` object, which changes in one step.

    ``scipy.sparse.load_npz`` and ``read_sparse`` read the matrix alone.

    Raises:
        SettingsError: It is not sparse, or something holds Python objects.
    """
    import scipy.sparse as sp

    from lake_assets.arrays.sparse import put_npz

    if not sp.issparse(labelled.matrix):
        raise SettingsError(f"{type(labelled.matrix).__name__} is not sparse; write it as an array")
    beside = {f"{_LABEL}{name}": np.asarray(values) for name, values in labelled.labels.items()}
    return put_npz(place_of(url), labelled.matrix, {}, beside)


def read_labelled_sparse(url: Location) -> LabelledSparse:
    """Read a sparse matrix with the labels beside it; none where nothing was written but it.

    Raises:
        MissingObjectError: It is not there.
        ArrayFormatError: It is no sparse matrix.
    """
    from lake_assets.arrays.sparse import decode_sparse

    place = place_of(url)
    body = place.objects.read(place.key, proof=check_crc32c).body
    labels = {
        name.removeprefix(_LABEL): array
        for name, array in decode_npz(body, place.url).items()
        if name.startswith(_LABEL)
    }
    return LabelledSparse(decode_sparse(body, place.url), labels)
