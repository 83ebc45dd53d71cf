"""Profiles as rows of the catalog's tables ``profiles`` and ``profile_buckets``, for SQL."""

import polars as pl

from lake_assets.catalog.profile.bars import ends
from lake_assets.catalog.profile.profiles import Profile

__all__ = ["bucket_rows", "profile_rows"]

_TOP = 10
_PROFILES = {
    "manifest_id": pl.String,
    "column": pl.String,
    "n": pl.Int64,
    "nulls": pl.Int64,
    "nans": pl.Int64,
    "min": pl.String,
    "max": pl.String,
    "mean": pl.Float64,
    "distinct_est": pl.Int64,
    "sketch_id": pl.String,
    "top_values": pl.List(pl.Struct({"value": pl.String, "count": pl.Int64})),
}
_BUCKETS = {
    "manifest_id": pl.String,
    "column": pl.String,
    "bin": pl.Int32,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "count": pl.Int64,
}


def profile_rows(profile: Profile, manifest_id: str, sketch_id: str | None = None) -> pl.DataFrame:
    """One row for each column; ends and top values as text, a time as ISO 8601."""
    rows = []
    for name, column in profile.columns.items():
        least, greatest = ends(column)
        numbers = column.numbers
        top = column.values.top.counts[:_TOP] if column.values else ()
        row = (
            manifest_id,
            name,
            column.count,
            column.nulls,
            numbers.nans if numbers else 0,
            least or None,
            greatest or None,
            numbers.mean if numbers else None,
            column.distinct,
            sketch_id,
            [{"value": str(value), "count": count} for value, count in top],
        )
        rows.append(row)
    return pl.DataFrame(rows, schema=_PROFILES, orient="row")


def bucket_rows(profile: Profile, manifest_id: str) -> pl.DataFrame:
    """One row for each bucket that counts a value; ``bin`` is its place in its histogram."""
    rows = [
        (manifest_id, name, place, lower, upper, count)
        for name, column in profile.columns.items()
        if column.numbers is not None
        for place, ((lower, upper), count) in enumerate(
            zip(column.numbers.buckets.edges(), column.numbers.buckets.counts, strict=True)
        )
    ]
    return pl.DataFrame(rows, schema=_BUCKETS, orient="row")
