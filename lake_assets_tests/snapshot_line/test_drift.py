"""Files and snapshots whose columns differ: merged by rule, or refused by name."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from lake_assets_tests.snapshot_line.shop import Shop, rows
from lake_assets_tests.snapshots import DynamoDBExportSpec, put_dynamodb_export, put_files


@pytest.fixture
def plain(shop):
    """A table of whatever columns its files have."""
    return shop.having(partition_by=None, update_time=None, sort_by=None)


def test_columns_added_missing_and_all_null_join_over_files(plain):
    plain.put(
        a={"id": ["1"], "n": [1], "gone": ["x"], "void": [None]},
        b={"id": ["2"], "n": [2.5], "new": [True], "void": [None]},
        c={"id": ["3"], "n": [None], "gone": [None], "new": [None]},
    )
    plain.run()
    assert plain.column("id", "n", "gone", "new", "void") == [
        ("1", 1.0, "x", None, None),
        ("2", 2.5, None, True, None),
        ("3", None, None, None, None),
    ]
    assert plain.scan.collect_schema()["void"] == pl.String


def test_nested_columns_join_by_their_members_and_empty_ones_with_any(plain):
    plain.put(
        a={"id": ["1"], "m": [{"x": 1, "y": None}], "l": [[]], "k": [[{"p": 1}]]},
        b={"id": ["2"], "m": [{"x": 1.5, "z": "t"}], "l": [[1, None]], "k": [[]]},
        c={"id": ["3"], "m": [None], "l": [[None]], "k": [[{"q": ["t"]}, None]]},
    )
    plain.run()
    assert plain.column("id", "m", "l", "k") == [
        ("1", {"x": 1.0, "y": None, "z": None}, [], [{"p": 1, "q": None}]),
        ("2", {"x": 1.5, "y": None, "z": "t"}, [1, None], []),
        ("3", None, [None], [{"p": None, "q": ["t"]}, None]),
    ]


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ([1], [b"x"], "column 'c' is Int64 in one file and Binary in another"),
        ([[1]], [1], "column 'c' is List"),
        ([{"a": 1}], [{"a": [1]}], "column 'c' is Struct"),
        ([2**53 + 1], [0.5], "'c' has whole numbers that a float rounds"),
        ([Decimal("1.5")], [0.5], "column 'c' is Decimal"),
    ],
    ids=["bytes", "list", "member", "rounded", "decimal"],
)
def test_columns_that_do_not_join_are_refused_by_name_and_nothing_is_published(
    plain, one, other, named
):
    plain.put(a={"id": ["1"]})
    plain.run()
    before = plain.content
    plain.put(a={"id": ["1"], "c": one}, b={"id": ["2"], "c": other})
    assert named in (plain.try_run().error or "")
    assert plain.content.equals(before)


def test_type_that_the_published_table_cannot_hold_is_refused_in_the_next_snapshot(plain):
    plain.put(a={"id": ["1"], "c": [1]})
    plain.run()
    plain.put(a={"id": ["1"], "c": [1.5]})
    error = plain.try_run().error or ""
    assert "'c' is Int64 in the published table and Float64 now" in error
    assert plain.column("c") == [1]
    plain.put(a={"id": ["1"], "c": pl.Series([7], dtype=pl.Int16)})
    plain.run()
    assert plain.column("c") == [7]


def test_numbers_that_become_text_are_the_same_records(plain):
    plain.having(update_time="at").put(
        a={"id": [1, 2], "at": [1, 1]},
        b={"id": ["1", "x"], "at": [2, 2]},
        c={"id": [2.0], "at": [3]},
    ).run()
    assert plain.column("record_id") == ["1", "2.0", "x"]


def test_update_time_that_a_file_lacks_is_null_there_whatever_its_type(shop):
    shop.put(a=rows("1", "2", at=5), b=rows("1").drop("at"), c=rows("2").with_columns(at=None))
    shop.run()
    assert shop.column("id", "update_time") == [("1", 5), ("2", 5)]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"record_id": "idd"}, r"names the columns ['idd'], which no file"),
        ({"partition_by": ["moth"]}, r"names the columns ['moth'], which no file"),
        ({"sort_by": ["att"]}, "sorts by or counts on 'att', which no file has"),
        ({"count_on": "idd"}, "sorts by or counts on 'idd', which no file has"),
        ({"sort_by": ["l"]}, "sorts by 'l', which is List"),
    ],
)
def test_column_of_the_configuration_that_no_file_has_is_an_error(shop, settings, named):
    shop.put(a=rows("1").with_columns(l=[[1]]))
    assert named in (shop.having(**settings).try_run().error or "")
    assert not [key for key in shop.listing if key.startswith("lake/")]


def test_dynamodb_maps_lists_and_sets_join_over_files(tmp_path):
    items = [
        [{"id": "1", "n": 1, "tags": {"a"}, "m": {"x": 1}, "l": []}],
        [{"id": "2", "n": Decimal("1.50"), "tags": None, "m": {"y": {"z": [b"1"]}}, "l": ["t"]}],
        [{"id": "3", "m": {}, "l": [None]}, {"id": "4"}],
    ]
    folder = put_dynamodb_export(tmp_path, items, DynamoDBExportSpec())
    shop = Shop(folder, str(tmp_path / "lake")).having(
        format="dynamodb", partition_by=None, update_time=None, sort_by=None
    )
    shop.run()
    assert [(i, n, t) for i, n, t in shop.column("id", "n", "tags")] == [
        ("1", "1", ["a"]),
        ("2", "1.50", None),
        ("3", None, None),
        ("4", None, None),
    ]
    assert shop.column("id", "l")[:3] == [("1", []), ("2", ["t"]), ("3", [None])]
    [maps] = shop.scan.select(pl.col("m").sort_by("id")).collect().get_columns()
    assert [maps.struct.field("x")[0], maps.struct.field("y")[1]] == ["1", {"z": [b"1"]}]


def test_json_lines_whose_lists_are_empty_in_one_file_take_the_type_of_the_other(tmp_path):
    lines = {
        "a.ndjson.gz": gzip.compress(b'{"id":"1","l":[],"m":{"a":null}}\n'),
        "b.ndjson.gz": gzip.compress(b'{"id":"2","l":[{"x":1}],"m":{"a":"t"}}\n'),
        "bad.ndjson.gz": b"no gzip",
    }
    shop = Shop(put_files(tmp_path / "source", lines), str(tmp_path / "lake")).having(
        format="ndjson", partition_by=None, update_time=None, sort_by=None
    )
    [staged] = shop.try_run().snapshots
    assert (staged.done, len(staged.quarantined)) == (2, 1)
    assert "bad.ndjson" in staged.quarantined[0]
    put_files(tmp_path / "source", {"bad.ndjson.gz": gzip.compress(b'{"id":"3"}\n')})
    shop.run()
    assert shop.column("id", "l", "m") == [
        ("1", [], {"a": None}),
        ("2", [{"x": 1}], {"a": "t"}),
        ("3", None, None),
    ]


def test_values_that_do_not_fit_are_rescued_and_counted(tmp_path):
    lines = b"id,n,t\n1,7,2024-01-01\n2,seven,soon\n"
    shop = Shop(put_files(tmp_path / "source", {"a.csv": lines}), str(tmp_path / "lake")).having(
        format="csv",
        partition_by=None,
        sort_by=None,
        update_time="t",
        columns={"n": "int", "t": "string"},
    )
    shop.run()
    [manifest] = shop.documents("/manifest-")
    assert manifest["rescued"] == {"n": 1, "update_time": 1}
    [(_, time, n, none), (_, lost, no, text)] = shop.column(
        "id", "update_time", "n", "_rescued_data"
    )
    assert (time, n, none) == (datetime(2024, 1, 1, tzinfo=UTC), 7, None)
    assert (lost, no, json.loads(text)) == (None, None, {"n": "seven", "update_time": "soon"})
