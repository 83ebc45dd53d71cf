"""Files whose types differ: joined by rule without losing a value, or refused by name."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from polars import Binary, Boolean, Date, Datetime, Float32, Float64, Int8, Int32, Int64, String

from lake_assets.compacted.widen import cast_frame, join_schemas, join_types
from lake_assets.errors import SchemaChangeError
from lake_assets.staging.open_types import OPEN, with_open_types

UTC_US = Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (Int8(), Int64(), Int64()),
        (Int32(), Float32(), Float64()),
        (Int64(), pl.Decimal(10, 2), pl.Decimal(21, 2)),
        (pl.Decimal(10, 2), pl.Decimal(8, 4), pl.Decimal(12, 4)),
        (pl.Decimal(38, 0), pl.Decimal(38, 4), None),
        (pl.Decimal(10, 2), Float64(), None),
        (Int64(), String(), String()),
        (UTC_US, String(), String()),
        (Boolean(), String(), String()),
        (Boolean(), Int64(), None),
        (Binary(), String(), None),
        (Date(), UTC_US, UTC_US),
        (Datetime("us"), UTC_US, None),
        (pl.List(Int32()), pl.List(Int64()), pl.List(Int64())),
        (pl.List(Int64()), Int64(), None),
        (pl.List(Int64()), String(), None),
        (
            pl.Struct({"a": Int32(), "b": String()}),
            pl.Struct({"a": Int64(), "c": Date()}),
            pl.Struct({"a": Int64(), "b": String(), "c": Date()}),
        ),
        (pl.Struct({"a": Boolean()}), pl.Struct({"a": Int64()}), None),
        (pl.List(pl.Struct({"a": Int32()})), pl.List(pl.Struct({"b": Int32()})), pl.List(
            pl.Struct({"a": Int32(), "b": Int32()})
        )),
        (pl.List(OPEN), pl.List(pl.Struct({"a": Int8()})), pl.List(pl.Struct({"a": Int8()}))),
        (pl.Struct({"a": OPEN}), pl.Struct({"a": Binary()}), pl.Struct({"a": Binary()})),
    ],
    ids=str,
)  # fmt: skip
def test_two_types_join_alike_from_both_sides_or_not_at_all(one, other, joined):
    for pair in ((one, other), (other, one)):
        found = join_types(*pair)
        assert members(found) == members(joined)


def members(dtype):
    """A type by its parts: the members of a struct come in the order in which they are met."""
    if isinstance(dtype, pl.Struct):
        return {member.name: members(member.dtype) for member in dtype.fields}
    return [members(dtype.inner)] if isinstance(dtype, pl.List) else dtype


@pytest.mark.parametrize(
    ("values", "wide", "cast"),
    [
        ([1, None], Float64(), [1.0, None]),
        ([1, None], pl.Decimal(21, 2), [Decimal(1), None]),
        ([1.5, None], String(), ["1.5", None]),
        ([True, None], String(), ["true", None]),
        ([date(2024, 1, 2), None], UTC_US, [datetime(2024, 1, 2, tzinfo=UTC), None]),
        ([[1, None], [], None], pl.List(String()), [["1", None], [], None]),
        (
            [{"a": 1}, None, {"a": None}],
            pl.Struct({"b": String(), "a": Int64()}),
            [{"b": None, "a": 1}, None, {"b": None, "a": None}],
        ),
        (
            [[{"a": [1]}, None], [], None],
            pl.List(pl.Struct({"a": pl.List(Float64()), "c": Int8()})),
            [[{"a": [1.0], "c": None}, None], [], None],
        ),
        ([[None, None], [], None], pl.List(Int64()), [[None, None], [], None]),
        ([{"a": None, "b": [None]}, None], pl.Struct({"b": pl.List(Date()), "a": String()}),
            [{"b": [None], "a": None}, None]),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_the_same_in_the_wider_type(values, wide, cast):
    frame = with_open_types(pl.DataFrame({"c": values}))
    found = cast_frame(frame, {"c": wide, "new": Int64()}, table="shop.orders")
    assert found.schema == {"c": wide, "new": Int64()}
    assert found["c"].to_list() == cast
    assert found["new"].null_count() == len(values)


@pytest.mark.parametrize(
    ("value", "wide"),
    [
        (2**53 + 1, Float64()),
        ([2**53 + 1], pl.List(Float64())),
        ({"a": [2**63 - 1]}, pl.Struct({"a": pl.List(Float64()), "b": Int8()})),
    ],
    ids=str,
)
def test_whole_number_that_a_float_rounds_is_refused_at_any_depth(value, wide):
    frame = pl.DataFrame({"c": [value, None]})
    with pytest.raises(SchemaChangeError, match="'c' has whole numbers that a float rounds"):
        cast_frame(frame, {"c": wide}, table="shop.orders")


def test_schemas_join_to_all_columns_and_nulls_all_over_become_text():
    joined = join_schemas(
        [pl.Schema({"a": Int32(), "l": pl.List(OPEN)}), pl.Schema({"b": Date(), "a": Int64()})],
        table="shop.orders",
        published={},
    )
    assert joined == pl.Schema({"a": Int64(), "l": pl.List(String()), "b": Date()})


@pytest.mark.parametrize(
    ("schemas", "published", "named"),
    [
        ([{"a": Int64()}, {"A": Int64()}], {}, "'a' and 'A' differ only in case"),
        ([{"A": Int64()}], {"a": Int64()}, "'a' and 'A' differ only in case"),
        ([{"a": Int64()}, {"a": Binary()}], {}, "'a' is Int64 in one file and Binary in another"),
        ([{"a": Float64()}], {"a": Int64()}, "'a' is Int64 in the published table and Float64 now"),
    ],
)
def test_what_does_not_join_is_refused_by_name(schemas, published, named):
    with pytest.raises(SchemaChangeError, match=named):
        join_schemas(map(pl.Schema, schemas), table="shop.orders", published=published)


def test_type_of_the_published_table_stays_where_it_holds_all_values():
    joined = join_schemas(
        [pl.Schema({"a": Int32(), "s": Int64(), "l": pl.List(OPEN)})],
        table="shop.orders",
        published={"a": Int64(), "s": String(), "l": pl.List(Date()), "gone": Date()},
    )
    assert joined == pl.Schema({"a": Int64(), "s": String(), "l": pl.List(Date())})
