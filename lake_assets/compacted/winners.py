"""Which staged rows count: one for each key over the whole table, the newest export's.

Works on the index files only (key and time of each row), in buckets of keys, so that memory is
bounded by a setting and a record that moved to another partition is found wherever it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import polars as pl

from lake_assets.compacted.spill import Spill
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile

__all__ = ["OrderedFile", "Winners", "read_index", "resolve_winners"]

Values: TypeAlias = tuple[str | None, ...]
"""The values of a partition."""

#: Sorting and taking the last of each key holds about this many copies of a bucket's index.
_COPIES = 4


@dataclass(frozen=True, slots=True)
class OrderedFile:
    """A staged file and the place of its export in time; files of one rank follow in row order."""

    file: StagedFile
    export_rank: int


@dataclass(frozen=True, slots=True)
class Winners:
    """Which rows of each file count, and between which partitions records have moved."""

    keep: tuple[pl.Series, ...]
    """A Boolean Series for each file, in the order of the files."""
    moved: frozenset[tuple[Values, Values]]
    """(partition that loses a row, partition that has the newer one)."""


def resolve_winners(
    root: Store,
    files: Sequence[OrderedFile],
    *,
    memory_bytes: int,
    workers: int,
    former: Sequence[StagedFile] = (),
) -> Winners:
    """Find the newest row of each key; a row whose key is null is a record of its own.

    Newest is: the latest export; within it the latest pxSaveDateTime (a missing one is the oldest);
    among equals the last in file and row order.

    Args:
        root: The lake's store.
        files: All files that count, oldest export first.
        memory_bytes: Upper bound of the index rows held at once; more go to local disk meanwhile.
        workers: Index files fetched at once.
        former: Files that counted until their export was corrected. Their rows win nothing, but a
            record that they had and that another partition has now has moved as well.
    """
    keep = [pl.Series([False], dtype=pl.Boolean).new_from_index(0, f.file.rows) for f in files]
    moved: set[tuple[Values, Values]] = set()
    everything = [*files, *(OrderedFile(file, 0) for file in former)]
    places = [f.file.values for f in everything]
    total = sum(f.file.index_frame_bytes for f in everything) * _COPIES
    buckets = max(1, -(-total // memory_bytes))
    if not former and _are_unlike(root, everything, memory_bytes=memory_bytes, workers=workers):
        return Winners(tuple(~mask for mask in keep), frozenset())
    with Spill(memory_bytes // _COPIES) as spill:
        for index in fan_out(partial(_numbered, root), enumerate(everything), workers=workers):
            _deal(spill, index, buckets)
        for bucket in range(buckets):
            rows = spill.take(bucket)
            if rows is None:
                continue
            last = _last(rows, len(files))
            for (number,), part in last.partition_by("_file", as_dict=True).items():
                keep[number] = keep[number].scatter(part["_row"], True)  # noqa: FBT003 (the value)
            moved |= _moves(rows, last, places)
    return Winners(tuple(keep), frozenset(moved))


def read_index(root: Store, file: StagedFile, columns: list[str]) -> pl.DataFrame:
    """Columns of a file's index, verified, one row per row of the file."""
    import io

    body = root.get(file.index_path, sha256=file.index_sha256)
    return pl.read_parquet(io.BytesIO(body), columns=columns)


def _are_unlike(
    root: Store, files: Sequence[OrderedFile], *, memory_bytes: int, workers: int
) -> bool:
    """Whether no key is there twice, by hashes alone: eight bytes a row, no text, no sorting.

    False also where that would be too much at once, or where exports follow one another: these
    repeat their keys, and the look would be in vain.
    """
    rows = sum(ordered.file.index_rows or ordered.file.rows for ordered in files)
    if len({ordered.export_rank for ordered in files}) != 1 or 8 * rows * _COPIES > memory_bytes:
        return False

    def hashed(ordered: OrderedFile) -> pl.Series:
        # Within this process only: another version of Polars has other hashes.
        return read_index(root, ordered.file, ["_key"])["_key"].drop_nulls().hash(seed=0)

    hashes = pl.concat(fan_out(hashed, files, workers=workers))
    return hashes.n_unique() == hashes.len()


def _numbered(root: Store, numbered: tuple[int, OrderedFile]) -> pl.DataFrame:
    """The index rows of a file, with their place in it and its place among the files."""
    number, ordered = numbered
    shared = ordered.file.index_rows > 0  # its rows lie by partition, and say their place
    columns = ["_key", "_saved", *(["_nth"] if shared else [])]
    index = read_index(root, ordered.file, columns).with_row_index("_row")
    index = index if shared else index.with_columns(_nth="_row")
    return index.with_columns(
        _file=pl.lit(number, dtype=pl.UInt32),
        _rank=pl.lit(ordered.export_rank, dtype=pl.UInt32),
    )


def _deal(spill: Spill, index: pl.DataFrame, buckets: int) -> None:
    if buckets == 1:
        spill.add(0, index)
        return
    # The hash only deals rows out within this process; nothing stores it.
    dealt = index.with_columns(_bucket=pl.col("_key").hash(seed=0) % buckets)
    for (bucket,), part in dealt.partition_by("_bucket", as_dict=True, include_key=False).items():
        spill.add(int(bucket), part)


def _last(rows: pl.DataFrame, n_current: int) -> pl.DataFrame:
    """The newest row of each key among the files that count, and the rows without a key."""
    current = rows.filter(pl.col("_file") < n_current)
    own, keyed = current.filter(pl.col("_key").is_null()), current.drop_nulls("_key")
    # Unlike hashes are unlike keys: mostly all are, and there is nothing to sort. Within this
    # process only, for another version of Polars has other hashes.
    hashes = keyed["_key"].hash(seed=0)
    if hashes.n_unique() == keyed.height:
        return current
    twice = hashes.is_duplicated()
    ordered = keyed.filter(twice).sort("_rank", "_saved", "_file", "_nth", nulls_last=False)
    newest = ordered.unique(subset="_key", keep="last", maintain_order=True)
    return pl.concat([keyed.filter(~twice), newest, own])


def _moves(
    rows: pl.DataFrame, last: pl.DataFrame, places: Sequence[Values]
) -> set[tuple[Values, Values]]:
    if rows.height == last.height:
        return set()
    pairs = (
        rows.select("_key", "_file")
        .join(last.select("_key", _winner="_file"), on="_key")
        .select("_file", "_winner")
        .unique()
    )
    return {
        (places[loser], places[winner])
        for loser, winner in pairs.iter_rows()
        if places[loser] != places[winner]
    }
