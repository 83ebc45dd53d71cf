"""``STRFTIME(column, '%Y')`` worked out once for each day instead of once for each row.

Nearly every table is partitioned by such keys, and formatting a time costs more than all else that
deriving a row does.
"""

import re

import polars as pl

__all__ = ["day_text"]

_CALL = re.compile(
    r"""\s* STRFTIME \s* \( \s* (?: "(?P<quoted>[^"]+)" | (?P<bare>[^\W\d]\w*) ) \s* ,
        \s* '(?P<form>[^']*)' \s* \) \s*""",
    re.IGNORECASE | re.VERBOSE,
)
#: Directives that say the same all day long, in any zone, and what is no directive.
_OF_A_DAY = re.compile(r"(?:[^%]|%[YCymdejuwaAbBhGgVUW%])*")


def day_text(frame: pl.DataFrame, sql: str) -> pl.Series | None:
    """The value of the expression for each row, String; None where it is not one of a day.

    Args:
        frame: The rows.
        sql: A Polars SQL expression.

    Example:
        >>> from datetime import datetime
        >>> frame = pl.DataFrame({"at": [datetime(2024, 1, 31, 23, 59), None]})
        >>> day_text(frame, "STRFTIME(at, '%Y-%m')").to_list()
        ['2024-01', None]
        >>> day_text(frame, "STRFTIME(at, '%H')") is None
        True
    """
    call = _CALL.fullmatch(sql)
    if call is None or not _OF_A_DAY.fullmatch(call["form"]):
        return None
    name = call["quoted"] or call["bare"]
    if not isinstance(frame.schema.get(name), pl.Date | pl.Datetime):
        return None
    days = frame[name].dt.date().to_physical()
    first, last = days.min(), days.max()
    if not isinstance(first, int) or not isinstance(last, int) or last - first >= days.len():
        return None  # no day at all, or hardly two rows of one
    every = pl.int_range(first, last + 1, dtype=pl.Int32, eager=True).cast(pl.Date)
    return every.dt.strftime(call["form"]).gather(days - first)
