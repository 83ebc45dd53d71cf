"""Sizes as people write them in a configuration: ``128MB``, ``512MiB``, or a number of bytes."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

__all__ = ["Size"]

_UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("B", 1000), ("IB", 1024))
}
_SIZE_TEXT = r"^\s*[0-9]+(\.[0-9]+)?\s*([KkMmGgTt]([Ii]?[Bb])|[Bb])?\s*$"
#: Sizes end up in 64-bit counters.
_MAX_SIZE = 2**63 - 1


def _size(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is no size; write 128MB, 512MiB or a number of bytes")  # noqa: TRY004 (pydantic reports ValueError)
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("is no size; write 128MB, 512MiB or a number of bytes")
    return int(Decimal(match[1]) * _UNITS[match[2].upper()])


Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(ge=1, le=_MAX_SIZE),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": _SIZE_TEXT}]}
    ),
]
"""Bytes; text like 128MB or 512MiB is understood."""
