"""Rows of a partition in order, the same in one pass or many; and proof that all are there."""

import itertools
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lake_assets.compacted.partitions import PartitionPlan
from lake_assets.compacted.snapshot_passes import ColumnSums, same_columns, snapshot_passes
from lake_assets.delta import column_statistics
from lake_assets.errors import ConservationError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.s3 import open_store
from lake_assets.staging.manifests import StagedFile
from lake_assets.staging.write import parquet_bytes, put_content
from lake_assets_tests.snapshots import snapshot_settings

LARGE = 2**30


def staged(root, frames, copies=None):
    """A partition of these frames, every row of which counts but each seventh.

    ``copies`` gives, for the number of a frame, the columns that are not stored, and which they
    are once more.
    """
    files, keep = [], []
    for number, frame in enumerate(frames):
        same = (copies or {}).get(number, {})
        body = parquet_bytes(frame.drop(same), level=1)
        path, sha = put_content(root, "staged/", body)
        files.append(
            StagedFile(
                path=path,
                sha256=sha,
                size_bytes=len(body),
                rows=frame.height,
                frame_bytes=int(frame.estimated_size()),
                values=(),
                index_path="",
                index_sha256="",
                index_frame_bytes=0,
                columns=tuple(frame.columns),
                copies=same,
            )
        )
        keep.append(pl.Series([i % 7 != 3 for i in range(frame.height)]))
    return PartitionPlan("all", (), tuple(files), tuple(keep), "plan")


def passes(root, plan, frames, memory_bytes=LARGE, **settings):
    table = SnapshotTable("shop", "orders", snapshot_settings("/x", "parquet", **settings))
    checks = {}
    found = list(
        snapshot_passes(
            root,
            table,
            plan,
            schema=frames[0].schema,
            memory_bytes=memory_bytes,
            checks=checks,
        )
    )
    return found, checks


def mixed(n_files, n_rows):
    """Frames with nulls, ties, NaN and every kind of a column."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    types = {"d": pl.Decimal(12, 2), "m": pl.Struct({"a": pl.Int64, "b": pl.Int8})}
    for file in range(n_files):
        numbers = [(i * 7919 + file * 104729) % 1009 for i in range(n_rows)]
        columns = {
            "n": [None if i % 13 == 0 else i % 50 for i in numbers],
            "f": [math.nan if i % 17 == 0 else None if i % 19 == 0 else i / 8 for i in numbers],
            "s": [None if i % 11 == 0 else f"s{i % 100}" for i in numbers],
            "t": [start + timedelta(days=i % 30) if i % 5 else None for i in numbers],
            "d": [Decimal(i % 9) / 4 if i % 3 else None for i in numbers],
            "b": [None if i % 5 == 0 else i % 2 == 0 for i in numbers],
            "l": [None if i % 5 == 0 else [i] * (i % 3) for i in numbers],
            "m": [None if i % 7 == 0 else {"a": i, "b": None} for i in numbers],
            "_place": list(range(n_rows)),
        }
        yield pl.DataFrame(columns, schema_overrides=types)


@pytest.mark.parametrize(
    ("sort_by", "descending"),
    [
        (["n"], [False]),
        (["n"], [True]),
        (["f", "s"], [True, False]),
        (["s", "t"], [False, True]),
        (["d", "b", "n"], [True, True, False]),
        (["t"], [False]),
    ],
)
def test_several_passes_give_what_one_pass_gives(tmp_path, sort_by, descending):
    root, frames = open_store(str(tmp_path)), list(mixed(5, 600))
    plan = staged(root, frames)
    settings = {"sort_by": sort_by, "descending": descending, "count_on": "n"}
    [whole], checks = passes(root, plan, frames, **settings)
    total = sum(file.frame_bytes for file in plan.files)
    many, same_checks = passes(root, plan, frames, total // 2, **settings)
    assert len(many) > 5
    assert max(frame.height for frame in many) < whole.height / 3
    assert pl.concat(many).equals(whole)
    assert same_checks == checks
    assert checks["count_on"]["filled"] == whole["n"].len() - whole["n"].null_count()
    by = whole.select(sort_by)
    assert by.equals(by.sort(sort_by, descending=descending, nulls_last=False))
    for one, other in itertools.pairwise(many):
        border = pl.concat([one[-1:], other[:1]]).select(sort_by)
        assert border.equals(border.sort(sort_by, descending=descending, nulls_last=False))


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("memory_share", [8, 0.5])
def test_columns_that_are_others_once_more_come_out_as_if_they_were_stored(
    tmp_path, everywhere, memory_share
):
    root = open_store(str(tmp_path))
    frames = [
        frame.with_columns(n2="n", t2="t", s2="s").select("s2", pl.exclude("s2"))
        for frame in mixed(4, 300)
    ]
    copies = {number: {"n2": "n", "t2": "t", "s2": "s"} for number in range(4)}
    if not everywhere:  # one file's s2 is a column of its own
        frames[2] = frames[2].with_columns(s2=pl.lit("own"))
        copies[2] = {"n2": "n", "t2": "t"}
    plain, lean = staged(root, frames), staged(root, frames, copies)
    memory_bytes = int(memory_share * sum(file.frame_bytes for file in plain.files))
    settings = {"sort_by": ["t2", "t", "s2"], "descending": [True, False, False], "count_on": "n2"}
    expected = passes(root, plain, frames, memory_bytes, **settings)
    found = passes(root, lean, frames, memory_bytes, **settings)
    assert pl.concat(found[0]).equals(pl.concat(expected[0]))
    assert found[0][0].columns == frames[0].columns
    assert found[1] == expected[1]
    same = same_columns(lean, frames[0].schema)
    assert same == ({"n2": "n", "t2": "t", "s2": "s"} if everywhere else {"n2": "n", "t2": "t"})
    [frame] = passes(root, lean, frames, **settings)[0]
    assert column_statistics(frame, same=same) == column_statistics(frame)


def test_a_copy_that_the_lake_has_in_another_type_is_a_column_of_its_own(tmp_path):
    root = open_store(str(tmp_path))
    frames = [pl.DataFrame({"n": [3, 1, 2], "n2": [3, 1, 2]}, schema_overrides={"n": pl.Int32})]
    plan = staged(root, frames, {0: {"n2": "n"}})
    assert same_columns(plan, frames[0].schema) == {}
    [frame], _ = passes(root, plan, frames, sort_by=["n2"])
    assert frame.equals(pl.DataFrame({"n": [1, 2, 3], "n2": [1, 2, 3]}, schema=frames[0].schema))


def test_without_an_order_rows_stay_as_they_come_in_frames_that_fill_the_memory(tmp_path):
    root, frames = open_store(str(tmp_path)), list(mixed(12, 50))
    plan = staged(root, frames)
    [whole], _ = passes(root, plan, frames)
    total = sum(file.frame_bytes for file in plan.files)
    many, _ = passes(root, plan, frames, total)
    assert 3 <= len(many) <= 6
    assert pl.concat(many).equals(whole)


def test_partition_of_which_no_row_counts_is_one_frame_without_rows(tmp_path):
    root, frames = open_store(str(tmp_path)), list(mixed(2, 20))
    plan = staged(root, frames)
    none = PartitionPlan("all", (), plan.files, tuple(k & False for k in plan.keep), "plan")
    for memory_bytes in (1, LARGE):
        [frame], checks = passes(root, none, frames, memory_bytes, sort_by=["n"])
        assert (frame.height, frame.schema) == (0, frames[0].schema)
        assert checks["columns"] == {}


def test_sums_of_columns_do_not_depend_on_order_and_tell_any_change():
    [frame] = mixed(1, 200)
    whole, parts, other = ColumnSums(), ColumnSums(), ColumnSums()
    whole.add(frame)
    for part in frame.reverse().iter_slices(33):
        parts.add(part)
    assert (whole.sums, whole.filled) == (parts.sums, parts.filled)
    swapped = frame.with_columns(n=pl.col("n").shift(1))
    other.add(swapped.with_columns(s=pl.lit("x")))
    assert other.sums["f"] == whole.sums["f"]
    assert {name for name in whole.sums if other.sums[name] != whole.sums[name]} >= {"s"}


def test_rows_that_get_lost_on_the_way_are_an_error(tmp_path, monkeypatch):
    root, frames = open_store(str(tmp_path)), list(mixed(2, 50))
    plan = staged(root, frames)
    real = ColumnSums.add
    # The sums after the passes see one row less: the same as if a pass had lost it.
    monkeypatch.setattr(
        ColumnSums,
        "add",
        lambda self, frame: real(self, frame if "n" not in self.sums else frame[1:]),
    )
    with pytest.raises(ConservationError, match="are not those that were staged"):
        passes(root, plan, frames)
