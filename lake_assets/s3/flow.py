"""What the jobs of one call share: its outcomes, its byte count, its speed limit, its end."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lake_assets.errors import LakeError, TransferError
from lake_assets.s3.report import Failure, TransferReport
from lake_assets.s3.transfer_config import ObjectRef

__all__ = ["CancelledError", "Flow"]

#: Parts that are held in memory at once: 48 MiB of the default size.
_HELD_PARTS = 6


class CancelledError(TransferError):
    """The transfer was cancelled before this object was through."""


class Flow:
    """State of one download or upload; every method may be called by any thread."""

    def __init__(
        self, refs: Sequence[ObjectRef], *, cancel: threading.Event, limit: float | None
    ) -> None:
        self.refs = refs
        self.moved_bytes = 0
        """For the progress: threads add without a lock, so it may miss some."""
        self._cancel = cancel
        self._limit = limit
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self._gate = threading.BoundedSemaphore(_HELD_PARTS)
        self._buffers: list[bytearray] = []
        self._done: dict[int, int] = {}
        self._skipped: set[int] = set()
        self._failed: dict[int, Failure] = {}

    @property
    def n_ended(self) -> int:
        """How many objects are done, skipped or failed."""
        return len(self._done) + len(self._skipped) + len(self._failed)

    def check(self) -> None:
        """Go on, or end here.

        Raises:
            CancelledError: The transfer was cancelled.
        """
        if self._cancel.is_set():
            raise CancelledError("cancelled before it was through; run again")

    def cancel(self) -> None:
        """End every job at its next step."""
        self._cancel.set()

    def count(self, n_bytes: int) -> None:
        """Note bytes on their way, and wait where there is a limit and they came too fast.

        Raises:
            CancelledError: The transfer was cancelled.
        """
        self.check()
        self.moved_bytes += n_bytes
        if self._limit is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + n_bytes / self._limit
            wait = self._free_at - now
        if self._cancel.wait(wait):
            self.check()

    def done(self, index: int, size_bytes: int) -> None:
        """One object is where it belongs."""
        self._done[index] = size_bytes

    def skip(self, index: int) -> None:
        """One object needs no move."""
        self._skipped.add(index)

    def fail(self, index: int, error: Exception) -> None:
        """One object did not go through; the others go on."""
        said = str(error) if isinstance(error, LakeError) else _said(error)
        self._failed[index] = Failure(self.refs[index], said, error)

    def report(self, *, seconds: float) -> TransferReport:
        """What became of each object."""
        return TransferReport(
            done=tuple(self.refs[index] for index in sorted(self._done)),
            skipped=tuple(self.refs[index] for index in sorted(self._skipped)),
            failed=tuple(self._failed[index] for index in sorted(self._failed)),
            bytes=sum(self._done.values()),
            seconds=seconds,
        )

    @contextmanager
    def buffer(self, n_bytes: int) -> Iterator[bytearray]:
        """Memory for one part; few are lent at once, and they are used again and again.

        Fresh ones for each part would stay behind in the heap of every thread.
        """
        with self._gate:
            with self._lock:
                lent = self._buffers.pop() if self._buffers else bytearray()
            if len(lent) != n_bytes:
                lent = bytearray(n_bytes)
            try:
                yield lent
            finally:
                with self._lock:
                    self._buffers.append(lent)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
