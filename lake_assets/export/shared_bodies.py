"""Large files that several tasks read parts of: fetched and verified once, then read from disk."""

import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from lake_assets.s3 import ObjectInfo, Store

__all__ = ["Opens", "SharedBodies"]

#: Tasks go through the files in order, so few are of use at a time.
_KEPT = 2


class Opens(Protocol):
    """Whatever opens the verified body of a listed object: a store, or copies of its bodies."""

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """See ``Store.open``."""
        ...


class SharedBodies:
    """Opens files of a store; of the same file again it gives the copy that is there already.

    A context: the copies lie in a temporary folder that goes with it. Threads may share it.

    Args:
        store: Where the files lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._copies: OrderedDict[ObjectInfo, Path] = OrderedDict()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._made = 0

    def __enter__(self) -> Self:
        """Nothing is on disk yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what is on disk."""
        if self._folder is not None:
            self._folder.cleanup()

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> BinaryIO:
        """The verified body, as ``Store.open``; from disk where it was opened before.

        Raises:
            SourceChangedError: The object is gone or was replaced since it was listed.
            BodyMismatchError: The bytes stay wrong after all tries.
        """
        with self._lock:  # one fetch of a large file at a time: the second would be the same
            path = self._copies.get(listed)
            if path is None:
                path = self._fetch(listed, memory_bytes)
            self._copies.move_to_end(listed)
            return path.open("rb")

    def _fetch(self, listed: ObjectInfo, memory_bytes: int) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lake-")
        while len(self._copies) >= _KEPT:
            self._copies.popitem(last=False)[1].unlink()  # who has it open reads on
        self._made += 1
        path = Path(self._folder.name) / str(self._made)
        with self._store.open(listed, memory_bytes=memory_bytes) as body, path.open("wb") as copy:
            shutil.copyfileobj(body, copy)
        self._copies[listed] = path
        return path
