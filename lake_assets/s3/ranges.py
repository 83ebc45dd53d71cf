"""One big object to one local file by ranges, side by side in the threads of the transfer.

Every byte is hashed once, while others arrive: the file as a whole for a sha256 of ours or a plain
MD5, else each range for the MD5s in the ETag, as the ranges are the parts of the object's upload
wherever the ETag tells their size.
"""

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from lake_assets.errors import StorageError
from lake_assets.s3.engine import BrokenAnswerError, Engine, Found
from lake_assets.s3.flow import Flow
from lake_assets.s3.partial import mismatch, partial_of, publish
from lake_assets.s3.pieces import Pieces
from lake_assets.s3.pool import Job
from lake_assets.s3.running_digest import RunningDigest
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.verify import combined_etag, guess_part_bytes, is_object

__all__ = ["RangedDownload", "Target"]

#: Larger ranges would leave threads without work at the end.
_LARGEST_RANGE_BYTES = 64 * 1024**2
_MD5 = re.compile(r"[0-9a-f]{32}")


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
        self._partial = partial_of(target.path)
        self._fd = -1
        self._rounds_left = config.retry_attempts
        self._pieces = Pieces(flow, tries=config.retry_attempts)
        self._lock = threading.Lock()

    def jobs(self) -> Sequence[Job]:
        """Open the partial file; a job for each range."""
        self._fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        return self._round()

    def _round(self) -> Sequence[Job]:
        self._step, self._are_parts = _plan(self._found, self._config)
        n_ranges = -(-self._found.size_bytes // self._step)
        self._rounds_left -= 1
        self._digests = [b""] * n_ranges
        self._whole: RunningDigest | None = None
        self._expected = ""
        return self._pieces.jobs(n_ranges, self._fetch, self._end)

    def _fetch(self, number: int) -> None:
        """One range into its place; again where it breaks off."""
        start = number * self._step
        end = min(start + self._step, self._found.size_bytes)
        try:
            self._pieces.retried(lambda: self._copy(number, start, end))
        except BrokenAnswerError as error:
            tries = self._config.retry_attempts
            raise mismatch(self._engine, self._target.key, str(error), tries=tries) from error
        if self._whole is not None:
            self._whole.arrived(number)

    def _copy(self, number: int, start: int, end: int) -> None:
        body = self._engine.get(self._target.key, etag=self._found.etag, span=(start, end))
        md5, at = self._hash_of(body.found), start
        try:
            for block in body.blocks:
                n_bytes = len(block)
                self._flow.count(n_bytes)
                if at + n_bytes > end:  # more than was asked for: not this range
                    raise BrokenAnswerError(f"more than {end - start} bytes arrived")
                if md5 is not None:
                    md5.update(block)
                view = memoryview(block)
                while view:
                    n_written = os.pwrite(self._fd, view, at)
                    at, view = at + n_written, view[n_written:]
        finally:
            body.close()
        if at != end:
            raise BrokenAnswerError(f"{at - start} bytes arrived of {end - start}")
        self._digests[number] = b"" if md5 is None else md5.digest()

    def _hash_of(self, found: Found) -> "hashlib._Hash | None":
        """What a range is hashed with while it passes: nothing where the file is hashed whole.

        Our own sha256 comes first, being faster than MD5; each answer says it.
        """
        with self._lock:
            if self._whole is None:
                if found.sha256:
                    self._begin("sha256", found.sha256)
                elif _MD5.fullmatch(self._found.etag):
                    self._begin("md5", self._found.etag)
            is_whole = self._whole is not None
        return None if is_whole or not self._are_parts else hashlib.md5(usedforsecurity=False)

    def _begin(self, algorithm: str, expected: str) -> None:
        self._expected = expected
        self._whole = RunningDigest(
            self._fd,
            size_bytes=self._found.size_bytes,
            piece_bytes=self._step,
            algorithm=algorithm,
        )

    def _end(self) -> Sequence[Job]:
        """Publish, go round again, or clean up and say why."""
        target = self._target
        reason, error = "", self._pieces.error
        if error is None:
            error = self._pieces.guarded(self._sync)
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
        error = error or self._pieces.guarded(
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
        os.ftruncate(self._fd, 0)
        return self._round()

    def _sync(self) -> None:
        if self._config.fsync:
            os.fsync(self._fd)

    def _is_right(self) -> bool:
        if self._whole is not None and self._whole.hexdigest() == self._expected:
            return True
        if all(self._digests) and combined_etag(self._digests) == self._found.etag:
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
