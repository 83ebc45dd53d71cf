"""Derived columns: record_id, create_time, update_time and the partition keys, in this order.

Each may use those before it. A source column is replaced only where the configuration names it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl
from polars.exceptions import PolarsError

from lake_assets.database_settings import SnapshotSettings, SqlExpression
from lake_assets.errors import BadInputError, first_line
from lake_assets.export.snapshot_table import SNAPSHOT_COLUMN
from lake_assets.s3 import quote_segment
from lake_assets.s3.hive import HIVE_NULL
from lake_assets.staging.day_text import day_text

__all__ = ["RESCUED", "Derived", "derive", "hidden_columns"]

#: JSON object from column to the text of a value that its type cannot hold.
RESCUED = "_rescued_data"

_TIMES = ("create_time", "update_time")
_UTC = pl.Datetime("us", "UTC")
#: ISO 8601 as databases and JSON write it; without a zone it is UTC.
_TIME_FORMS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y%m%dT%H%M%S%.f%#z",
    "%Y%m%dT%H%M%S%.f",
    "%Y%m%d",
)
#: What orders the rows of a record: as a 64-bit number, each.
_COUNTABLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
#: Of the name of a folder, on any file system.
_FOLDER_BYTES = 255
#: Whole numbers up to here are exact in a float.
_EXACT = 2**53

Source: TypeAlias = str | SqlExpression | pl.Expr


@dataclass(frozen=True, slots=True)
class Derived:
    """A frame with its derived columns, and the partition of each row."""

    frame: pl.DataFrame
    """Source columns, then derived ones; the partition keys are not among them."""
    values: pl.DataFrame
    """The partition keys, String: null for a null and for the empty text."""
    index: pl.DataFrame | None
    """What finding the newest row of each record needs; None where all rows count.

    ``_key`` String, null where there is no record id (such a row is its own record); ``_saved``
    Int64, null where unknown: the update time in microseconds, or the number that it is.
    """
    rescued: Mapping[str, int]
    """Values by column that are no time; their text is in ``_rescued_data``."""
    empty_keys: Mapping[str, int]
    """Empty texts by partition key: they count as null."""
    missing: frozenset[str]
    """Columns that the configuration names and this frame does not have; taken for null."""
    copies: Mapping[str, str]
    """Derived columns that are a source column once more, and which."""


def derive(frame: pl.DataFrame, settings: SnapshotSettings, *, place: str) -> Derived:
    """Add the derived columns that the settings name.

    Args:
        frame: The rows as they were read and transformed.
        settings: Of the table. A column named by ``create_time`` or ``update_time`` that holds
            text is parsed as ISO 8601 to UTC microseconds; whole days and times without a zone are
            taken for UTC.
        place: Names the rows in errors.

    Raises:
        BadInputError: A derived column would overwrite a source column that it is not made of, or
            an expression cannot be computed.
    """
    source = set(frame.columns)
    _refuse_ours(source, settings, place)
    rescued: dict[str, int] = {}
    missing: set[str] = set()
    copies: dict[str, str] = {}
    for alias in ("record_id", *_TIMES):
        made_of = getattr(settings, alias)
        if made_of is None:
            continue
        missing |= _named(made_of) - set(frame.columns)
        series = _computed(frame, alias, made_of, source, place)
        frame = frame.with_columns(series.alias(alias))
        column = made_of if isinstance(made_of, str) and made_of in frame.columns else None
        if alias in _TIMES and column is not None and series.dtype == pl.String:
            frame, lost = _parse_time(frame, alias)
            rescued |= {alias: lost} if lost else {}
            column = None
        if column != alias:  # from now on the name stands for these values
            copies = {name: of for name, of in copies.items() if of != alias}
            copies |= {alias: copies.get(column, column)} if column else {}
    keys: dict[str, pl.Series] = {}
    empty: dict[str, int] = {}
    for alias, made_of in settings.partition_by.items():
        seen = frame.with_columns(*keys.values())
        missing |= _named(made_of) - set(seen.columns)
        text = _text(_computed(seen, alias, made_of, source, place), alias, place)
        _refuse_unnameable(text, alias, place)
        if n_empty := int((text == "").sum()):
            empty[alias] = n_empty
            text = text.replace([""], [None])
        keys[alias] = text.alias(alias)
    return Derived(
        frame=frame.drop(list(keys), strict=False),
        values=pl.DataFrame(list(keys.values())),
        index=_index(frame, settings, place),
        rescued=rescued,
        empty_keys=empty,
        missing=frozenset(missing),
        copies={alias: of for alias, of in copies.items() if of not in keys},
    )


def hidden_columns(settings: SnapshotSettings) -> frozenset[str]:
    """What is hidden by name, what is made of it, and the column that may hold any value's text."""
    hidden = set(settings.hidden)
    for alias in ("record_id", *_TIMES, *settings.partition_by):
        made_of = settings.partition_by.get(alias) or getattr(settings, alias, None)
        if made_of is not None and _named(made_of) & hidden:
            hidden.add(alias)
    return frozenset(hidden | {RESCUED}) if hidden else frozenset()


def _refuse_ours(source: set[str], settings: SnapshotSettings, place: str) -> None:
    """The column that tells snapshots apart is ours, where all are kept."""
    if settings.mode == "history" and SNAPSHOT_COLUMN in {name.casefold() for name in source}:
        raise BadInputError(
            place,
            expected=f"no column {SNAPSHOT_COLUMN!r}: mode history adds it",
            found="one in the files",
            remedy="rename it with `transform`",
        )


def _index(frame: pl.DataFrame, settings: SnapshotSettings, place: str) -> pl.DataFrame | None:
    if settings.record_id is None or settings.dedupe == "none":
        return None
    key = frame["record_id"]
    if key.dtype.is_nested() or key.dtype == pl.Binary:
        raise BadInputError(
            place,
            expected="a record_id that is a text, a number or a time",
            found=str(key.dtype),
            remedy="make record_id of such columns, or say dedupe: none",
        )
    saved = pl.Series("_saved", [None], dtype=pl.Int64).new_from_index(0, frame.height)
    if settings.update_time is not None and frame.height:
        saved = _as_number(frame["update_time"], place)
    return pl.DataFrame([_key_text(key), saved.alias("_saved")])


def _key_text(key: pl.Series) -> pl.Series:
    """The record's name, alike for one number whatever type it has in one file or another."""
    text = pl.col("_key").cast(pl.String)
    if key.dtype.is_float():
        is_whole = (pl.col("_key") == pl.col("_key").floor()) & (pl.col("_key").abs() < _EXACT)
        whole = pl.col("_key").cast(pl.Int64, strict=False).cast(pl.String)
        text = pl.when(is_whole).then(whole).otherwise(text)
    elif isinstance(key.dtype, pl.Decimal) and key.dtype.scale:
        text = text.str.strip_chars_end("0").str.strip_chars_end(".")
    return key.alias("_key").to_frame().select(text).to_series()


def _as_number(saved: pl.Series, place: str) -> pl.Series:
    """The update time as it orders rows."""
    if saved.dtype in (*_COUNTABLE, pl.Null):
        return saved.cast(pl.Int64)
    if isinstance(saved.dtype, pl.Decimal) and not saved.dtype.scale:  # what a UInt64 came as
        number = saved.cast(pl.Int64, strict=False)
        if number.null_count() == saved.null_count():
            return number
    if saved.dtype in (pl.Date, pl.Datetime):
        return saved.dt.timestamp("us")
    raise BadInputError(
        place,
        expected="an update_time that is a time or a whole number",
        found=str(saved.dtype),
        remedy="write update_time as {sql: …} that makes one, or say dedupe: none",
    )


def _named(made_of: Source) -> set[str]:
    """The columns that an expression reads."""
    return {made_of} if isinstance(made_of, str) else set(_expr(made_of).meta.root_names())


def _expr(made_of: Source) -> pl.Expr:
    if isinstance(made_of, str):
        return pl.col(made_of)
    return made_of.expr if isinstance(made_of, SqlExpression) else made_of


def _computed(
    frame: pl.DataFrame, alias: str, made_of: Source, source: set[str], place: str
) -> pl.Series:
    named = _named(made_of)
    # Delta takes names that differ only in case for one column.
    clash = next((name for name in source if name.casefold() == alias.casefold()), None)
    if clash is not None and (clash != alias or clash not in named):
        raise BadInputError(
            place,
            expected=f"no column {clash!r} besides the derived column {alias!r}",
            found="one that would be overwritten" if clash == alias else "both, to Delta the same",
            remedy="rename it with `transform`"
            + (f", or make the derived column of it ({alias}: {clash})" if clash == alias else ""),
        )
    try:
        made = _evaluated(frame, alias, made_of, named)
    except PolarsError as error:
        raise BadInputError(
            place,
            expected=f"rows that {alias!r} can be made of",
            found=f"{type(error).__name__}: {first_line(error)}",
            remedy=f"correct {alias} in the configuration, or declare the types of"
            f" {', '.join(sorted(named)) or 'its columns'} under columns",
        ) from error
    if made.len() == 1 != frame.height and not named:  # a constant: one value for all
        made = made.new_from_index(0, frame.height)
    if made.len() != frame.height:
        raise BadInputError(
            place,
            expected=f"one value of {alias!r} for each of {frame.height} rows",
            found=f"{made.len()}",
            remedy=f"{alias} must not aggregate or filter; correct it in the configuration",
        )
    return made


def _evaluated(frame: pl.DataFrame, alias: str, made_of: Source, named: set[str]) -> pl.Series:
    """The expression; columns without a value here, or not there at all, are null in any type."""
    by_day = day_text(frame, made_of.sql) if isinstance(made_of, SqlExpression) else None
    if by_day is not None:
        return by_day.alias(alias)
    unknown = [name for name in sorted(named) if frame.schema.get(name, pl.Null()) == pl.Null]
    kinds = (pl.Null(), pl.String(), _UTC) if unknown else (pl.Null(),)
    for kind in kinds[:-1]:
        with suppress(PolarsError):
            return _with_nulls(frame, unknown, kind).select(_expr(made_of).alias(alias)).to_series()
    return _with_nulls(frame, unknown, kinds[-1]).select(_expr(made_of).alias(alias)).to_series()


def _with_nulls(frame: pl.DataFrame, names: list[str], dtype: pl.DataType) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, dtype=dtype).alias(name) for name in names)


def _forms(text: pl.Series) -> list[str]:
    """All spellings of a time, that of the first value first: mostly it is that of all."""
    first = text.drop_nulls().head(1)
    return sorted(_TIME_FORMS, key=lambda form: _reads(first, form), reverse=True)


def _reads(text: pl.Series, form: str) -> bool:
    dtype = _UTC if form.endswith("z") else pl.Datetime("us")
    return text.str.strptime(dtype, form, strict=False).null_count() == 0


def _text(made: pl.Series, alias: str, place: str) -> pl.Series:
    if made.dtype == pl.String:
        return made
    if made.dtype.is_nested() or made.dtype == pl.Binary:
        raise BadInputError(
            place,
            expected=f"a value of {alias!r} that can be the name of a folder",
            found=str(made.dtype),
            remedy=f"make partition_by.{alias} of a text, a number or a date",
        )
    return made.cast(pl.String)


def _refuse_unnameable(text: pl.Series, alias: str, place: str) -> None:
    """A folder has to say the value: readers of the lake take it from there."""
    longest = _FOLDER_BYTES - len(f"{alias}=")
    for value in text.filter((text.str.len_bytes() > longest // 3) | (text == HIVE_NULL)).unique():
        if value == HIVE_NULL or len(quote_segment(value)) > longest:
            raise BadInputError(
                place,
                expected=f"values of {alias!r} that a folder can be named by",
                found=f"{value[:40]!r} ({len(value)} characters)",
                remedy=f"make partition_by.{alias} an expression that gives a shorter or other text"
                f" (folders have up to {_FOLDER_BYTES} bytes, quoted)",
            )


def _parse_time(frame: pl.DataFrame, alias: str) -> tuple[pl.DataFrame, int]:
    """The column as UTC microseconds; a text that is no time goes to ``_rescued_data``."""
    text = frame[alias]
    parsed = pl.Series(alias, [None], dtype=_UTC).new_from_index(0, frame.height)
    for form in _forms(text):
        if form.endswith("z"):
            times = text.str.strptime(_UTC, form, strict=False)
        else:
            naive = text.str.strptime(pl.Datetime("us"), form, strict=False)
            times = naive.dt.replace_time_zone("UTC")
        parsed = parsed.zip_with(parsed.is_not_null(), times)
        if parsed.null_count() == text.null_count():
            break
    lost = frame[alias].is_not_null() & parsed.is_null()
    if not lost.any():
        return frame.with_columns(parsed.alias(alias)), 0
    empty: list[str | None] = [None] * frame.height
    before = frame[RESCUED].to_list() if RESCUED in frame.columns else empty
    for row in lost.arg_true():
        held = json.loads(before[row] or "{}")
        before[row] = json.dumps(held | {alias: frame[alias][row]}, ensure_ascii=False)
    rescued = pl.Series(RESCUED, before, dtype=pl.String)
    return frame.with_columns(parsed.alias(alias), rescued), int(lost.sum())
