"""A folder as a store: the embedded default, and the way to try everything without an account."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.store import ObjectInfo

__all__ = ["FolderStore"]

#: Files being written carry this name until they are whole; listings leave them out.
_PARTIAL = ".part-"


class FolderStore:
    """The files below one folder. Writes go to a temporary name, are flushed to disk and renamed."""

    def __init__(self, folder: str) -> None:
        self.url = folder
        self._folder = Path(folder)
        if self._folder.exists() and not self._folder.is_dir():
            raise StorageError(f"{folder} is a file; give a folder (it may be a new one)")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The files whose path starts with ``prefix``, by key."""
        start = self._folder / prefix.rpartition("/")[0]
        for folder, names, files in os.walk(start, followlinks=True):
            names.sort()
            base = Path(folder).relative_to(self._folder).as_posix()
            for name in sorted(files):
                key = name if base == "." else f"{base}/{name}"
                info = None if name.startswith(_PARTIAL) or not key.startswith(prefix) else self.head(key)
                if info:
                    yield info

    def head(self, key: str) -> ObjectInfo | None:
        """Size and time of one file; None where there is none."""
        try:
            stat = (self._folder / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        modified = datetime.fromtimestamp(stat.st_mtime, tz=UTC)
        return ObjectInfo(key, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_size:x}", modified)

    def get(self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None) -> bytes:
        """The whole body; a file that changes while it is read is an error."""
        before = self._checked(key, listed)
        body = (self._folder / key).read_bytes()
        if len(body) != before.size_bytes or self.head(key) != before:
            raise SourceChangedError(f"{key} changed while it was read; run again")
        if sha256 and hashlib.sha256(body).hexdigest() != sha256:
            raise BodyMismatchError(
                f"{self.url}/{key} is not the file that was recorded (sha256 {sha256[:12]}…); "
                "restore it, or remove its manifest and run again"
            )
        return body

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> IO[bytes]:  # noqa: ARG002 (the file is on disk already)
        """The file itself, opened for reading."""
        self._checked(listed.key, listed)
        return (self._folder / listed.key).open("rb")

    def put(self, key: str, body: bytes) -> None:
        """Write under a temporary name, flush, rename."""
        os.replace(self._write(key, body), self._folder / key)

    def create(self, key: str, body: bytes) -> bool:
        """Write under a temporary name, flush, link: the link fails where the key exists."""
        if (self._folder / key).exists():
            return False
        partial = self._write(key, body)
        try:
            os.link(partial, self._folder / key)
        except FileExistsError:
            return False
        finally:
            partial.unlink()
        return True

    def delete(self, key: str) -> None:
        """Remove one file."""
        (self._folder / key).unlink(missing_ok=True)

    def _checked(self, key: str, listed: ObjectInfo | None) -> ObjectInfo:
        found = self.head(key)
        if found is None:
            raise SourceChangedError(f"{self.url}/{key} is not there; list again")
        if listed is not None and found.etag != listed.etag:
            raise SourceChangedError(f"{self.url}/{key} was replaced since it was listed; run again")
        return found

    def _write(self, key: str, body: bytes) -> Path:
        path = self._folder / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        return Path(partial)
