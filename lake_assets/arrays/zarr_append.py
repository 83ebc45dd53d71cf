"""Versions made of the one before: more of it along an axis, or the same cut another way."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from lake_assets.arrays.labelled import Coordinate, LabelledArray, Values
from lake_assets.arrays.zarr_grid import Grid, Layout, Region, plan_grid
from lake_assets.arrays.zarr_store import as_labelled, make_version, open_labelled, open_zarr_array
from lake_assets.arrays.zarr_versions import ZarrVersion, zarr_version
from lake_assets.arrays.zarr_write import Codec, NewLayer
from lake_assets.errors import SettingsError
from lake_assets.s3 import Access, Location
from lake_assets.s3.access import located

if TYPE_CHECKING:
    import zarr

__all__ = ["append_zarr", "rechunk_zarr"]


def append_zarr(
    url: Location, array: object, *, axis: int = 0, access: Access | None = None
) -> ZarrVersion:
    """A version with ``array`` behind the newest one along ``axis``; what is there is not copied.

    Only the last chunks along the axis, where they are not full, are written again, elsewhere:
    who appends a little at a time sets ``Layout.chunks`` for what will be there.

    Args:
        url: What ``write_zarr`` wrote.
        array: numpy or dask; a labelled one brings the labels of the new part.
        axis: Along which.
        access: How to reach the bucket.

    Raises:
        SettingsError: Shape, dtype or labels do not continue the array.
        PublishConflictError: Another writer was faster; nothing of this is visible.
    """
    url, access = located(url, access)
    base = zarr_version(url, access=access)
    old = open_labelled(url, version=base.number, access=access)
    added = as_labelled(array)
    if isinstance(array, LabelledArray) and added.dims != old.dims:
        raise SettingsError(
            f"axes {added.dims} do not continue {old.dims}; transpose the array, or name its axes"
            " as those that are there"
        )
    axis = _continued(old, added, axis)
    if added.values.shape[axis] == 0:
        return replace(base, changed=False)
    length = old.values.shape[axis] + added.values.shape[axis]
    shape = tuple(length if at == axis else n for at, n in enumerate(base.shape))
    grid = Grid(shape, base.chunks, base.shards)
    start = old.values.shape[axis] // grid.blocks[axis] * grid.blocks[axis]
    new = NewLayer(
        url,
        grid,
        Codec.of(base.codec),
        dims=old.dims,
        coordinates=_joined(old, added, old.dims[axis]),
        attributes={**old.attributes, **added.attributes},
        offset=tuple(start if at == axis else 0 for at in range(len(shape))),
        access=access,
    )
    values = added.values
    if start < old.values.shape[axis]:  # the rest lies in objects that are written again
        stored = open_zarr_array(url, version=base.number, access=access)
        values = _behind(old.values, stored, values, axis, start)
    return make_version(new, values, base=base, over=base.layers)


def rechunk_zarr(url: Location, layout: Layout, *, access: Access | None = None) -> ZarrVersion:
    """A version of the same values, cut as ``layout`` says, in one layer: plain zarr again.

    Memory is that of the blocks under way, about 128 MiB, whatever the size of the array and
    however differently the two are cut; then chunks are read several times.

    Args:
        url: What ``write_zarr`` wrote.
        layout: How it is to be cut.
        access: How to reach the bucket.

    Raises:
        PublishConflictError: Another writer was faster; nothing of this is visible.
    """
    url, access = located(url, access)
    base = zarr_version(url, access=access)
    old = open_labelled(url, version=base.number, access=access)
    array = open_zarr_array(url, version=base.number, access=access)
    new = NewLayer(
        url,
        plan_grid(array.shape, array.dtype.itemsize, layout),
        Codec(layout.zstd_level),
        dims=old.dims,
        coordinates=old.coordinates,
        attributes=old.attributes,
        access=access,
    )
    return make_version(new, array, base=base)


def _continued(old: LabelledArray, added: LabelledArray, axis: int) -> int:
    """The axis, from the front; after a look at everything else."""
    n_axes = old.values.ndim
    if not -n_axes <= axis < n_axes:
        raise SettingsError(f"axis {axis} is none of an array of shape {old.values.shape}")
    axis %= n_axes
    rest = [n for at, n in enumerate(old.values.shape) if at != axis]
    if added.values.ndim != n_axes or rest != [
        n for at, n in enumerate(added.values.shape) if at != axis
    ]:
        raise SettingsError(
            f"shape {added.values.shape} does not continue {old.values.shape} along axis {axis}"
        )
    if added.values.dtype.newbyteorder("=") != old.values.dtype:
        raise SettingsError(
            f"dtype {added.values.dtype} does not continue {old.values.dtype}; convert it"
        )
    return axis


@dataclass(frozen=True, slots=True)
class _Behind:
    """Two arrays behind each other, of which only what is asked for is held."""

    old: "zarr.Array[Any]"
    start: int
    """Where the first one begins along the axis."""
    added: Values
    axis: int

    @property
    def dtype(self) -> Any:  # noqa: ANN401 (numpy's)
        return self.old.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        length = self._edge + self.added.shape[self.axis]
        return tuple(length if at == self.axis else n for at, n in enumerate(self.added.shape))

    @property
    def _edge(self) -> int:
        return self.old.shape[self.axis] - self.start

    def __getitem__(self, region: Region) -> np.ndarray:
        part, edge = region[self.axis], self._edge
        low, high = min(part.start, edge), min(part.stop, edge)
        pieces = [
            self.old[self._moved(region, low + self.start, high + self.start)],
            self.added[self._moved(region, max(part.start, edge) - edge, part.stop - edge)],
        ]
        found = [np.asarray(piece) for piece in pieces if piece.shape[self.axis]]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=self.axis)

    def _moved(self, region: Region, start: int, stop: int) -> Region:
        """The region, from ``start`` on along the axis, and empty where ``stop`` is before it."""
        along = slice(start, max(start, stop))
        return tuple(along if at == self.axis else part for at, part in enumerate(region))


def _behind(old: Values, stored: "zarr.Array[Any]", added: Values, axis: int, start: int) -> Values:
    """What is added, after that part of the old array that lies in the same objects."""
    if not isinstance(added, da.Array):
        return _Behind(stored, start, added, axis)
    part = (slice(None),) * axis + (slice(start, None),)
    return da.concatenate([old[part], added], axis=axis)


def _joined(old: LabelledArray, added: LabelledArray, dim: str) -> dict[str, Coordinate]:
    """Labels of the whole: those along the axis continued, the others the same as before."""
    joined = dict(old.coordinates)
    for name, before in old.coordinates.items():
        after = added.coordinates.get(name)
        if dim in before.dims:
            if after is None or after.dims != before.dims:
                raise SettingsError(
                    f"the labels {name!r} along {dim!r} end with the old part; append a"
                    " LabelledArray that has those of the new part, too"
                )
            both = [np.asarray(before.values), np.asarray(after.values)]
            values = np.concatenate(both, before.dims.index(dim))
            joined[name] = Coordinate(before.dims, values)
        elif after is not None and not np.array_equal(old.labels(name), added.labels(name)):
            raise SettingsError(
                f"the labels {name!r} differ from those that are there; only those along {dim!r}"
                " may"
            )
    if odd := set(added.coordinates) - set(joined):
        raise SettingsError(f"the array has no labels {sorted(odd)}; write it anew to add them")
    return joined
