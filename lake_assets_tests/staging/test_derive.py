"""Derived columns: what they are made of, in which order, and what they must not overwrite."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from lake_assets.errors import BadInputError
from lake_assets.staging.derive import derive, hidden_columns
from lake_assets_tests.snapshots import snapshot_settings

NAMES = ("record_id", "create_time", "update_time")


def derived(columns, **settings):
    frame = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns)
    return derive(frame, snapshot_settings("/x", "parquet", **settings), place="a.parquet")


@pytest.mark.parametrize("wanted", [NAMES[:n] for n in range(4)] + [NAMES[1:], NAMES[::2]])
def test_any_subset_of_the_derived_columns_may_be_absent(wanted):
    source = dict(zip(NAMES, ("id", "made", "saved"), strict=True))
    found = derived(
        {"id": ["1"], "made": [1], "saved": [2]}, **{name: source[name] for name in wanted}
    )
    assert found.frame.columns == ["id", "made", "saved", *wanted]
    assert (found.index is not None) == ("record_id" in wanted)
    assert found.values.columns == []


def test_each_may_use_those_before_it_in_the_order_of_the_contract():
    found = derived(
        {"a": ["x"], "b": ["y"], "t": ["2024-03-05T00:00:00Z"]},
        record_id={"sql": "CONCAT(a, '-', b)"},
        create_time="t",
        update_time={"sql": "create_time"},
        partition_by={
            "year": {"sql": "STRFTIME(update_time, '%Y')"},
            "half": {"sql": "CONCAT(year, record_id)"},
        },
    )
    assert found.frame.columns == ["a", "b", "t", "record_id", "create_time", "update_time"]
    assert found.frame["record_id"].to_list() == ["x-y"]
    assert found.values.rows() == [("2024", "2024x-y")]


def test_polars_expressions_and_constants_are_taken():
    found = derived({"a": [1, 2]}, record_id=pl.col("a") * 10, partition_by={"k": {"sql": "'x'"}})
    assert found.frame["record_id"].to_list() == [10, 20]
    assert found.values.rows() == [("x",), ("x",)]


def test_expression_that_gives_one_value_for_all_rows_is_refused():
    with pytest.raises(BadInputError, match=r"one value of 'record_id' for each of 2 rows.*aggreg"):
        derived({"a": [1, 2]}, record_id=pl.col("a").max())


def test_source_column_is_replaced_only_where_it_is_named():
    frame = {"create_time": ["2024-01-01"], "x": [1]}
    assert derived(frame, create_time="create_time").frame["create_time"].to_list() == [
        datetime(2024, 1, 1, tzinfo=UTC)
    ]
    for settings in ({"create_time": "x"}, {"partition_by": {"create_time": "x"}}):
        with pytest.raises(BadInputError, match=r"no column 'create_time' besides.*transform"):
            derived(frame, **settings)


def test_column_that_differs_from_a_derived_one_in_case_alone_is_refused():
    for settings in ({"record_id": "Record_Id"}, {"partition_by": {"RECORD_ID": "Record_Id"}}):
        with pytest.raises(BadInputError, match=r"'Record_Id' besides.*to Delta the same; rename"):
            derived({"Record_Id": ["1"]}, **settings)


def test_snapshot_column_of_a_source_is_refused_where_all_snapshots_are_kept():
    assert derived({"_snapshot": ["1"]}).frame.columns == ["_snapshot"]
    with pytest.raises(BadInputError, match="mode history adds it"):
        derived({"_snapshot": ["1"]}, mode="history")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-31T08:00:00.123456Z", datetime(2024, 1, 31, 8, 0, 0, 123456, UTC)),
        ("2024-01-31T08:00:00Z", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("2024-01-31T08:00:00.5+02:00", datetime(2024, 1, 31, 6, 0, 0, 500000, UTC)),
        ("2024-01-31 08:00:00-0130", datetime(2024, 1, 31, 9, 30, tzinfo=UTC)),
        ("2024-01-31 08:00:00.25", datetime(2024, 1, 31, 8, 0, 0, 250000, UTC)),
        ("2024-01-31T08:00Z", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("2024-01-31 08:00", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("20240131T080000Z", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("20240131", datetime(2024, 1, 31, tzinfo=UTC)),
    ],
)
def test_iso_text_of_a_bare_column_is_a_time_in_utc(text, time):
    other = "2024-02-01T00:00:00Z"
    found = derived({"t": [None, other, text]}, create_time="t")
    assert found.frame["create_time"].to_list() == [None, datetime(2024, 2, 1, tzinfo=UTC), time]
    assert found.frame.schema["create_time"] == pl.Datetime("us", "UTC")
    assert not found.rescued


def test_text_that_is_no_time_is_rescued_and_counted():
    frame = pl.DataFrame(
        {"t": ["2024-01-01", "soon", None], "_rescued_data": [None, '{"n":"x"}', None]}
    )
    found = derived(frame, create_time="t", update_time="t")
    assert found.frame["create_time"].null_count() == 2
    assert found.rescued == {"create_time": 1, "update_time": 1}
    assert found.frame["_rescued_data"].to_list() == [
        None,
        '{"n": "x", "create_time": "soon", "update_time": "soon"}',
        None,
    ]


def test_other_types_of_a_bare_time_stay_as_they_are():
    found = derived({"n": [1], "d": [date(2024, 1, 1)]}, create_time="d", update_time="n")
    assert found.frame.schema["create_time"] == pl.Date
    assert found.frame.schema["update_time"] == pl.Int64


@pytest.mark.parametrize(
    ("saved", "number"),
    [
        pytest.param([date(1970, 1, 2)], 86_400_000_000, id="date"),
        pytest.param(pl.Series([1], dtype=pl.Datetime("ms")), 1_000, id="time without zone"),
        pytest.param([datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], 1_000_000, id="time"),
        pytest.param(["1970-01-01T00:00:01Z"], 1_000_000, id="text"),
        pytest.param([7], 7, id="number"),
        pytest.param(pl.Series([7], dtype=pl.Decimal(20, 0)), 7, id="number of 64 bits unsigned"),
        pytest.param([None], None, id="nothing"),
    ],
)
def test_what_the_newest_row_is_found_by(saved, number):
    index = derived({"id": ["1"], "t": saved}, record_id="id", update_time="t").index
    assert index is not None
    assert index.rows() == [("1", number)]


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"id": [[1]], "t": [1]}, id="record_id is a list"),
        pytest.param({"id": [b"1"], "t": [1]}, id="record_id is bytes"),
        pytest.param({"id": ["1"], "t": [1.5]}, id="update_time is a float"),
        pytest.param({"id": ["1"], "t": [[1]]}, id="update_time is a list"),
        pytest.param({"id": ["1"], "t": pl.Series([2**63], dtype=pl.UInt64)}, id="too large"),
    ],
)
def test_types_that_tell_no_record_or_time_are_refused_by_name(columns):
    with pytest.raises(BadInputError, match=r"record_id|update_time"):
        derived(columns, record_id="id", update_time="t")


def test_number_is_one_record_whatever_type_it_has_in_a_file():
    keys = [
        derived({"id": [value]}, record_id="id").index
        for value in (120, "120", 120.0, Decimal("120.00"))
    ]
    assert {index["_key"][0] for index in keys if index is not None} == {"120"}
    index = derived({"id": [1.5, -0.0, 1e300, float("nan"), None]}, record_id="id").index
    assert index is not None
    assert index["_key"].to_list() == ["1.5", "0", "1e+300", "NaN", None]


def test_empty_partition_values_are_null_and_counted():
    found = derived({"k": ["", None, "a", ""]}, partition_by=["k"])
    assert found.values["k"].to_list() == [None, None, "a", None]
    assert found.empty_keys == {"k": 2}
    assert found.frame.columns == []


def test_partition_value_that_is_no_text_becomes_one_and_a_list_is_refused():
    assert derived({"n": [1], "d": [date(2024, 1, 1)]}, partition_by=["n", "d"]).values.rows() == [
        ("1", "2024-01-01")
    ]
    with pytest.raises(BadInputError, match="can be the name of a folder"):
        derived({"n": [[1]]}, partition_by=["n"])


def test_columns_that_are_not_there_are_null_in_any_expression_and_told():
    found = derived(
        {"a": ["1"]},
        record_id="id",
        create_time={"sql": "STRPTIME(made, '%Y-%m-%d')"},
        update_time="saved",
        partition_by={"year": {"sql": "STRFTIME(update_time, '%Y')"}},
    )
    assert found.missing == {"id", "made", "saved"}
    assert [found.frame[name].to_list() for name in NAMES] == [[None]] * 3
    assert found.values.rows() == [(None,)]


def test_expression_that_cannot_be_computed_is_refused_with_what_to_do():
    with pytest.raises(BadInputError, match=r"a.parquet.*'create_time'.*correct create_time"):
        derived({"t": [1]}, create_time={"sql": "STRPTIME(t, '%Y')"})


def copies(columns, **settings):
    return dict(derived(columns, **settings).copies)


def test_a_column_named_alone_is_a_copy_and_an_expression_or_a_parsed_time_is_none():
    rows = {"id": ["1"], "made": [datetime(2024, 1, 1, tzinfo=UTC)], "saved": ["2024-01-02"]}
    named = {"record_id": "id", "create_time": "made", "update_time": "saved"}
    assert copies(rows, **named) == {"record_id": "id", "create_time": "made"}
    assert copies(rows, record_id={"sql": "id"}) == {}
    assert copies(rows | {"record_id": ["9"]}, record_id="record_id") == {}
    assert copies({"id": ["1"]}, record_id="id", create_time="absent") == {"record_id": "id"}


def test_a_copy_of_a_copy_is_one_of_the_source():
    rows = {"made": [datetime(2024, 1, 1, tzinfo=UTC)]}
    assert copies(rows, create_time="made", update_time="create_time") == {
        "create_time": "made",
        "update_time": "made",
    }


def test_a_copy_of_what_is_replaced_afterwards_is_none():
    later = {"update_time": [1, 2]}
    found = derived(
        later, record_id="update_time", update_time={"sql": "update_time + 1"}, dedupe="none"
    )
    assert dict(found.copies) == {}
    assert found.frame["record_id"].to_list() == [1, 2]
    assert found.frame["update_time"].to_list() == [2, 3]
    parsed = derived(
        {"update_time": ["2024-01-01"]}, record_id="update_time", update_time="update_time"
    )
    assert dict(parsed.copies) == {}


def test_a_copy_of_a_partition_key_is_none_for_the_key_is_in_no_file():
    assert copies({"k": ["1"]}, record_id="k", partition_by={"k": "k"}) == {}
    assert copies({"k": ["1"]}, record_id="k", partition_by={"p": "k"}) == {"record_id": "k"}


def test_what_is_made_of_a_hidden_column_is_hidden_and_so_is_what_may_hold_its_text():
    settings = snapshot_settings(
        "/x", "parquet", hidden=["email"], record_id="email", partition_by={"at": {"sql": "email"}}
    )
    assert hidden_columns(settings) == {"email", "record_id", "at", "_rescued_data"}
    assert hidden_columns(snapshot_settings("/x", "parquet", record_id="email")) == frozenset()
