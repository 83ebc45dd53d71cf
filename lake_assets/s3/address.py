"""One place a person names on a command line: a bucket, a prefix or an object, a folder or a file.

``parse_url`` reads the address of a root and drops slashes at both ends; here they are kept, for
``x`` and ``x/`` are two things in a bucket, and ``//`` may be part of a key.
"""

from dataclasses import dataclass, field
from pathlib import Path

from lake_assets.errors import StorageError
from lake_assets.s3.access import Access, located
from lake_assets.s3.client import open_store
from lake_assets.s3.store import Store
from lake_assets.s3.url import Location, parse_url

__all__ = ["Address", "is_within", "parse_address"]


@dataclass(frozen=True, slots=True)
class Address:
    """A root that can be opened, and a path below it."""

    root: str
    """``s3://bucket``, or the folder that holds the named file or folder."""
    path: str
    """Below the root, as a key; empty is the root itself, a slash at its end says folder."""
    access: Access | None = field(default=None, repr=False)

    @property
    def is_s3(self) -> bool:
        """Whether it lies in a bucket."""
        return self.root.startswith("s3://")

    @property
    def bucket(self) -> str:
        """The bucket; empty for a folder."""
        return self.root.removeprefix("s3://") if self.is_s3 else ""

    @property
    def says_folder(self) -> bool:
        """Whether it can only be a folder: the root, or written with a slash at its end."""
        return not self.path or self.path.endswith("/")

    @property
    def prefix(self) -> str:
        """What every key below it starts with: never the look-alike ``x2`` of ``x``."""
        return self.path if self.says_folder else f"{self.path}/"

    @property
    def name(self) -> str:
        """Its last segment."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def url(self) -> str:
        """As polars, deltalake and people write it."""
        return self.url_of(self.path)

    @property
    def local_path(self) -> Path:
        """The file or folder; only for what lies in no bucket."""
        return Path(self.root, self.path)

    def url_of(self, key: str) -> str:
        """The address of a key below the root."""
        return f"{self.root.rstrip('/')}/{key}" if key else self.root

    def path_of(self, key: str) -> Path:
        """The file of a key below the root.

        Raises:
            StorageError: No path in a folder can spell it, or it would lead out of the folder.
        """
        if not {"", ".", ".."}.isdisjoint(key.split("/")) or "\0" in key:
            raise StorageError(
                f"no file below {self.root} can be called {key!r}: it has an empty segment or dots"
            )
        return Path(self.root, key)

    def at(self, path: str) -> "Address":
        """Another place below the same root."""
        return Address(self.root, path, self.access)

    def open(self) -> Store:
        """The store at the root: its keys are full paths.

        Raises:
            StorageError: The root is a file, or the AWS configuration cannot be used.
        """
        return open_store(self.root, self.access)


def parse_address(text: "Location | Address", access: Access | None = None) -> Address:
    """The place that a person wrote.

    Args:
        text: A folder, a file, ``file://…`` or ``s3://bucket[/key]``; keys are taken literally.
        access: How to reach the bucket; by default as a UPath says, else as the environment does.

    Raises:
        SettingsError: It is empty, has no bucket, or is of a scheme that is not served.

    Example:
        >>> parse_address("s3://lake/data/x.json").prefix
        'data/x.json/'
    """
    if isinstance(text, Address):
        return text
    text, access = located(text, access)
    parsed = parse_url(text)
    if parsed.is_s3:
        rest = text.partition("://")[2].partition("/")[2]
        return Address(f"s3://{parsed.bucket}", rest, access)
    above, _, name = parsed.path.rpartition("/")
    slash = "/" if name and (text.endswith("/") or _last(text) in {"", ".", "..", "~"}) else ""
    return Address(above or "/", name + slash, access)


def is_within(inner: Address, outer: Address) -> bool:
    """Whether ``inner`` is ``outer`` or lies below it; links in folders are followed."""
    if inner.is_s3 or outer.is_s3:
        return inner.root == outer.root and inner.prefix.startswith(outer.prefix)
    return inner.local_path.resolve().is_relative_to(outer.local_path.resolve())


def _last(text: str) -> str:
    return text.rpartition("/")[2]
