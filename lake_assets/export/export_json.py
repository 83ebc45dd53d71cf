"""The JSON that exporters write beside their data: parsed, each field of the type it must have."""

import json
from datetime import UTC, datetime
from typing import Any, TypeVar

from lake_assets.errors import BadInputError

__all__ = ["field", "json_object", "parse_time"]

_T = TypeVar("_T", str, int, list[Any])
#: Characters of a wrong value that a message shows.
_SHOWN = 80
_REMEDY = "copy the export again, or export again"


def json_object(body: bytes, name: str) -> dict[str, Any]:
    """The JSON object in ``body``; ``name`` is what a message calls it.

    Raises:
        BadInputError: It is no JSON, or no object.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadInputError(
            name, expected="a JSON object", found=f"no JSON ({error})", remedy=_REMEDY
        ) from error
    if not isinstance(value, dict):
        raise BadInputError(
            name, expected="a JSON object", found=repr(value)[:_SHOWN], remedy=_REMEDY
        )
    return value


def field(values: dict[str, Any], key: str, kind: type[_T], name: str) -> _T:
    """One field that must be there; a number is a whole one from 0 on.

    Raises:
        BadInputError: It is absent or of another type.
    """
    value = values.get(key)
    if (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or (isinstance(value, int) and value < 0)
    ):
        raise BadInputError(
            name,
            expected=f"{key!r} as {_called(kind)}",
            found=repr(value)[:_SHOWN] if key in values else "no such field",
            remedy=_REMEDY,
        )
    return value


def parse_time(text: str, name: str) -> datetime:
    """A time in ISO 8601, in UTC; one without an offset is UTC.

    Raises:
        BadInputError: It is no such time.

    Example:
        >>> parse_time("2024-12-31T20:37:07.463Z", "export_info.json").isoformat()
        '2024-12-31T20:37:07.463000+00:00'
    """
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            name, expected="a time in ISO 8601", found=repr(text)[:_SHOWN], remedy=_REMEDY
        ) from error


def _called(kind: type) -> str:
    return {str: "text", int: "a whole number"}.get(kind, "a list")
