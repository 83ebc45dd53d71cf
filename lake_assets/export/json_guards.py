"""What must not reach Arrow's JSON reader: text that would crash it, or take all memory.

Both are looked for in a few milliseconds a chunk: rows nested so deeply that its recursion leaves
the stack (20,000 levels do), and objects whose keys are data (``{"user-17": …}``), for each key
would become a column of a struct: 6,000 rows of three keys each took 54 s and 1.4 GB.
"""

import json
import re
from collections.abc import Iterator

__all__ = ["data_keys", "is_too_deep"]

#: Shorter rows cannot be nested deeply enough to do harm.
_LONG_ROW_BYTES = 10_000
_MAX_DEPTH = 500
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')

#: Text looked at, at the beginning and at the end of a chunk.
_SAMPLE_BYTES = 128 * 1024
#: So many keys at the end that the beginning does not have, and most of the keys there, are data.
_MANY_KEYS = 100


def is_too_deep(text: bytes) -> bool:
    """Whether a row is nested more than 500 levels deep, of the rows of 10,000 bytes or more."""
    start = 0
    while start + _LONG_ROW_BYTES < len(text):
        end = text.rfind(b"\n", start, start + _LONG_ROW_BYTES)
        if end < 0:
            end = text.find(b"\n", start)
            end = len(text) if end < 0 else end
            if _is_deep_row(text[start:end]):
                return True
        start = end + 1
    return False


def data_keys(text: bytes) -> str | None:
    """The place of an object whose keys are data, below the row itself, as ``a.b``; None else.

    A struct of many fields has the same ones everywhere; of keys that are data, those at the end of
    a text are others than those at its beginning.
    """
    half = min(_SAMPLE_BYTES, len(text) // 2)
    first = _keys(text[: text.rfind(b"\n", 0, half) + 1])
    last = _keys(text[text.find(b"\n", len(text) - half) + 1 :])
    for place, keys in last.items():
        new = len(keys - first.get(place, set()))
        if new > _MANY_KEYS and 2 * new > len(keys) and place in first:
            return place
    return None


def _is_deep_row(row: bytes) -> bool:
    if row.count(b"[") + row.count(b"{") <= _MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKET.finditer(row):
        depth += (found[1] is not None) - (found[2] is not None)
        if depth > _MAX_DEPTH:
            return True
    return False


def _keys(text: bytes) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in text.split(b"\n"):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):  # the reader says what is wrong
            continue
        for place, value in _objects("", row):
            found.setdefault(place, set()).update(value)
    found.pop("", None)
    return found


def _objects(place: str, value: object) -> Iterator[tuple[str, dict[str, object]]]:
    """The objects in a value, with their places; not those inside lists of plain values."""
    pending = [(place, value)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            yield place, value
            above = f"{place}." if place else ""
            members = ((f"{above}{name}", each) for name, each in value.items())
        elif isinstance(value, list):
            members = ((place, each) for each in value)
        else:
            continue
        pending += [member for member in members if isinstance(member[1], dict | list)]
