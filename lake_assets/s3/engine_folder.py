"""A folder as the other end of a transfer: plain files, copied under a temporary name."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from lake_assets.errors import SourceChangedError, StorageError, TransferError
from lake_assets.s3.engine import Body, Found, NewObject
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.store import ObjectInfo, sha256_of

__all__ = ["FolderEngine"]

_BLOCK_BYTES = 1024**2


class FolderEngine:
    """The files below one folder."""

    has_parts = False

    def __init__(self, store: FolderStore, *, fsync: bool) -> None:
        self.url = store.url
        self._store = store
        self._fsync = fsync

    def look(self, key: str, *, deep: bool = False) -> Found | None:
        """Size and time of the file; with ``deep`` its sha256."""
        info = self._store.head(key)
        if info is None:
            return None
        if not deep:
            return _found(info)
        with self._store.open(info, memory_bytes=-1) as file:
            return Found(info.size_bytes, info.etag, sha256_of(file), has_md5=False)

    def get(self, key: str, *, etag: str | None, span: tuple[int, int] | None = None) -> Body:
        """Open one file; it must stay as it is until its last block."""
        if span is not None:
            raise StorageError(f"cannot read a part of {self.url}/{key}: a folder has no parts")
        info = self._store.head(key)
        if info is None:
            raise SourceChangedError(f"{self.url}/{key} is gone since it was listed; run again")
        if etag and info.etag != etag:
            raise SourceChangedError(
                f"{self.url}/{key} was replaced since it was listed; run again"
            )
        file = self._store.open(info, memory_bytes=-1)
        return Body(_found(info), self._blocks(key, info, file), file.close)

    def part_sizes(self, key: str, n_parts: int) -> list[int] | None:  # noqa: ARG002 (files have none)
        """Unknown: a file has no parts."""
        return None

    def put(self, new: NewObject) -> bool:
        """Copy to a temporary name, compare what was written, rename or link."""
        path = self._store.path_of(new.key)
        if new.create and path.exists():
            return self._same_is_there(new)
        partial = path.parent / f".part-{uuid.uuid4().hex}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._copy(new, os.fspath(partial))
            if not new.create:
                partial.replace(path)
                return True
            try:
                path.hardlink_to(partial)  # fails where another writer was first
            except FileExistsError:
                return self._same_is_there(new)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                f"cannot write {self.url}/{new.key}: {error.strerror or error}"
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return True

    def _copy(self, new: NewObject, partial: str) -> None:
        size = 0
        with open(new.path, "rb") as source, open(partial, "xb") as target:
            while block := source.read(_BLOCK_BYTES):
                size += len(block)
                target.write(block)
            target.flush()
            if self._fsync:
                os.fsync(target.fileno())
            written = os.fstat(target.fileno()).st_size
        if not size == written == new.size_bytes:
            raise SourceChangedError(f"{new.path} changed while it was copied; run again")

    def _same_is_there(self, new: NewObject) -> bool:
        found = self.look(new.key, deep=True)
        with open(new.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if found and found.sha256 == digest:
            return False
        raise TransferError(
            f"{self.url}/{new.key} is there with other bytes; pass overwrite=True to replace it"
        )

    def _blocks(self, key: str, info: ObjectInfo, file: BinaryIO) -> Iterator[bytes]:
        while block := file.read(_BLOCK_BYTES):
            yield block
        found = os.fstat(file.fileno())
        now = f"{found.st_mtime_ns:x}-{found.st_size:x}"
        if now != info.etag:
            raise SourceChangedError(f"{self.url}/{key} changed while it was read; run again")


def _found(info: ObjectInfo) -> Found:
    return Found(info.size_bytes, info.etag, has_md5=False)
