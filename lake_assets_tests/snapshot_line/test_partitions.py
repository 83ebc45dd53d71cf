"""Partition values as people have them: read back by Delta readers and by ``lake query``."""

import polars as pl
import pytest

from lake_assets.lake.query import query
from lake_assets_tests.snapshot_line.shop import Shop, rows

ODD = [
    "a/b", "/a", "a=b", "%", "%2F", "#", "?", ":", "&", "+", ".", "..", "...", "a...b", " ", " x ",
    "日本", "é", "01", "1", "null", "x" * 200, "日本" * 12, "\\", "\"'", "a\nb", "~",
]  # fmt: skip


def odd_rows() -> pl.DataFrame:
    values: list[str | None] = [*ODD, None, ""]
    return pl.DataFrame({"id": range(len(values)), "month": values, "at": 1})


def check(shop):
    odd = odd_rows()
    expected = sorted((i, v or None) for i, v in odd.select("id", "month").rows())
    report = shop.put(a=odd, b=odd.with_columns(at=2)).run()
    assert report.rows == odd.height
    assert report.partitions == len(ODD) + 1
    assert sorted(shop.column("id", "month")) == expected
    told = query(shop.root, "SELECT id, month FROM shop.orders", tables=())
    assert sorted(told.rows()) == expected
    assert told.schema["month"] == pl.String
    for value in ("01", "1", "..", "日本" * 12):
        told = query(shop.root, f"SELECT id FROM shop.orders WHERE month = '{value}'", tables=())  # noqa: S608 (of the list above)
        assert told.rows() == [(ODD.index(value),)]
        assert shop.scan.filter(pl.col("month") == value).select("id").collect().equals(told)
    manifests = list(shop.documents("/manifest-"))
    assert [manifest["empty_keys"] for manifest in manifests] == [{"month": 2}]
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept


def test_odd_partition_values_in_a_folder_come_back_as_they_were(shop):
    check(shop)


def test_odd_partition_values_on_s3_come_back_as_they_were(bucket):
    check(Shop(f"s3://{bucket}/source", f"s3://{bucket}/lake"))


@pytest.mark.parametrize("value", ["__HIVE_DEFAULT_PARTITION__", "x" * 250, "日" * 84])
def test_value_that_no_folder_can_be_named_by_is_refused_by_name(shop, value):
    shop.put(a=rows("1", month=value), b=rows("2"))
    [staged] = shop.try_run().snapshots
    assert (staged.done, len(staged.quarantined)) == (1, 1)
    assert "a.parquet: expected values of 'month' that a folder can be" in staged.quarantined[0]
    # As the message says.
    shorter = shop.having(partition_by={"month": {"sql": "LEFT(month, 3)"}})
    assert shorter.run().rows == 2


def test_several_partition_columns_and_numbers_stay_text_with_their_zeros(shop):
    shop.having(partition_by=["year", "month"]).put(
        a=rows("1", month="01", year=2024), b=rows("2", month=None, year=2024)
    ).run()
    assert shop.column("year", "month", "id") == [("2024", "01", "1"), ("2024", None, "2")]
    assert shop.scan.collect_schema()["year"] == pl.String


@pytest.mark.parametrize("rule", ["drops", "adds"])
def test_rows_that_a_transform_drops_or_adds_are_counted(shop, rule):
    shop.put(a=rows("1", "2", "3"), b=rows("4", month="02"))
    report = shop.having(transform=f"{__name__}:{rule}", dedupe="none").run()
    change = {"drops": 2, "adds": -4}[rule]
    assert (report.rows_in, report.rows) == (4, 4 - change)
    assert report.rows_dropped == {"transform": change}
    [manifest] = shop.documents("/manifest-")
    assert manifest["rows_dropped" if change > 0 else "rows_added"] == {"transform": abs(change)}


def drops(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(~pl.col("id").is_in(["2", "3"]))


def adds(frame: pl.LazyFrame) -> pl.LazyFrame:
    return pl.concat([frame, frame])


def drops_all(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(False)  # noqa: FBT003 (the value)


def test_table_of_which_a_transform_leaves_nothing_keeps_its_columns(shop):
    report = shop.put(a=rows("1", "2")).having(transform=f"{__name__}:drops_all").run()
    assert (report.rows, report.rows_in, report.rows_dropped) == (0, 2, {"transform": 2})
    assert dict(shop.scan.collect_schema()) == {
        **dict.fromkeys(["id", "record_id", "month"], pl.String()),
        **dict.fromkeys(["at", "update_time"], pl.Int64()),
    }
