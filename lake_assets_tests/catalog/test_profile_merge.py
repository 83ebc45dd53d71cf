"""The profile of a whole from those of its parts, and its document."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog import canonical_json, content_id, read_document, write_document
from lake_assets.catalog.profile import (
    Profile,
    Profiler,
    merge,
    profile_from,
    profile_from_document,
    to_document,
)
from lake_assets.errors import SchemaChangeError, StorageError
from lake_assets.s3 import open_store


def of(*frames: pl.DataFrame) -> Profile:
    profiler = Profiler()
    for frame in frames:
        profiler.add(frame)
    return profiler.profile()


def table(n: int) -> pl.DataFrame:
    """A table with every kind of column, few and many different values, nulls, NaN, infinities."""
    rng = np.random.default_rng(11)
    numbers = rng.lognormal(size=n)
    odd = rng.normal(size=n)
    odd[rng.integers(0, n, 50)] = np.nan
    odd[rng.integers(0, n, 50)] = np.inf
    cents = [Decimal(int(i)) / 100 for i in rng.integers(0, 10**6, n)]
    return pl.DataFrame(
        {
            "numbers": numbers,
            "odd": pl.Series(odd).set(pl.Series(rng.random(n) < 0.1), None),
            "few": rng.integers(0, 9, n),
            "large": rng.integers(-(2**63), 2**63 - 1, n),
            "text": pl.Series([f"t{i}" for i in rng.integers(0, 5000, n)]),
            "flag": rng.random(n) < 0.3,
            "at": pl.Series([datetime(2026, 1, 1) + timedelta(seconds=int(i)) for i in range(n)]),  # noqa: DTZ001
            "money": pl.Series(cents, dtype=pl.Decimal(12, 2)),
            "list": pl.Series([[1.5] * int(i) for i in rng.integers(0, 4, n)]),
            "struct": pl.Series([{"a": int(i), "b": None} for i in rng.integers(0, 1000, n)]),
            "null": pl.Series([None] * n, dtype=pl.Null),
        }
    )  # fmt: skip


def parts_of(frame: pl.DataFrame, n: int) -> list[Profile]:
    """Profiles of parts of very different size."""
    cuts = [
        0,
        *sorted(np.random.default_rng(2).integers(0, frame.height, n - 1).tolist()),
        frame.height,
    ]
    return [of(frame[start:end]) for start, end in itertools.pairwise(cuts)]


def test_the_merge_of_eight_parts_is_the_whole_in_every_exact_field():
    frame = table(20_000)
    whole, parts = of(frame), parts_of(frame, 8)
    merged = merge(parts)
    assert merged.content() == whole.content()
    left = merge([merge(parts[:3]), merge(parts[3:])])
    assert canonical_json(left.content()) == canonical_json(merge(reversed(parts)).content())
    for name, column in merged.columns.items():
        expected = whole.columns[name].distinct
        if expected is not None:
            assert column.distinct == pytest.approx(expected, rel=0.065)
        for share in (0.01, 0.1, 0.5, 0.9, 0.99):
            if name not in ("numbers", "odd", "large", "money", "struct.a"):
                continue
            values = frame.unnest("struct")["a"] if name == "struct.a" else frame[name]
            finite = values.drop_nulls().cast(pl.Float64).to_numpy()
            finite = finite[np.isfinite(finite)]
            assert (finite <= column.quantile(share)).mean() == pytest.approx(share, abs=0.015)


def test_the_frames_do_not_matter_for_the_exact_fields():
    frame = table(3000)
    assert of(*frame.iter_slices(7)).content() == of(frame).content()
    assert of(frame.sample(fraction=1, shuffle=True, seed=4)).content() == of(frame).content()


@given(st.lists(st.lists(st.none() | st.floats(), max_size=6), max_size=6), st.randoms())
@settings(max_examples=100, deadline=None)
def test_merging_is_order_free_to_the_last_bit(parts, random):
    frames = [pl.DataFrame({"x": pl.Series("x", part, pl.Float64)}) for part in parts]
    whole = of(pl.concat(frames)) if frames else merge([])
    random.shuffle(frames)
    assert merge(of(frame) for frame in frames).content() == whole.content()


def test_a_column_that_a_part_lacks_is_null_there():
    merged = merge([of(pl.DataFrame({"a": [1]})), of(pl.DataFrame({"b": [["x", "y"]]})), merge([])])
    assert merged.rows == 2
    assert [(n, c.count, c.nulls) for n, c in merged.columns.items()] == [
        ("a", 2, 1), ("b", 2, 1), ("b[]", 2, 0),
    ]  # fmt: skip
    widened = merge([of(pl.DataFrame({"a": [1]})), of(pl.DataFrame({"a": [None]}))])
    assert (widened.columns["a"].dtypes, widened.columns["a"].nulls) == (("Int64",), 1)


def test_a_column_of_two_kinds_is_refused_by_name():
    with pytest.raises(SchemaChangeError, match=r"column 'a' .*\['number', 'text'\]"):
        merge([of(pl.DataFrame({"a": [1]})), of(pl.DataFrame({"a": ["1"]}))])


def test_a_document_reads_back_and_its_id_is_free_of_the_sketches(tmp_path):
    frame = table(5000)
    store = open_store(str(tmp_path))
    one, two = of(frame), of(*frame.iter_slices(999))
    subject, now = {"asset": "lake/t"}, datetime.now(UTC)
    documents = [to_document(profile, subject, written_at=now) for profile in (one, two)]
    assert documents[0].id == documents[1].id
    assert documents[0].facts != documents[1].facts  # the sketches of equal rows differ
    write_document(store, "p.json", documents[0])
    again = profile_from_document(read_document(store, "p.json"))
    assert again == one
    assert content_id(merge([again, two]).content()) == content_id(merge([two, one]).content())


def test_without_the_sketches_the_exact_part_still_answers():
    frame = table(5000)
    profile = of(frame)
    content = json.loads(canonical_json(profile.content()))
    bare = profile_from(content, None)
    assert bare.content() == profile.content()
    column = bare.columns["numbers"]
    assert column.distinct is None
    assert column.quantile(0.5) == pytest.approx(frame["numbers"].median(), rel=0.1)
    assert merge([bare, profile]).columns["numbers"].quantiles is None
    assert bare.columns["few"].distinct == 9


@pytest.mark.parametrize(
    ("content", "sketches"),
    [
        ({}, None),
        ({"format": 99, "rows": 0, "columns": {}}, None),
        ({"format": 1, "rows": 0, "columns": {"a": {}}}, None),
        (of(pl.DataFrame({"a": [1]})).content(), "no sketches"),
    ],
)
def test_what_is_no_profile_is_an_error_that_says_so(content, sketches):
    with pytest.raises(StorageError, match="profile"):
        profile_from(content, sketches)


def test_a_profile_of_the_first_format_reads_back_as_the_same():
    frame = table(3000)
    profile = of(frame)
    content = json.loads(canonical_json(profile.content()))
    assert content["columns"]["few"]["numbers"]["buckets"] is None  # its counts say it
    first = {**content, "format": 1}
    for name, column in profile.columns.items():
        if column.numbers is not None:  # format 1 always had both
            told = first["columns"][name]["numbers"]
            told["sum"] = str(column.numbers.total)
            told["buckets"] = column.numbers.buckets.content()
    again = profile_from(first, profile.sketches())
    for name, column in profile.columns.items():
        old = again.columns[name]
        assert (old.distinct, old.quantile(0.5)) == (column.distinct, column.quantile(0.5))
        assert old.numbers is None or old.numbers.buckets == column.numbers.buckets
    assert merge([again, again]).content() == merge([profile, profile]).content()
    del content["columns"]["few"]["values"]
    with pytest.raises(StorageError, match="no profile"):
        profile_from(content, None)
