"""A profile as plain values, for ``--json`` and for programs that know nothing of sketches."""

from collections.abc import Collection
from typing import Any

from lake_assets.catalog.profile.columns import ColumnProfile
from lake_assets.catalog.profile.profiles import Profile
from lake_assets.catalog.profile.report import SHARES, chosen_columns

__all__ = ["profile_figures"]

_TOP = 10


def profile_figures(profile: Profile, columns: Collection[str] | None = None) -> dict[str, Any]:
    """Counts, ends, quantiles, top values and histogram of each column; times as microseconds.

    Args:
        profile: What to tell.
        columns: Only these, with what is inside them; all if None.

    Raises:
        SettingsError: A column is not in the profile; the message lists those there are.
    """
    found = {name: _figures(column) for name, column in chosen_columns(profile, columns)}
    return {"rows": profile.rows, "columns": found}


def _figures(column: ColumnProfile) -> dict[str, Any]:
    numbers, values = column.numbers, column.values
    least = numbers.content()["min"] if numbers else None
    greatest = numbers.content()["max"] if numbers else None
    return {
        "kind": column.kind,
        "types": [*column.dtypes],
        "count": column.count,
        "nulls": column.nulls,
        "nans": numbers.nans if numbers else 0,
        "min": column.least if column.kind == "text" else least,
        "max": column.greatest if column.kind == "text" else greatest,
        "mean": numbers.mean if numbers else None,
        "distinct": column.distinct,
        "distinct_is_exact": values is not None and values.top.is_complete,
        "quantiles": {str(share): column.quantile(share) for share in SHARES} if numbers else {},
        "top_values": [
            {"value": value, "count": count}
            for value, count in (values.top.counts[:_TOP] if values else ())
        ],
        "histogram": [
            {"lower": lower, "upper": upper, "count": count}
            for (lower, upper), count in (
                zip(numbers.buckets.edges(), numbers.buckets.counts, strict=True) if numbers else ()
            )
        ],
    }
