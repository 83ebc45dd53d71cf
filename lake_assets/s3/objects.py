"""Whole objects and ranges of them in memory, with their user metadata.

What ``Store`` does not do: metadata, ranges, and bodies too big for one request. Bodies are
verified by what their writer left in the metadata (the caller's ``proof``), else by their ETag.
In a folder the metadata of ``x`` lies in ``x.meta.json`` beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from lake_assets.s3.access import Access, located
from lake_assets.s3.client import open_store
from lake_assets.s3.engine import Found
from lake_assets.s3.store import Store
from lake_assets.s3.url import Location, parse_url

__all__ = ["SIDECAR", "Objects", "Proof", "Stored", "open_objects"]

SIDECAR = ".meta.json"
"""Added to the name of a file: where its user metadata lies."""

Proof: TypeAlias = Callable[[Found, memoryview], bool | None]
"""Whether a body is what its metadata says; None where they say nothing of it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that was read."""

    found: Found
    body: memoryview
    """All its bytes; writable unless they came in one piece."""


class Objects(Protocol):
    """The objects below one root, a folder or ``s3://bucket``; threads may share it."""

    url: str
    is_s3: bool

    @property
    def store(self) -> Store:
        """For listing and removing."""
        ...

    def look(self, key: str) -> Found | None:
        """Size, ETag, time and user metadata of one object; None where there is none."""
        ...

    def read(
        self, key: str, *, etag: str | None = None, proof: Proof | None = None, n_threads: int = 16
    ) -> Stored:
        """The whole body, verified; fetched again while it is wrong.

        Args:
            key: The object.
            etag: As listed; another one now is an error.
            proof: Says whether the bytes are right; its None leaves it to the ETag.
            n_threads: Ranges of a big body that are under way at once.

        Raises:
            MissingObjectError: There is no such object.
            SourceChangedError: It has another ETag.
            BodyMismatchError: The bytes stay wrong after all tries.
        """
        ...

    def read_span(self, key: str, start: int, stop: int, *, etag: str | None) -> memoryview:
        """Bytes ``start`` to ``stop`` (exclusive), exactly as many, of the object of that ETag.

        Raises:
            MissingObjectError: There is no such object.
            SourceChangedError: It has another ETag, or ends before ``stop``.
        """
        ...

    def write(self, key: str, body: memoryview, metadata: Mapping[str, str]) -> None:
        """Write one object whole, over whatever is there; big ones in parts, side by side.

        Args:
            key: The object.
            body: Bytes, C-contiguous, of any size.
            metadata: User metadata: ASCII names and values.
        """
        ...

    def swap(
        self, key: str, body: memoryview, metadata: Mapping[str, str], *, base: Stored
    ) -> bool:
        """``write`` a small object while ``base`` is there.

        Returns:
            Whether it was written; of several writers over one ``base`` exactly one does.

        Raises:
            StorageError: The store refuses, or knows no conditional writes.
        """
        ...


def open_objects(url: Location, access: Access | None = None) -> Objects:
    """The objects below a folder or ``s3://bucket[/prefix]``.

    Raises:
        StorageError: The folder is a file, or the AWS configuration cannot be used.
    """
    url, access = located(url, access)
    parsed, store = parse_url(url), open_store(url, access)
    if not parsed.is_s3:
        from lake_assets.s3.objects_folder import FolderObjects

        return FolderObjects(parsed.path)
    from lake_assets.s3.objects_bucket import open_bucket_objects

    return open_bucket_objects(parsed, store, access)
