"""User metadata of stored objects: texts of ASCII, as S3 takes them, from whatever a person gives.

A text beyond ASCII travels as an encoded word (RFC 2047, as S3 itself shows such values), anything
that is no text as JSON. What comes back is text. Names that describe the array are not for users.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

from lake_assets.errors import SettingsError

__all__ = ["OWN_NAMES", "from_stored", "to_stored"]

OWN_NAMES = frozenset(
    {
        *("dtype", "shape", "compression", "order", "gzip"),
        *("descr", "crc32c", "kind", "path", "tree-depth", "sha256", "lake-writer"),
    }
)
"""Names that cottoncandy or lake_assets write themselves."""

#: As metadata some stores' libraries cannot tell them from the headers.
_HEADERS = frozenset(
    {
        *("cache-control", "content-disposition", "content-encoding", "content-language"),
        *("content-type", "storage-class"),
    }
)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_WORD = re.compile(r"=\?utf-8\?b\?([A-Za-z0-9+/]*={0,2})\?=", re.IGNORECASE)
#: S3's limit for all names and values of one object.
_MOST_BYTES = 2048


def to_stored(metadata: Mapping[str, object] | None) -> dict[str, str]:
    """What is stored for the metadata that a person gives.

    Args:
        metadata: Names of letters, digits, ``_``, ``.``, ``-``; any text, or values that JSON has.

    Raises:
        SettingsError: A name is taken, not possible or there twice but for its case; a value is
            neither a text nor JSON; or all of it is more than S3's 2 KB.

    Example:
        >>> to_stored({"Subject": "Zoë", "n": 3})
        {'subject': '=?UTF-8?B?Wm/Dqw==?=', 'n': '3'}
    """
    stored: dict[str, str] = {}
    for name, value in (metadata or {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SettingsError(f"metadata name {name!r} may have letters, digits, '_.-' only")
        if name.lower() in OWN_NAMES:
            raise SettingsError(f"metadata name {name!r} is our own; choose another one")
        if name.lower() in _HEADERS:
            raise SettingsError(f"metadata name {name!r} is that of a header; choose another one")
        if name.lower() in stored:
            raise SettingsError(f"metadata name {name!r} is there twice: stores ignore its case")
        stored[name.lower()] = _text_of(name, value)
    size = sum(len(name) + len(value) for name, value in stored.items())
    if size > _MOST_BYTES:
        raise SettingsError(
            f"the metadata need {size} bytes and S3 takes {_MOST_BYTES}; "
            "write the rest as JSON beside the array"
        )
    return stored


def from_stored(stored: Mapping[str, str]) -> dict[str, str]:
    """The person's part of what is stored, readable again."""
    return {
        name: _readable(value) for name, value in stored.items() if name.lower() not in OWN_NAMES
    }


def _text_of(name: str, value: object) -> str:
    if not isinstance(value, str):
        try:
            value = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"metadata {name!r} is {type(value).__name__}; give a text, or what JSON has"
            ) from error
    # Spaces at the ends and control characters do not survive as a header.
    plain = value.isascii() and value.isprintable() and value == value.strip()
    if plain and not _WORD.fullmatch(value):
        return value
    try:
        return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="
    except UnicodeEncodeError as error:
        raise SettingsError(f"metadata {name!r} is {value!r}, which UTF-8 cannot say") from error


def _readable(value: str) -> str:
    word = _WORD.fullmatch(value)
    if not word:
        return value
    try:
        return b64decode(word[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):  # it only looks like one
        return value
