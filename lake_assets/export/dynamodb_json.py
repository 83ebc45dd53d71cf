"""DynamoDB JSON as values of Python: the way of single attributes that become plain JSON text.

Slow and exact. Belongs here: what one tagged value is as plain JSON. Does not: columns
(``dynamodb_rows``).
"""

import json
import re
from collections.abc import Iterable, Mapping

from lake_assets.errors import BadInputError

__all__ = ["plain_json", "without_attributes"]

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_EXCERPT_CHARS = 80


def plain_json(tagged: Mapping[str, object]) -> str:
    """One tagged value as plain JSON: numbers digit by digit, bytes as base64, sets as arrays.

    Tags and map keys whose value is None are absent: a frame has all tags of its column.

    Example:
        >>> plain_json({"M": {"n": {"N": "1.50"}, "s": {"SS": ["a"]}, "gone": None}})
        '{"n": 1.50, "s": ["a"]}'
    """
    for tag, value in tagged.items():
        if value is not None:
            return _plain(tag, value)
    msg = f"a value of DynamoDB has one of its types, this one none: {tagged!r}"
    raise ValueError(msg)


def without_attributes(
    key: str, text: bytes, names: Iterable[str], first_line: int
) -> tuple[bytes, dict[str, list[str | None]]]:
    """The lines without some attributes, and these as plain JSON, one entry for each line.

    Raises:
        BadInputError: A line is no JSON, has no ``Item``, a key twice or a value without a type.
    """
    found: dict[str, list[str | None]] = {name: [] for name in names}
    lines: list[str] = []
    for number, line in enumerate(text.decode().split("\n"), first_line):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
            for name, texts in found.items():
                tagged = row["Item"].pop(name, None)
                texts.append(None if tagged is None or "NULL" in tagged else plain_json(tagged))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInputError(
                key,
                expected='one {"Item": {…}} a line',
                found=f"{error!r} on line {number}: {line[:_EXCERPT_CHARS]}",
                remedy="export the table again",
            ) from error
        lines.append(json.dumps(row, ensure_ascii=False))
    return "\n".join(lines).encode(), found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a key that is there twice"
        raise ValueError(msg)
    return members


def _plain(tag: str, value: object) -> str:
    match tag, value:
        case "N", str():
            return _number(value)
        case "NULL", _:
            return "null"
        case "M", dict():
            members = ((name, each) for name, each in value.items() if each is not None)
            texts = (f"{_quoted(name)}: {plain_json(each)}" for name, each in members)
            return "{" + ", ".join(texts) + "}"
        case "L", list():
            return "[" + ", ".join(plain_json(each) for each in value) + "]"
        case "NS", list():
            return "[" + ", ".join(_number(each) for each in value) + "]"
        case ("S" | "B", str()) | ("BOOL", bool()) | ("SS" | "BS", list()):
            return _quoted(value)
        case _:
            msg = f"the type {tag!r} with {value!r}"
            raise ValueError(msg)


def _number(text: str) -> str:
    return text if _JSON_NUMBER.fullmatch(text) else _quoted(text)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
