"""Which staged rows count: one for each key over the whole table, the newest export's.

Works on the index files only (key and time of each row), in buckets of keys, so that memory is
bounded by a setting and a record that moved to another partition is found wherever it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from lake_assets.fanout import fan_out
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile

__all__ = ["OrderedFile", "Winners", "read_index", "resolve_winners"]

#: Sorting and taking the last of each key holds about this many copies of a bucket's index.
_COPIES = 4


@dataclass(frozen=True, slots=True)
class OrderedFile:
    """A staged file and the place of its export in time; later files of one rank follow in row order."""

    file: StagedFile
    export_rank: int


@dataclass(frozen=True, slots=True)
class Winners:
    """Which rows of each file count, and between which partitions records have moved."""

    keep: tuple[pl.Series, ...]
    """A Boolean Series for each file, in the order of the files."""
    moved: frozenset[tuple[str | None, str | None]]
    """(partition that loses a row, partition that has the newer one)."""


def resolve_winners(
    root: Store,
    files: Sequence[OrderedFile],
    *,
    memory_bytes: int,
    workers: int,
    former: Sequence[StagedFile] = (),
) -> Winners:
    """Find the newest row of each key.

    Newest is: the latest export; within it the latest pxSaveDateTime (a missing one is the oldest);
    among equals the last in file and row order.

    Args:
        root: The lake's store.
        files: All files that count, oldest export first.
        memory_bytes: Upper bound of the index rows held at once.
        workers: Index files fetched at once.
        former: Files that counted until their export was corrected. Their rows win nothing, but a
            record that they had and that another partition has now has moved as well.
    """
    keep = [pl.Series([False], dtype=pl.Boolean).new_from_index(0, f.file.rows) for f in files]
    moved: set[tuple[str | None, str | None]] = set()
    everything = [*files, *(OrderedFile(file, 0) for file in former)]
    months = [f.file.month for f in everything]
    total = sum(f.file.index_frame_bytes for f in everything) * _COPIES
    buckets = max(1, -(-total // memory_bytes))
    for bucket in range(buckets):
        rows = _bucket(root, everything, bucket, buckets, workers)
        last = rows.filter(pl.col("_file") < len(files)).unique(subset="_key", keep="last", maintain_order=True)
        for (number,), part in last.partition_by("_file", as_dict=True).items():
            keep[number] = keep[number].scatter(part["_row"], True)  # noqa: FBT003 (the value)
        moved |= _moves(rows, last, months)
    return Winners(tuple(keep), frozenset(moved))


def read_index(root: Store, file: StagedFile, columns: list[str]) -> pl.DataFrame:
    """Columns of a file's index, verified, one row per row of the file."""
    import io

    body = root.get(file.index_path, sha256=file.index_sha256)
    return pl.read_parquet(io.BytesIO(body), columns=columns)


def _bucket(
    root: Store, files: Sequence[OrderedFile], bucket: int, buckets: int, workers: int
) -> pl.DataFrame:
    """The index rows whose key falls into this bucket, oldest first."""

    def load(numbered: tuple[int, OrderedFile]) -> pl.DataFrame:
        number, ordered = numbered
        index = read_index(root, ordered.file, ["_key", "_saved"]).with_row_index("_row")
        if buckets > 1:  # the hash only deals rows out within this process; nothing stores it
            index = index.filter(pl.col("_key").hash(seed=0) % buckets == bucket)
        return index.with_columns(
            _file=pl.lit(number, dtype=pl.UInt32),
            _rank=pl.lit(ordered.export_rank, dtype=pl.UInt32),
        )

    frames = list(fan_out(load, enumerate(files), workers=workers))
    if not frames:
        return pl.DataFrame(
            schema={"_row": pl.UInt32, "_key": pl.String, "_saved": pl.Int64, "_file": pl.UInt32}
        )
    rows = pl.concat(frames)
    return rows.sort("_rank", "_saved", nulls_last=False, maintain_order=True)


def _moves(
    rows: pl.DataFrame, last: pl.DataFrame, months: Sequence[str | None]
) -> set[tuple[str | None, str | None]]:
    if rows.height == last.height:
        return set()
    pairs = (
        rows.select("_key", "_file")
        .join(last.select("_key", _winner="_file"), on="_key")
        .select("_file", "_winner")
        .unique()
    )
    return {
        (months[loser], months[winner])
        for loser, winner in pairs.iter_rows()
        if months[loser] != months[winner]
    }
