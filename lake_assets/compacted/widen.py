"""One schema for files that differ: which two types join to which, and casts that lose nothing.

The rule: a column has the narrowest type that holds all values of all files. Integers widen to
floats and decimals only where every value stays the same number; scalars widen to text; lists and
structs join by their members. Everything else is refused by name.
"""

from collections.abc import Iterable, Mapping

import polars as pl
from polars.datatypes import DataTypeClass

from lake_assets.errors import SchemaChangeError
from lake_assets.staging.open_types import OPEN

__all__ = ["cast_frame", "join_schemas", "join_types"]

_DECIMAL_DIGITS = 38
#: Digits of the widest integer.
_INTEGER_DIGITS = 19
_INTEGERS = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64())


def join_types(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The narrowest type that holds the values of both; None where there is none.

    Example:
        >>> join_types(pl.Int32(), pl.Int64()), join_types(pl.Int64(), pl.String())
        (Int64, String)
        >>> join_types(pl.Binary(), pl.Int64()) is None
        True
    """
    if one == other:
        return one
    if OPEN in (one, other):
        return other if one == OPEN else one
    if one.is_nested() or other.is_nested():
        return _join_nested(one, other)
    if one.is_numeric() and other.is_numeric():
        return _join_numbers(one, other)
    kinds = {type(one), type(other)}
    if kinds == {pl.Date, pl.Datetime}:
        return one if isinstance(one, pl.Datetime) else other
    joins = pl.String in kinds and pl.Binary not in kinds
    return pl.String() if joins else None


def join_schemas(
    schemas: Iterable[pl.Schema], *, table: str, published: Mapping[str, pl.DataType]
) -> pl.Schema:
    """One schema for all files of a table; columns in the order in which they are first met.

    Args:
        schemas: Of the files.
        table: Names the table in errors.
        published: The columns that the table has already; where its type holds all values it stays.

    Raises:
        SchemaChangeError: A column has types that do not join, or one that the published column
            does not hold; or two columns differ only in case.
    """
    joined: dict[str, pl.DataType] = {}
    spelled: dict[str, str] = {name.casefold(): name for name in published}
    for schema in schemas:
        for name, dtype in schema.items():
            first = spelled.setdefault(name.casefold(), name)
            if first != name:
                raise SchemaChangeError(
                    f"{table}: columns {first!r} and {name!r} differ only in case, which Delta"
                    " takes for the same column; rename one of them in transform"
                )
            wide = join_types(joined.get(name, dtype), dtype)
            if wide is None:
                raise SchemaChangeError(
                    f"{table}: column {name!r} is {joined[name]} in one file and {dtype} in"
                    f" another, which do not join; declare it under databases.{table}.columns"
                    " (json keeps any value as text)"
                )
            joined[name] = wide
    for name, dtype in joined.items():
        held = published.get(name)
        if held is not None and held != dtype:
            if join_types(held, dtype) != held:
                raise SchemaChangeError(
                    f"{table}: column {name!r} is {held} in the published table and {dtype} now; a"
                    f" Delta column keeps its type: declare databases.{table}.columns.{name}, or"
                    " publish into a new table"
                )
            joined[name] = held
    return pl.Schema({name: _settled(dtype) for name, dtype in joined.items()})


def cast_frame(
    frame: pl.DataFrame, schema: Mapping[str, pl.DataType], *, table: str
) -> pl.DataFrame:
    """The frame with exactly the columns of ``schema``, in their types; missing ones are null.

    Raises:
        SchemaChangeError: A value would not be the same in its new type.
    """
    columns: list[pl.Series] = []
    for name, dtype in schema.items():
        if name not in frame.columns:
            columns.append(pl.Series(name, [None], dtype=dtype).new_from_index(0, frame.height))
            continue
        column = frame[name]
        columns.append(column if column.dtype == dtype else _cast(column, dtype, table))
    return pl.DataFrame(columns, height=frame.height)


def _cast(column: pl.Series, dtype: pl.DataType, table: str) -> pl.Series:
    cast = column.to_frame().select(_widened(pl.col(column.name), column.dtype, dtype))
    if _may_round(column.dtype, dtype):
        back = cast.select(_widened(pl.first(), dtype, column.dtype)).to_series()
        if not back.eq_missing(column).all():
            raise SchemaChangeError(
                f"{table}: column {column.name!r} has whole numbers that a float rounds, and floats"
                f" in other files; declare it under databases.{table}.columns as decimal or string"
            )
    return cast.to_series().alias(column.name)


def _widened(value: pl.Expr, dtype: pl.DataType, wide: pl.DataType) -> pl.Expr:
    """The value in the wider type; Polars itself adds no members to a struct."""
    if dtype == wide:
        return value
    if dtype == OPEN:  # not a literal: in a list that would be one value, whatever its length
        return pl.when(value.is_null()).then(pl.lit(None, dtype=wide))
    if isinstance(dtype, pl.List) and isinstance(wide, pl.List):
        inner, wider = _instance(dtype.inner), _instance(wide.inner)
        return value.list.eval(_widened(pl.element(), inner, wider))
    if isinstance(dtype, pl.Struct) and isinstance(wide, pl.Struct):
        held = {member.name: _instance(member.dtype) for member in dtype.fields}
        members: list[pl.Expr] = []
        for member in wide.fields:
            target = _instance(member.dtype)
            found = held.get(member.name)
            members.append(
                pl.lit(None, dtype=target).alias(member.name)
                if found is None
                else _widened(value.struct.field(member.name), found, target).alias(member.name)
            )
        return pl.when(value.is_not_null()).then(pl.struct(members))
    return value.cast(wide, strict=not (dtype.is_float() and wide.is_integer()))


def _may_round(dtype: pl.DataType, wide: pl.DataType) -> bool:
    """The one widening that may: whole numbers beyond 2**53 to floats, at any depth."""
    if dtype == OPEN:
        return False
    if isinstance(dtype, pl.List) and isinstance(wide, pl.List):
        return _may_round(_instance(dtype.inner), _instance(wide.inner))
    if isinstance(dtype, pl.Struct) and isinstance(wide, pl.Struct):
        to = {member.name: _instance(member.dtype) for member in wide.fields}
        return any(_may_round(_instance(m.dtype), to[m.name]) for m in dtype.fields)
    return dtype.is_integer() and wide.is_float()


def _settled(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """The type with text where no file said what it is."""
    if dtype == OPEN:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_settled(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({member.name: _settled(member.dtype) for member in dtype.fields})
    return _instance(dtype)


def _join_numbers(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.Decimal) and isinstance(other, pl.Decimal):
        return _decimal(_whole(one), _whole(other), one.scale, other.scale)
    if one in _INTEGERS and other in _INTEGERS:
        return max(one, other, key=_INTEGERS.index)
    for first, second in ((one, other), (other, one)):
        if isinstance(second, pl.Decimal):  # beside a float: neither holds the other's values
            whole = _decimal(_INTEGER_DIGITS, _whole(second), 0, second.scale)
            return whole if first in _INTEGERS else None
    return pl.Float64()


def _join_nested(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = join_types(_instance(one.inner), _instance(other.inner))
        return None if inner is None else pl.List(inner)
    if not (isinstance(one, pl.Struct) and isinstance(other, pl.Struct)):
        return None
    members = {member.name: _instance(member.dtype) for member in one.fields}
    for member in other.fields:
        dtype = _instance(member.dtype)
        wide = join_types(members.get(member.name, dtype), dtype)
        if wide is None:
            return None
        members[member.name] = wide
    return pl.Struct(members)


def _decimal(whole: int, other: int, scale: int, other_scale: int) -> pl.DataType | None:
    wide, fine = max(whole, other), max(scale, other_scale)
    return pl.Decimal(wide + fine, fine) if wide + fine <= _DECIMAL_DIGITS else None


def _whole(dtype: pl.Decimal) -> int:
    return (dtype.precision or _DECIMAL_DIGITS) - dtype.scale


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()
