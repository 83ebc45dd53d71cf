"""A folder as a store: the embedded default, and the way to try everything without an account.

A key is a path below the folder, so a key that no such path can spell (``..``, ``//``, a leading
``/``) is refused: it would lead out of the folder or be a second name of another file.
"""

import hashlib
import io
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion

__all__ = ["FolderStore"]

#: Files being written carry this name until they are whole; listings leave them out.
_PARTIAL = ".part-"


@dataclass(frozen=True, slots=True)
class _Wanted:
    prefix: str
    start_after: str

    def itself(self, key: str) -> bool:
        return key.startswith(self.prefix) and key > self.start_after

    def below(self, folder: str) -> bool:
        """Whether a key that starts with ``folder`` can be wanted."""
        later = folder > self.start_after or self.start_after.startswith(folder)
        return later and (folder.startswith(self.prefix) or self.prefix.startswith(folder))


class FolderStore:
    """The files below one folder; writes go to a temporary name, are flushed and renamed."""

    def __init__(self, folder: str) -> None:
        self.url = folder
        self._folder = Path(folder)
        if self._folder.exists() and not self._folder.is_dir():
            raise StorageError(f"{folder} is a file; give a folder (it may be a new one)")

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The files whose path starts with ``prefix``, by key; one folder's names are held."""
        above = prefix.rpartition("/")[0]
        start = self._path("list", above) if above else self._folder
        wanted = _Wanted(prefix, start_after)
        yield from self._walk(str(start), f"{above}/" if above else "", wanted, ())

    def browse(self, prefix: str = "") -> Iterator[ObjectInfo | Folder]:
        """One level; a folder on disk is shown even where it is empty."""
        above = prefix.rpartition("/")[0]
        start = str(self._path("list", above) if above else self._folder)
        base = f"{above}/" if above else ""
        for name in self._names(start, base):
            key = base + name
            if not key.startswith(prefix):
                continue
            info = Folder(key) if name.endswith("/") else self._listed(key, f"{start}/{name}")
            if info:
                yield info

    def versions(self, prefix: str = "") -> Iterator[ObjectVersion]:
        """A folder keeps none."""
        raise StorageError(
            f"cannot list the versions of {self.url}/{prefix}: a folder keeps no versions; "
            "a bucket with versioning does"
        )

    def head(self, key: str) -> ObjectInfo | None:
        """Size and time of one file; None where there is none."""
        with self.errors("look up", key), suppress(FileNotFoundError, NotADirectoryError):
            return _info(key, self._path("look up", key).stat())
        return None

    def get(
        self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None
    ) -> bytes:
        """The whole body; a file that changes while it is read is an error."""
        with self._opened(key, listed) as file, self.errors("read", key):
            before = _info(key, os.fstat(file.fileno()))
            body = file.read()
            after = _info(key, os.fstat(file.fileno()))
        if after is None or after != before or len(body) != after.size_bytes:
            raise SourceChangedError(f"{self.url}/{key} changed while it was read; run again")
        if sha256 and hashlib.sha256(body).hexdigest() != sha256:
            raise BodyMismatchError(
                f"{self.url}/{key} is not the file that was recorded (sha256 {sha256[:12]}…); "
                "restore it, or remove its manifest and run again"
            )
        return body

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """The body in memory where it fits: it cannot change there; else the file itself."""
        if listed.size_bytes <= memory_bytes:
            return io.BytesIO(self.get(listed.key, listed=listed))
        return self._opened(listed.key, listed)

    def put(self, key: str, body: bytes | memoryview) -> None:
        """Write under a temporary name, flush, rename."""
        with self.errors("write", key), self.staged(key, body) as partial:
            partial.replace(self._path("write", key))

    def create(self, key: str, body: bytes) -> bool:
        """Write under a temporary name, flush, link: the link fails where the key exists."""
        path = self._path("create", key)
        with self.errors("create", key):
            if path.exists():
                return False
            with self.staged(key, body) as partial:
                try:
                    path.hardlink_to(partial)
                except FileExistsError:
                    return False
        return True

    def delete(self, key: str) -> None:
        """Remove one file."""
        with self.errors("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            self._path("delete", key).unlink()

    def path_of(self, key: str) -> Path:
        """Where the file of ``key`` is, or would be.

        Raises:
            StorageError: The key leads out of the folder, or no file can have it.
        """
        return self._path("reach", key)

    @contextmanager
    def staged(self, key: str, body: bytes | memoryview) -> Iterator[Path]:
        """The whole body flushed under a temporary name beside ``key``, which is gone afterwards.

        For who renames it, at once with something else.
        """
        path = self._path("write", key)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.parent / f"{_PARTIAL}{uuid.uuid4().hex}"
        try:
            with partial.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def errors(self, verb: str, key: str) -> Iterator[None]:
        """Name the file in what the system refuses."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"cannot {verb} {self.url}/{key}: {reason}") from error

    def _walk(
        self, folder: str, base: str, wanted: "_Wanted", above: tuple[tuple[int, int], ...]
    ) -> Iterator[ObjectInfo]:
        place = (0, 0)
        with self.errors("list", base), suppress(FileNotFoundError, NotADirectoryError):
            found = os.stat(folder)
            place = (found.st_dev, found.st_ino)
        if place in above:  # a link to a folder above: its files are listed there
            return
        for name in self._names(folder, base):
            key = base + name
            if name.endswith("/"):
                if wanted.below(key):
                    yield from self._walk(f"{folder}/{name[:-1]}", key, wanted, (*above, place))
            elif wanted.itself(key):
                info = self._listed(key, f"{folder}/{name}")
                if info:
                    yield info

    def _names(self, folder: str, base: str) -> Iterable[str]:
        """The names in one folder as keys sort; those of folders with their slash."""
        names: list[str] = []
        with (
            self.errors("list", base),
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(folder) as entries,
        ):
            names += [
                f"{entry.name}/" if entry.is_dir() else entry.name
                for entry in entries
                if not entry.name.startswith(_PARTIAL) or entry.is_dir()
            ]
        names.sort()
        return names

    def _listed(self, key: str, path: str) -> ObjectInfo | None:
        with self.errors("look up", key), suppress(FileNotFoundError, NotADirectoryError):
            return _info(key, os.stat(path))
        return None

    def _opened(self, key: str, listed: ObjectInfo | None) -> BinaryIO:
        with self.errors("read", key):
            try:
                file = self._path("read", key).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise SourceChangedError(f"{self.url}/{key} is not there; list again") from error
        # What is compared is the open file: a rename from here on does not change what is read.
        found = _info(key, os.fstat(file.fileno()))
        if listed is not None and (found is None or found.etag != listed.etag):
            file.close()
            raise SourceChangedError(
                f"{self.url}/{key} was replaced since it was listed; run again"
            )
        return file

    def _path(self, verb: str, key: str) -> Path:
        segments = key.split("/")
        if (
            not {"", ".", ".."}.isdisjoint(segments)
            or "\0" in key
            or segments[-1].startswith(_PARTIAL)
        ):
            raise StorageError(
                f"cannot {verb} {key!r} below {self.url}: it is no path in a folder; "
                f"use a key without '..', '//' and a name that starts with {_PARTIAL!r}"
            )
        return self._folder.joinpath(*segments)


def _info(key: str, found: os.stat_result) -> ObjectInfo | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    modified = datetime.fromtimestamp(found.st_mtime, tz=UTC)
    return ObjectInfo(key, found.st_size, f"{found.st_mtime_ns:x}-{found.st_size:x}", modified)
