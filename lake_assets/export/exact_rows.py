"""The slow, exact reading of NDJSON: every value as the text that stood in the file.

Python's ``json`` hands each number on as its own text, so no digit passes through a float; whatever
the fast reading (``proven_rows``) cannot prove is read here. Types are not decided here.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lake_assets.errors import BadInputError

__all__ = ["ExactRows", "read_exact"]

#: How much of an offending line an error shows, in characters.
_EXCERPT_CHARS = 80

_BLANK = re.compile(r"[ \t\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Members(list[tuple[str, object]]):
    """The members of one JSON object in the order of the text, repeated keys included."""


@dataclass(slots=True)
class ExactRows:
    """Columns of text, one entry a row."""

    n_rows: int = 0
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    unstorable: dict[str, dict[int, str]] = field(default_factory=dict)
    """By column and row: strings that no UTF-8 column can hold, with their lone surrogates as
    escapes.
    """
    duplicate_keys: int = 0
    """Values dropped because their key stood earlier in the same object."""


# Numbers and NaN, Infinity, -Infinity arrive as their text, so only null, booleans and nested
# values are not strings.
_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_Members
)


def read_exact(key: str, lines: Iterable[tuple[int, str]]) -> ExactRows:
    """Read rows value by value.

    Args:
        key: Names the object in errors.
        lines: The lines with their numbers, for errors; none of them blank.

    Raises:
        BadInputError: A line that is not one JSON object.
    """
    rows = ExactRows()
    escapes = False
    for number, line in lines:
        escapes = escapes or "\\u" in line
        _add_row(rows, line, _decoded(key, line, number))
    for values in rows.columns.values():
        values.extend([None] * (rows.n_rows - len(values)))
    if escapes:
        for name, values in rows.columns.items():
            _set_aside_surrogates(rows, name, values)
    return rows


def _add_row(rows: ExactRows, line: str, members: _Members) -> None:
    row = dict(members)
    if len(row) != len(members):
        row = _first_wins(rows, members)
    nested: dict[str, str] | None = None
    for name, value in row.items():
        if value is None or type(value) is str:
            cell = value
        elif type(value) is bool:
            cell = "true" if value else "false"
        else:
            nested = nested or _texts_of_members(line)
            cell = nested[name]
        column = rows.columns.get(name)
        if column is None:
            column = rows.columns[name] = []
        if len(column) < rows.n_rows:
            column.extend([None] * (rows.n_rows - len(column)))
        column.append(cell)
    rows.n_rows += 1


def _decoded(key: str, line: str, number: int) -> _Members:
    try:
        members = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise _bad_line(key, line, number, error.msg) from error
    except RecursionError as error:
        raise _bad_line(key, line, number, "values nested too deeply") from error
    if not isinstance(members, _Members):
        raise _bad_line(key, line, number, "JSON, but no object")
    return members


def _first_wins(rows: ExactRows, members: _Members) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, value in members:
        if name not in row:
            row[name] = value
        elif value is not None:
            rows.duplicate_keys += 1
    return row


def _texts_of_members(line: str) -> dict[str, str]:
    """The text of each member's value as written; the line is known to be one object."""
    texts: dict[str, str] = {}
    position = line.index("{") + 1
    while line[position := _skip_blank(line, position)] != "}":
        name, position = _DECODER.raw_decode(line, position)
        start = _skip_blank(line, line.index(":", position) + 1)
        _, end = _DECODER.raw_decode(line, start)
        texts.setdefault(name, line[start:end])
        position = _skip_blank(line, end)
        position += line[position] == ","
    return texts


def _skip_blank(line: str, position: int) -> int:
    found = _BLANK.match(line, position)
    return found.end() if found else position


def _set_aside_surrogates(rows: ExactRows, name: str, values: list[str | None]) -> None:
    for row, value in enumerate(values):
        if value is not None and not value.isascii() and _SURROGATE.search(value):
            escaped = value.encode("utf-8", "backslashreplace").decode()
            rows.unstorable.setdefault(name, {})[row] = escaped
            values[row] = None


def _bad_line(key: str, line: str, number: int, problem: str) -> BadInputError:
    return BadInputError(
        key,
        expected="one JSON object per line",
        found=f"{problem} on line {number}: {line[:_EXCERPT_CHARS]}",
        remedy="export it again as NDJSON, or repair that line",
    )
