"""Text to the values of a declared type, and what of it that type cannot hold.

Belongs here: what each declared type accepts, for CSV, NDJSON, DynamoDB and text in parquet alike.
Does not: which type a column has (``text_types`` infers, the configuration declares). An empty text
is null in every type but string and json, and no loss.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

import polars as pl

from lake_assets.database_settings import ColumnType
from lake_assets.export.lossless import lost_text, typed_text
from lake_assets.export.part_rows import Column

__all__ = ["fit_text", "holds_number"]

#: A double holds every decimal number of 15 digits.
_SAFE_FLOAT = r"^-?[0-9.]{1,15}$"
_FLOAT_CONSTANTS = frozenset({"NaN", "Infinity", "-Infinity"})
#: A decimal has at most 38 digits; beyond twice that on either side a number has no place in one.
_MOST_DIGITS = 76
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"

_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE", "t", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "f", "0"), False),
}

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DATETIME = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<minute>[0-9]{2}:[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9])(?:\.(?P<fraction>[0-9]{1,6})0*)?)?"
    r" ?(?P<zone>Z|(?P<sign>[+-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-5][0-9]))?)?$"
)
#: Year 0 is none that Python or a reader of a Delta table can show.
_FIRST_DAY = "0001-01-01"

_PLAIN_DECIMAL = r"^[+-]?([0-9]+)(?:\.([0-9]*))?$"


def fit_text(text: pl.Series, column: ColumnType) -> Column:
    r"""The values of a String column in a declared type, and the texts that it cannot hold.

    int, float and decimal hold a text when it is that very number; date and datetime read ISO 8601
    (no zone means UTC, at most microseconds); bool reads true, false, t, f, 1 and 0; binary reads
    base64 and the ``\x…`` of PostgreSQL; string and json hold every text as it is.
    """
    if column.kind in ("string", "json"):
        return Column(text)
    values = _typed(text, column).alias(text.name)
    rows = lost_text(text, values).arg_true()
    return Column(values, dict(zip(rows, text.gather(rows), strict=True)) if rows.len() else {})


def holds_number(text: str, value: float) -> bool:
    """Whether a double is the number that a text names.

    Printed with as many digits as the text has, the double must be that number again: true for what
    doubles print as (with 15, 16 or 17 digits), false for digits that a double does not have.

    Example:
        >>> [holds_number(t, float(t)) for t in ("0.1", "0.10000000000000001", "9007199254740993")]
        [True, True, False]
    """
    if not math.isfinite(value):
        return text in _FLOAT_CONSTANTS
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return False
    digits = len("".join(map(str, exact.as_tuple().digits)).strip("0")) or 1
    return Decimal(f"{value:.{digits - 1}e}") == exact


def _typed(text: pl.Series, column: ColumnType) -> pl.Series:
    if column.kind == "decimal":
        return _decimals(text, column.precision or 0, column.scale or 0)
    return _READERS[column.kind](text)


def _ints(text: pl.Series) -> pl.Series:
    return typed_text(text, pl.Int64())


def _bools(text: pl.Series) -> pl.Series:
    return text.replace_strict(_BOOLS, default=None, return_dtype=pl.Boolean)


def _floats(text: pl.Series) -> pl.Series:
    values = text.cast(pl.Float64, strict=False)
    safe = text.str.contains(_SAFE_FLOAT)
    doubtful = (~safe & values.is_not_null()).arg_true()
    if not doubtful.len():
        return values
    pairs = zip(text.gather(doubtful), values.gather(doubtful), strict=True)
    checked = [value if holds_number(each, value) else None for each, value in pairs]
    return values.scatter(doubtful, pl.Series(checked, dtype=pl.Float64))


def _dates(text: pl.Series) -> pl.Series:
    day = pl.col("text")
    shaped = day.str.contains(_DATE) & (day >= _FIRST_DAY)
    dates = pl.when(shaped).then(day).str.to_date("%Y-%m-%d", strict=False)
    return text.to_frame("text").select(dates).to_series()


def _datetimes(text: pl.Series) -> pl.Series:
    """UTC microseconds; a time without a zone is one of UTC."""
    part = text.str.extract_groups(_DATETIME).struct.unnest()
    fraction = pl.col("fraction").fill_null("0").str.pad_end(6, "0")
    stamp = pl.concat_str(
        pl.when(pl.col("day") >= _FIRST_DAY).then(pl.col("day")),
        pl.lit("T"), pl.col("minute"), pl.lit(":"), pl.col("second").fill_null("00"),
        pl.lit("."), fraction,
    )  # fmt: skip
    offset = 60 * pl.col("hours").cast(pl.Int64) + pl.col("minutes").fill_null("0").cast(pl.Int64)
    east = pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset).fill_null(0)
    times = stamp.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us", strict=False)
    values = part.select(times - pl.duration(minutes=east, time_unit="us")).to_series()
    return values.dt.replace_time_zone("UTC")


def _decimals(text: pl.Series, precision: int, scale: int) -> pl.Series:
    number = text.str.contains(_NUMBER)
    plain = text.str.contains(_PLAIN_DECIMAL)
    odd = (number & ~plain).arg_true()
    if odd.len():
        written = [_without_exponent(each) for each in text.gather(odd)]
        # A copy: ``scatter`` writes into its series, and what is lost is kept as it stood.
        text = text.clone().scatter(odd, pl.Series(written, dtype=pl.String))
    groups = text.to_frame("text").select(
        "text",
        whole=pl.col("text").str.extract(_PLAIN_DECIMAL, 1).str.strip_chars_start("0"),
        fraction=pl.col("text")
        .str.extract(_PLAIN_DECIMAL, 2)
        .fill_null("")
        .str.strip_chars_end("0"),
    )
    fits = (pl.col("whole").str.len_bytes() <= precision - scale) & (
        pl.col("fraction").str.len_bytes() <= scale
    )
    # Rebuilt without the zeros at its end: Polars counts them among the digits.
    sign = pl.when(pl.col("text").str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    exact = pl.concat_str(sign, pl.lit("0"), "whole", pl.lit("."), "fraction", pl.lit("0"))
    return (
        groups.select(pl.when(fits).then(exact))
        .to_series()
        .cast(pl.Decimal(precision, scale), strict=False)
    )


def _without_exponent(text: str) -> str:
    """The same number in plain digits; as it is where that would be more than a decimal holds."""
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent of 20 digits
        return text
    return f"{exact:f}" if abs(exact.adjusted()) <= _MOST_DIGITS else text


def _binaries(text: pl.Series) -> pl.Series:
    return pl.Series([None if each is None else _bytes(each) for each in text], dtype=pl.Binary)


def _bytes(text: str) -> bytes | None:
    try:
        if text.startswith("\\x"):
            return bytes.fromhex(text[2:]) if " " not in text else None
        return base64.b64decode(text, validate=True) if text else None
    except (ValueError, binascii.Error):
        return None


_READERS: Mapping[str, Callable[[pl.Series], pl.Series]] = {
    "int": _ints,
    "float": _floats,
    "bool": _bools,
    "date": _dates,
    "datetime": _datetimes,
    "binary": _binaries,
}
