"""One big file to one object by parts, side by side in the threads of the transfer.

An upload that was interrupted is found again by its note: parts that the store has and that are
those of the file are not sent again. It is only aborted when its file is another one by now.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError, TransferError
from lake_assets.s3.engine import BrokenAnswerError, NewObject, pause
from lake_assets.s3.engine_boto3 import BotoEngine
from lake_assets.s3.flow import Flow
from lake_assets.s3.notes import UploadNote, drop_note, read_note, write_note
from lake_assets.s3.pool import Job
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.verify import combined_etag

__all__ = ["PartedUpload"]

_BLOCK_BYTES = 1024**2
_PARTS_ETAG = re.compile(r"[0-9a-f]{32}-\d{1,5}")
_T = TypeVar("_T")


class PartedUpload:
    """The jobs of one file; the last one to end makes the parts an object."""

    def __init__(
        self, engine: BotoEngine, *, config: TransferConfig, flow: Flow, index: int, new: NewObject
    ) -> None:
        self._engine = engine
        self._config = config
        self._flow = flow
        self._index = index
        self._new = new
        self._step = config.part_bytes(new.size_bytes)
        self._notes = config.note_folder()
        self._state = _state_of(new.path)
        self._sha256 = ""
        self._upload_id = ""
        self._has_md5 = True
        self._there: dict[int, str] = {}
        self._digests: list[bytes] = []
        self._etags: list[str] = []
        self._left = 0
        self._error: Exception | None = None
        self._lock = threading.Lock()

    def jobs(self) -> Sequence[Job]:
        """Hash the file, begin the upload or go on with it; a job for each part."""
        self._sha256 = self._hash()
        self._begin()
        n_parts = -(-self._new.size_bytes // self._step)
        self._left = n_parts
        self._digests, self._etags = [b""] * n_parts, [""] * n_parts
        return [self._job(number) for number in range(1, n_parts + 1)]

    def _hash(self) -> str:
        digest = hashlib.sha256()
        with open(self._new.path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                self._flow.check()
                digest.update(block)
        return digest.hexdigest()

    def _begin(self) -> None:
        url, key = self._engine.address_of(self._new.key), self._new.key
        said = self._engine.wishes(self._new)
        note = read_note(self._notes, url)
        if note:
            there = self._engine.uploaded(key, note.upload_id)
            mine = (self._sha256, self._step, said)
            if there is not None and (note.sha256, note.part_bytes, note.said) == mine:
                self._upload_id, self._there = note.upload_id, there
                self._has_md5 = note.has_md5
                return
            if there is not None:
                self._engine.abort(key, note.upload_id)
        self._upload_id, self._has_md5 = self._retried(
            lambda: self._engine.begin(self._new, self._sha256)
        )
        write_note(
            self._notes,
            UploadNote(
                url=url,
                sha256=self._sha256,
                part_bytes=self._step,
                said=said,
                upload_id=self._upload_id,
                has_md5=self._has_md5,
            ),
        )

    def _job(self, number: int) -> Job:
        def job() -> Sequence[Job]:
            error = self._guarded(lambda: self._send(number))
            with self._lock:
                self._error = self._error or error
                self._left -= 1
                is_last = not self._left
            if is_last:
                self._end()
            return ()

        return job

    def _guarded(self, step: Callable[[], None]) -> Exception | None:
        if self._error is not None:
            return None
        try:
            self._flow.check()
            step()
        except (StorageError, OSError, ValueError) as error:
            return error
        return None

    def _send(self, number: int) -> None:
        """One part, unless the store has it; again where it answers for other bytes."""
        with self._part(number) as data:
            digest = hashlib.md5(data, usedforsecurity=False)
            self._digests[number - 1] = digest.digest()
            sent, there = digest.hexdigest(), self._there.get(number)
            if there != sent:
                self._flow.count(len(data))
                self._retried(lambda: self._send_once(number, data, sent))
            else:
                self._etags[number - 1] = sent

    def _send_once(self, number: int, data: bytearray, sent: str) -> None:
        etag = self._engine.upload_part(self._new.key, self._upload_id, number, data)
        if self._has_md5 and len(etag) == len(sent) and etag != sent:
            raise BrokenAnswerError(
                f"cannot write {self._engine.url}/{self._new.key}: "
                f"the store kept other bytes of part {number} (ETag {etag}, sent {sent})"
            )
        self._etags[number - 1] = etag

    @contextmanager
    def _part(self, number: int) -> Iterator[bytearray]:
        start = (number - 1) * self._step
        wanted = min(self._step, self._new.size_bytes - start)
        with self._flow.buffer(wanted) as data:
            with open(self._new.path, "rb") as file:
                file.seek(start)
                if file.readinto(data) != wanted:
                    raise self._changed()
            yield data

    def _end(self) -> None:
        error = self._error or self._guarded(self._complete)
        if error is None:
            self._flow.done(self._index, self._new.size_bytes)
        else:
            self._flow.fail(self._index, error)

    def _complete(self) -> None:
        new, engine = self._new, self._engine
        if _state_of(new.path) != self._state:
            engine.abort(new.key, self._upload_id)
            self._forget()
            raise self._changed()
        etag = self._retried(lambda: engine.complete(new, self._upload_id, self._etags))
        expected = combined_etag(self._digests)
        if etag is None:
            self._check_other(expected)
        elif self._has_md5 and _is_of_parts(etag) and etag != expected:
            engine.delete(new.key)
            self._forget()
            raise BodyMismatchError(
                f"{engine.url}/{new.key}: the store made other bytes of the parts "
                f"(ETag {etag}, sent {expected}); it was deleted again"
            )
        self._forget()

    def _check_other(self, expected: str) -> None:
        """What is there instead: our own object where the answer was lost, or another one's."""
        found = self._engine.look(self._new.key)
        name = f"{self._engine.url}/{self._new.key}"
        if found is None:
            self._forget()
            raise TransferError(f"the upload of {name} is gone from the store; run again")
        if found.size_bytes == self._new.size_bytes and (
            found.sha256 == self._sha256 or found.etag == expected
        ):
            return
        self._engine.abort(self._new.key, self._upload_id)
        self._forget()
        raise TransferError(f"{name} is there with other bytes; pass overwrite=True to replace it")

    def _forget(self) -> None:
        drop_note(self._notes, self._engine.address_of(self._new.key))

    def _retried(self, step: Callable[[], _T]) -> _T:
        for attempt in range(1, self._config.retry_attempts):
            try:
                return step()
            except BrokenAnswerError:
                self._flow.check()
                pause(attempt)
        return step()

    def _changed(self) -> SourceChangedError:
        return SourceChangedError(f"{self._new.path} changed while it was uploaded; run again")


def _state_of(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _is_of_parts(etag: str) -> bool:
    return bool(_PARTS_ETAG.fullmatch(etag))
