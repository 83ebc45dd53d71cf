"""NDJSON read by Arrow: fast, strict, and with strings that stay strings.

Arrow raises on a value of another JSON type than its column, on a key that stands twice in an
object, on half a surrogate pair and on what is no JSON; so what it returns is what was written, but
for numbers (``ndjson_rows`` looks at those). Ten times as fast as ``pl.read_ndjson`` on nested
values. In need of care: it takes strings that look like times for times, unless told otherwise.
"""

from collections.abc import Iterable
from typing import cast

import pyarrow as pa
import pyarrow.json as pj

from lake_assets.export.json_guards import is_too_deep

__all__ = ["ArrowJsonError", "arrow_schema", "count_lines", "is_line_each", "read_arrow_json"]

#: Arrow parses blocks of this size side by side; a row must fit into one.
_BLOCK_BYTES = 4 * 1024**2

#: DynamoDB has 32 levels, each of two objects; the functions here call themselves for each level.
_MAX_DEPTH = 100


class ArrowJsonError(ValueError):
    """Arrow cannot read the text as one table; the message says where."""


def read_arrow_json(text: bytes, known: pa.Schema | None = None) -> pa.Table:
    """All rows of a text of whole lines.

    Args:
        text: At least one line that is not blank.
        known: The schema of text before this one; its columns are in the table, null or not, but
            for those that had no value there.

    Raises:
        ArrowJsonError: No JSON objects, or values of two types in one place.
    """
    table = _read(text, pa.schema(_with_values(known)) if known else None)
    if any(_has_times(column.type) for column in table.schema) or not _is_valid(table):
        # The last of the types that the strings seemed to have is lost here; they are read again.
        table = _read(text, pa.schema([_with_strings(column) for column in table.schema]))
    if not _is_valid(table):
        raise ArrowJsonError("lists that Arrow cannot read")
    return table


def arrow_schema(text: bytes) -> pa.Schema:
    """What the columns of a text are; needs one reading where ``read_arrow_json`` may need two.

    Raises:
        ArrowJsonError: As ``read_arrow_json``.
    """
    return pa.schema([_with_strings(column) for column in _read(text, None).schema])


def count_lines(text: bytes) -> int:
    """How many lines are not blank."""
    return sum(1 for line in text.split(b"\n") if line.strip())


def is_line_each(text: bytes, n_rows: int) -> bool:
    """Whether there are as many lines that are not blank as rows; fast where none is blank."""
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    return n_rows == lines or n_rows == count_lines(text)


def _read(text: bytes, known: pa.Schema | None) -> pa.Table:
    if is_too_deep(text):
        raise ArrowJsonError("values nested more than 500 levels deep")
    table = _read_any_depth(text, known)
    if any(_depth(column.type) > _MAX_DEPTH for column in table.schema):
        raise ArrowJsonError(f"values nested more than {_MAX_DEPTH} levels deep")
    return table


def _depth(dtype: pa.DataType) -> int:
    """How many types are one inside the other; a loop, for thousands of levels are possible."""
    depth, level = 0, [dtype]
    while level:
        depth += 1
        level = [each.field(n).type for each in level for n in range(each.num_fields)]
    return depth


def _read_any_depth(text: bytes, known: pa.Schema | None) -> pa.Table:
    options = pj.ParseOptions(
        explicit_schema=known, unexpected_field_behavior="infer", newlines_in_values=False
    )
    # Blocks that are typed side by side cannot always be joined (a null here, an object there), nor
    # may a row be longer than one: then the text is one block.
    for block_bytes in (_BLOCK_BYTES, len(text) + 1):
        try:
            return _read_blocks(text, options, block_bytes)
        except pa.ArrowException as error:
            if block_bytes > len(text):
                raise ArrowJsonError(str(error)) from error
    raise AssertionError("unreachable: the last try returns or raises")


def _read_blocks(text: bytes, options: pj.ParseOptions, block_bytes: int) -> pa.Table:
    read = pj.ReadOptions(block_size=block_bytes)
    return cast(
        "pa.Table",
        pj.read_json(pa.BufferReader(text), read_options=read, parse_options=options),
    )


def _has_times(dtype: pa.DataType) -> bool:
    if pa.types.is_struct(dtype):
        return any(_has_times(field.type) for field in dtype)
    if pa.types.is_list(dtype):
        return _has_times(dtype.value_type)
    return pa.types.is_timestamp(dtype)


def _is_valid(table: pa.Table) -> bool:
    """Whether no list lacks an element.

    Arrow 26 drops the null at the beginning of a block's first list (``[null, 1]``) unless it was
    told the type; the list's offsets then reach beyond its values, which is found at no cost.
    """
    try:
        table.validate()
    except pa.ArrowInvalid:
        return False
    return True


def _with_values(columns: Iterable[pa.Field]) -> list[pa.Field]:
    """The columns without what is null in all rows: its type is open."""
    found: list[pa.Field] = []
    for column in columns:
        if pa.types.is_struct(column.type):
            found.append(column.with_type(pa.struct(_with_values(column.type))))
        elif not _is_open(column.type):
            found.append(column)
    return found


def _is_open(dtype: pa.DataType) -> bool:
    if pa.types.is_list(dtype):
        return _is_open(dtype.value_type)
    if pa.types.is_struct(dtype):
        return any(_is_open(field.type) for field in dtype)
    return pa.types.is_null(dtype)


def _with_strings(column: pa.Field) -> pa.Field:
    return column.with_type(_type_with_strings(column.type))


def _type_with_strings(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(dtype):
        return pa.struct([_with_strings(field) for field in dtype])
    if pa.types.is_list(dtype):
        return pa.list_(_type_with_strings(dtype.value_type))
    return pa.string() if pa.types.is_timestamp(dtype) else dtype
