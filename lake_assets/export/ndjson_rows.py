"""Rows of NDJSON files: typed as declared or inferred, nested values as Struct and List.

Two lanes. Arrow reads a chunk fast and strictly (``arrow_json``); where it declines, or a number is
not one that a double holds, or a value's exact text is asked for, the chunk is read value by value
(``json_values``). Both give the same rows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

import polars as pl
import pyarrow as pa

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.arrow_json import (
    ArrowJsonError,
    arrow_schema,
    is_line_each,
    read_arrow_json,
)
from lake_assets.export.arrow_values import storable
from lake_assets.export.declared_types import fit_text, holds_number
from lake_assets.export.json_guards import data_keys
from lake_assets.export.json_values import (
    as_type,
    json_text,
    plain_text,
    rows_of,
    type_of,
)
from lake_assets.export.part_rows import Column, PartRows, Reading, assemble, check_names

__all__ = ["NdjsonTypes", "read_ndjson"]

#: Numbers that a double may not hold: of 16 characters or more, or with an exponent.
_LONG_NUMBER = r"[:\[,][ \t]*-?[0-9](?:[0-9.eE+-]{15,}|[0-9.]*[eE][0-9+-]+)"
_INT64 = range(-(2**63), 2**63)
_SURROGATE = re.compile("[\ud800-\udfff]")

#: What Arrow is told to expect of a declared type, and takes for a mistake if it is not so.
_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    **dict.fromkeys(("string", "date", "datetime", "decimal", "binary"), pa.string()),
}


def read_ndjson(key: str, chunks: Iterator[bytes], reading: Reading) -> Iterator[PartRows]:
    """The rows of chunks of whole lines, chunk by chunk.

    Args:
        key: Names the object in errors.
        chunks: The text of the part.
        reading: The declared and inferred columns; others get the type of what is in the chunk.

    Raises:
        BadInputError: A line is not one JSON object with each key once, or a column without a
            declared type mixes nested values and others.
    """
    line = 1
    for chunk in chunks:
        if chunk and not chunk.isspace():
            yield _rows(key, chunk, line, reading.columns)
        line += chunk.count(b"\n")


class NdjsonTypes:
    """What the values of each column are, over all chunks so far."""

    def __init__(self, declared: Mapping[str, ColumnType]) -> None:
        self._declared = declared
        self._seen: dict[str, set[str]] = {}

    def add(self, key: str, chunks: Iterator[bytes]) -> None:
        """Look at all rows of a file.

        Raises:
            BadInputError: As ``read_ndjson``.
        """
        line = 1
        for chunk in chunks:
            if chunk and not chunk.isspace():
                for name, kind in (_fast_kinds(chunk) or _exact_kinds(key, chunk, line)).items():
                    self._see(key, name, kind)
            line += chunk.count(b"\n")

    def columns(self) -> dict[str, ColumnType]:
        """The type of every column but those nested; one without any value is a string.

        int and float in one column are float where every int is exact in it; otherwise scalars of
        several types are string. Declared columns come as declared, there or not.
        """
        found = {name: _widened(seen) for name, seen in self._seen.items() if "nested" not in seen}
        return {**found, **self._declared}

    def _see(self, key: str, name: str, kinds: set[str]) -> None:
        seen = self._seen.setdefault(name, set())
        seen |= kinds
        if "nested" in seen and len(seen) > 1 and name not in self._declared:
            raise BadInputError(
                key,
                expected=f"one kind of value in {name!r}, in all files",
                found=" and ".join(sorted(seen)),
                remedy=f"declare it as text: `columns: {{{name}: json}}`",
            )


def _widened(seen: set[str]) -> ColumnType:
    if seen == {"bool"}:
        return ColumnType("bool")
    if seen in ({"int"}, {"long"}, {"int", "long"}):
        return ColumnType("int")
    return ColumnType("float" if seen and seen <= {"int", "float"} else "string")


def _rows(key: str, chunk: bytes, line: int, declared: Mapping[str, ColumnType]) -> PartRows:
    place = data_keys(chunk)
    if place is None:
        rows = _fast_rows(key, chunk, declared)
        if rows is not None:
            return rows
    elif place.split(".", maxsplit=1)[0] not in declared:
        raise BadInputError(
            key,
            expected=f"objects with the same keys in {place!r}",
            found="other keys in every row",
            remedy=f"declare it as text: `columns: {{{place.split('.', maxsplit=1)[0]}: json}}`",
        )
    try:
        return _exact_rows(key, chunk, line, declared)
    except RecursionError as error:
        raise BadInputError(
            key,
            expected="values nested at most 100 levels deep",
            found=f"a deeper one from line {line} on",
            remedy="export it as text",
        ) from error


def _fast_kinds(chunk: bytes) -> dict[str, set[str]] | None:
    if _long_numbers(chunk) is not False or data_keys(chunk) is not None:
        return None
    try:
        schema = arrow_schema(chunk)
    except ArrowJsonError:
        return None
    return {field.name: _arrow_kinds(field.type) for field in schema}


def _arrow_kinds(dtype: pa.DataType) -> set[str]:
    if pa.types.is_null(dtype):
        return set()
    names = {pa.int64(): "int", pa.float64(): "float", pa.bool_(): "bool", pa.string(): "string"}
    return {names.get(dtype, "nested")}


def _exact_kinds(key: str, chunk: bytes, first_line: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows_of(key, chunk, first_line):
        for name, value in row.items():
            kinds = found.setdefault(name, set())
            if value is not None:
                kinds.add(_exact_kind(value))
    return found


def _exact_kind(value: object) -> str:
    """``long`` is an int that Float64 does not hold, ``digits`` a number that no type holds."""
    if isinstance(value, dict | list):
        return "nested"
    if type(value) is bool:
        return "bool"
    if type(value) is str:
        return "string"
    text = str(value)
    is_int = text.lstrip("-").isdigit() and int(text) in _INT64
    if holds_number(text, float(text)):
        return "int" if is_int else "float"
    return "long" if is_int else "digits"


def _long_numbers(chunk: bytes) -> bool | None:
    """Whether there are ints that Float64 does not hold; None where no type holds some number."""
    longs = False
    # Rust's regex: Python's takes longer for this than Arrow for all of the reading.
    for found in pl.Series([chunk.decode()]).str.extract_all(_LONG_NUMBER).explode().drop_nulls():
        text = found[1:].strip()
        try:
            value = float(text)
        except ValueError:  # inside a string
            continue
        if holds_number(text, value):
            continue
        if not text.lstrip("-").isdigit() or int(text) not in _INT64:
            return None
        longs = True
    return longs


def _fast_rows(key: str, chunk: bytes, declared: Mapping[str, ColumnType]) -> PartRows | None:
    longs = _long_numbers(chunk)
    if longs is None:
        return None
    known = pa.schema(
        [
            pa.field(name, _ARROW_TYPES[column.kind])
            for name, column in declared.items()
            if column.kind in _ARROW_TYPES
        ]
    )
    try:
        table = read_arrow_json(chunk, known)
    except ArrowJsonError:
        return None
    if not is_line_each(chunk, table.num_rows) or (
        longs and any(map(_has_doubles, table.schema.types))
    ):
        return None
    check_names(key, table.column_names)
    columns: list[Column] = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        column = declared.get(name)
        series = cast("pl.Series", pl.from_arrow(storable(values.combine_chunks()))).alias(name)
        if column is None or series.dtype == column.dtype != pl.String:
            columns.append(Column(series))
        elif series.dtype == pl.String and column.kind != "json":
            columns.append(fit_text(series, column))
        elif series.dtype == pl.Null:
            columns.append(Column(series.cast(column.dtype)))
        else:
            return None
    return assemble(columns, table.num_rows)


def _has_doubles(dtype: pa.DataType) -> bool:
    inner = [dtype.field(number).type for number in range(dtype.num_fields)]
    return pa.types.is_float64(dtype) or any(map(_has_doubles, inner))


def _exact_rows(
    key: str, chunk: bytes, first_line: int, declared: Mapping[str, ColumnType]
) -> PartRows:
    rows = list(rows_of(key, chunk, first_line))
    names = dict.fromkeys([*declared, *(name for row in rows for name in row)])
    check_names(key, names)
    columns = [
        _exact_column(key, name, [row.get(name) for row in rows], declared.get(name))
        for name in names
    ]
    return assemble(columns, len(rows))


def _exact_column(key: str, name: str, values: list[object], column: ColumnType | None) -> Column:
    broken = _without_surrogates(values)
    if column is None:
        dtype = type_of(key, name, values)
        typed = pl.Series(name, [as_type(value, dtype) for value in values], dtype=dtype)
        return Column(typed, broken)
    if column.kind == "json":
        texts = [None if value is None else json_text(value) for value in values]
    else:
        texts = [plain_text(value) for value in values]
    fitted = fit_text(pl.Series(name, texts, dtype=pl.String), column)
    return Column(fitted.values, {**fitted.lost, **broken})


def _without_surrogates(values: list[object]) -> dict[int, str]:
    """Take out what no UTF-8 column can hold, half a surrogate pair; its text with escapes."""
    broken: dict[int, str] = {}
    for row, value in enumerate(values):
        if type(value) in (str, dict, list):
            text = plain_text(value) or ""
            if not text.isascii() and _SURROGATE.search(text):
                broken[row] = text.encode("utf-8", "backslashreplace").decode()
                values[row] = None
    return broken
