"""NDJSON as values of Python, number by number as it stood: the slow, exact way.

Belongs here: one line to its values, values to their text, and nested values to one type. Does not:
when this way is taken, and what becomes of a column (``ndjson_rows``).
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from lake_assets.errors import BadInputError
from lake_assets.export.arrow_values import EMPTY_FIELD
from lake_assets.export.declared_types import holds_number

__all__ = ["Number", "as_type", "json_text", "plain_text", "rows_of", "type_of"]

_EXCERPT_CHARS = 80
#: Levels of nesting that become types; Polars takes seconds to build twice as many.
_MAX_DEPTH = 100
_INT = re.compile(r"-?[0-9]+")
_INT64 = range(-(2**63), 2**63)


class Number(str):
    """The text of a number that stood without quotes."""

    __slots__ = ()


def rows_of(key: str, text: bytes, first_line: int) -> Iterator[dict[str, object]]:
    """The object of each line that is not blank; its numbers as ``Number``.

    Raises:
        BadInputError: A line is not one JSON object, or has a key twice in an object.
    """
    for number, line in enumerate(text.decode().split("\n"), first_line):
        if not line.strip():
            continue
        try:
            row = _DECODER.decode(line)
            problem = "" if isinstance(row, dict) else "JSON, but no object"
        except (ValueError, RecursionError) as error:
            row, problem = None, str(error) or "values nested too deeply"
        if problem or not isinstance(row, dict):
            raise BadInputError(
                key,
                expected="one JSON object a line, each key once",
                found=f"{problem} on line {number}: {line[:_EXCERPT_CHARS]}",
                remedy="export it again as NDJSON, or repair that line",
            )
        yield row


def plain_text(value: object) -> str | None:
    """A value as a String column has it: a string without its quotes, all else as JSON."""
    if value is None or type(value) is str:
        return value
    return json_text(value)


def json_text(value: object) -> str:
    """A value as JSON, its numbers digit by digit."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return _quoted(value)


def type_of(key: str, path: str, values: Iterable[object]) -> pl.DataType:
    """The one type that values in one place have: Struct, List, or of the scalars the narrowest.

    Scalars of several types, and numbers that neither Int64 nor Float64 holds, are String.

    Raises:
        BadInputError: Objects, lists and scalars stand in one place; by its path.
        RecursionError: More than 100 levels, one inside the other.
    """
    if path.count(".") + path.count("[]") > _MAX_DEPTH:
        msg = f"{path[:_EXCERPT_CHARS]!r}…"
        raise RecursionError(msg)
    found = [value for value in values if value is not None]
    kinds = {_kind(value) for value in found}
    if len(kinds) > 1 and kinds & {"object", "list"}:
        name = re.split(r"\.|\[", path, maxsplit=1)[0]
        raise BadInputError(
            key,
            expected=f"one kind of value in {path!r}",
            found=" and ".join(sorted(kinds)),
            remedy=f"declare it as text: `columns: {{{name}: json}}`",
        )
    if kinds == {"object"}:
        members: dict[str, list[object]] = {}
        for value in found:
            for name, member in value.items() if isinstance(value, dict) else ():
                members.setdefault(name, []).append(member)
        fields = {n: type_of(key, f"{path}.{n}", each) for n, each in members.items()}
        return pl.Struct(fields or {EMPTY_FIELD: pl.Boolean})
    if kinds == {"list"}:
        elements = (each for value in found if isinstance(value, list) for each in value)
        return pl.List(type_of(key, f"{path}[]", elements))
    return _scalar_type(kinds, found)


def as_type(value: object, dtype: pl.DataType) -> object:
    """A value as the constructor of a polars Series of this type takes it."""
    if value is None:
        return None
    if isinstance(dtype, pl.Struct) and isinstance(value, dict):
        return {f.name: as_type(value.get(f.name), _instance(f.dtype)) for f in dtype.fields}
    if isinstance(dtype, pl.List) and isinstance(value, list):
        return [as_type(each, _instance(dtype.inner)) for each in value]
    if dtype == pl.String:
        return plain_text(value)
    if dtype == pl.Int64:
        return int(str(value))
    return float(str(value)) if dtype == pl.Float64 else value


def _kind(value: object) -> str:
    if isinstance(value, Number):
        return "number"
    return {dict: "object", list: "list", bool: "bool"}.get(type(value), "string")


def _scalar_type(kinds: set[str], values: Sequence[object]) -> pl.DataType:
    if not kinds:
        return pl.Null()
    if kinds == {"bool"}:
        return pl.Boolean()
    if kinds == {"number"}:
        numbers = [str(value) for value in values]
        if all(_INT.fullmatch(each) and int(each) in _INT64 for each in numbers):
            return pl.Int64()
        if all(holds_number(each, float(each)) for each in numbers):
            return pl.Float64()
    return pl.String()


def _instance(dtype: object) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()  # pyright: ignore[reportCallIssue] -- a type's class


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key {twice!r} twice"
        raise ValueError(msg)
    return members


_DECODER = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=_once
)
