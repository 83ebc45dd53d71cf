"""The ``.meta`` sentinel: its existence says that a file is finished, its content is optional.

Pega documents that it "contains the name, size, and the number of records for every file" and not
in which syntax. So JSON, XML and ``key: value`` lines are understood, anything else is unknown.
"""

import json
import re
from collections import deque
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["SentinelFacts", "parse_sentinel", "sentinel_target"]

_SIZE_NAMES = frozenset({"size", "filesize", "sizebytes", "bytes"})
_COUNT_NAMES = frozenset(
    {"recordcount", "records", "numberofrecords", "totalrecordcount", "rowcount"}
)
_NAME_NAMES = frozenset({"name", "filename"})


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """What a sentinel claims of its file; None where it says nothing."""

    size_bytes: int | None = None
    rows: int | None = None


def sentinel_target(key: str, pattern: str = ".{name}.meta") -> str | None:
    """The key of the data file that a sentinel stands for; None for a key that is no sentinel.

    Example:
        >>> sentinel_target("datamart/.files_001.json.meta")
        'datamart/files_001.json'
    """
    folder, slash, name = key.rpartition("/")
    before, _, after = pattern.partition("{name}")
    if not (name.startswith(before) and name.endswith(after) and len(name) > len(before + after)):
        return None
    return f"{folder}{slash}{name[len(before) : len(name) - len(after)]}"


def parse_sentinel(body: bytes, file_name: str) -> SentinelFacts:
    """The size and record count that a sentinel claims for ``file_name``; None where it is unknown.

    Example:
        >>> parse_sentinel(b'{"name": "a.json", "size": 10, "recordCount": 2}', "a.json")
        SentinelFacts(size_bytes=10, rows=2)
    """
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return SentinelFacts()
    if text.startswith(("{", "[")):
        records = _json_records(text)
    elif text.startswith("<"):
        records = _xml_records(text)
    else:
        records = [_line_record(text)]
    return _facts(records, file_name)


def _json_records(text: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found: list[dict[str, Any]] = []
    queue = deque([value])
    while queue:
        item = queue.popleft()
        if isinstance(item, dict):
            found.append(item)
            queue.extend(v for v in item.values() if isinstance(v, dict | list))
        elif isinstance(item, list):
            queue.extend(item)
    return found


def _xml_records(text: str) -> list[dict[str, Any]]:
    if "<!" in text:  # no DOCTYPE, so no entities: nothing in a sentinel may expand
        return []
    try:
        # As text: it is decoded already, whatever encoding it declares.
        root = ET.fromstring(text)  # noqa: S314 (entities are ruled out above)
    except (ET.ParseError, ValueError):
        return []
    return [
        {**node.attrib, **{child.tag: child.text or "" for child in node if len(child) == 0}}
        for node in root.iter()
        if node.attrib or any(len(child) == 0 for child in node)
    ]


def _line_record(text: str) -> dict[str, Any]:
    """``name: value`` or ``name=value`` lines."""
    # No regular expression: 100 kB of spaces must not cost the square of that.
    record: dict[str, Any] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":" if ":" in line.partition("=")[0] else "=")
        if separator:
            record.setdefault(name.strip(), value.strip())
    return record


def _facts(records: list[dict[str, Any]], file_name: str) -> SentinelFacts:
    named = [r for r in records if _value(r, _NAME_NAMES) is not None]
    mine = [r for r in named if str(_value(r, _NAME_NAMES)).rpartition("/")[2] == file_name]
    if named and not mine:
        # It speaks of other files only (or of an older name): nothing to hold this file to.
        return SentinelFacts()
    for record in mine or records:
        size, rows = _number(_value(record, _SIZE_NAMES)), _number(_value(record, _COUNT_NAMES))
        if size is not None or rows is not None:
            return SentinelFacts(size, rows)
    return SentinelFacts()


def _value(record: dict[str, Any], names: frozenset[str]) -> object:
    for key, value in record.items():
        if re.sub(r"[^a-z]", "", str(key).rpartition("}")[2].lower()) in names:
            return value
    return None


def _number(value: object) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None
