"""The rows of a snapshot's partition that count, in the table's order, in frames that fit memory.

A partition that is too large is dealt out by ranges of the sort columns, found on a sample of these
columns alone, so that every pass fits and the files of the table do not overlap. On the way every
column is added up (a sum that does not depend on the order) before and after: what comes out is
what was staged.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import polars as pl

from lake_assets.compacted.partitions import PartitionPlan
from lake_assets.compacted.spill import Spill
from lake_assets.compacted.widen import cast_frame
from lake_assets.errors import ConservationError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile

__all__ = ["ColumnSums", "Order", "read_staged_file", "same_columns", "snapshot_passes"]

#: Reading, joining, sorting and encoding hold about this many copies of a pass's rows.
_COPIES = 4
#: A sample is so fine that the ranges made of it are off by at most this part of a pass.
_FINENESS = 4
_MODULUS = 2**64
#: Place of a row among those of the partition: tells rows apart that the sort columns do not. No
#: source has a column of such a name.
_PLACE = "\u00b7lake_place"

_Cut: TypeAlias = tuple[Any, ...]
"""Values of the sort columns and the place of one row."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the rows of a table lie; nulls come first either way."""

    columns: tuple[str, ...] = ()
    descending: tuple[bool, ...] = ()


@dataclass(slots=True)
class ColumnSums:
    """Sums over the values of each column, alike in whatever order they come.

    The sum of 64-bit hashes modulo 2**64. Polars' hash is the same within one version only, so sums
    are compared within a process, never with recorded ones of another version.
    """

    sums: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    """Values that are not null, by column."""

    def add(self, frame: pl.DataFrame) -> None:
        """Count the values of a frame in."""
        if frame.is_empty():
            return
        hashes = frame.select(pl.all().hash(seed=0).sum())
        for name in frame.columns:
            self.sums[name] = (self.sums[name] + int(hashes[name][0])) % _MODULUS
            self.filled[name] += frame.height - frame[name].null_count()

    def repeat(self, same: Mapping[str, str]) -> None:
        """Give columns that are another one once more the sums of that one."""
        for name, of in same.items():
            if of in self.sums:
                self.sums[name], self.filled[name] = self.sums[of], self.filled[of]


def same_columns(plan: PartitionPlan, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Columns that are another one once more in all rows of a partition, and which.

    They are sorted, added up and looked at once.
    """
    files = [file for file, keep in zip(plan.files, plan.keep, strict=True) if keep.any()]
    first = files[0].copies if files else {}
    return {
        name: of
        for name, of in first.items()
        if all(file.copies.get(name) == of for file in files)
        and of in schema
        and schema.get(name) == schema[of]
    }


def snapshot_passes(
    root: Store,
    table: SnapshotTable,
    plan: PartitionPlan,
    *,
    schema: Mapping[str, pl.DataType],
    memory_bytes: int,
    checks: MutableMapping[str, Any],
) -> Iterator[pl.DataFrame]:
    """The partition's rows in order, pass by pass; after the last one, proof that it was all.

    Args:
        root: The lake's store.
        table: The table.
        plan: The partition, resolved.
        schema: The lake's columns without the partition keys.
        memory_bytes: Upper bound of the rows held at once, with the copies that work needs. What
            does not fit goes to local disk meanwhile.
        checks: Filled at the end with what was compared, for the manifest.

    Raises:
        ConservationError: The rows that came out are not those that went in.
        SchemaChangeError: A value would not be the same in its type of the lake.
    """
    same = same_columns(plan, schema)
    stored = {name: dtype for name, dtype in schema.items() if name not in same}
    reader = _Reader(root, table.id, stored, ColumnSums())
    order = _order(table, schema, same)
    out = ColumnSums()
    staged_bytes = sum(file.frame_bytes for file in plan.files)
    if staged_bytes * _COPIES <= memory_bytes or not plan.rows:
        passes = iter([reader.whole(plan, order)])
    elif not order.columns:
        passes = _joined(reader.frames(plan), memory_bytes // _COPIES)
    else:
        passes = _merged(reader, plan, order, staged_bytes, memory_bytes)
    for frame in passes:
        out.add(frame)
        copies = [pl.col(of).alias(name) for name, of in same.items()]
        yield frame.with_columns(copies).select(list(schema))
    _compare(table, plan, reader.sums, out)
    out.repeat(same)
    counted = table.settings.count_on
    checks["columns"] = {name: format(out.sums[name], "016x") for name in sorted(out.sums)}
    checks["columns_by"] = f"sum of polars {pl.__version__} hashes"
    if counted is not None:
        key = dict(zip(table.partition_by, plan.values, strict=True)).get(counted)
        filled = out.filled[counted] if key is None else plan.rows  # keys are in no file
        checks["count_on"] = {"column": counted, "filled": filled}


@dataclass(frozen=True, slots=True)
class _Reader:
    root: Store
    table: str
    schema: Mapping[str, pl.DataType]
    sums: ColumnSums

    def frames(self, plan: PartitionPlan) -> Iterator[pl.DataFrame]:
        """The rows of each file that count, as the lake types them, with their places."""
        place = 0
        wanted = [
            (file, keep) for file, keep in zip(plan.files, plan.keep, strict=True) if keep.any()
        ]
        files = fan_out(lambda pair: read_staged_file(self.root, pair[0]), wanted, workers=4)
        for (_, keep), staged in zip(wanted, files, strict=True):
            rows = staged if keep.all() else staged.filter(keep)
            frame = cast_frame(rows, self.schema, table=self.table)
            self.sums.add(frame)
            yield frame.with_row_index(_PLACE, offset=place).cast({_PLACE: pl.Int64})
            place += frame.height

    def whole(self, plan: PartitionPlan, order: Order) -> pl.DataFrame:
        """All rows at once, in order; none where each has a newer one in another partition."""
        return _sorted(pl.concat([self._none(), *self.frames(plan)]), order)

    def _none(self) -> pl.DataFrame:
        return pl.DataFrame(schema={_PLACE: pl.Int64(), **self.schema})


def read_staged_file(root: Store, file: StagedFile) -> pl.DataFrame:
    """A staged file, verified, with the columns that are others once more."""
    frame = pl.read_parquet(io.BytesIO(root.get(file.path, sha256=file.sha256)))
    if not file.copies:
        return frame
    copies = (pl.col(of).alias(name) for name, of in file.copies.items())
    return frame.with_columns(copies).select(file.columns)


def _joined(frames: Iterator[pl.DataFrame], memory_bytes: int) -> Iterator[pl.DataFrame]:
    """Frames as they come, so many at once that they fill lake files."""
    held: list[pl.DataFrame] = []
    held_bytes = 0
    for frame in frames:
        size = int(frame.estimated_size())
        if held and held_bytes + size > memory_bytes:
            yield pl.concat(held).drop(_PLACE)
            held, held_bytes = [], 0
        held.append(frame)
        held_bytes += size
    if held:
        yield pl.concat(held).drop(_PLACE)


def _order(
    table: SnapshotTable, schema: Mapping[str, pl.DataType], same: Mapping[str, str]
) -> Order:
    """The order within a partition; its keys are alike in all rows, so they order nothing."""
    chosen = table.settings
    order: dict[str, bool] = {}
    for name, descending in zip(chosen.sort_by, chosen.descending, strict=True):
        if name in schema:
            order.setdefault(same.get(name, name), descending)
    return Order(tuple(order), tuple(order.values()))


def _sorted(frame: pl.DataFrame, order: Order) -> pl.DataFrame:
    if not order.columns:
        return frame.drop(_PLACE)
    # Rows come in the order of their places: a stable sort leaves them so, and costs less.
    return frame.sort(
        order.columns, descending=order.descending, nulls_last=False, maintain_order=True
    ).drop(_PLACE)


def _merged(
    reader: _Reader, plan: PartitionPlan, order: Order, staged_bytes: int, memory_bytes: int
) -> Iterator[pl.DataFrame]:
    """The rows in several passes: each file is dealt out over ranges, each range is sorted."""
    row_bytes = max(1, staged_bytes // max(1, plan.rows_in))
    step = max(1, memory_bytes // _COPIES // row_bytes)
    with Spill(memory_bytes // _COPIES) as spill:
        sample: list[pl.DataFrame] = []
        stride = max(1, step // _FINENESS // len(plan.files))
        for number, frame in enumerate(reader.frames(plan)):
            by = frame.select(*order.columns, _PLACE)
            ordered = by.sort(by.columns, descending=[*order.descending, False], nulls_last=False)
            sample.append(ordered.gather_every(stride, offset=stride - 1))
            spill.add(number, frame)
        cuts = _cuts(pl.concat(sample), order, step, stride)
        yield from _ranges(spill, len(sample), cuts, order, memory_bytes)


def _cuts(sample: pl.DataFrame, order: Order, step: int, stride: int) -> list[_Cut]:
    places = sample.sort(sample.columns, descending=[*order.descending, False], nulls_last=False)
    every = max(1, (step - step // _FINENESS) // stride)
    return list(places.gather_every(every, offset=every - 1).iter_rows())


def _ranges(
    spill: Spill, n_files: int, cuts: Sequence[_Cut], order: Order, memory_bytes: int
) -> Iterator[pl.DataFrame]:
    ends = list(pairwise([None, *cuts, None]))
    with Spill(memory_bytes // _COPIES) as ranges:
        for number in range(n_files):
            frame = spill.take(number)
            if frame is None:
                continue
            for part, (low, high) in enumerate(ends):
                wanted = pl.lit(True)  # noqa: FBT003 (the value)
                wanted &= ~_before(low, order) if low else True
                wanted &= _before(high, order) if high else True
                ranges.add(part, frame.filter(wanted))
        for part in range(len(ends)):
            rows = ranges.take(part)
            if rows is not None:
                yield _sorted(rows, order)


def _before(cut: _Cut, order: Order) -> pl.Expr:
    """Rows that lie before a row, column by column; nulls lie before all else."""
    before = pl.lit(False)  # noqa: FBT003 (the value)
    same = pl.lit(True)  # noqa: FBT003 (the value)
    columns = [*zip(order.columns, order.descending, strict=True), (_PLACE, False)]
    for (name, descending), value in zip(columns, cut, strict=True):
        column = pl.col(name)
        if value is None:
            here = pl.lit(False)  # noqa: FBT003 (the value)
        else:
            here = column.is_null() | (column > value if descending else column < value)
        before |= same & here
        same &= column.eq_missing(value)
    return before


def _compare(table: SnapshotTable, plan: PartitionPlan, read: ColumnSums, out: ColumnSums) -> None:
    if read.sums != out.sums or read.filled != out.filled:
        wrong = sorted(
            name
            for name in read.sums
            if (read.sums[name], read.filled[name]) != (out.sums[name], out.filled[name])
        )
        raise ConservationError(
            f"{table.id} {plan.name}: the values of {wrong} are not those that were staged;"
            " nothing was recorded"
        )
