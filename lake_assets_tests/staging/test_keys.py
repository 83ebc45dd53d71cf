"""When two rows are the same record, and when they only look like it."""

from datetime import datetime

import polars as pl
import pytest

from lake_assets.demo.exports import ndjson
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TIME_TYPE, find_table
from lake_assets.export.rows import read_rows
from lake_assets.staging.keys import index_frame, key_expression, month_of
from lake_assets_tests.lake.line import model

MODELS = find_table("model_snapshot")
NOTES = find_table("notification")


def index(*rows, spec=MODELS):
    frame = read_rows("a.json", ndjson(rows), spec).frame
    frame = frame.with_columns(_export_id=pl.lit("1"), _source_key=pl.lit("a.json"))
    return index_frame(frame, spec)


def keys(*rows, spec=MODELS):
    return index(*rows, spec=spec)["_key"].to_list()


def n_records(*rows, spec=MODELS):
    return len(set(keys(*rows, spec=spec)))


def test_same_key_columns_make_the_same_record():
    assert n_records(model("m", pyName="a"), model("m", pyName="b")) == 1


def test_spelling_of_key_columns_does_not_matter_across_exports():
    plain = {"ModelID": "m", "SnapshotTime": "20260901T000000.000 GMT"}
    assert keys(plain) == keys(model("m"))


def test_null_and_missing_and_empty_key_columns_are_alike():
    assert keys(model("m", None)) == keys({"pyModelID": "m"}) == keys(model("m", ""))


def test_null_differs_from_every_text():
    assert (
        n_records(model("m"), model("m", pxApplication="~"), model("m", pxApplication="null")) == 3
    )


def test_no_value_imitates_the_border_between_two_columns():
    one = {"pyModelId": "m", "pySnapshotId": "a|1:b", "pyBinId": ""}
    two = {"pyModelId": "m", "pySnapshotId": "a", "pyBinId": "b"}
    spec = find_table("binary_distribution")
    assert n_records(one, two, spec=spec) == 2


def test_handle_wins_over_natural_key():
    rows = [model("m", pzInsKey="A"), model("other", pzInsKey="A"), model("m", pzInsKey="B")]
    assert n_records(*rows) == 2


def test_handle_is_no_value_of_a_natural_key():
    assert n_records(model("m"), {"pzInsKey": "m"}, {"pyModelID": "m"}) == 3


def test_empty_handle_falls_back_to_natural_key():
    assert keys(model("m", pzInsKey="")) == keys(model("m"))


def test_required_column_that_is_null_leaves_a_row_to_itself():
    rows = [
        {"pyNotificationTypeId": "N-1", "pyConfigId": "a"},
        {"pyNotificationTypeId": "N-1", "pyConfigId": "b"},
    ]
    assert n_records(*rows, spec=NOTES) == 2


def test_keyless_rows_are_one_record_only_when_identical():
    assert (
        n_records(
            {"pyName": "a"}, {"pyName": "a"}, {"pyName": "b"}, {"pyName": None, "pyIssue": "x"}
        )
        == 3
    )


def test_key_is_never_null():
    assert None not in keys({}, {"pyName": "a"}, model("m"))


def test_values_that_did_not_fit_their_type_tell_records_apart():
    # Both times are null in the frame; taking that for the key would drop one of the rows.
    assert n_records(model("m", "yesterday"), model("m", "today"), model("m", None)) == 3


def test_same_odd_value_is_the_same_record_again():
    assert keys(model("m", "today", pyName="a")) == keys(model("m", "today", pyName="b"))


def test_odd_value_outside_of_the_key_does_not_change_it():
    assert keys(model("m", pyPositives="many")) == keys(model("m", pyPositives=3))


def test_lone_surrogates_in_a_key_tell_records_apart():
    body = b'{"pyModelID": "\\ud800"}\n{"pyModelID": "\\ud801"}\n'
    frame = read_rows("a.json", body, MODELS).frame
    frame = frame.with_columns(_export_id=pl.lit("1"), _source_key=pl.lit("a"))
    assert index_frame(frame, MODELS)["_key"].n_unique() == 2


def test_order_and_time_come_from_save_time_and_time_column():
    row = model("m", "20260901T120000.500 GMT", pxSaveDateTime="20260902T000000.001 GMT")
    found = index(row)
    assert found["_time"].item() == datetime(2026, 9, 1, 12, 0, 0, 500_000)  # noqa: DTZ001
    assert found["_saved"].item() == 1_788_307_200_001_000
    assert found.schema == {"_key": pl.String, "_saved": pl.Int64, "_time": TIME_TYPE}


def test_commit_time_stands_in_for_save_time():
    one = index(model("m", pxSaveDateTime=None, pxCommitDateTime="20260902T000000.000 GMT"))
    two = index(model("m", pxSaveDateTime="20260902T000000.000 GMT"))
    assert one["_saved"].to_list() == two["_saved"].to_list() != [None]


def test_rows_without_any_key_or_time_column_each_have_a_place():
    found = index({"pyName": "a"}, {"pyName": "b"}, {"pyName": "c"})
    assert found.height == found["_key"].n_unique() == 3


def test_index_has_one_row_for_each_row_in_order():
    found = keys(model("b"), model("a"), {"pyName": "x"}, model("c"))
    assert [key[:2] for key in found] == ["1|", "1|", "ro", "1|"]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("20260930T235959.999 GMT", "2026-09"),
        ("20261001T000000.000 GMT", "2026-10"),
        ("00010101T000000.000 GMT", "0001-01"),
        ("99991231T000000.000 GMT", "9999-12"),
        (None, None),
        ("", None),
        ("odd", None),
    ],
)
def test_month_is_that_of_the_time_column(text, month):
    frame = read_rows("a.json", ndjson([model("m", text)]), MODELS).frame
    assert month_of(frame, MODELS).to_list() == [month]


def test_key_of_a_published_row_is_the_key_it_was_staged_with():
    frame = read_rows("a.json", ndjson([model("m", "odd"), model("n")]), MODELS).frame
    frame = frame.with_columns(pl.lit("x").alias(name) for name in INTERNAL_COLUMNS[1:])
    published = frame.select(key_expression(frame.schema, MODELS)).to_series().to_list()
    assert published == index_frame(frame, MODELS)["_key"].to_list()
