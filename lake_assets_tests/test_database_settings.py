"""The settings of a database's table: what may be written, what comes out, what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from lake_assets.database_settings import (
    ColumnType,
    SnapshotSettings,
    SqlExpression,
    parse_column_type,
)
from lake_assets.errors import SettingsError
from lake_assets.profile_settings import DriftSettings
from lake_assets.settings import load_settings


def table(**settings) -> SnapshotSettings:
    return SnapshotSettings.model_validate({"source": "s3://b/x", "format": "csv"} | settings)


def refused(**settings) -> list[tuple[str, str]]:
    """The place and the words of each mistake."""
    with pytest.raises(ValidationError) as caught:
        table(**settings)
    return [(".".join(map(str, item["loc"])), item["msg"]) for item in caught.value.errors()]


def written(folder: Path, text: str) -> str:
    (folder / "lake.yaml").write_text(text, encoding="utf-8")
    return str(folder / "lake.yaml")


def test_the_defaults_are_those_of_the_contract():
    assert table().model_dump() == {
        "source": "s3://b/x", "format": "csv", "ready": None, "reader": None, "record_id": None,
        "create_time": None, "update_time": None, "partition_by": {}, "sort_by": (),
        "descending": (), "group_size": 100_000_000, "target_file_size": 128_000_000,
        "row_limit_per_file": None, "count_on": None, "mode": "replace", "dedupe": "newest",
        "compression": "zstd", "transform": None, "columns": {}, "profile": False, "hidden": (),
        "drift": DriftSettings().model_dump(),
    }  # fmt: skip


def test_null_is_the_default_of_whatever_may_be_left_out():
    optional = set(SnapshotSettings.model_fields) - {"source", "format"}
    assert table(**dict.fromkeys(optional)) == table()
    assert [place for place, _ in refused(source=None, format=None)] == ["source", "format"]
    assert [place for place, _ in refused(groupsize=None)] == ["groupsize"]


def test_a_value_is_made_by_a_column_by_sql_or_by_an_expression_of_python():
    made = table(
        record_id="id",
        create_time={"sql": "STRPTIME(t, '%Y')"},
        update_time=pl.col("u") + 1,
        partition_by={"year": SqlExpression(sql="STRFTIME(create_time, '%Y')"), "region": "area"},
    )
    assert (made.record_id, made.create_time) == ("id", SqlExpression(sql="STRPTIME(t, '%Y')"))
    assert isinstance(made.update_time, pl.Expr)
    assert list(made.partition_by) == ["year", "region"]
    rows = pl.DataFrame({"create_time": [datetime(2024, 2, 1, tzinfo=UTC)]})
    year = made.partition_by["year"]
    assert isinstance(year, SqlExpression)
    assert rows.select(year.expr.alias("y")).item() == "2024"
    for wrong in (5, "", [], {"sql": 1}, {"SQL": "a"}, {}):
        assert refused(record_id=wrong)


@pytest.mark.parametrize(
    "sql",
    ["a", "'eu'", "a IN (1, 2)", "CASE WHEN a > 1 THEN 'x' ELSE b END", "COALESCE(a, 'now()')",
     '"Len" || Agg', "d > DATE '2024-01-01'", "ARRAY_SUM(a)", "LENGTH(a)", "GREATEST(a, b)"],
)  # fmt: skip
def test_sql_of_one_row_is_taken(sql):
    assert SqlExpression(sql=sql).expr.meta.eq(pl.sql_expr(sql))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        *[(sql, "is no Polars SQL expression") for sql in ("a +", "", "*", "a, b", "SELECT 1")],
        *[("FOO(a)", "unsupported function 'foo'"), ("(" * 3000, "is no Polars"),
          ("+".join(["a"] * 900), "is no Polars")],
        *[(sql, "needs more than the row itself") for sql in (
            "MAX(a) + b", "COUNT(*)", "ROW_NUMBER() OVER (ORDER BY a)", "UNNEST(a)",
            "COLUMNS('x')", "a IN (SELECT 1)", "QUANTILE_CONT(a, 0.5) + b", "COVAR(a, b)",
        )],
        *[(sql, "time of day") for sql in ("now()", "CURRENT_DATE", "a > CURRENT_TIMESTAMP")],
    ],
)  # fmt: skip
def test_sql_that_is_wrong_or_needs_other_rows_is_refused(sql, said):
    [(place, message)] = refused(update_time={"sql": sql})
    assert place == "update_time.sql"
    assert said in message or (not sql and "at least 1 character" in message)
    assert len(message) < 300


def test_partitions_are_a_list_of_columns_or_names():
    assert table(partition_by=["a", "b"]).partition_by == {"a": "a", "b": "b"}
    assert table(partition_by=("a",)).partition_by == {"a": "a"}
    assert table(partition_by=[]).partition_by == {}
    for wrong in ("a", 5, [1], [["a"]]):
        assert [place for place, _ in refused(partition_by=wrong)] == ["partition_by"]


def test_each_partition_name_that_cannot_be_is_told_with_what_else_is_wrong():
    found = dict(
        refused(
            record_id="id",
            partition_by={
                "month": "m", "MONTH": "m", "the day": "d", "9": "d", "_Snapshot": "s",
                "_rescued_data": "r", "record_id": "other", "é": "e", "ok": {"sql": "a +"},
            },
        )
    )  # fmt: skip
    assert "spelled like 'month'" in found.pop("partition_by.MONTH")
    assert "is a derived column" in found.pop("partition_by.record_id")
    assert "is no Polars SQL" in found.pop("partition_by.ok.sql")
    for name in ("_Snapshot", "_rescued_data"):
        assert "makes itself" in found.pop(f"partition_by.{name}")
    for name in ("the day", "9", "é"):
        assert "is no partition name" in found.pop(f"partition_by.{name}")
    assert found == {}
    assert refused(partition_by=["a", "a"])[0][0] == "partition_by.a"


def test_a_derived_column_may_be_the_partition_itself():
    made = table(create_time="created", partition_by=["create_time"])
    assert made.partition_by == {"create_time": "create_time"}
    assert table(partition_by={"create_time": "x"}).partition_by == {"create_time": "x"}
    assert refused(create_time="created", partition_by=["Create_Time"])


def test_descending_is_one_for_each_column_one_for_all_or_left_out():
    by = ["a", "b"]
    assert table(sort_by=by).descending == (False, False)
    assert table(sort_by=by, descending=[True]).descending == (True, True)
    assert table(sort_by=by, descending=[True, False]).descending == (True, False)
    assert table(descending=[False]).descending == ()
    assert refused(sort_by=by, descending=[True] * 3)[0][0] == "descending"
    assert refused(descending=[True, True])[0][0] == "descending"
    assert refused(sort_by=["a", "a"])[0][0] == "sort_by"


def test_a_reader_belongs_to_format_python_and_a_marker_to_what_has_none():
    assert table(format="python", reader="jobs.read:orders").reader == "jobs.read:orders"
    assert "needs module:function" in refused(format="python")[0][1]
    assert "format python only" in refused(reader="a:b")[0][1]
    assert table(ready="_SUCCESS").ready == "_SUCCESS"
    assert "say when they are finished" in refused(format="rds", ready="_SUCCESS")[0][1]
    for wrong in ("a/b", "", " "):
        assert refused(ready=wrong)[0][0] == "ready"
    for wrong in ("f", "a:b:c", "a.b", ":f", "a:", "a b:c", "a:f\n", "a..b:c"):
        assert "is no module:function" in refused(transform=wrong)[0][1]


@pytest.mark.parametrize(
    "source",
    ["", "s4://b/x", "s3://", "s3:///", "s3://{snapshot}/x", "a/{snapshot}/b/{snapshot}",
     "a/day={snapshot}", "a/{snapshots}", "a/{snapshot}/{part}"],
)  # fmt: skip
def test_a_source_that_cannot_be_is_refused(source):
    assert refused(source=source)[0][0] == "source"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *[("group_size", 0), ("target_file_size", "1XB"), ("row_limit_per_file", 0)],
        *[("row_limit_per_file", True), ("mode", "append"), ("dedupe", "oldest")],
        *[("compression", "lz4"), ("format", "avro"), ("count_on", ""), ("groupsize", 1)],
    ],
)
def test_a_wrong_value_is_one_mistake_in_its_place(name, wrong):
    assert [place for place, _ in refused(**{name: wrong})] == [name]


@pytest.mark.parametrize(
    ("text", "declared", "dtype"),
    [
        ("string", ColumnType("string"), pl.String()),
        ("int", ColumnType("int"), pl.Int64()),
        ("float", ColumnType("float"), pl.Float64()),
        ("bool", ColumnType("bool"), pl.Boolean()),
        ("date", ColumnType("date"), pl.Date()),
        ("datetime", ColumnType("datetime"), pl.Datetime("us", "UTC")),
        ("binary", ColumnType("binary"), pl.Binary()),
        ("json", ColumnType("json"), pl.String()),
        ("decimal(38, 0)", ColumnType("decimal", 38, 0), pl.Decimal(38, 0)),
        ("decimal(1,1)", ColumnType("decimal", 1, 1), pl.Decimal(1, 1)),
    ],
)
def test_a_declared_type_is_one_of_the_lake(text, declared, dtype):
    assert parse_column_type(text) == declared
    assert declared.dtype == dtype
    assert table(columns={"a b": text}).columns == {"a b": text}


def test_every_declared_type_that_is_none_is_told():
    wrong = ["", "Int", "decimal", "decimal(0,0)", "decimal(39,1)", "decimal(4,5)", "decimal(4)",
             "decimal(4,-1)", "decimal(٤,1)"]  # fmt: skip
    columns = {f"c{number}": text for number, text in enumerate(wrong)}
    assert [place for place, _ in refused(columns=columns)] == [
        f"columns.{name}" for name in columns
    ]


def test_mistakes_in_a_file_have_their_lines_in_order(tmp_path):
    path = written(
        tmp_path,
        """\
databases:
  shop:
    orders:
      sorce: x
      format: avro
      record_id: {sql: "a +"}
      create_time:
        sql: COUNT(*)
      partition_by:
        month: {sql: "STRFTIME("}
        Month: created
      group_size: 1XB
      columns:
        a: money
        b: decimal(39,1)
    Lines: {source: x, format: csv}
  datamart: {}
  nothing: 5
""",
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    lines = [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]
    assert [line.split(": ")[:2] for line in lines] == [
        ["3", "databases.shop.orders.source"],
        ["4", "databases.shop.orders.sorce"],
        ["5", "databases.shop.orders.format"],
        ["6", "databases.shop.orders.record_id.sql"],
        ["8", "databases.shop.orders.create_time.sql"],
        ["10", "databases.shop.orders.partition_by.month.sql"],
        ["11", "databases.shop.orders.partition_by.Month"],
        ["12", "databases.shop.orders.group_size"],
        ["14", "databases.shop.orders.columns.a"],
        ["15", "databases.shop.orders.columns.b"],
        ["16", "databases.shop.Lines"],
        ["17", "databases.datamart"],
        ["18", "databases.nothing"],
    ]


def test_a_source_counts_from_the_file_and_tables_may_share_what_is_alike(tmp_path):
    path = written(
        tmp_path,
        """\
target_file_size: 64MB
databases:
  shop:
    orders: &like {source: "in/{snapshot}", format: parquet, sort_by: [t]}
    lines: {<<: *like, source: /abs, target_file_size: 32MB}
    again: *like
    urls: {<<: *like, source: "s3://b/{snapshot}/x", target_file_size: null}
""",
    )
    shop = load_settings(path).databases["shop"]
    assert {name: (each.source, each.target_file_size) for name, each in shop.items()} == {
        "orders": (f"{tmp_path}/in/{{snapshot}}", 64_000_000),
        "lines": ("/abs", 32_000_000),
        "again": (f"{tmp_path}/in/{{snapshot}}", 64_000_000),
        "urls": ("s3://b/{snapshot}/x", 64_000_000),
    }
    assert all(each.sort_by == ("t",) for each in shop.values())


@pytest.mark.parametrize(
    "text", ["databases: x", "databases: {s: x}", "databases: {s: {t: x}}", "databases: [x]"]
)
def test_what_has_not_the_shape_of_databases_is_one_mistake(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"{path}:1: databases")


def test_settings_come_back_from_what_they_are_written_as():
    made = table(record_id={"sql": "a || b"}, partition_by=["p"], sort_by=["p"], descending=[True])
    again = yaml.safe_load(yaml.safe_dump(made.model_dump(mode="json")))
    assert SnapshotSettings.model_validate(again) == made
