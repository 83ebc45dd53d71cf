"""Sources that change under the line's feet: replaced, gone, faulty, or read by the user's code."""

import io
from dataclasses import replace

import polars as pl
import pytest

from lake_assets.errors import BadInputError, StorageError
from lake_assets.lake.databases import plan_lake, stage_groups
from lake_assets.lake.snapshot_run import run_snapshots
from lake_assets_tests.snapshot_line.shop import rows
from lake_assets_tests.snapshots import put_files


def test_changed_bytes_of_a_file_replace_its_rows(shop):
    shop.put(a=rows("1", "2"), b=rows("3", month="02"))
    shop.run()
    shop.put(a=rows("2", "4", at=2))
    report = shop.run()
    assert (report.rows, report.version) == (3, 1)
    assert shop.column("id", "at") == [("2", 2), ("3", 1), ("4", 2)]


def test_going_back_to_the_bytes_of_before_gives_the_table_of_before(shop):
    shop.put(a=rows("1"))
    shop.run()
    before = shop.content
    shop.put(a=rows("2"))
    shop.run()
    shop.put(a=rows("1"))
    assert (shop.run().version, shop.column("id")) == (2, ["1"])
    assert shop.content.equals(before)


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_file_that_is_not_the_planned_one_fails_its_group_by_name_and_the_next_run_takes_it(
    shop, change
):
    shop.put(a=rows("1"), b=rows("2"))
    databases, _ = shop.opened
    plan = shop.plan
    if change == "replaced":
        shop.put(a=rows("other", "rows"))
    else:
        shop.remove("a")
    outcomes = list(stage_groups(databases, plan))
    assert [outcome.status for outcome in outcomes] == ["failed", "staged"]
    assert "a.parquet" in (outcomes[0].reason or "")
    [again, _] = stage_groups(databases, plan)
    assert again.status == "failed"
    shop.run()
    assert shop.column("id") == (["2", "other", "rows"] if change == "replaced" else ["2"])


class Faulty:
    """A store that refuses one kind of write."""

    def __init__(self, store, part):
        self._store, self._part = store, part

    def __getattr__(self, name):
        return getattr(self._store, name)

    def create(self, key, body):
        if self._part in key:
            raise StorageError(f"{key}: no space left")
        return self._store.create(key, body)


def test_group_that_fails_for_a_fault_of_the_store_is_counted_and_tried_again(shop):
    shop.put(a=rows("1"), b=rows("2", month="02"))
    databases, table = shop.opened
    faulty = replace(databases, root=Faulty(databases.root, "data/month=02"))
    for tries in (1, 2):
        report = run_snapshots(faulty, table)
        [staged] = report.snapshots
        assert (staged.done, len(staged.failed), staged.quarantined) == (1, 1, ())
        assert "no space left" in (report.error or "")
        state = shop.tasks[1]
        assert (state.status, state.tries) == ("failed", tries)
        assert "no space left" in (state.reason or "")
    assert not [key for key in shop.listing if key.startswith("lake/")]
    assert shop.run().rows == 2
    assert [(task.status, task.tries) for task in shop.tasks] == [("done", 0), ("done", 2)]


def test_staged_rows_that_are_missing_from_their_manifest_are_not_planned(shop):
    shop.put(a=rows("1"), b=rows("2", month="02"))
    shop.run(until="staging")
    [record] = [k for k in shop.listing if "000001-done-" in k]
    databases, table = shop.opened
    databases.root.put(record, databases.root.get(record).replace(b'"rows":1', b'"rows":2'))
    with pytest.raises(StorageError, match="was altered"):
        plan_lake(databases, table)


def lines(refs) -> pl.LazyFrame:
    """A reader of the user's: one id in each line."""
    [ref] = refs
    text = ref.path.read_text()
    if text == "refuse":
        raise BadInputError(ref.url, expected="ids", found="none", remedy="write some")
    if text == "raise":
        raise ZeroDivisionError
    return pl.LazyFrame({"id": text.split(), "month": "01", "at": ref.size_bytes})


def test_reader_of_the_users_reads_any_format(shop):
    own = shop.having(format="python", reader=f"{__name__}:lines")
    put_files(shop.source, {"a.txt": b"1 2", "b.weird": b"3"})
    assert own.run().rows == 3
    assert shop.column("id", "at") == [("1", 3), ("2", 3), ("3", 1)]
    assert not own.run().changed


def test_reader_that_refuses_a_file_quarantines_it_and_one_that_fails_is_tried_again(shop):
    own = shop.having(format="python", reader=f"{__name__}:lines")
    put_files(shop.source, {"a.txt": b"refuse", "b.txt": b"raise", "c.txt": b"1"})
    [staged] = own.try_run().snapshots
    assert (staged.done, staged.tasks) == (1, 3)
    assert "expected ids" in staged.quarantined[0]
    assert "b.txt: the reader failed with ZeroDivisionError" in staged.failed[0]
    assert [task.tries for task in own.tasks] == [0, 1, 0]
    put_files(shop.source, {"a.txt": b"2", "b.txt": b"3"})
    assert own.run().rows == 3


def fails(frame: pl.LazyFrame) -> pl.LazyFrame:
    raise KeyError(frame)


def test_transform_that_fails_names_its_file_and_is_tried_again_once_corrected(shop, monkeypatch):
    broken = shop.having(transform=f"{__name__}:fails").put(a=rows("1"))
    [staged] = broken.try_run().snapshots
    assert f"a.parquet: {__name__}:fails failed with KeyError" in staged.failed[0]
    monkeypatch.setitem(globals(), "fails", lambda frame: frame)
    assert broken.run().rows == 1


def test_large_file_is_divided_among_groups_and_read_once(shop):
    body = io.BytesIO()
    rows(*map(str, range(1000))).write_parquet(body, row_group_size=100)
    shop.put(a=body.getvalue())
    assert len(shop.plan.groups) == 10
    assert shop.run().rows == 1000
    assert len(set(shop.column("id"))) == 1000
