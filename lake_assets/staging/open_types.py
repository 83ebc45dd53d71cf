"""Nested types of which nothing is known yet: every value there is null, or every list empty.

Parquet and Delta cannot store them. Until another file says what they are, or the table settles
them as text, they stand as a struct that no source can have and that joins with any type.
"""

import polars as pl
from polars.datatypes import DataTypeClass

__all__ = ["OPEN", "with_open_types"]

#: The type that stands for one not known; all its values are null.
OPEN = pl.Struct({"\u00b7lake_open": pl.Boolean()})


def with_open_types(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, nested columns with ``Null`` inside having ``OPEN`` there instead.

    Example:
        >>> with_open_types(pl.DataFrame({"tags": [[]]})).schema["tags"] == pl.List(OPEN)
        True
    """
    return frame.with_columns(
        _opened(pl.col(name), dtype).alias(name)
        for name, dtype in frame.schema.items()
        if dtype.is_nested() and _has_null(dtype)
    )


def _has_null(dtype: pl.DataType | DataTypeClass) -> bool:
    if isinstance(dtype, pl.List):
        return _has_null(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_has_null(member.dtype) for member in dtype.fields)
    return dtype == pl.Null


def _opened(value: pl.Expr, dtype: pl.DataType | DataTypeClass) -> pl.Expr:
    if isinstance(dtype, pl.List):
        return value.list.eval(_opened(pl.element(), dtype.inner))
    if isinstance(dtype, pl.Struct):
        members = [
            _opened(value.struct.field(member.name), member.dtype).alias(member.name)
            for member in dtype.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(members))
    if dtype == pl.Null:  # not a literal: in a list that would be one value, whatever its length
        return pl.when(value.is_null()).then(pl.lit(None, dtype=OPEN))
    return value
