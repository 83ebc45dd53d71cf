"""The rows of a partition that count, by time and key, in frames that fit the memory.

A large partition is sorted in several passes, ranges of (time, key). Where the ranges end is found
on a sample of the index files, so neither rows nor index of a whole partition are ever in memory.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import polars as pl

from lake_assets.compacted.partitions import PartitionPlan
from lake_assets.compacted.schema import column_order, spelled
from lake_assets.compacted.spill import Spill
from lake_assets.compacted.winners import read_index
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile

__all__ = ["sorted_passes"]

#: Reading, merging, ordering and encoding hold about this many copies of a pass's rows.
_COPIES = 4
#: A sample is so fine that the ranges made of it are off by at most this part of a pass.
_FINENESS = 4
#: Before every time: rows without one come first.
_NO_TIME = -(2**63)

_Place: TypeAlias = tuple[int, str]
"""Time (microseconds) and key of a row: no two rows that count have the same."""


def sorted_passes(
    root: Store, spec: TableSpec, plan: PartitionPlan, *, names: pl.Schema, memory_bytes: int
) -> Iterator[pl.DataFrame]:
    """The partition's rows in order, pass by pass.

    Args:
        root: The lake's store.
        spec: The table.
        plan: The partition's files and which of their rows count.
        names: The table's schema: how it spells the columns.
        memory_bytes: Upper bound of the rows held at once, with the copies that work needs. What
            does not fit goes to local disk meanwhile.
    """
    staged_bytes = sum(file.frame_bytes for file in plan.files)
    row_bytes = max(1, staged_bytes // max(1, plan.rows_in))
    step = max(1, memory_bytes // _COPIES // row_bytes)
    cuts = _cuts(root, plan, step) if plan.rows > step else []
    ends = list(pairwise([None, *cuts, None]))
    with Spill(memory_bytes // _COPIES) as spill:
        for file, keep in zip(plan.files, plan.keep, strict=True):
            if keep.any():
                _deal(spill, root, file, keep, ends=ends, names=names)
        for number in range(len(ends)):
            rows, places = spill.take(2 * number), spill.take(2 * number + 1)
            if rows is not None and places is not None:
                ordered = rows[places.select(pl.arg_sort_by("_at", "_key")).to_series()]
                source = [name for name in rows.columns if name not in INTERNAL_COLUMNS]
                yield ordered.select(*column_order(spec, source), *INTERNAL_COLUMNS[:-1])


def _cuts(root: Store, plan: PartitionPlan, step: int) -> list[_Place]:
    """Where one pass ends and the next begins, so that none has more than ``step`` rows."""
    stride = max(1, step // _FINENESS // len(plan.files))
    samples = [
        _places(root, file, keep)
        .filter("_keep")
        .sort("_at", "_key")
        .gather_every(stride, offset=stride - 1)
        .select("_at", "_key")
        for file, keep in zip(plan.files, plan.keep, strict=True)
    ]
    places = pl.concat(samples).sort("_at", "_key")
    every = max(1, (step - step // _FINENESS) // stride)
    return list(places.gather_every(every, offset=every - 1).iter_rows())


def _places(root: Store, file: StagedFile, keep: pl.Series) -> pl.DataFrame:
    index = read_index(root, file, ["_time", "_key"])
    at = pl.col("_time").dt.timestamp("us").fill_null(_NO_TIME)
    return index.select(_at=at, _key="_key").with_columns(_keep=keep)


def _deal(
    spill: Spill,
    root: Store,
    file: StagedFile,
    keep: pl.Series,
    *,
    ends: Sequence[tuple[_Place | None, _Place | None]],
    names: pl.Schema,
) -> None:
    """The rows of a file that count, each to the pass of its range, and their places beside."""
    places = _places(root, file, keep)
    rows = pl.read_parquet(io.BytesIO(root.get(file.path, sha256=file.sha256)))
    rows = rows.rename(spelled(rows.columns, names))
    for number, (low, high) in enumerate(ends):
        wanted = pl.col("_keep")
        wanted &= ~_before(low) if low else True
        wanted &= _before(high) if high else True
        mask = places.select(wanted).to_series()
        # Two parts: a source column may have any name, also that of a place.
        spill.add(2 * number, rows.filter(mask))
        spill.add(2 * number + 1, places.filter(mask))


def _before(place: _Place) -> pl.Expr:
    at, key = pl.col("_at"), pl.col("_key")
    return (at < place[0]) | ((at == place[0]) & (key < place[1]))
