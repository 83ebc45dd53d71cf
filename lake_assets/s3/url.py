"""Addresses: a folder or ``s3://bucket/prefix``, and names that are safe as one path segment.

Pure: nothing here touches a disk or a network.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lake_assets.errors import SettingsError

__all__ = ["StoreUrl", "join_url", "parse_url", "quote_segment", "unquote_segment"]

# Letters that no file system, S3 client or hive reader treats specially, at any place of a segment.
_SAFE = "-_.+=@, "


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A parsed address. ``bucket`` is empty for a folder; ``path`` is the prefix, or the absolute folder."""

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


def parse_url(text: str, *, base: Path | None = None) -> StoreUrl:
    """The address that a person wrote.

    Args:
        text: A folder (relative ones count from ``base``), ``file://…`` or ``s3://bucket[/prefix]``.
        base: Folder that relative paths start at; the working directory by default.

    Raises:
        SettingsError: It is empty, has no bucket, or is of a scheme that is not served.

    Example:
        >>> parse_url("s3://lake/prod/")
        StoreUrl(bucket='lake', path='prod')
    """
    if not text.strip():
        raise SettingsError("an address is empty; give a folder or s3://bucket/prefix")
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme == "s3":
        bucket, _, path = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise SettingsError(f"{text!r} names no bucket; write s3://bucket or s3://bucket/prefix")
        return StoreUrl(bucket, path.strip("/"))
    if scheme == "file":
        text = unquote(urlsplit(text).path)
    elif scheme:
        raise SettingsError(
            f"{text!r} is of scheme {scheme!r}; served are folders, file:// and s3://"
        )
    folder = (base or Path.cwd()) / Path(text).expanduser()
    return StoreUrl("", folder.resolve().as_posix())


def join_url(url: str, *parts: str) -> str:
    """``url`` with path segments added.

    Example:
        >>> join_url("s3://lake/prod", "lake/datamart", "snapshot")
        's3://lake/prod/lake/datamart/snapshot'
    """
    return "/".join([url.rstrip("/"), *(part.strip("/") for part in parts if part)])


def quote_segment(text: str) -> str:
    """Any text as one path segment, reversible by ``unquote_segment``.

    Example:
        >>> quote_segment("a/b %"), quote_segment("..")
        ('a%2Fb %25', '%2E%2E')
    """
    quoted = quote(text, safe=_SAFE)
    if set(quoted) <= {"."} or "..." in quoted or quoted.startswith("."):
        return quoted.replace(".", "%2E")
    return quoted.rstrip(" ") + "%20" * (len(quoted) - len(quoted.rstrip(" ")))


def unquote_segment(segment: str) -> str:
    """The text that ``quote_segment`` made a segment of."""
    return unquote(segment)
