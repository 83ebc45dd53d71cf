"""Objects to local files: each arrives verified under its name, or not at all."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from lake_assets.errors import SourceChangedError, StorageError, TransferError
from lake_assets.s3.engine import Body, BrokenAnswerError, Engine, Found, pause
from lake_assets.s3.flow import Flow
from lake_assets.s3.partial import mismatch, partial_of, publish, write_all
from lake_assets.s3.pool import Job
from lake_assets.s3.ranges import RangedDownload, Target
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets.s3.verify import is_object

__all__ = ["Downloads"]


class Downloads:
    """The jobs of one download."""

    def __init__(
        self,
        engine: Engine,
        *,
        config: TransferConfig,
        flow: Flow,
        overwrite: bool,
        known: Mapping[str, Found | None],
    ) -> None:
        self._engine = engine
        self._config = config
        self._flow = flow
        self._overwrite = overwrite
        self._known = known
        self._folders: set[str] = set()

    def jobs(self) -> Iterator[Job]:
        """One job for each object; big objects return more of them."""
        for index, ref in enumerate(self._flow.refs):
            yield self._job(index, ref)

    def _job(self, index: int, ref: ObjectRef) -> Job:
        return self._caught(index, lambda: self._start(index, ref))

    def _caught(self, index: int, step: Callable[[], Sequence[Job]]) -> Job:
        def job() -> Sequence[Job]:
            try:
                self._flow.check()
                return step()
            except (StorageError, OSError, ValueError) as error:
                self._flow.fail(index, error)
                return ()

        return job

    def _start(self, index: int, ref: ObjectRef) -> Sequence[Job]:
        path = os.path.abspath(ref.local_path)
        if not self._overwrite and self._is_there(ref, path):
            self._flow.skip(index)
            return ()
        self._make_folder(path)
        if self._is_big(ref.size_bytes):
            return self._split(index, ref, path)
        return self._whole(index, ref, path)

    def _is_big(self, size_bytes: int | None) -> bool:
        threshold = self._config.multipart_threshold_bytes
        return self._engine.has_parts and size_bytes is not None and size_bytes > threshold

    def _is_there(self, ref: ObjectRef, path: str) -> bool:
        """Whether the file needs no fetching."""
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISREG(status.st_mode):
            raise TransferError(f"{path} is no file; remove it or give another local path")
        if self._config.skip != "content":
            return self._config.skip == "exists"
        if ref.size_bytes is not None and ref.size_bytes != status.st_size:
            return False
        found = self._found(ref)
        if found.size_bytes != status.st_size:
            return False
        with open(path, "rb") as file:
            return bool(is_object(self._engine, ref.key, file=file, found=found, deep=True))

    def _found(self, ref: ObjectRef) -> Found:
        """What is known of the object, asked of the store where the ref does not say it."""
        if ref.size_bytes is not None and ref.etag:
            return Found(ref.size_bytes, ref.etag)
        known = self._known
        found = known[ref.key] if ref.key in known else self._engine.look(ref.key)
        if found is None:
            raise SourceChangedError(f"{self._engine.url}/{ref.key} is not there; list again")
        if (ref.etag and found.etag != ref.etag) or ref.size_bytes not in {None, found.size_bytes}:
            raise SourceChangedError(
                f"{self._engine.url}/{ref.key} was replaced since it was listed; run again"
            )
        return found

    def _make_folder(self, path: str) -> None:
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def _whole(self, index: int, ref: ObjectRef, path: str) -> Sequence[Job]:
        """Fetch in one request; again where the bytes are wrong."""
        partial, reason = partial_of(path), ""
        try:
            for attempt in range(1, self._config.retry_attempts + 1):
                try:
                    body = self._engine.get(ref.key, etag=ref.etag)
                    if ref.size_bytes is None and self._is_big(body.found.size_bytes):
                        body.close()
                        seen = ObjectRef(ref.key, path, body.found.size_bytes, body.found.etag)
                        return self._split(index, seen, path)
                    size, reason = self._keep(ref, partial, body)
                except BrokenAnswerError as error:
                    size, reason = 0, str(error)
                if not reason:
                    publish(partial, path, fsync=self._config.fsync)
                    partial = ""
                    self._flow.done(index, size)
                    return ()
                if attempt < self._config.retry_attempts:
                    self._flow.check()
                    pause(attempt)
        finally:
            if partial:
                with suppress(FileNotFoundError):
                    os.unlink(partial)
        raise mismatch(self._engine, ref.key, reason, tries=self._config.retry_attempts)

    def _keep(self, ref: ObjectRef, partial: str, body: Body) -> tuple[int, str]:
        """Write one body; its size, and what is wrong with it or nothing."""
        own, size = body.found.sha256, 0
        digest = hashlib.sha256() if own else hashlib.md5(usedforsecurity=False)
        try:
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                for block in body.blocks:
                    n_bytes = len(block)
                    self._flow.count(n_bytes)
                    size += n_bytes
                    digest.update(block)
                    write_all(fd, block)
                if self._config.fsync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        finally:
            body.close()
        expected = body.found.size_bytes if ref.size_bytes is None else ref.size_bytes
        if size != expected:
            return size, f"{size} bytes arrived of {expected}"
        if digest.hexdigest() == (own or body.found.etag):
            return size, ""
        with open(partial, "rb") as file:
            right = is_object(self._engine, ref.key, file=file, found=body.found)
        return size, "the bytes are not those of its ETag or sha256" if right is False else ""

    def _split(self, index: int, ref: ObjectRef, path: str) -> Sequence[Job]:
        found = Found(ref.size_bytes, ref.etag) if ref.size_bytes and ref.etag else self._found(ref)
        ranged = RangedDownload(
            self._engine,
            config=self._config,
            flow=self._flow,
            target=Target(index, ref.key, path),
            found=found,
        )
        return ranged.jobs()
