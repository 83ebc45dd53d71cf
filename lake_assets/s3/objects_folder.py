"""Files of a folder with their user metadata in sidecars, read whole or in part."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np

from lake_assets.errors import (
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    SourceChangedError,
)
from lake_assets.s3.engine import Found, pause
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.objects import SIDECAR, Proof, Stored
from lake_assets.s3.store import ObjectInfo

__all__ = ["FolderObjects"]

#: A file and its sidecar cannot change in one step: a reader between the two looks again.
_TRIES = 3


class FolderObjects:
    """The files below one folder; a body and a sidecar that do not fit are an error."""

    is_s3 = False

    def __init__(self, folder: str) -> None:
        self.url = folder
        self.store = FolderStore(folder)

    def look(self, key: str) -> Found | None:
        """Size and time of the file, and what its sidecar says."""
        info = self.store.head(key)
        return None if info is None else self._found(info)

    def read(
        self,
        key: str,
        *,
        etag: str | None = None,
        proof: Proof | None = None,
        n_threads: int = 16,  # noqa: ARG002 (a disk is read by one)
    ) -> Stored:
        """The whole file; read again where it is replaced, or its sidecar is another one's."""
        for attempt in range(_TRIES):
            if attempt:
                pause(attempt)
            try:
                found = self._there(key, etag)
                body = self.read_span(key, 0, found.size_bytes, etag=found.etag)
            except SourceChangedError:
                if etag or attempt == _TRIES - 1:
                    raise
                continue  # a writer was faster, and which of both files it is was not asked
            if proof is None or proof(found, body) is not False:
                return Stored(found, body)
        raise BodyMismatchError(
            f"{self.url}/{key} is not the file that {key}{SIDECAR} describes (its checksum "
            "differs); restore both, or write it again"
        )

    def read_span(self, key: str, start: int, stop: int, *, etag: str | None) -> memoryview:
        """A part of the file, which must stay as it is meanwhile."""
        info = self.store.head(key)
        if info is None:
            raise MissingObjectError(f"{self.url}/{key} is not there")
        if (etag and info.etag != etag) or info.size_bytes < stop:
            raise SourceChangedError(f"{self.url}/{key} was replaced meanwhile; read again")
        body = np.empty(stop - start, np.uint8).data
        n_read = 0
        with self.store.open(info, memory_bytes=-1) as file:
            file.seek(start)
            while n_read < len(body):
                n_more = file.readinto(body[n_read:])  # pyright: ignore[reportAttributeAccessIssue] (a file of the disk)
                if not n_more:
                    break
                n_read += n_more
            now = os.fstat(file.fileno())
        if n_read < len(body) or info.etag != f"{now.st_mtime_ns:x}-{now.st_size:x}":
            raise SourceChangedError(f"{self.url}/{key} changed while it was read; read again")
        return body

    def write(self, key: str, body: memoryview, metadata: Mapping[str, str]) -> None:
        """A file and its sidecar, so that a write that is killed between them shows.

        Both are on disk before they get their names, one after the other and under a lock: a file
        of one writer never stays beside the sidecar of another.

        Raises:
            SettingsError: The key has the ending of sidecars: it would take the place of one.
        """
        self._put(key, body, metadata)

    def swap(
        self, key: str, body: memoryview, metadata: Mapping[str, str], *, base: Stored
    ) -> bool:
        """Compare and write under the lock."""

        def is_base() -> bool:
            try:
                return bytes(self.read(key).body) == bytes(base.body)
            except MissingObjectError:
                return False

        return self._put(key, body, metadata, is_base)

    def _put(
        self,
        key: str,
        body: memoryview,
        metadata: Mapping[str, str],
        may: Callable[[], bool] | None = None,
    ) -> bool:
        """A sidecar with a checksum goes first: the old file does not fit it.

        One without says nothing of a body, so the old one goes before the file, and the new one
        comes after it.
        """
        if key.endswith(SIDECAR):
            raise SettingsError(
                f"cannot write {self.url}/{key}: names that end with {SIDECAR!r} hold the metadata "
                "of the file beside them; choose another name"
            )
        path, sidecar = self.store.path_of(key), self.store.path_of(key + SIDECAR)
        with (
            self.store.errors("write", key),
            self.store.staged(key, body) as new,
            self._staged_sidecar(key, metadata) as new_sidecar,
            _locked(path.parent),
        ):
            if may is not None and not may():
                return False
            if new_sidecar is not None and "crc32c" in metadata:
                new_sidecar.replace(sidecar)
                new.replace(path)
                return True
            sidecar.unlink(missing_ok=True)
            new.replace(path)
            if new_sidecar is not None:
                new_sidecar.replace(sidecar)
            return True

    def _staged_sidecar(
        self, key: str, metadata: Mapping[str, str]
    ) -> AbstractContextManager[Path | None]:
        if not metadata:
            return nullcontext()
        return self.store.staged(key + SIDECAR, json.dumps(dict(metadata), indent=1).encode())

    def _there(self, key: str, etag: str | None) -> Found:
        found = self.look(key)
        if found is None:
            raise MissingObjectError(f"{self.url}/{key} is not there")
        if etag and found.etag != etag:
            raise SourceChangedError(
                f"{self.url}/{key} was replaced since it was listed; run again"
            )
        return found

    def _found(self, info: ObjectInfo) -> Found:
        return Found(
            info.size_bytes,
            info.etag,
            has_md5=False,
            metadata=self._metadata(info.key),
            modified_at=info.modified_at,
        )

    def _metadata(self, key: str) -> dict[str, str]:
        """What the sidecar says; nothing where there is none, or JSON of somebody else's.

        Raises:
            BodyMismatchError: It is no JSON. What it said of the body is lost: without it the
                bytes of an array would be taken for the value.
        """
        if key.endswith(SIDECAR):
            return {}
        try:
            said = json.loads(self.store.get(key + SIDECAR))
        except SourceChangedError:
            return {}
        except ValueError as error:
            raise BodyMismatchError(
                f"{self.url}/{key}{SIDECAR} is damaged ({error}), and what {key} is stands there "
                "alone; restore it, write the object again, or remove it to read the bare bytes"
            ) from error
        if not isinstance(said, dict):
            return {}
        return {str(name).lower(): str(value) for name, value in said.items()}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer in a folder at a time; a lock goes with the process that has it.

    Where a system has no such locks two writers at once may leave one's file beside the other's
    sidecar, which readers notice by the checksum.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
