"""Profiles against the exact answers of numpy and Polars, for every kind of column."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import datasketches
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.profile import ColumnProfile, Profiler
from lake_assets.catalog.profile.distinct import DistinctSketch, hash_bits
from lake_assets.errors import SchemaChangeError

#: Rank error of KLL at k = 400 with 99 % confidence, and two of them for good measure.
RANK_ERROR = 2 * 0.0067


def profiled(values: object, dtype: pl.DataType | type[pl.DataType] | None = None) -> ColumnProfile:
    profiler = Profiler()
    profiler.add(pl.DataFrame({"x": pl.Series("x", values, dtype)}))
    return profiler.profile().columns["x"]


def rank_errors(column: ColumnProfile, values: np.ndarray, shares: list[float]) -> list[float]:
    """How far each quantile is from its share; 0 within the ranks of equal values."""
    ordered, errors = np.sort(values), []
    for share in shares:
        found = column.quantile(share)
        low, high = (
            np.searchsorted(ordered, found, side) / len(ordered) for side in ("left", "right")
        )
        errors.append(max(low - share, share - high, 0))
    return errors


FLOATS = {
    "lognormal": lambda rng: rng.lognormal(size=100_000),
    "normal": lambda rng: rng.normal(size=100_000),
    "many repeat": lambda rng: np.round(rng.normal(size=100_000), 3),
    "large": lambda rng: 1.7e308 * rng.uniform(-1, 1, 20_000),
    "subnormal": lambda rng: rng.uniform(0, 5e-320, 20_000),
}


@pytest.mark.parametrize("make", FLOATS.values(), ids=FLOATS)
def test_floats_are_as_numpy_says(make):
    values = make(np.random.default_rng(7))
    column = profiled(values)
    numbers = column.numbers
    assert (column.kind, column.count, column.nulls, numbers.finite) == (
        "number", len(values), 0, len(values),
    )  # fmt: skip
    assert (numbers.least, numbers.greatest) == (values.min(), values.max())
    assert numbers.total == sum(map(Fraction, values.tolist()))
    assert numbers.mean == float(numbers.total / len(values))
    different = len(np.unique(values))
    assert abs(column.distinct - different) <= 4 * 0.01625 * different
    assert max(rank_errors(column, values, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])) < RANK_ERROR
    far = [0.0001, 0.001, 0.01, 0.99, 0.999, 0.9999]
    overflows = values.max() > 1.6e308  # next to the largest float64 the t-digest does
    assert max(rank_errors(column, values, far)) < (RANK_ERROR if overflows else 0.002)
    assert (column.quantile(0), column.quantile(1)) == (values.min(), values.max())
    counted = [
        int(((values >= low) & (values < high)).sum() if low >= 0 else
            ((values > low) & (values <= high)).sum())
        for low, high in numbers.buckets.edges()
    ]  # fmt: skip
    if not overflows:  # the last edge is then no float64 any more
        assert counted == list(numbers.buckets.counts)
    assert numbers.buckets.total == len(values)
    assert len(numbers.buckets.bins) <= 256


def test_few_values_are_counted_exactly_and_need_no_sketch():
    rng = np.random.default_rng(1)
    values = rng.integers(-100, 100, 200_000)
    column = profiled(values, pl.Int32)
    expected = dict(zip(*(a.tolist() for a in np.unique(values, return_counts=True)), strict=True))
    assert dict(column.values.top.counts) == expected
    assert (column.distinct, column.values.sketch, column.quantiles) == (200, None, None)
    shares = [0.0, 0.01, 0.5, 0.99, 1.0]
    exact = np.quantile(values, shares, method="inverted_cdf")
    assert [column.quantile(share) for share in shares] == exact.tolist()
    assert column.numbers.total == int(values.sum())


def test_the_257th_value_begins_the_sketches_with_what_was_counted_before():
    profiler = Profiler()
    for start in range(70):  # 70 frames, each looked at; the first four fit into exact counts
        profiler.add(pl.DataFrame({"x": np.repeat(np.arange(start * 64, start * 64 + 64), 1024)}))
    column = profiler.profile().columns["x"]
    values = np.repeat(np.arange(70 * 64), 1024)
    assert abs(column.distinct - 4480) < 4480 * 0.065
    assert max(rank_errors(column, values, [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])) < RANK_ERROR


def test_a_frequent_value_among_different_ones_is_found_with_its_bound():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(size=90_000), np.full(8000, 5.5), np.full(2000, -7.0)])
    rng.shuffle(values)
    top = profiled(values).values.top
    counts = dict(top.counts)
    assert [value for value, _ in top.counts[:2]] == [5.5, -7.0]
    assert counts[5.5] <= 8000 <= counts[5.5] + top.error
    assert top.error <= 2 * len(values) / 256


def test_the_array_update_of_the_hyperloglog_is_that_of_a_call_for_each_value():
    rng = np.random.default_rng(5)
    for n in (1, 40, 900, 3000, 60_000):
        bits = rng.integers(0, 2**64, n, dtype=np.uint64)
        ours = DistinctSketch()
        for part in np.array_split(bits, 3):
            if part.size:
                ours.add_bits(part, *hash_bits(part))
        one_by_one = datasketches.hll_sketch(12)
        for value in bits.view(np.int64).tolist():
            one_by_one.update(value)
        union = datasketches.hll_union(12)
        union.update(one_by_one)
        union.update(one_by_one)
        theirs = union.get_result(datasketches.HLL_8)
        found = datasketches.hll_sketch.deserialize(ours.freeze())
        assert found.get_estimate() == theirs.get_estimate()


@given(
    st.lists(
        st.none()
        | st.floats(allow_nan=True, allow_infinity=True, width=64)
        | st.sampled_from([0.0, -0.0, 5e-324, -1e308, 1.7976931348623157e308]),
        max_size=60,
    )
)
@example([math.inf] * 3)
@example([None, None])
@settings(max_examples=150, deadline=None)
def test_nulls_nan_and_infinities_are_counted_apart(values):
    column = profiled(values, pl.Float64)
    there = [value for value in values if value is not None]
    finite = [value for value in there if math.isfinite(value)]
    numbers = column.numbers
    assert (column.count, column.nulls) == (len(values), values.count(None))
    assert numbers.nans == sum(map(math.isnan, there))
    assert numbers.infinities == (there.count(math.inf), there.count(-math.inf))
    assert numbers.finite == len(finite) == numbers.buckets.total
    assert (numbers.least, numbers.greatest) == (
        min(finite, default=None),
        max(finite, default=None),
    )
    assert numbers.total == sum(map(Fraction, finite))
    assert column.distinct == len(set(finite))
    assert column.quantile(0.5) == (
        sorted(finite)[max(math.ceil(len(finite) / 2), 1) - 1] if finite else None
    )


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt32, pl.Int64, pl.UInt64, pl.Int128])
def test_integers_are_exact_to_their_ends(dtype):
    low, high = (pl.select(end).item() for end in (dtype.min(), dtype.max()))
    column = profiled([low, high, high, None], dtype)
    assert [int(end) for end in (column.numbers.least, column.numbers.greatest)] == [low, high]
    assert column.numbers.total == low + 2 * high
    assert (column.distinct, column.nulls) == (2, 1)


def test_rows_in_ascending_order_do_not_spoil_the_tails():
    values = np.sort(np.random.default_rng(9).lognormal(size=400_000))
    column = profiled(values)
    assert max(rank_errors(column, values, [0.001, 0.01, 0.99, 0.999])) < 0.002
    assert max(rank_errors(column, values, [0.1, 0.5, 0.9])) < RANK_ERROR


def test_large_ids_that_are_one_float_are_told_apart():
    values = np.arange(2**62, 2**62 + 50_000)
    assert abs(profiled(values).distinct - 50_000) < 50_000 * 0.065


def test_decimals_keep_every_digit():
    values = [
        Decimal("12345678901234567890.123456789012345678"),
        None,
        Decimal("-9e19"),
        Decimal(0),
    ]
    column = profiled(values, pl.Decimal(38, 18))
    there = [value for value in values if value is not None]
    assert (column.numbers.least, column.numbers.greatest) == (min(there), max(there))
    assert column.numbers.total == sum(map(Fraction, there))
    assert (column.kind, column.distinct) == ("decimal", 3)
    assert column.numbers.content()["max"] == "12345678901234567890.123456789012345678"


DAY_US = 86_400_000_000
#: 2026-01-02 in microseconds.
NEW_YEAR_US = 1_767_312_000_000_000
ZONED = datetime(2026, 1, 2, tzinfo=UTC)
TIMES = {
    "date": (pl.Date, [date(1969, 12, 31), date(2026, 1, 2)], [-DAY_US, NEW_YEAR_US]),
    "datetime": (pl.Datetime("ms"), [ZONED.replace(tzinfo=None)], [NEW_YEAR_US]),
    "datetime with zone": (pl.Datetime("ns", "Europe/Berlin"), [ZONED], [NEW_YEAR_US]),
    "time": (pl.Time, [time(0, 0, 1), time(23)], [1_000_000, DAY_US // 24 * 23]),
    "duration": (
        pl.Duration("ms"), [timedelta(seconds=-1), timedelta(days=2)], [-1_000_000, 2 * DAY_US],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("dtype", "values", "micros"), TIMES.values(), ids=TIMES)
def test_dates_and_times_are_microseconds(dtype, values, micros):
    column = profiled([*values, None], dtype)
    assert (column.kind, column.nulls, column.distinct) == ("time", 1, len(values))
    assert (column.numbers.least, column.numbers.greatest) == (micros[0], micros[-1])
    assert column.numbers.total == sum(micros)


def test_texts_have_ends_lengths_and_top_values():
    long = "y" * 5000
    column = profiled(["b", "äöü", "b", None, "", long], pl.String)
    assert (column.kind, column.nulls, column.distinct) == ("text", 1, 4)
    assert (column.least, column.greatest) == ("", "äöü")
    assert column.values.top.counts[0] == ("b", 2)
    assert (column.numbers.least, column.numbers.greatest, column.numbers.total) == (0, 5000, 5005)
    assert column.quantile(0.5) == 1
    assert max(len(value) for value, _ in column.values.top.counts) <= 256
    assert profiled(["b", "a"], pl.Categorical).least == "a"
    assert profiled(["b", "a"], pl.Enum(["b", "a"])).distinct == 2


def test_many_texts_are_estimated_and_the_frequent_ones_kept():
    values = [f"id-{number}" for number in range(30_000)] + ["often"] * 3000
    column = profiled(values)
    assert abs(column.distinct - 30_001) < 30_001 * 0.065
    assert column.values.top.counts[0][0] == "often"


def test_booleans_binaries_and_columns_without_values():
    column = profiled([True, None, False, True])
    assert dict(column.values.top.counts) == {True: 2, False: 1}
    binary = profiled([b"\x00\xff", b"", None], pl.Binary)
    assert (binary.distinct, binary.numbers.total, binary.nulls) == (2, 2, 1)
    nothing = profiled([None, None], pl.Null)
    assert (nothing.kind, nothing.count, nothing.nulls, nothing.null_share) == ("null", 2, 2, 1.0)
    empty = profiled([], pl.Float64)
    assert (empty.count, empty.null_share, empty.numbers.mean, empty.quantile(0.5)) == (
        0,
        0,
        None,
        None,
    )


def test_lists_and_structs_are_profiled_inside():
    rows = [
        {"s": {"a": 1, "l": [1, 2]}, "l": [{"m": "x"}, {"m": None}], "a.b": 1},
        {"s": None, "l": [], "a.b": 2},
        {"s": {"a": 3, "l": None}, "l": None, "a.b": 3},
    ]
    profiler = Profiler()
    profiler.add(
        pl.DataFrame(rows).with_columns(f=pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int8, 2)))
    )
    columns = profiler.profile().columns
    found = {name: (c.kind, c.count, c.nulls) for name, c in columns.items()}
    assert found == {
        '"a.b"': ("number", 3, 0),
        "f": ("list", 3, 0),
        "f[]": ("number", 6, 0),
        "l": ("list", 3, 1),
        "l[]": ("struct", 2, 0),
        "l[].m": ("text", 2, 1),
        "s": ("struct", 3, 1),
        "s.a": ("number", 3, 1),
        "s.l": ("list", 3, 2),
        "s.l[]": ("number", 2, 0),
    }
    assert columns["l"].numbers.total == 2
    assert columns["l"].quantile(1) == 2


def test_columns_come_and_go_between_frames():
    profiler = Profiler()
    profiler.add(pl.DataFrame({"a": [1, 2]}))
    profiler.add(pl.DataFrame({"a": [None], "b": ["x"]}, schema={"a": pl.Null, "b": pl.String}))
    profiler.add(pl.DataFrame({"a": [0.5]}))
    columns = profiler.profile().columns
    assert (columns["a"].count, columns["a"].nulls, columns["a"].dtypes) == (
        4,
        1,
        ("Float64", "Int64"),
    )
    assert columns["a"].numbers.total == Fraction(7, 2)
    assert (columns["b"].count, columns["b"].nulls) == (4, 3)
    profiler.add(pl.DataFrame({"a": ["text"]}))
    with pytest.raises(SchemaChangeError, match="column 'a' is of one kind"):
        profiler.profile()


def test_nothing_of_a_hidden_column_is_recorded():
    profiler = Profiler(["name"].__contains__)
    profiler.add(pl.DataFrame({"name": ["Ada", None]}))
    profile = profiler.profile()
    assert (profile.columns["name"].count, profile.columns["name"].nulls) == (2, 1)
    assert "Ada" not in repr(profile)


@pytest.mark.parametrize("name", ["n", "low", "values", "literal", "count"])
def test_a_column_of_any_name_and_type_is_profiled(name):
    values = {
        "text": ["a", "b", None],
        "binary": [b"a", b"b", None],
        "decimal": [Decimal("1.5"), Decimal(2), None],
        "list": [["a"], [], None],
        "struct": [{name: "a"}, {name: "b"}, None],
    }
    for column in values.values():
        profiler = Profiler()
        profiler.add(pl.DataFrame({name: column}))
        assert profiler.profile().columns[name].count == 3
