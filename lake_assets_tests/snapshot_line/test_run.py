"""The line from export to table: resumable, repeatable, whole or not at all."""

import polars as pl
import pytest

from lake_assets.errors import BadInputError, ConservationError, SettingsError, StalePlanError
from lake_assets.lake.databases import (
    compact_snapshots,
    open_databases,
    plan_lake,
    publish_snapshots,
    record_staged,
    stage_groups,
)
from lake_assets.lake.snapshot import Snapshot
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.settings import LakeSettings
from lake_assets_tests.snapshot_line.shop import TABLE, Shop, rows
from lake_assets_tests.snapshots import listed_files, put_files, put_manifest_pair


def test_snapshot_becomes_the_table_and_a_rerun_writes_nothing(shop):
    shop.put(a=rows("1", "2"), b=rows("3", month="02"))
    report = shop.run()
    assert (report.rows, report.partitions, report.version, report.changed) == (3, 2, 0, True)
    assert shop.column("id", "month") == [("1", "01"), ("2", "01"), ("3", "02")]
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept


def test_whole_line_on_s3_is_free_the_second_time(bucket, bucket_maker):
    shop = Shop(f"s3://{bucket}/source", f"s3://{bucket}/lake")
    shop.put(a=rows("1", "2"), b=rows("3", "1", month="a/b", at=2))
    assert shop.run().rows_dropped == {"superseded": 1}
    assert shop.column("id", "month") == [("1", "a/b"), ("2", "01"), ("3", "a/b")]
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept
    for key in kept:
        stored = bucket_maker.head_object(Bucket=bucket, Key=f"lake/{key}")
        assert "ContentEncoding" not in stored, key


def test_other_group_size_on_the_same_staging_gives_the_same_rows_once(shop):
    shop.put(a=rows("1", "2", "tie"), b=rows("3", "tie"), c=b"broken")
    assert shop.try_run().error
    shop.put(c=rows("4", month="02"))
    together = shop.having(group_size="1MB")
    assert together.run().rows == 5
    assert shop.run().rows == 5
    assert shop.column("id") == ["1", "2", "3", "4", "tie"]
    # The same bytes, divided in another way from the start.
    apart = Shop(shop.source, f"{shop.root}-apart")
    apart.run()
    assert apart.content.equals(shop.content)


def test_other_plan_of_a_half_staged_snapshot_adds_nothing_to_it(shop):
    shop.put(a=rows("1", "2"), b=rows("3"))
    databases, _ = shop.opened
    assert [o.status for o in stage_groups(databases, shop.plan, numbers={0})] == ["staged"]
    assert shop.having(group_size="1MB").run().rows == 3
    assert shop.column("id") == ["1", "2", "3"]


def test_plan_before_staging_is_complete_publishes_nothing(shop):
    shop.put(a=rows("1"), b=rows("2"))
    databases, table = shop.opened
    list(stage_groups(databases, shop.plan, numbers={1}))
    with pytest.raises(Exception, match="000000-done"):
        record_staged(databases, shop.plan)
    early = plan_lake(databases, table)
    assert not dict(compact_snapshots(databases, table, early))
    with pytest.raises(ConservationError, match="no snapshot is staged whole"):
        publish_snapshots(databases, table, early)
    assert not [key for key in shop.listing if key.startswith("lake/")]
    assert shop.run().rows == 2


def test_half_compacted_plan_is_not_published(shop):
    shop.put(a=rows("1"), b=rows("2", month="02"))
    shop.run(until="staging")
    databases, table = shop.opened
    plan = plan_lake(databases, table)
    assert len(dict(compact_snapshots(databases, table, plan, partitions=["month=01"]))) == 1
    with pytest.raises(ConservationError, match="1 of 2 partitions are not compacted"):
        publish_snapshots(databases, table, plan)
    assert len(dict(compact_snapshots(databases, table, plan))) == 2
    assert publish_snapshots(databases, table, plan).rows == 2


def test_plan_of_an_earlier_state_is_refused_once_a_later_one_is_published(shop):
    shop.put(a=rows("1"))
    shop.run(until="compacted")
    databases, table = shop.opened
    early = plan_lake(databases, table)
    shop.put(a=rows("2"))
    shop.run()
    with pytest.raises(StalePlanError, match="plan again"):
        publish_snapshots(databases, table, early)
    assert shop.column("id") == ["2"]


def test_plan_stays_the_same_when_all_is_done(shop):
    shop.put(a=rows("1"), b=rows("2"))
    before = shop.plan
    shop.run()
    assert shop.plan == before
    assert [task.status for task in shop.tasks] == ["done", "done"]


def test_publishing_twice_is_one_commit(shop):
    shop.put(a=rows("1"))
    shop.run()
    databases, table = shop.opened
    again = publish_snapshots(databases, table, plan_lake(databases, table))
    assert (again.committed, again.version, again.rows) == (False, 0, 1)
    log = [key for key in shop.listing if "_delta_log" in key]
    assert len(log) == 1


def test_bad_group_stops_no_other_publishes_nothing_and_is_read_again_only_when_it_changed(shop):
    shop.put(a=rows("1"))
    shop.run()
    shop.put(a=rows("1", at=2), b=b"no parquet at all", c=rows("3"))
    report = shop.try_run()
    [staged] = report.snapshots
    assert (staged.done, staged.tasks, staged.failed) == (2, 3, ())
    assert "b.parquet" in staged.quarantined[0]
    assert "b.parquet" in (report.error or "")
    assert shop.column("at") == [1]
    states = shop.tasks
    assert [task.status for task in states] == ["done", "quarantined", "done"]
    assert "b.parquet" in (states[1].reason or "")
    kept = shop.listing
    assert "b.parquet" in (shop.try_run().error or "")
    assert shop.listing == kept
    shop.put(b=rows("2"))
    assert shop.run().rows == 3
    assert shop.column("at") == [1, 1, 2]


def test_several_databases_run_in_one_call_and_one_that_fails_stops_no_other(tmp_path):
    bodies = {"bad": b"broken", "good": rows("1"), "wrong": rows("1")}
    for name, body in bodies.items():
        put_files(tmp_path / name, {"a.parquet": body})
    databases = {name: {"orders": {**TABLE, "source": str(tmp_path / name)}} for name in bodies}
    databases["wrong"]["orders"]["transform"] = "no_such_module:function"
    settings = {"root": str(tmp_path / "lake"), "databases": databases}
    reports = run_databases(open_databases(LakeSettings.model_validate(settings)))
    assert "a.parquet" in (reports["bad.orders"].error or "")
    assert "no_such_module" in (reports["wrong.orders"].error or "")
    assert (reports["good.orders"].error, reports["good.orders"].rows) == (None, 1)


def test_newest_row_of_a_record_counts_wherever_in_the_table_it_lies(shop):
    shop.put(
        a=rows("moves", "stays", month="01", at=1),
        b=rows("moves", month="02", at=3),
        c=rows("moves", month="03", at=2),
    )
    report = shop.run()
    assert report.rows_dropped == {"superseded": 2}
    assert shop.column("id", "month") == [("moves", "02"), ("stays", "01")]
    # In the next snapshot it has moved back.
    shop.put(a=rows("moves", "stays", month="01", at=9))
    shop.run()
    assert shop.column("id", "month") == [("moves", "01"), ("stays", "01")]


def test_ties_go_to_the_last_row_unknown_times_lose_and_rows_without_id_all_stay(shop):
    a = pl.DataFrame(
        {"id": ["tie", "tie", "null time", None], "at": [1, 1, None, 1], "v": [1, 2, 3, 4]}
    )
    b = pl.DataFrame(
        {"id": ["tie", "null time", None, None], "at": [1, 0, 1, 1], "v": [5, 6, 7, 7]}
    )
    shop.having(partition_by=None).put(a=a, b=b).run()
    assert shop.column("v") == [4, 5, 6, 7, 7]


@pytest.mark.parametrize("group_size", [1, "1MB"])
def test_ties_across_partitions_go_to_the_last_row_however_files_are_grouped(shop, group_size):
    late = pl.concat([rows("x", month="01"), rows("tie", month="02")])
    shop.having(group_size=group_size).put(a=late, b=rows("tie", month="01"))
    shop.run()
    assert shop.column("id", "month") == [("tie", "01"), ("x", "01")]


def test_column_that_is_counted_may_be_a_partition_key(shop):
    shop.having(count_on="month").put(a=rows("1", "2"), b=rows("3", month=None)).run()
    counted = {d["partition"]: d["checks"]["count_on"] for d in shop.documents("compacted/")}
    assert counted == {
        "month=01": {"column": "month", "filled": 2},
        "month=__HIVE_DEFAULT_PARTITION__": {"column": "month", "filled": 0},
    }


def test_dedupe_none_keeps_every_row(shop):
    shop.having(dedupe="none").put(a=rows("1", "1"), b=rows("1", "1")).run()
    assert shop.column("id") == ["1"] * 4


def test_history_keeps_every_snapshot_and_leaves_the_files_of_older_ones_alone(shop):
    kept = Shop(f"{shop.source}/{{snapshot}}", shop.root).having(mode="history")
    monday, tuesday = Shop(f"{shop.source}/2024-01-01", ""), Shop(f"{shop.source}/2024-01-02", "")
    monday.put(a=rows("1", "2"), b=rows("3", month="02"))
    kept.run()
    before = kept.listing
    tuesday.put(a=rows("1", at=2, extra="new column"))
    report = kept.run()
    assert (report.rows, report.partitions, report.version) == (4, 3, 2)
    assert {key: kept.listing[key] for key in before} == before
    assert kept.column("_snapshot", "id", "extra") == [
        ("2024-01-01", "1", None),
        ("2024-01-01", "2", None),
        ("2024-01-01", "3", None),
        ("2024-01-02", "1", "new column"),
    ]


def test_history_replaces_a_snapshot_whose_files_changed_and_no_other(shop):
    kept = Shop(f"{shop.source}/{{snapshot}}", shop.root).having(mode="history")
    monday, tuesday = Shop(f"{shop.source}/2024-01-01", ""), Shop(f"{shop.source}/2024-01-02", "")
    monday.put(a=rows("1"), b=rows("2", month="02"))
    tuesday.put(a=rows("3"))
    kept.run()
    monday.remove("b")
    monday.put(a=rows("4"))
    report = kept.run()
    assert (report.version, report.partitions) == (1, 2)
    assert kept.column("_snapshot", "id") == [("2024-01-01", "4"), ("2024-01-02", "3")]


def test_replace_takes_the_newest_of_several_snapshots_and_that_one_only(shop):
    newest = Shop(f"{shop.source}/{{snapshot}}", shop.root)
    Shop(f"{shop.source}/2024-01-02", "").put(a=rows("2"))
    Shop(f"{shop.source}/2024-01-01", "").put(a=b"not even looked at")
    assert newest.run().rows == 1
    Shop(f"{shop.source}/2024-01-03", "").put(a=b"broken")
    assert "2024-01-03" in (newest.try_run().error or "")
    assert shop.column("id") == ["2"]


UNREADABLE = {"a.csv.zst": b"packed in a way that is refused before anything is read"}


def test_a_snapshot_that_is_refused_stops_an_older_state_and_no_newer_one(shop):
    newest = Shop(f"{shop.source}/{{snapshot}}", shop.root).having(format="csv")
    put_files(f"{shop.source}/2024-01-01", UNREADABLE)
    put_files(f"{shop.source}/2024-01-02", {"a.csv": b"id,at,month\n2,1,01\n"})
    assert newest.run().rows == 1, "the newest can be taken, whatever lies before it"
    put_files(f"{shop.source}/2024-01-03", UNREADABLE)
    report = newest.try_run()
    assert "2024-01-03/a.csv.zst" in (report.error or "")
    assert "2024-01-01" not in (report.error or "")
    assert (report.rows, report.changed) == (1, False)
    [refused] = report.as_dict()["refused"]
    assert refused["key"].endswith("2024-01-03")
    assert "a.csv.zst" in refused["reason"]


def test_a_refused_snapshot_that_is_asked_for_by_its_id_says_why(shop):
    table = Shop(f"{shop.source}/{{snapshot}}", shop.root).having(format="csv")
    put_files(f"{shop.source}/2024-01-01", UNREADABLE)
    put_files(f"{shop.source}/2024-01-02", {"a.csv": b"id,at,month\n2,1,01\n"})
    with pytest.raises(BadInputError, match=r"2024-01-01/a\.csv\.zst"):
        Snapshot.open("shop.orders", settings=table.settings, snapshot="2024-01-01")
    with pytest.raises(SettingsError, match=r"'2024-01-05'.*found \['2024-01-02'\]"):
        Snapshot.open("shop.orders", settings=table.settings, snapshot="2024-01-05")


def test_a_refused_manifest_is_never_taken_for_an_older_one_by_the_name_of_its_folder(shop):
    files = put_files(f"{shop.source}-files", {"a.parquet": pl.DataFrame({"id": ["1"], "at": [1]})})
    table = Shop(f"{shop.source}/{{snapshot}}/m.json", shop.root).having(
        format="manifest", partition_by=None
    )
    listed = listed_files(files, {"a.parquet": 1})
    put_manifest_pair(f"{shop.source}/2024-01-01", listed, name="m")
    assert table.run().rows == 1
    # Named by an earlier day than the time at which the other was written, as exports are.
    put_files(f"{shop.source}/2024-01-02", {"m.json": b'{"manifest": 1}'})
    report = table.try_run()
    assert "2024-01-02" in (report.error or "")
    assert (report.rows, report.changed) == (1, False)


def test_in_a_history_the_snapshots_that_are_whole_do_not_wait_for_the_others(shop):
    kept = Shop(f"{shop.source}/{{snapshot}}", shop.root).having(mode="history", format="csv")
    put_files(f"{shop.source}/2024-01-01", UNREADABLE)
    put_files(f"{shop.source}/2024-01-02", {"a.csv": b"id,at,month\n2,1,01\n"})
    put_files(f"{shop.source}/2024-01-03", {"a.csv": b'id,at,month\n"never closed,1,01\n'})
    put_files(f"{shop.source}/2024-01-04", {"a.csv": b"id,at,month\n4,1,01\n"})
    report = kept.try_run()
    assert "2024-01-01/a.csv.zst" in (report.error or "")
    assert "2024-01-03" in (report.error or "")
    assert kept.column("_snapshot", "id") == [("2024-01-02", 2), ("2024-01-04", 4)]
    listing = kept.listing
    assert not kept.try_run().changed
    assert kept.listing == listing


def test_replace_removes_partitions_that_are_gone(shop):
    shop.put(a=rows("1"), b=rows("2", month="02"))
    shop.run()
    shop.remove("b")
    report = shop.run()
    assert (report.rows, report.partitions, report.version) == (1, 1, 1)
    assert shop.column("month") == ["01"]


@pytest.mark.parametrize("files", [{"a.parquet": rows("1").clear()}, {}], ids=["no row", "no file"])
def test_snapshot_without_rows_is_an_empty_typed_table(shop, files):
    empty = shop.having(ready="_SUCCESS", columns={"id": "string", "at": "int"}, sort_by=None)
    put_files(shop.source, {"_SUCCESS": b"", **files})
    report = empty.run()
    assert (report.rows, report.version) == (0, 0)
    assert {"id", "at", "record_id", "month"} <= set(shop.scan.collect_schema().names())
    assert shop.scan.collect_schema()["at"] == pl.Int64
    assert not empty.run().changed
    put_files(shop.source, {"a.parquet": rows("1")})
    assert empty.run().rows == 1


def test_table_of_which_nothing_is_known_yet_becomes_what_its_first_rows_are(shop):
    ready = shop.having(ready="_SUCCESS")
    put_files(shop.source, {"_SUCCESS": b""})
    assert (ready.run().rows, ready.run().version) == (0, 0)
    put_files(shop.source, {"a.parquet": rows("1")})
    ready.run()
    assert shop.column("id", "update_time") == [("1", 1)]


def test_table_that_becomes_empty_keeps_its_types_and_has_no_rows(shop):
    ready = shop.having(ready="_SUCCESS")
    put_files(shop.source, {"_SUCCESS": b"", "a.parquet": rows("1")})
    ready.run()
    types = shop.scan.collect_schema()
    shop.remove("a")
    report = ready.run()
    assert (report.rows, report.version) == (0, 1)
    assert shop.scan.collect_schema() == types


def test_group_without_rows_among_others_changes_nothing(shop):
    shop.put(a=rows("1").clear(), b=rows("1"))
    assert shop.run().rows == 1
