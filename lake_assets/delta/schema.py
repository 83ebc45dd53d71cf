"""Which polars types a Delta table can hold, and what a table lacks to hold a schema.

A whitelist: deltalake itself takes ``UInt8`` for a signed byte, an ``Enum`` for a string and a
``Null`` for a column nobody can read, and Polars refuses tables with nanosecond times. Casting is
the caller's, by its rules.
"""

from collections.abc import Iterable, Mapping

import polars as pl
from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType, StructType
from polars.datatypes import DataTypeClass

from lake_assets.errors import SchemaChangeError

__all__ = ["delta_schema", "new_fields"]

_PRIMITIVES: Mapping[pl.DataType, str] = {
    pl.Boolean(): "boolean",
    pl.Int8(): "byte",
    pl.Int16(): "short",
    pl.Int32(): "integer",
    pl.Int64(): "long",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.String(): "string",
    pl.Binary(): "binary",
    pl.Date(): "date",
    pl.Datetime("us"): "timestamp_ntz",
    pl.Datetime("us", "UTC"): "timestamp",
}


def delta_schema(schema: pl.Schema) -> Schema:
    """The Delta schema that reads back as exactly these polars types; every column may be null.

    Raises:
        SchemaChangeError: A type has no Delta counterpart, or two names differ only in case; by
        name.
    """
    return Schema(_fields(schema.items(), ""))


def new_fields(table: pl.Schema, schema: pl.Schema) -> list[Field]:
    """The columns of ``schema`` that a table with the schema ``table`` does not have yet.

    Columns that only the table has are fine: new files read as null there.

    Raises:
        SchemaChangeError: A column has another type in the table, or its name differs there only in
        case.
    """
    stored = {name.casefold(): name for name in table}
    for name, dtype in schema.items():
        if name in table and table[name] != dtype:
            msg = (
                f"column {name!r} is {table[name]} in the table and {dtype} in this publication; "
                "cast it to the table's type, or publish into a new table"
            )
            raise SchemaChangeError(msg)
        if name not in table and name.casefold() in stored:
            raise SchemaChangeError(_case_message(stored[name.casefold()], name))
    return [field for field in delta_schema(schema).fields if field.name not in table]


def _fields(columns: Iterable[tuple[str, pl.DataType]], prefix: str) -> list[Field]:
    seen: dict[str, str] = {}
    fields: list[Field] = []
    for name, dtype in columns:
        if not name:
            msg = f"column {prefix + name!r} has no name; a Delta column needs one"
            raise SchemaChangeError(msg)
        if (other := seen.get(name.casefold())) is not None:
            raise SchemaChangeError(_case_message(prefix + other, prefix + name))
        seen[name.casefold()] = name
        fields.append(Field(name, _delta_type(dtype, prefix + name), nullable=True))
    return fields


def _delta_type(dtype: pl.DataType, column: str) -> PrimitiveType | ArrayType | StructType:
    if (primitive := _PRIMITIVES.get(dtype)) is not None:
        return PrimitiveType(primitive)
    if isinstance(dtype, pl.Decimal):
        return PrimitiveType(f"decimal({dtype.precision},{dtype.scale})")
    if isinstance(dtype, pl.List):
        return ArrayType(_delta_type(_instance(dtype.inner), f"{column}[]"), contains_null=True)
    if isinstance(dtype, pl.Struct) and dtype.fields:
        members = ((member.name, _instance(member.dtype)) for member in dtype.fields)
        return StructType(_fields(members, f"{column}."))
    msg = (
        f"column {column!r} is {dtype}, which a Delta table cannot hold; cast it to a signed "
        "integer, Float32, "
        "Float64, Decimal, Boolean, String, Binary, Date, Datetime('us') without zone or in UTC, "
        "or a List or "
        "a non-empty Struct of these, or leave it out"
    )
    raise SchemaChangeError(msg)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _case_message(one: str, other: str) -> str:
    return (
        f"columns {one!r} and {other!r} differ only in case, which Delta takes for the same "
        "column; "
        "rename one of them"
    )
