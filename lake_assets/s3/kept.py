"""A bucket whose new objects are on local disk as well, for the process that wrote them.

Objects that are created once never change, so a copy is as good as the object; it is held to its
sha256 like any body, or to the id that a document carries. What does not fit is read from the
bucket, as by any other process.
"""

import hashlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion, Store
from lake_assets.s3.url import parse_url

__all__ = ["KeptStore", "kept_locally"]

logger = logging.getLogger(__name__)

#: Local disk that copies take at most; a snapshot beyond it is read back from its bucket in part.
_DISK_BYTES = 2 * 1024**3
#: Documents are far smaller; only of these is the sha256 worked out here.
_DOCUMENT_BYTES = 1024**2
#: The rest of what is free is for sorting what does not fit in memory.
_PART_OF_FREE = 4


@contextmanager
def kept_locally(store: Store, keeps: Callable[[str], bool]) -> Iterator[Store]:
    """The store, with copies of what is created through it while the block lasts.

    A folder is local as it is, and is given back unchanged.

    Args:
        store: Of the lake.
        keeps: Tells the keys that are written once (named by their content, or documents) and that
            this process reads again.
    """
    if not parse_url(store.url).is_s3:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        yield KeptStore(store, Path(folder), keeps)


@dataclass(frozen=True, slots=True)
class _Copy:
    path: Path
    sha256: str | None
    """Of a document that this process was the one to write; None where who asks has to know."""


class KeptStore:
    """A store in front of another; see ``kept_locally``. Threads may share it."""

    def __init__(self, store: Store, folder: Path, keeps: Callable[[str], bool]) -> None:
        self.url = store.url
        self._store = store
        self._folder = folder
        self._keeps = keeps
        self._copies: dict[str, _Copy] = {}
        self._left_bytes = min(_DISK_BYTES, shutil.disk_usage(folder).free // _PART_OF_FREE)
        self._names = count()
        self._lock = threading.Lock()

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """As the bucket lists."""
        return self._store.list(prefix, start_after=start_after)

    def browse(self, prefix: str = "") -> Iterator[ObjectInfo | Folder]:
        """As the bucket lists."""
        return self._store.browse(prefix)

    def versions(self, prefix: str = "") -> Iterator[ObjectVersion]:
        """As the bucket lists."""
        return self._store.versions(prefix)

    def head(self, key: str) -> ObjectInfo | None:
        """As the bucket knows."""
        return self._store.head(key)

    def get(
        self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None
    ) -> bytes:
        """The body: of the copy where it is what is asked for, else of the bucket."""
        copy = self._copies.get(key)
        wanted = sha256 or (copy and copy.sha256)
        if copy is not None and wanted is not None:
            with suppress(OSError):  # the bucket has it
                body = copy.path.read_bytes()
                if hashlib.sha256(body).hexdigest() == wanted:
                    return body
        return self._store.get(key, listed=listed, sha256=sha256)

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """As the bucket opens."""
        return self._store.open(listed, memory_bytes=memory_bytes)

    def put(self, key: str, body: bytes) -> None:
        """Write one object; it may be written over later, so no copy is kept."""
        self._copies.pop(key, None)
        self._store.put(key, body)

    def create(self, key: str, body: bytes) -> bool:
        """Write one object unless the key exists, and keep a copy."""
        created = self._store.create(key, body)
        if self._keeps(key):
            # A document that another process wrote first may say something else.
            is_ours = created and len(body) <= _DOCUMENT_BYTES
            self._keep(key, body, hashlib.sha256(body).hexdigest() if is_ours else None)
        return created

    def delete(self, key: str) -> None:
        """Remove one object."""
        self._copies.pop(key, None)
        self._store.delete(key)

    def _keep(self, key: str, body: bytes, sha256: str | None) -> None:
        with self._lock:
            if key in self._copies or len(body) > self._left_bytes:
                return
            self._left_bytes -= len(body)
            path = self._folder / str(next(self._names))
        try:
            path.write_bytes(body)
        except OSError as error:  # the bucket has it
            logger.warning("no more local copies of what is staged: %s", error)
            path.unlink(missing_ok=True)
            self._left_bytes = 0
            return
        self._copies[key] = _Copy(path, sha256)
