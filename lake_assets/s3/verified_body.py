"""Whole bodies into memory or a temporary file: hashed on the way, fetched again when wrong."""

import hashlib
import io
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from lake_assets.errors import BodyMismatchError
from lake_assets.s3.engine import pause
from lake_assets.s3.store import ObjectInfo

__all__ = ["Expected", "VerifiedReads", "fetch_right", "write_hashed"]

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a body before it is here."""

    size_bytes: int
    sha256: str | None = None
    """As recorded by whoever wrote it."""
    etag: str = ""
    """Compared where it is an MD5; empty where the object is encrypted by a key of KMS."""


class VerifiedReads(ABC):
    """The reads of a store that writes a verified body into a file."""

    def get(
        self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None
    ) -> bytes:
        """The whole body, verified; fetched again when it is wrong."""
        file = io.BytesIO()
        self._fetch(key, file, listed, sha256)
        return file.getvalue()

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """The verified body as a seekable file, in memory up to ``memory_bytes``."""
        file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115 (it is handed out)
        try:
            self._fetch(listed.key, file, listed, None)
        except BaseException:  # Ctrl-C as well: the scratch file goes
            file.close()
            raise
        file.seek(0)
        return cast("BinaryIO", file)  # typeshed does not call a spooled file one

    @abstractmethod
    def _fetch(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> None: ...


def fetch_right(name: str, file: IO[bytes], once: Callable[[], str], *, tries: int) -> None:
    """Empty ``file`` and fill it by ``once``, which says what is wrong, until nothing is.

    Raises:
        BodyMismatchError: The last of ``tries`` bodies was wrong as well.
    """
    reason = ""
    for attempt in range(tries):
        if attempt:
            pause(attempt)
        file.seek(0)
        file.truncate()
        reason = once()
        if not reason:
            return
    raise BodyMismatchError(f"{name}: {reason} in {tries} tries; look at the store")


def write_hashed(blocks: Iterable[bytes | memoryview], file: IO[bytes], expected: Expected) -> str:
    """Write a body; what is wrong with it by size, sha256 and MD5, or nothing."""
    md5 = hashlib.md5(usedforsecurity=False) if _MD5.fullmatch(expected.etag) else None
    sha = hashlib.sha256() if expected.sha256 else None
    digests = [digest for digest in (md5, sha) if digest]
    size = 0
    for block in blocks:
        size += len(block)
        for digest in digests:
            digest.update(block)
        file.write(block)
    if size != expected.size_bytes:
        return f"{size} bytes arrived of {expected.size_bytes}"
    if sha and expected.sha256 and sha.hexdigest() != expected.sha256:
        return f"the bytes have sha256 {sha.hexdigest()[:12]}…, recorded is {expected.sha256[:12]}…"
    if md5 and md5.hexdigest() != expected.etag:
        return f"the bytes have MD5 {md5.hexdigest()}, the object {expected.etag}"
    return ""
