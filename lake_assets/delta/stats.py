"""The statistics of a data file for its add action, exact or not given.

Readers skip files by them, so a bound that is a little too narrow loses rows without an error. And
one value of a shape deltalake does not expect (a count for a struct, ``1e-9`` for a decimal) makes
it drop the others, the row count included. Hence our own, and only where they are certain.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import cast

import polars as pl

__all__ = ["column_statistics"]

_STRING_CHARACTERS = 64
# deltalake clips what does not fit into 64 bits: a filter above lost the row.
_DECIMAL_DIGITS = 18
_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
# The text forms of Delta. Microseconds are kept: a maximum cut to milliseconds would be too low.
_TIME_TEXTS: Mapping[pl.DataType, str] = {
    pl.Date(): "%Y-%m-%d",
    pl.Datetime("us"): "%Y-%m-%dT%H:%M:%S%.6f",
    pl.Datetime("us", "UTC"): "%Y-%m-%dT%H:%M:%S%.6fZ",
}

_Bounds = tuple[str, str]


def column_statistics(
    frame: pl.DataFrame,
    partition_by: Sequence[str] = (),
    *,
    same: Mapping[str, str] | None = None,
) -> str:
    """The statistics JSON of the file that holds ``frame``.

    ``numRecords``; ``nullCount`` of all columns but structs (Delta counts their members);
    ``minValues`` and ``maxValues`` of integers, floats without NaN and infinity, dates and times
    (naive or UTC, microseconds) of the years 1 to 9999, strings up to 64 characters and decimals up
    to 18 digits. Deltalake reads them of a table's first 32 columns only: the others are right to
    filter on, but skip no file.

    Args:
        frame: What is in the file, with lake types.
        partition_by: Columns to leave out: they are not in the file.
        same: Columns that are another one of the frame once more, and which: looked at once.

    Example:
        >>> column_statistics(pl.DataFrame({"month": ["01", "01"], "n": [3, None]}), ["month"])
        '{"numRecords":2,"nullCount":{"n":1},"minValues":{"n":3},"maxValues":{"n":3}}'
    """
    counts: list[str] = []
    lows: list[str] = []
    highs: list[str] = []
    known: dict[str, _Bounds | None] = {}
    for column in frame.drop(partition_by, strict=False):
        name = json.dumps(column.name, ensure_ascii=False)
        if not isinstance(column.dtype, pl.Struct):
            counts.append(f"{name}:{column.null_count()}")
        of = (same or {}).get(column.name, column.name)
        if of not in known:
            known[of] = _bounds(column)
        if (bounds := known[of]) is not None:
            lows.append(f"{name}:{bounds[0]}")
            highs.append(f"{name}:{bounds[1]}")
    # Put together from JSON texts, because a decimal must not pass through a float.
    return (
        f'{{"numRecords":{frame.height},"nullCount":{{{",".join(counts)}}},'
        f'"minValues":{{{",".join(lows)}}},"maxValues":{{{",".join(highs)}}}}}'
    )


def _bounds(column: pl.Series) -> _Bounds | None:
    """The least and greatest value as JSON texts; None where they are not certain."""
    dtype = column.dtype
    if column.null_count() == column.len():
        return None
    if dtype.is_integer():
        return str(column.min()), str(column.max())
    if dtype.is_float():
        return _float_bounds(column)
    if (text := _TIME_TEXTS.get(dtype)) is not None:
        return _time_bounds(column, text)
    if isinstance(dtype, pl.Decimal):
        return _decimal_bounds(column)
    return _string_bounds(column) if dtype == pl.String else None


def _float_bounds(column: pl.Series) -> _Bounds | None:
    if not column.is_finite().all():
        return None
    low, high = float(column.min()), float(column.max())  # type: ignore[arg-type]  (a number)
    # -0.0 equals 0.0 for one reader and lies below it for another: give the wider bound.
    return json.dumps(-0.0 if low == 0 else low), json.dumps(0.0 if high == 0 else high)


def _time_bounds(column: pl.Series, text: str) -> _Bounds | None:
    # Within Polars: Python's dates end where the check begins.
    ends = pl.select(pl.concat([pl.lit(column).min(), pl.lit(column).max()])).to_series()
    if not ends.cast(pl.Date).is_between(_FIRST_DAY, _LAST_DAY).all():
        return None
    low, high = ends.dt.strftime(text)
    return json.dumps(low), json.dumps(high)


def _string_bounds(column: pl.Series) -> _Bounds | None:
    low, high = str(column.min()), str(column.max())
    if max(len(low), len(high)) > _STRING_CHARACTERS:
        return None
    return json.dumps(low, ensure_ascii=False), json.dumps(high, ensure_ascii=False)


def _decimal_bounds(column: pl.Series) -> _Bounds | None:
    low, high = cast("Decimal", column.min()), cast("Decimal", column.max())
    if max(_digits(low), _digits(high)) > _DECIMAL_DIGITS:
        return None
    return f"{low:f}", f"{high:f}"


def _digits(value: Decimal) -> int:
    return len(value.as_tuple().digits)
