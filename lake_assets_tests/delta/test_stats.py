"""Statistics are exact or missing: whatever is filtered on, a table gives what the frame gives."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.delta import checkpoint, column_statistics, publish, scan
from lake_assets_tests.delta.tables import publication, write_file

MICROSECOND = timedelta(microseconds=1)
NAIVE = datetime(2024, 1, 1, 1, 2, 3, 456789)  # noqa: DTZ001
AWARE = NAIVE.replace(tzinfo=UTC)
SUBNORMAL, GREATEST = 5e-324, 1.7976931348623157e308
LONG = "x" * 64

COLUMNS = [
    pytest.param(pl.Int64(), [[-(2**63), 2**53 + 1], [2**63 - 1, None]], id="int64"),
    pytest.param(pl.Int8(), [[-128, 0], [127]], id="int8"),
    pytest.param(pl.Float64(), [[SUBNORMAL, 0.1 + 0.2], [GREATEST, -0.0], [0.0]], id="float64"),
    pytest.param(pl.Float64(), [[1.0, math.nan], [math.inf, 2.0], [-math.inf], [3.0]], id="nan"),
    pytest.param(pl.Float32(), [[0.1, 3.3e38], [-0.1], [16777217.0]], id="float32"),
    pytest.param(pl.Datetime("us"), [[NAIVE], [NAIVE + MICROSECOND, None]], id="naive"),
    pytest.param(pl.Datetime("us", "UTC"), [[AWARE], [AWARE - MICROSECOND]], id="utc"),
    pytest.param(
        pl.Datetime("us"),
        [[datetime(1, 1, 1, 0, 0, 0, 1)], [datetime(1969, 12, 31, 23, 59, 59, 999999)]],  # noqa: DTZ001
        id="early",
    ),
    pytest.param(pl.Date(), [[date(1, 1, 1)], [date(9999, 12, 31), None]], id="date"),
    pytest.param(pl.String(), [["", LONG], [LONG + "y"], ["日本", "\U0001f600"]], id="strings"),
    pytest.param(pl.String(), [["a\x00b", '\n"\\'], ["\x7f"], [None, None]], id="controls"),
    pytest.param(
        pl.Decimal(38, 9), [[Decimal("1e-9")], [Decimal("999999999.999999999")]], id="decimal"
    ),
    pytest.param(pl.Decimal(38, 0), [[Decimal(10**37)], [Decimal(-(10**18))]], id="wide decimal"),
    pytest.param(pl.Boolean(), [[True, None], [False], [None]], id="boolean"),
]


def fill(uri, dtype, files):
    """A table of one column with one file for each list of values; and all its rows."""
    frames = [pl.DataFrame({"x": pl.Series(values, dtype=dtype)}) for values in files]
    written = {(): [write_file(uri, frame) for frame in frames]}
    publish(uri, publication(written, schema=frames[0].schema, partition_by=()))
    return pl.concat(frames)


def filters_at(value, dtype):
    x, literal = pl.col("x"), pl.lit(value, dtype=dtype)
    return [x == literal, x != literal, x < literal, x <= literal, x > literal, x >= literal]


def assert_same_rows(uri, whole, predicate):
    found = scan(uri).filter(predicate).collect().rows()
    assert sorted(map(repr, found)) == sorted(map(repr, whole.filter(predicate).rows())), predicate


@pytest.mark.parametrize(("dtype", "files"), COLUMNS)
def test_a_filter_at_the_borders_of_a_file_gives_its_rows(tmp_path, dtype, files):
    uri = str(tmp_path / "table")
    whole = fill(uri, dtype, files)
    filters = [pl.col("x").is_null(), pl.col("x").is_not_null()]
    for value in whole["x"].drop_nulls().unique():
        filters += filters_at(value, dtype)
    if dtype.is_float():
        filters += [pl.col("x").is_nan(), pl.col("x").is_infinite(), pl.col("x").is_finite()]
    for _ in ("log", "checkpoint"):
        for predicate in filters:
            assert_same_rows(uri, whole, predicate)
        checkpoint(uri)


def test_a_file_outside_a_filter_is_not_read(tmp_path):
    uri = str(tmp_path / "table")
    frames = [pl.DataFrame({"at": [NAIVE + timedelta(days=n)]}) for n in (0, 1)]
    files = [write_file(uri, frame, statistics=False) for frame in frames]
    publish(uri, publication({(): files}, schema=frames[0].schema, partition_by=()))
    # The footer stays whole: Polars takes the schema from the first file's.
    damaged = tmp_path / "table" / files[0].path
    pages = pq.read_metadata(damaged).row_group(0).column(0).total_compressed_size
    damaged.write_bytes(b"PAR1" + b"\xff" * pages + damaged.read_bytes()[4 + pages :])
    # Not at the border itself: Polars widens the bounds of times by a millisecond.
    assert scan(uri).filter(pl.col("at") > NAIVE + timedelta(hours=1)).collect().equals(frames[1])
    with pytest.raises(pl.exceptions.ComputeError):
        scan(uri).filter(pl.col("at") <= NAIVE).collect()


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_filter_gives_what_the_frame_gives(tmp_path_factory, data):
    dtype, values = data.draw(
        st.sampled_from(
            [
                (pl.Float64(), st.floats()),
                (pl.String(), st.text(st.characters(codec="utf-8"), max_size=70)),
                (pl.Datetime("us"), st.datetimes()),
                (
                    pl.Decimal(30, 6),
                    st.decimals(
                        allow_nan=False,
                        allow_infinity=False,
                        places=6,
                        min_value=-(10**20),
                        max_value=10**20,
                    ),
                ),
            ]
        )
    )
    column = st.lists(st.none() | values, min_size=1, max_size=4)
    files = data.draw(st.lists(column, min_size=1, max_size=3, unique_by=repr))
    uri = str(tmp_path_factory.mktemp("any") / "table")
    whole = fill(uri, dtype, files)
    borders = [value for value in (whole["x"].min(), whole["x"].max()) if value is not None]
    for value in [*borders, data.draw(values)]:
        for predicate in filters_at(value, dtype):
            assert_same_rows(uri, whole, predicate)


def test_what_is_not_certain_is_left_out():
    frame = pl.DataFrame(
        {
            "n": [1, None],
            "nan": [1.0, math.nan],
            "inf": [1.0, math.inf],
            "long": ["a", "x" * 65],
            "wide": pl.Series([Decimal(10**18), None], dtype=pl.Decimal(38, 0)),
            "flag": [True, False],
            "raw": [b"a", None],
            "items": [[1], None],
            "part": [{"a": 1}, None],
            "none": pl.Series([None, None], dtype=pl.Int64),
            "far": pl.Series([0, 2**58], dtype=pl.Int64).cast(pl.Datetime("us")),
            "month": ["01", "01"],
        }
    )
    found = json.loads(column_statistics(frame, ["month"]))
    assert found["numRecords"] == 2
    assert (found["minValues"], found["maxValues"]) == ({"n": 1}, {"n": 1})
    nulls = {"n": 1, "nan": 0, "inf": 0, "long": 0, "wide": 1, "flag": 0, "raw": 1, "items": 1}
    assert found["nullCount"] == nulls | {"none": 2, "far": 0}


def test_times_are_told_to_the_microsecond_and_zero_with_both_signs():
    frame = pl.DataFrame({"naive": [NAIVE], "utc": [AWARE], "day": [NAIVE.date()], "zero": [0.0]})
    found = json.loads(column_statistics(frame))
    assert found["minValues"]["naive"] == "2024-01-01T01:02:03.456789"
    assert found["maxValues"]["utc"] == "2024-01-01T01:02:03.456789Z"
    assert found["maxValues"]["day"] == "2024-01-01"
    assert [math.copysign(1, found[ends]["zero"]) for ends in ("minValues", "maxValues")] == [-1, 1]


def test_an_empty_file_has_no_bounds():
    found = json.loads(column_statistics(pl.DataFrame(schema={"a": pl.Int64, "t": pl.Date})))
    assert found == {
        "numRecords": 0,
        "nullCount": {"a": 0, "t": 0},
        "minValues": {},
        "maxValues": {},
    }


def test_a_struct_does_not_cost_the_row_count(tmp_path):
    uri = str(tmp_path / "table")
    dtype = pl.Struct({"a": pl.Int64()})
    whole = fill(uri, dtype, [[{"a": 1}, None], [{"a": 2}]])
    assert scan(uri).select(pl.len()).collect().item() == 3
    member = pl.col("x").struct.field("a") == 2
    assert scan(uri).filter(member).collect().equals(whole.filter(member))


def test_columns_beyond_the_first_32_are_filtered_right(tmp_path):
    uri = str(tmp_path / "table")
    frames = [pl.DataFrame({f"c{i}": [i + n] for i in range(40)}) for n in (0, 100)]
    files = {(): [write_file(uri, frame) for frame in frames]}
    publish(uri, publication(files, schema=frames[0].schema, partition_by=()))
    assert scan(uri).filter(pl.col("c39") == 139).collect().height == 1
    assert scan(uri).filter(pl.col("c39") < 139).collect().height == 1
