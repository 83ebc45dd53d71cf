"""Text to typed columns, and the proof that nothing changed on the way.

Belongs here: how one type reads its text, and what counts as a loss. Does not: where the text comes
from. A text that its type cannot hold becomes null; the caller finds such texts by the null and
keeps them.
"""

import math
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

import polars as pl

__all__ = ["EXACT_FLOAT_LIMIT", "lost_text", "typed_text"]

#: From here on Float64 has gaps between the integers.
EXACT_FLOAT_LIMIT = 2.0**53

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_INT64_DIGITS = 19

#: The only spellings of what is not a number; others that a parser might take ("inf") are text.
_FLOAT_CONSTANTS = frozenset({"NaN", "Infinity", "-Infinity"})

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

# The parser behind strptime takes blanks for digits, second 60 and any number of decimals; Pega
# writes none of these.
_PEGA_TIME = r"^[0-9]{8}T[0-9]{4}[0-5][0-9](?:\.[0-9]{3})? GMT$"
_PEGA_TIME_FORMAT = "%Y%m%dT%H%M%S%.f GMT"
_FIRST_TIME = datetime(1, 1, 1)  # noqa: DTZ001 -- the contract's times are naive


def typed_text(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The values of a String column in another type; null where that type cannot hold the text.

    An empty text is null in every type but String. A decimal fraction becomes its nearest double,
    which is what Float64 means; an integer that Float64 cannot hold exactly, an integer beyond
    Int64, a fraction in Int64 and a number beyond the largest double become null.

    Example:
        >>> typed_text(pl.Series(["91.000000", "91.5"]), pl.Int64()).to_list()
        [91, None]
    """
    if dtype == pl.Float64:
        return _floats(text)
    if dtype == pl.Int64:
        return _ints(text)
    if isinstance(dtype, pl.Datetime):
        return _times(text, dtype)
    return text


def lost_text(text: pl.Series, values: pl.Series) -> pl.Series:
    """Mask of the texts that ``values`` does not hold; an empty text is no loss."""
    return values.is_null() & (text != "").fill_null(value=False)


def _floats(text: pl.Series) -> pl.Series:
    values = text.cast(pl.Float64, strict=False)
    doubtful = (values.is_nan() | (values.abs() >= EXACT_FLOAT_LIMIT)).arg_true()
    if not doubtful.len():
        return values
    checked = [_checked_float(each) for each in text.gather(doubtful)]
    return values.scatter(doubtful, pl.Series(checked, dtype=pl.Float64))


def _checked_float(text: str) -> float | None:
    """The double of a large number, if it is that number.

    With an exponent it was written as a double, and its nearest double is meant; as plain digits it
    is an integer.
    """
    if text in _FLOAT_CONSTANTS:
        return float(text)
    value = float(text)
    if not math.isfinite(value):
        return None
    if "e" in text or "E" in text:
        return value
    exact = Decimal(text)
    whole = exact == exact.to_integral_value()
    return None if whole and exact != Decimal(value) else value


def _ints(text: pl.Series) -> pl.Series:
    values = text.cast(pl.Int64, strict=False)
    left = lost_text(text, values).arg_true()
    if not left.len():
        return values
    rest = text.gather(left)
    trimmed = rest.str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)
    if trimmed.null_count():
        pairs = zip(trimmed, rest, strict=True)
        checked = [_checked_int(each) if value is None else value for value, each in pairs]
        trimmed = pl.Series(checked, dtype=pl.Int64)
    return values.scatter(left, trimmed)


def _checked_int(text: str) -> int | None:
    """The integer that a number in any notation is (``9.1e1``), if it is one and fits."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent of 20 digits
        return None
    if exact.adjusted() >= _INT64_DIGITS and exact:
        return None
    if exact != exact.to_integral_value():
        return None
    return value if _INT64_MIN <= (value := int(exact)) <= _INT64_MAX else None


def _times(text: pl.Series, dtype: pl.Datetime) -> pl.Series:
    shaped = text.str.contains(_PEGA_TIME)
    if not shaped.all():
        text = _where(shaped, text)
    values = text.str.strptime(dtype, _PEGA_TIME_FORMAT, strict=False)
    # Year 0, which neither Python nor the readers of a Delta table can show.
    return _where(values >= _FIRST_TIME, values) if (values < _FIRST_TIME).any() else values


def _where(mask: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(mask).then(values)).to_series().alias(values.name)
