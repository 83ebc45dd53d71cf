"""Profiles as rows of the catalog's tables ``profiles`` and ``profile_buckets``, for SQL."""

from typing import Any

import polars as pl

from lake_assets.catalog.profile.bars import ends
from lake_assets.catalog.profile.profiles import Profile

__all__ = ["BUCKETS_SCHEMA", "PROFILES_SCHEMA", "bucket_rows", "profile_rows"]

Row = tuple[Any, ...]

_TOP = 10
#: Of a column, in SQL; the document has up to 256. Coarser ones are unions of finer ones.
_BUCKETS = 32
PROFILES_SCHEMA = pl.Schema(
    {
        "manifest_id": pl.String,
        "profile_id": pl.String,
        "asset_key": pl.String,
        "partition_key": pl.String,
        "column": pl.String,
        "kind": pl.String,
        "n": pl.Int64,
        "nulls": pl.Int64,
        "nans": pl.Int64,
        "min": pl.String,
        "max": pl.String,
        "mean": pl.Float64,
        "distinct_est": pl.Int64,
        "top_values": pl.List(pl.Struct({"value": pl.String, "count": pl.Int64})),
    }
)
BUCKETS_SCHEMA = pl.Schema(
    {
        "manifest_id": pl.String,
        "column": pl.String,
        "bin": pl.Int32,
        "lower": pl.Float64,
        "upper": pl.Float64,
        "count": pl.Int64,
    }
)


def profile_rows(profile: Profile, manifest_id: str, *about: str | None) -> list[Row]:
    """One row of ``PROFILES_SCHEMA`` for each column.

    Ends and top values are text, times ISO 8601; the mean of times is in microseconds.

    Args:
        profile: What to tell.
        manifest_id: Of the rows that it is of.
        about: Id of the profile, asset and partition.
    """
    rows: list[Row] = []
    for name, column in profile.columns.items():
        least, greatest = ends(column)
        numbers = column.numbers
        top = column.values.top.counts[:_TOP] if column.values else ()
        row = (
            manifest_id,
            *about,
            name,
            column.kind,
            column.count,
            column.nulls,
            numbers.nans if numbers else 0,
            least or None,
            greatest or None,
            numbers.mean if numbers else None,
            column.distinct,
            [{"value": str(value), "count": count} for value, count in top],
        )
        rows.append(row)
    return rows


def bucket_rows(profile: Profile, manifest_id: str) -> list[Row]:
    """One row of ``BUCKETS_SCHEMA`` for each bucket that counts a value, at most 32 a column.

    ``bin`` is its place in its histogram.
    """
    return [
        (manifest_id, name, place, lower, upper, count)
        for name, column in profile.columns.items()
        if column.numbers is not None
        for place, (lower, upper, count) in enumerate(column.numbers.buckets.at_most(_BUCKETS))
    ]
