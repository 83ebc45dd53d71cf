"""One big object to one local file by ranges, side by side in the threads of the transfer.

The ranges are the parts of its upload wherever the ETag tells their size: then the MD5s taken
while the bytes pass prove the file, and nothing is read back.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lake_assets.errors import StorageError
from lake_assets.s3.engine import BrokenAnswerError, Engine, Found, pause
from lake_assets.s3.flow import Flow
from lake_assets.s3.partial import mismatch, partial_of, publish
from lake_assets.s3.pool import Job
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.verify import combined_etag, guess_part_bytes, is_object

__all__ = ["RangedDownload", "Target"]

#: Larger ranges would leave threads without work at the end.
_LARGEST_RANGE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Target:
    """Which object of the transfer goes where."""

    index: int
    key: str
    path: str


class RangedDownload:
    """The jobs of one object; the last one to end verifies and publishes the file."""

    def __init__(
        self, engine: Engine, *, config: TransferConfig, flow: Flow, target: Target, found: Found
    ) -> None:
        self._engine = engine
        self._config = config
        self._flow = flow
        self._target = target
        self._found = found
        self._step, self._are_parts = _plan(found, config)
        self._partial = partial_of(target.path)
        self._fd = -1
        self._digests: list[bytes] = []
        self._rounds_left = config.retry_attempts
        self._left = 0
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def jobs(self) -> Sequence[Job]:
        """Open the partial file; a job for each range."""
        self._fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        return self._round()

    def _round(self) -> Sequence[Job]:
        n_ranges = -(-self._found.size_bytes // self._step)
        self._rounds_left -= 1
        self._left = n_ranges
        self._digests = [b""] * n_ranges
        return [self._job(number) for number in range(n_ranges)]

    def _job(self, number: int) -> Job:
        def job() -> Sequence[Job]:
            error = self._guarded(lambda: self._fetch(number))
            with self._lock:
                self._error = self._error or error
                self._left -= 1
                is_last = not self._left
            return self._end() if is_last else ()

        return job

    def _guarded(self, step: Callable[[], None]) -> Exception | None:
        if self._error is not None:  # another range failed: nothing is left to win
            return None
        try:
            self._flow.check()
            step()
        except (StorageError, OSError, ValueError) as error:
            return error
        return None

    def _fetch(self, number: int) -> None:
        """One range into its place; again where it breaks off."""
        start = number * self._step
        end = min(start + self._step, self._found.size_bytes)
        tries = self._config.retry_attempts
        reason = ""
        for attempt in range(1, tries + 1):
            try:
                size, digest = self._copy(start, end)
            except BrokenAnswerError as error:
                reason = str(error)
            else:
                if size == end - start:
                    self._digests[number] = digest
                    return
                reason = f"{size} bytes arrived of {end - start}"
            if attempt < tries:
                self._flow.check()
                pause(attempt)
        raise mismatch(self._engine, self._target.key, reason, tries=tries)

    def _copy(self, start: int, end: int) -> tuple[int, bytes]:
        body = self._engine.get(self._target.key, etag=self._found.etag, span=(start, end))
        md5, at = hashlib.md5(usedforsecurity=False), start
        try:
            for block in body.blocks:
                n_bytes = len(block)
                self._flow.count(n_bytes)
                if at + n_bytes > end:  # more than was asked for: not this range
                    return at + n_bytes - start, b""
                if self._are_parts:
                    md5.update(block)
                view = memoryview(block)
                while view:
                    n_written = os.pwrite(self._fd, view, at)
                    at, view = at + n_written, view[n_written:]
        finally:
            body.close()
        return at - start, md5.digest()

    def _end(self) -> Sequence[Job]:
        """Publish, go round again, or clean up and say why."""
        target = self._target
        reason, error = "", self._error
        if error is None:
            error = self._guarded(self._sync)
        if error is None:
            try:
                reason = "" if self._is_right() else "the bytes are not those of its ETag or sha256"
            except (StorageError, OSError) as caught:
                error = caught
        if reason and self._rounds_left:
            return self._again()
        with suppress(OSError):
            os.close(self._fd)
        if reason:
            tries = self._config.retry_attempts
            error = mismatch(self._engine, target.key, reason, tries=tries)
        error = error or self._guarded(
            lambda: publish(self._partial, target.path, fsync=self._config.fsync)
        )
        with suppress(FileNotFoundError):
            os.unlink(self._partial)
        if error is None:
            self._flow.done(target.index, self._found.size_bytes)
        else:
            self._flow.fail(target.index, error)
        return ()

    def _again(self) -> Sequence[Job]:
        """Another round; its size may have come from the answer that was wrong."""
        try:
            found = self._engine.look(self._target.key)
        except StorageError:  # the next round says it
            found = None
        if found is not None and found.etag == self._found.etag:
            self._found = found
            self._step, self._are_parts = _plan(found, self._config)
        os.ftruncate(self._fd, 0)
        return self._round()

    def _sync(self) -> None:
        if self._config.fsync:
            os.fsync(self._fd)

    def _is_right(self) -> bool:
        if self._are_parts and combined_etag(self._digests) == self._found.etag:
            return True
        with open(self._partial, "rb") as file:
            right = is_object(self._engine, self._target.key, file=file, found=self._found)
        return right is not False


def _plan(found: Found, config: TransferConfig) -> tuple[int, bool]:
    """Bytes of a range, and whether the ranges are the parts of the object's upload."""
    likely = config.part_bytes(found.size_bytes)
    part = guess_part_bytes(found.etag, found.size_bytes, likely=likely)
    if part is None or part > _LARGEST_RANGE_BYTES:
        return likely, False
    return part, True
