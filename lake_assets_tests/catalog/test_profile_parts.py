"""Pieces of a profile that have a short way for few values: it gives what the long way gives."""

from collections import Counter
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.profile import Profiler, profile_svg
from lake_assets.catalog.profile.buckets import BucketCounter, buckets_of
from lake_assets.catalog.profile.exact_sum import exact_total

FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
TIMES = st.integers(-(2**62), 2**62)


@settings(max_examples=40, deadline=None)
@given(st.lists(FLOATS, max_size=40), st.lists(TIMES, max_size=40))
def test_few_values_are_counted_into_the_buckets_of_an_array(floats, times):
    for values, scale, dtype in ((floats, "float", np.float64), (times, "integer", np.int64)):
        counter = BucketCounter(scale)
        if values:
            counter.add(np.array(values, dtype))
        assert buckets_of(Counter(values), scale) == counter.freeze()


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(FLOATS | TIMES, st.integers(1, 10**12), max_size=30))
def test_the_total_of_few_values_is_exact(counts):
    expected = sum((Fraction(value) * n for value, n in counts.items()), Fraction(0))
    assert exact_total(counts) == expected


@pytest.mark.parametrize("value", ["2026-09", None, "x" * 300])
def test_a_constant_column_is_as_if_it_had_been_in_every_row(value):
    rows = pl.DataFrame({"a": range(500)})
    with_column, beside = Profiler(), Profiler()
    with_column.add(rows.with_columns(k=pl.lit(value, pl.String)))
    beside.add(rows)
    beside.add_constants({"k": value}, 500)
    found, expected = (p.profile().columns["k"] for p in (beside, with_column))
    assert found == expected


def test_many_values_after_few_and_few_after_many_are_one_profile():
    few, many = pl.DataFrame({"x": [0.5, None, 2.0] * 50}), pl.DataFrame({"x": np.arange(900.0)})
    texts = {"t": [f"{'y' * (n % 300)}{n}" for n in range(150)]}
    parts = [few.with_columns(**{k: pl.Series(v) for k, v in texts.items()}), many]
    contents = []
    for frames in (parts, parts[::-1]):
        profiler = Profiler()
        for frame in frames:
            profiler.add(frame)
            profiler.profile()  # looks at each by itself
        contents.append(profiler.profile().content())
    assert contents[0] == contents[1]
    assert contents[0]["columns"]["x"]["numbers"]["finite"] == 1000
    assert contents[0]["columns"]["x"]["nulls"] == 50


def test_large_frames_are_not_held_back():
    profiler = Profiler()
    for _ in range(3):
        profiler.add(pl.DataFrame({"a": ["x" * 2_000_000] * 10}))
    assert profiler._held_bytes < 17 * 2**20


def test_a_picture_has_the_columns_that_vary_and_no_markup_of_theirs():
    profiler = Profiler()
    profiler.add(pl.DataFrame({"<b>": [1, 2, 3, 4], "one": ["x"] * 4}))
    drawn = profile_svg(profiler.profile())
    assert drawn.count("<path") == 1
    assert "&lt;b&gt;" in drawn
    assert "one" not in drawn
    assert profile_svg(Profiler().profile()) is None
