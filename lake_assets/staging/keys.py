"""The key of a row as one text, null-safe, and the columns that order and place it.

Texts, not hashes: two rows are the same record exactly when the texts are equal, and nothing here
depends on a hash function staying the same between versions of a library.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import polars as pl

from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TIME_TYPE, TableSpec, canonical

__all__ = ["index_frame", "key_expression", "month_of"]

_RESCUED = INTERNAL_COLUMNS[0]
#: pxSaveDateTime / pxCommitDateTime order two versions of one row within an export.
_SAVED_AT = ("SaveDateTime", "CommitDateTime")


def index_frame(frame: pl.DataFrame, spec: TableSpec) -> pl.DataFrame:
    """One row per row of ``frame``, in its order: what deduplication and sorting need to see of it.

    Returns:
        ``_key`` String (never null; equal exactly for the same record), ``_saved`` Int64
        (microseconds, null where unknown), ``_time`` Datetime("us") (null where unknown).

    The key is the first alternative of ``spec.keys`` whose required columns are all filled. A row
    that fills none is its own key: only an identical row is the same record.
    """
    schema = frame.schema
    # Not select: of constants alone (no such column) it would make one row.
    index = frame.with_columns(
        _key=key_expression(schema, spec),
        _saved=_first(_SAVED_AT, schema, TIME_TYPE).dt.timestamp("us"),
        _time=_first((spec.time,), schema, TIME_TYPE),
    ).select("_key", "_saved", "_time")
    lacking = index["_key"].is_null()
    if not lacking.any():
        return index
    keyless = pl.Series(
        "_key", [_row_key(row) for row in frame.filter(lacking).iter_rows(named=True)]
    )
    return index.with_columns(_key=index["_key"].scatter(lacking.arg_true(), keyless))


def key_expression(schema: Mapping[str, pl.DataType], spec: TableSpec) -> pl.Expr:
    """The key of a row as text; null for one that fills the required columns of no alternative."""
    return pl.coalesce(_alternative(i, names, schema) for i, names in enumerate(spec.keys))


def month_of(frame: pl.DataFrame, spec: TableSpec) -> pl.Series:
    """The hive partition of each row, ``2026-09``; null where the time is unknown."""
    month = _first((spec.time,), frame.schema, TIME_TYPE).dt.strftime("%Y-%m")
    return frame.with_columns(_month=month)["_month"]


def _alternative(number: int, names: Sequence[str], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    parts: list[pl.Expr] = [pl.lit(f"{number}|")]
    required: list[pl.Expr] = []
    for name in names:
        text = _text(name.rstrip("?"), schema)
        # Length first, so that no value can imitate the border to the next one.
        parts.append(pl.format("{}:{}|", text.str.len_bytes(), text).fill_null("~|"))
        if not name.endswith("?"):
            required.append(text.is_not_null())
    return pl.when(pl.all_horizontal(required)).then(pl.concat_str(parts))


def _text(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The value of a key column as text; of one that did not fit its type, the text it had."""
    value = _first((name,), schema, None)
    filled = pl.when(value != "").then(value)
    rescued = [
        pl.format("!{}", pl.col(_RESCUED).str.json_path_match(f"$['{column}']"))
        for column in schema
        if canonical(column) == canonical(name) and "'" not in column
    ]
    return pl.coalesce(filled, *rescued) if rescued and _RESCUED in schema else filled


def _first(
    names: Sequence[str], schema: Mapping[str, pl.DataType], dtype: pl.DataType | None
) -> pl.Expr:
    """The first filled column among all spellings of ``names``; as text where ``dtype`` is None."""
    wanted = [canonical(name) for name in names]
    columns = [
        column
        for name in wanted
        for column in schema
        if canonical(column) == name and (dtype is None or schema[column] == dtype)
    ]
    if not columns:
        return pl.lit(None, dtype=dtype or pl.String)
    return pl.coalesce(
        pl.col(column) if dtype else pl.col(column).cast(pl.String) for column in columns
    )


def _row_key(row: dict[str, object]) -> str:
    filled = {
        name: value
        for name, value in row.items()
        if value is not None and name not in INTERNAL_COLUMNS[1:]
    }
    text = json.dumps(filled, sort_keys=True, default=str)
    return f"row|{hashlib.sha256(text.encode()).hexdigest()}"
