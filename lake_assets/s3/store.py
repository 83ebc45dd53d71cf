"""What a store can do, whatever it is made of.

The one contract behind which folders and S3 are alike. Bodies are verified before they are handed
out (promise 4), writes appear whole or not at all, ``create`` has exactly one winner.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

__all__ = ["Folder", "ObjectInfo", "ObjectVersion", "Store", "sha256_of"]

_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as a listing shows it."""

    key: str
    """Path below the store's root, ``/``-separated."""
    size_bytes: int
    etag: str
    """Changes whenever the bytes change: S3's ETag without quotes; time and size for a file."""
    modified_at: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What keys have in common up to a slash: one line of a listing of one level."""

    key: str
    """Path below the store's root; ends in ``/``."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object, or the mark that it was deleted."""

    key: str
    version_id: str
    """``null`` for what was written before the bucket kept versions."""
    is_latest: bool
    is_deleted: bool
    """A delete marker: no bytes, and an empty ETag."""
    size_bytes: int
    etag: str
    modified_at: datetime
    """UTC."""


class Store(Protocol):
    """The objects below one root, a folder or ``s3://bucket/prefix``; threads may share it."""

    url: str

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key starts with ``prefix``, sorted by key; folder markers are none.

        Streams: what is held is one page, however many keys there are.

        Args:
            prefix: A plain string, not a folder: ``a`` finds ``a/x`` and ``ab``.
            start_after: Only keys that sort (as UTF-8) after this one; it need not exist.

        Raises:
            StorageError: The bucket does not exist, or credentials are refused.
        """
        ...

    def browse(self, prefix: str = "") -> Iterator[ObjectInfo | Folder]:
        """One level: the objects and folders right below ``prefix``, sorted by key.

        Raises:
            StorageError: The bucket does not exist, or credentials are refused.
        """
        ...

    def versions(self, prefix: str = "") -> Iterator[ObjectVersion]:
        """All versions and delete markers of the keys below ``prefix``, newest first of each key.

        Raises:
            StorageError: The store keeps no versions, or cannot be listed.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object; None where there is none."""
        ...

    def get(
        self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None
    ) -> bytes:
        """The whole body, verified by size and ETag, and by ``sha256`` where it is given.

        Args:
            key: The object to read.
            listed: What a listing said; another ETag now is an error.
            sha256: Hex digest recorded when the object was written.

        Raises:
            SourceChangedError: The object is gone or was replaced since it was listed.
            BodyMismatchError: The bytes stay wrong after all tries.
        """
        ...

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """The verified body as a seekable file; beyond ``memory_bytes`` it lies on local disk.

        Raises:
            SourceChangedError: The object is gone or was replaced since it was listed.
            BodyMismatchError: The bytes stay wrong after all tries.
        """
        ...

    def put(self, key: str, body: bytes) -> None:
        """Write one object whole, over whatever is there."""
        ...

    def create(self, key: str, body: bytes) -> bool:
        """Write one object unless the key exists; True for the one writer that made it."""
        ...

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens where there is none."""
        ...


def sha256_of(file: BinaryIO) -> str:
    """sha256 (hex) of a file from where it stands to its end; it is rewound to its start."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()
