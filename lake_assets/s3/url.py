"""Addresses: a folder or ``s3://bucket/prefix``, and names that are safe as one path segment.

Pure: nothing here touches a disk or a network.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

from lake_assets.errors import SettingsError

__all__ = [
    "Location",
    "RemotePath",
    "StoreUrl",
    "join_url",
    "options_of",
    "parse_url",
    "quote_segment",
    "text_of",
    "unquote_segment",
]

# Letters that no file system, S3 client, Dagster, hive or Delta reader treats specially,
# anywhere in a segment (a comma separates partition keys in Dagster's UI, ``=`` splits a hive one).
_SAFE = "-_.+@"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
#: What pathlib makes of an address: it joins slashes.
_JOINED = re.compile(r"(s3a?|gs|az|abfss?|file):/(?!/)", re.IGNORECASE)
#: How fsspec spells what we call by one word.
_PROTOCOLS = {"s3a": "s3", "local": "", "file": ""}


class RemotePath(Protocol):
    """A path of universal_pathlib, which knows how its store is reached."""

    @property
    def protocol(self) -> str:
        """The scheme; empty for a path of this machine."""
        ...

    @property
    def path(self) -> str:
        """Without the scheme: ``bucket/key``."""
        ...

    @property
    def storage_options(self) -> Mapping[str, Any]:
        """As s3fs takes them."""
        ...


Location: TypeAlias = str | os.PathLike[str] | RemotePath
"""Whatever a person has as an address: a text, a pathlib path, a path of universal_pathlib."""


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A parsed address.

    ``bucket`` is empty for a folder; ``path`` is the prefix, or the absolute folder.
    """

    bucket: str
    path: str

    @property
    def is_s3(self) -> bool:
        """Whether the address is a bucket or a prefix in one."""
        return bool(self.bucket)

    @property
    def text(self) -> str:
        """The address as polars, deltalake and people write it, without a trailing slash."""
        return f"s3://{self.bucket}/{self.path}".rstrip("/") if self.bucket else self.path


def text_of(location: Location) -> str:
    """An address as a text; an open file of fsspec (``fsspec.open``) is one, too.

    Raises:
        SettingsError: It is nothing of the kind, or pathlib has joined the slashes of its scheme.
    """
    if isinstance(location, str):
        return location
    # Before os.PathLike: what fsspec opens is of that kind, and would be fetched.
    source = getattr(location, "fs", None) if _is_open_file(location) else location
    protocol, path = getattr(source, "protocol", None), getattr(location, "path", None)
    if protocol is not None and isinstance(path, str):
        name = protocol if isinstance(protocol, str) else protocol[0]
        name = _PROTOCOLS.get(name, name)
        return f"{name}://{path}" if name else path
    if not isinstance(location, os.PathLike):
        raise SettingsError(
            f"{location!r} is no address; give a text, a pathlib path or a universal_pathlib one"
        )
    text = os.fspath(location)
    if not isinstance(text, str):
        raise SettingsError(f"{text!r} is a path in bytes; give a text (os.fsdecode)")
    if _JOINED.match(text):
        raise SettingsError(
            f"pathlib has made {text!r} of an address; give it as a text, or as a UPath"
        )
    return text


def options_of(location: object) -> Mapping[str, Any]:
    """What a path says about reaching its store, by s3fs's names; empty for all others."""
    source = getattr(location, "fs", None) if _is_open_file(location) else location
    return getattr(source, "storage_options", None) or {}


def parse_url(text: Location, *, base: Path | None = None) -> StoreUrl:
    """The address that a person wrote.

    Args:
        text: A folder (a relative one counts from ``base``), ``file://…`` or
            ``s3://bucket[/prefix]``.
        base: Folder that relative paths start at; the working directory by default.

    Raises:
        SettingsError: It is empty, has no bucket, or is of a scheme that is not served.

    Example:
        >>> parse_url("s3://lake/prod/")
        StoreUrl(bucket='lake', path='prod')
    """
    text = text_of(text)
    if not text.strip() or "\0" in text:
        raise SettingsError(f"{text!r} is no address; give a folder or s3://bucket/prefix")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.strip().lower()
    if separator and "::" in scheme:
        raise SettingsError(f"{text!r} is a chain of fsspec; give the address at its end alone")
    if separator and scheme == "s3":
        return _bucket_url(text, rest)
    if separator and scheme == "file":
        host, _, path = rest.partition("/")
        if host not in {"", "localhost"}:
            raise SettingsError(f"{text!r} is on another host; mount it and give the folder")
        text = unquote(f"/{path}")
    elif separator and _SCHEME.fullmatch(scheme):
        raise SettingsError(
            f"{text!r} is of scheme {scheme!r}; served are folders, file:// and s3://"
        )
    try:
        folder = (base or Path.cwd()) / Path(text).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{text!r} begins with a user whose home is not known") from error
    # Links stay as they were written: a link called datamart is a datamart folder.
    return StoreUrl("", Path(os.path.abspath(folder)).as_posix())


def join_url(url: Location, *parts: str) -> str:
    """``url`` with path segments added.

    Example:
        >>> join_url("s3://lake/prod", "lake/datamart", "snapshot")
        's3://lake/prod/lake/datamart/snapshot'
    """
    return "/".join([text_of(url).rstrip("/"), *(part.strip("/") for part in parts if part)])


def quote_segment(text: str) -> str:
    """Any text as one path segment, reversible by ``unquote_segment``.

    Example:
        >>> quote_segment("a/b %"), quote_segment("..")
        ('a%2Fb%20%25', '%2E%2E')
    """
    # A file name that is not UTF-8 reaches Python with lone surrogates: they pass, both ways.
    quoted = quote(text, safe=_SAFE, errors="surrogatepass")
    if "..." in quoted or quoted.startswith("."):
        return quoted.replace(".", "%2E")
    return quoted


def unquote_segment(segment: str) -> str:
    """The text that ``quote_segment`` made a segment of."""
    return unquote(segment, errors="surrogatepass")


def _is_open_file(location: object) -> bool:
    """Whether it has a file system and no scheme itself; asking a UPath for ``fs`` opens one."""
    return not hasattr(location, "protocol") and hasattr(location, "fs")


def _bucket_url(text: str, rest: str) -> StoreUrl:
    bucket, _, path = rest.partition("/")
    if "@" in bucket:  # not shown: before the @ may stand a secret
        raise SettingsError(
            "an s3:// address must not hold credentials; set AWS_PROFILE or a key pair"
        )
    if not bucket.strip():
        raise SettingsError(f"{text!r} names no bucket; write s3://bucket or s3://bucket/prefix")
    return StoreUrl(bucket, path.strip("/"))
