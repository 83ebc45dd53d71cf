"""One big file to one object by parts, side by side in the threads of the transfer.

An upload that was interrupted is found again by its note: parts that the store has and that are
those of the file are not sent again. It is only aborted when its file is another one by now.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lake_assets.errors import BodyMismatchError, SourceChangedError, TransferError
from lake_assets.s3.engine import BrokenAnswerError, NewObject
from lake_assets.s3.engine_boto3 import BotoEngine
from lake_assets.s3.flow import Flow
from lake_assets.s3.notes import UploadNote, drop_note, read_note, write_note
from lake_assets.s3.pieces import Pieces
from lake_assets.s3.pool import Job
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.verify import combined_etag

__all__ = ["PartedUpload"]

_BLOCK_BYTES = 1024**2
_PARTS_ETAG = re.compile(r"[0-9a-f]{32}-\d{1,5}")


class PartedUpload:
    """The jobs of one file; the last one to end makes the parts an object."""

    def __init__(
        self, engine: BotoEngine, *, config: TransferConfig, flow: Flow, index: int, new: NewObject
    ) -> None:
        self._engine = engine
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
        self._n_parts = -(-new.size_bytes // self._step)
        self._digests = [b""] * self._n_parts
        self._etags = [""] * self._n_parts
        self._pieces = Pieces(flow, tries=config.retry_attempts)

    def jobs(self) -> Sequence[Job]:
        """Hash the file, begin the upload or go on with it; a job for each part."""
        self._sha256 = self._hash()
        self._begin()
        return self._pieces.jobs(self._n_parts, self._send, self._end)

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
        self._upload_id, self._has_md5 = self._pieces.retried(
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

    def _send(self, number: int) -> None:
        """One part, unless the store has it; again where it answers for other bytes."""
        with self._part(number) as data:
            md5 = hashlib.md5(data, usedforsecurity=False)
            self._digests[number] = md5.digest()
            self._etags[number] = md5.hexdigest()
            if self._there.get(number + 1) != md5.hexdigest():
                self._flow.count(len(data))
                self._pieces.retried(lambda: self._send_once(number, data, md5.digest()))

    def _send_once(self, number: int, data: bytearray, md5: bytes) -> None:
        new, sent = self._new, md5.hex()
        etag = self._engine.upload_part(new.key, self._upload_id, number + 1, data, md5=md5)
        if self._has_md5 and len(etag) == len(sent) and etag != sent:
            raise BrokenAnswerError(
                f"cannot write {self._engine.url}/{new.key}: "
                f"the store kept other bytes of part {number + 1} (ETag {etag}, sent {sent})"
            )
        self._etags[number] = etag

    @contextmanager
    def _part(self, number: int) -> Iterator[bytearray]:
        start = number * self._step
        wanted = min(self._step, self._new.size_bytes - start)
        with self._flow.buffer(wanted) as data:
            with open(self._new.path, "rb") as file:
                file.seek(start)
                if file.readinto(data) != wanted:
                    raise self._changed()
            yield data

    def _end(self) -> Sequence[Job]:
        error = self._pieces.error or self._pieces.guarded(self._complete)
        if error is None:
            self._flow.done(self._index, self._new.size_bytes)
        else:
            self._flow.fail(self._index, error)
        return ()

    def _complete(self) -> None:
        new, engine = self._new, self._engine
        if _state_of(new.path) != self._state:
            engine.abort(new.key, self._upload_id)
            self._forget()
            raise self._changed()
        etag = self._pieces.retried(lambda: engine.complete(new, self._upload_id, self._etags))
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

    def _changed(self) -> SourceChangedError:
        return SourceChangedError(f"{self._new.path} changed while it was uploaded; run again")


def _state_of(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _is_of_parts(etag: str) -> bool:
    return bool(_PARTS_ETAG.fullmatch(etag))
