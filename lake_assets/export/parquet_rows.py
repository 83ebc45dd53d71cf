"""Rows of parquet files (a database's own export, or plain), in types that a lake table can hold.

Belongs here: reading row groups in bounded memory, and the table of source type → lake type (also
in ``docs/types.md``). Every type is mapped without loss or refused by name; a value that a change
of type would change becomes null and its text goes to ``_rescued_data``.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.datatypes import DataTypeClass

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.arrow_values import storable
from lake_assets.export.declared_types import fit_text
from lake_assets.export.part_rows import Column, PartRows, Reading, assemble, check_names
from lake_assets.export.source import FilePart

__all__ = ["lake_type", "read_parquet"]

#: Every other width of an integer and a float is what a Delta table has.
_WIDER: Mapping[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    # Not Int64 where the values fit: a column must not change its type with its values.
    pl.UInt64(): pl.Decimal(20, 0),
    pl.Float16(): pl.Float32(),
}
_KEPT = (
    pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.String,
    pl.Binary, pl.Date, pl.Decimal, pl.Null,
)  # fmt: skip

#: Read alike by Polars and by Arrow.
_PLAIN = frozenset(
    {
        *(pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.string(), pa.large_string()),
        *(pa.binary(), pa.large_binary(), pa.date32()),
        *(pa.timestamp(unit, zone) for unit in ("ms", "us") for zone in (None, "UTC")),
    }
)

#: Arrow types that Polars would take for others, or not at all.
_REFUSED = (
    pa.types.is_duration,
    pa.types.is_interval,
    pa.types.is_union,
    pa.types.is_run_end_encoded,
    lambda dtype: pa.types.is_decimal256(dtype) and dtype.precision > 38,  # noqa: PLR2004 (digits of a decimal)
)


def read_parquet(file: BinaryIO, part: FilePart, reading: Reading) -> Iterator[PartRows]:
    """The rows of some or all row groups, in batches of about ``reading.chunk_bytes``.

    Raises:
        BadInputError: No whole parquet file, a row group it does not have, or a type that no lake
            column can hold.
    """
    key = part.file.key
    try:
        # INT96 holds years that nanoseconds cannot; as nanoseconds these would come out wrong.
        parquet = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
        groups = _groups(key, part, parquet.num_row_groups)
        schema = parquet.schema_arrow
        _check_schema(key, schema)
        expected = sum(parquet.metadata.row_group(number).num_rows for number in groups)
        found = 0
        if part.start is None and _is_small_and_plain(parquet, reading.chunk_bytes):
            file.seek(0)
            frame = pl.read_parquet(file)  # a third of the time of the batches below
            found = frame.height
            if found:
                yield _typed(key, frame, reading.columns)
        elif expected:
            rows_at_once = _rows_at_once(parquet.metadata, reading.chunk_bytes)
            for batch in parquet.iter_batches(rows_at_once, row_groups=groups):
                found += batch.num_rows
                yield _rows(key, batch, reading.columns)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise BadInputError(
            key,
            expected="a whole parquet file",
            found=str(error).split("\n")[0],
            remedy="fetch the object again; if the stored object is broken, export it again",
        ) from error
    if found != expected:
        raise BadInputError(
            key,
            expected=f"{expected} rows, as its footer says",
            found=f"{found}",
            remedy="export it again",
        )


def lake_type(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """The type in the lake of a type in parquet.

    Raises:
        TypeError: No lake column can hold it.

    Example:
        >>> lake_type(pl.List(pl.UInt32))
        List(Int64)
    """
    dtype = _instance(dtype)
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", "UTC" if dtype.time_zone else None)
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(lake_type(dtype.inner))
    if isinstance(dtype, pl.Struct):
        fields = {field.name: lake_type(field.dtype) for field in dtype.fields}
        return pl.Struct(fields)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, _KEPT):
        return dtype
    if dtype in _WIDER:
        return _WIDER[dtype]
    raise TypeError(str(dtype))


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _groups(key: str, part: FilePart, n_groups: int) -> list[int]:
    start = 0 if part.start is None else part.start
    end = n_groups if part.end is None else part.end
    if not 0 <= start <= end <= n_groups:
        raise BadInputError(
            key,
            expected=f"the row groups {start} to {end}",
            found=f"a file with {n_groups}",
            remedy="plan again",
        )
    return list(range(start, end))


def _rows_at_once(footer: pq.FileMetaData, chunk_bytes: int) -> int:
    size = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    return max(1, min(footer.num_rows, chunk_bytes * footer.num_rows // max(size, 1)))


def _check_schema(key: str, schema: pa.Schema) -> None:
    check_names(key, schema.names)
    for field in schema:
        if _is_refused(field.type):
            raise BadInputError(
                key,
                expected="types that a lake table can hold",
                found=f"{field.type} in the column {field.name!r}",
                remedy="export it as text or as an integer (docs/types.md has the table)",
            )


def _is_refused(dtype: pa.DataType) -> bool:
    inner = [dtype.field(number).type for number in range(dtype.num_fields)]
    return any(refused(dtype) for refused in _REFUSED) or any(map(_is_refused, inner))


def _rows(key: str, batch: pa.RecordBatch, declared: Mapping[str, ColumnType]) -> PartRows:
    columns = [
        cast("pl.Series", pl.from_arrow(storable(stored))).alias(name)
        for name, stored in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return _typed(key, pl.DataFrame(columns, height=batch.num_rows), declared)


def _typed(key: str, frame: pl.DataFrame, declared: Mapping[str, ColumnType]) -> PartRows:
    columns: list[Column] = []
    for values in frame:
        column = declared.get(values.name)
        columns.append(_undeclared(key, values) if column is None else _declared(values, column))
    return assemble(columns, frame.height)


def _is_small_and_plain(parquet: pq.ParquetFile, chunk_bytes: int) -> bool:
    """Whether a file is one chunk, of types that Polars reads as ``storable`` leaves them."""
    footer = parquet.metadata
    size = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    physical = {parquet.schema.column(number).physical_type for number in range(footer.num_columns)}
    types = parquet.schema_arrow.types
    return (
        size <= chunk_bytes
        and "INT96" not in physical
        and bool(types)
        and all(dtype in _PLAIN or pa.types.is_decimal128(dtype) for dtype in types)
    )


def _undeclared(key: str, values: pl.Series) -> Column:
    try:
        target = lake_type(values.dtype)
    except TypeError as error:
        raise BadInputError(
            key,
            expected="types that a lake table can hold",
            found=f"{error} in the column {values.name!r}",
            remedy="declare the column as string, or export another type (docs/types.md)",
        ) from error
    if values.dtype == target:
        return Column(values)
    column = _cast(values, target)
    if column.lost and values.dtype.is_nested():
        raise BadInputError(
            key,
            expected=f"values of {values.name!r} that {target} holds",
            found=f"{next(iter(column.lost.values()))} (of {len(column.lost)})",
            remedy=f"declare it as text: `columns: {{{values.name}: json}}`",
        )
    return column


def _declared(values: pl.Series, column: ColumnType) -> Column:
    source, target = values.dtype, column.dtype
    if source == target and column.kind != "json":
        return Column(values)
    if source == pl.Null:
        return Column(values.cast(target))
    numbers = source.is_numeric() or source == pl.Boolean
    if numbers and column.kind in ("int", "float", "decimal", "bool"):
        return _cast(values, target)
    if isinstance(source, pl.Date | pl.Datetime) and column.kind in ("date", "datetime"):
        return _cast(values, target)
    if column.kind == "json" and source != pl.String:
        return Column(_json_text(values))
    text = _text(values)
    fitted = fit_text(text, column)
    unreadable = (text.is_null() & values.is_not_null()).arg_true()
    hexes = {row: f"\\x{values[row].hex()}" for row in unreadable}
    return Column(fitted.values, {**fitted.lost, **hexes})


def _cast(values: pl.Series, target: pl.DataType) -> Column:
    """Another type, and what does not come back from it as it was."""
    source = values.dtype
    aware = isinstance(target, pl.Datetime) and target.time_zone
    naive = isinstance(source, pl.Date) or (
        isinstance(source, pl.Datetime) and source.time_zone is None
    )
    if aware and naive:  # a time without a zone is one of UTC
        cast_ = values.cast(pl.Datetime("us"), strict=False).dt.replace_time_zone("UTC")
        back = cast_.dt.replace_time_zone(None).cast(source, strict=False)
    else:
        cast_ = values.cast(target, strict=False)
        back = cast_.cast(source, strict=False)
    same = back.eq_missing(values)
    if same.all():
        return Column(cast_)
    changed = (~same).arg_true()
    lost = dict(zip(changed, _text(values.gather(changed)), strict=True))
    kept = pl.select(pl.when(same).then(cast_)).to_series()
    return Column(kept.alias(values.name), lost)


def _text(values: pl.Series) -> pl.Series:
    if values.dtype.is_nested():
        return _json_text(values)
    if values.dtype == pl.Binary:
        return pl.Series(values.name, [_decoded(each) for each in values], dtype=pl.String)
    return values.cast(pl.String, strict=False)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _json_text(values: pl.Series) -> pl.Series:
    """Each value as JSON; bytes as hex, times in ISO 8601, decimals digit by digit."""
    texts = [
        None if v is None else json.dumps(v, ensure_ascii=False, default=_jsonable)
        for v in values.to_list()
    ]
    return pl.Series(values.name, texts, dtype=pl.String)


def _jsonable(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)
