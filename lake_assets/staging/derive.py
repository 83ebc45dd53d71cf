"""Derived columns: record_id, create_time, update_time and the partition keys, in this order.

Each may use those before it. A source column is replaced only where the configuration names it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl
from polars.exceptions import PolarsError

from lake_assets.database_settings import SnapshotSettings, SqlExpression
from lake_assets.errors import BadInputError

__all__ = ["RESCUED", "Derived", "derive"]

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
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)

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
    rescued: dict[str, int] = {}
    missing: set[str] = set()
    for alias in ("record_id", *_TIMES):
        made_of = getattr(settings, alias)
        if made_of is None:
            continue
        missing |= _named(made_of) - set(frame.columns)
        series = _computed(frame, alias, made_of, source, place)
        frame = frame.with_columns(series.alias(alias))
        if alias in _TIMES and isinstance(made_of, str) and series.dtype == pl.String:
            frame, lost = _parse_time(frame, alias)
            rescued |= {alias: lost} if lost else {}
    keys: dict[str, pl.Series] = {}
    empty: dict[str, int] = {}
    for alias, made_of in settings.partition_by.items():
        seen = frame.with_columns(*keys.values())
        missing |= _named(made_of) - set(seen.columns)
        text = _text(_computed(seen, alias, made_of, source, place), alias, place)
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
    )


def _index(frame: pl.DataFrame, settings: SnapshotSettings, place: str) -> pl.DataFrame | None:
    if settings.record_id is None or settings.dedupe == "none":
        return None
    key, saved = frame["record_id"], None
    if key.dtype.is_nested() or key.dtype == pl.Binary:
        raise BadInputError(
            place,
            expected="a record_id that is a text, a number or a time",
            found=str(key.dtype),
            remedy="make record_id of such columns, or say dedupe: none",
        )
    if settings.update_time is not None:
        saved = frame["update_time"]
        if not (saved.dtype.is_integer() or saved.dtype.is_temporal()):
            raise BadInputError(
                place,
                expected="an update_time that is a time or a whole number",
                found=str(saved.dtype),
                remedy="write update_time as {sql: …} that makes one, or say dedupe: none",
            )
        saved = saved.cast(pl.Datetime("us")) if saved.dtype == pl.Date else saved
        saved = saved.dt.timestamp("us") if saved.dtype.is_temporal() else saved.cast(pl.Int64)
    unknown = pl.Series("_saved", [None], dtype=pl.Int64)
    saved = unknown.new_from_index(0, frame.height) if saved is None else saved
    return pl.DataFrame([key.cast(pl.String).alias("_key"), saved.alias("_saved")])


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
    if clash is not None and clash not in named and alias not in named:
        raise BadInputError(
            place,
            expected=f"no column {clash!r} besides the derived column {alias!r}",
            found="one that it is not made of",
            remedy=f"rename it with `transform`, or make the derived column of it ({alias}: "
            f"{clash})",
        )
    absent = [pl.lit(None).alias(name) for name in sorted(named - set(frame.columns))]
    try:
        made = frame.with_columns(absent).select(_expr(made_of).alias(alias)).to_series()
    except PolarsError as error:
        raise BadInputError(
            place,
            expected=f"rows that {alias!r} can be made of",
            found=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy=f"correct {alias} in the configuration, or declare the types of"
            f" {', '.join(sorted(named)) or 'its columns'} under columns",
        ) from error
    if made.len() == 1 != frame.height:  # an expression without columns: one value for all
        made = made.new_from_index(0, frame.height)
    if made.len() != frame.height:
        raise BadInputError(
            place,
            expected=f"one value of {alias!r} for each of {frame.height} rows",
            found=f"{made.len()}",
            remedy=f"{alias} must not aggregate or filter; correct it in the configuration",
        )
    return made.cast(pl.String) if made.dtype == pl.Null else made


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
