"""What a transfer needs of a store, whoever moves the bytes: boto3, obstore, a folder.

Engines make one attempt and name what went wrong; trying again and verifying is their caller's.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from lake_assets.errors import StorageError

__all__ = [
    "SHA256_FIELD",
    "Body",
    "BrokenAnswerError",
    "Engine",
    "Found",
    "NewObject",
    "own_sha256",
    "pause",
]

SHA256_FIELD = "sha256"
"""User metadata under which our uploads carry their sha256 (hex)."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BrokenAnswerError(StorageError):
    """An answer that broke off, or a store that is busy: another attempt may go through."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a stored object."""

    size_bytes: int
    etag: str
    sha256: str | None = None
    """From user metadata, where our upload left it."""
    has_md5: bool | None = None
    """Whether the ETag is made of MD5s; None where only a HEAD would tell."""
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    """User metadata, the names in lower case; empty where the store was not asked."""
    modified_at: datetime | None = field(default=None, compare=False)
    """UTC; None where the store was not asked."""


@dataclass(frozen=True, slots=True)
class Body:
    """An open answer: what the store says of the object, and its bytes."""

    found: Found
    blocks: Iterator[bytes | memoryview]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class NewObject:
    """A local file, or bytes in memory, to be written as ``key``."""

    key: str
    path: str
    """Of the file; only a name where ``body`` is given."""
    size_bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    create: bool = True
    """Never over an object that is there."""
    body: memoryview | None = None
    """In place of the file; a sha256 is then left with ``create`` only, which compares it."""


class Engine(Protocol):
    """Reads and writes the objects below one URL; threads may share it."""

    url: str
    has_parts: bool
    """Whether ranges of one object can be read and written side by side."""

    def look(self, key: str, *, deep: bool = False) -> Found | None:
        """What the store knows of one object; ``deep`` may read its bytes for a hash."""
        ...

    def get(self, key: str, *, etag: str | None, span: tuple[int, int] | None = None) -> Body:
        """Open one object, or bytes ``span[0]`` to ``span[1]`` (exclusive) of it.

        Raises:
            SourceChangedError: It is gone or has another ETag.
            BrokenAnswerError: Another attempt may go through.
        """
        ...

    def part_sizes(self, key: str, n_parts: int) -> list[int] | None:
        """Bytes of each part it was uploaded in; None where the store does not tell."""
        ...

    def put(self, new: NewObject) -> bool:
        """Write one object whole and verified; False where the same bytes were there before.

        Raises:
            TransferError: ``create``, and there are other bytes.
            BodyMismatchError: What the store kept stays wrong; it was deleted again.
        """
        ...


def own_sha256(metadata: Mapping[str, str]) -> str | None:
    """The sha256 that our upload left; None for none, and for another's field of that name.

    Example:
        >>> own_sha256({"SHA256": "a" * 64, "x": ""})[:4], own_sha256({"sha256": "n4bQgYhM+q="})
        ('aaaa', None)
    """
    for name, value in metadata.items():  # some stores change the case of names
        if name.lower() == SHA256_FIELD and _SHA256.fullmatch(value):
            return value
    return None


def pause(attempt: int) -> None:
    """Wait before attempt number ``attempt`` (from 1): growing, with jitter, at most 2 s."""
    time.sleep(_pause_s(attempt))


def _pause_s(attempt: int) -> float:
    return min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, no secret)
