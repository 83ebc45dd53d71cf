"""An array whose axes have names and whose places have labels: what an analysis hands over.

Plain numpy or dask underneath; labels are arrays themselves, so that any reader of the store finds
them beside the values. Nothing here reads or writes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lake_assets.errors import SettingsError

__all__ = ["Coordinate", "LabelledArray", "Values"]

Values = Any
"""A numpy, dask or zarr array; dask's annotations do not let a checker follow them."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: What the array itself is called in a store.
_TAKEN = frozenset({"values", "c"})


@dataclass(frozen=True, slots=True, eq=False)
class Coordinate:
    """Labels of one axis, or of several together."""

    dims: tuple[str, ...]
    values: Values
    """One axis for each of ``dims``."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledArray:
    """Values, the names of their axes, and the labels along them."""

    values: Values
    dims: tuple[str, ...]
    """A name for each axis."""
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    """By name; one called like an axis labels that axis. One along an axis that the values have
    not is a list that other coordinates refer to."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be known of it, as JSON can hold it: units, where it comes from."""

    def __post_init__(self) -> None:
        """Refuse names and labels that do not fit the values.

        Raises:
            SettingsError: With what does not fit.
        """
        if len(self.dims) != self.values.ndim or len(set(self.dims)) != len(self.dims):
            raise SettingsError(
                f"dims {self.dims} do not name each axis of {self.values.shape} once"
            )
        sizes = dict(zip(self.dims, self.values.shape, strict=True))
        for name, coordinate in self.coordinates.items():
            if coordinate.dims == (name,):  # an axis of its own, which others may name
                sizes.setdefault(name, coordinate.values.shape[0])
        for name, coordinate in self.coordinates.items():
            if not _NAME.fullmatch(name) or name in _TAKEN:
                raise SettingsError(
                    f"{name!r} cannot name a coordinate; use letters, digits and _, and not"
                    f" {sorted(_TAKEN)}"
                )
            if tuple(sizes.get(dim) for dim in coordinate.dims) != coordinate.values.shape:
                raise SettingsError(
                    f"coordinate {name!r} of shape {coordinate.values.shape} does not fit its axes"
                    f" {coordinate.dims} in an array of {sizes}"
                )

    def labels(self, name: str) -> np.ndarray:
        """The labels of a coordinate, in memory.

        Raises:
            SettingsError: There is no such coordinate.
        """
        if name not in self.coordinates:
            raise SettingsError(
                f"there is no coordinate {name!r}; there are {sorted(self.coordinates)}"
            )
        return np.asarray(self.coordinates[name].values)
