"""What a store can do, whatever it is made of.

The one contract behind which folders and S3 are alike. Bodies are verified before they are handed
out (promise 4), writes appear whole or not at all, ``create`` has exactly one winner.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

__all__ = ["ObjectInfo", "Store", "sha256_of"]

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


class Store(Protocol):
    """The objects below one root, a folder or ``s3://bucket/prefix``; threads may share it."""

    url: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key starts with ``prefix``, sorted by key; folder markers are none.

        Raises:
            StorageError: The bucket does not exist, or credentials are refused.
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
