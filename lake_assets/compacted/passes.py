"""The rows of a partition that count, by time and key, in frames that fit the memory.

A large partition is read in several passes over ranges of (time, key). Where the ranges end is found
on a sample of the index files, so neither rows nor index of a whole partition are ever in memory.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import polars as pl

from lake_assets.compacted.plan import PartitionPlan
from lake_assets.compacted.schema import column_order, spelled
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
        memory_bytes: Upper bound of the rows held at once, with the copies that work needs.
    """
    staged_bytes = sum(file.frame_bytes for file in plan.files)
    row_bytes = max(1, staged_bytes // max(1, plan.rows_in))
    step = max(1, memory_bytes // _COPIES // row_bytes)
    cuts = _cuts(root, plan, step) if plan.rows > step else []
    for low, high in pairwise([None, *cuts, None]):
        rows = [
            part
            for file, keep in zip(plan.files, plan.keep, strict=True)
            if (part := _rows_within(root, file, keep, low, high)) is not None
        ]
        if rows:
            yield _merged(spec, rows, names)


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


def _rows_within(
    root: Store, file: StagedFile, keep: pl.Series, low: _Place | None, high: _Place | None
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The file's rows from ``low`` to before ``high`` that count, and their places; None for none."""
    if not keep.any():
        return None
    places = _places(root, file, keep)
    wanted = pl.col("_keep")
    if low:
        wanted &= ~_before(low)
    if high:
        wanted &= _before(high)
    mask = places.select(wanted).to_series()
    if not mask.any():
        return None
    body = root.get(file.path, sha256=file.sha256)
    return pl.read_parquet(io.BytesIO(body)).filter(mask), places.filter(mask)


def _before(place: _Place) -> pl.Expr:
    at, key = pl.col("_at"), pl.col("_key")
    return (at < place[0]) | ((at == place[0]) & (key < place[1]))


def _merged(
    spec: TableSpec, rows: Sequence[tuple[pl.DataFrame, pl.DataFrame]], names: pl.Schema
) -> pl.DataFrame:
    # Apart from the rows: a source column may have any name.
    order = pl.concat([places for _, places in rows]).select(pl.arg_sort_by("_at", "_key"))
    parts = [part.rename(spelled(part.columns, names)) for part, _ in rows]
    frame = pl.concat(parts, how="diagonal")[order.to_series()]
    source = [name for name in frame.columns if name not in INTERNAL_COLUMNS]
    return frame.select(*column_order(spec, source), *INTERNAL_COLUMNS[:-1])
