"""Objects of a bucket with their user metadata, in memory: ranges for big ones."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import numpy as np

from lake_assets.errors import (
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    SourceChangedError,
    StorageError,
)
from lake_assets.s3.client import Access, access_in_force, boto_client, obstore_store
from lake_assets.s3.engine import Body, BrokenAnswerError, Found, NewObject, pause
from lake_assets.s3.engine_boto3 import BotoEngine
from lake_assets.s3.objects import Proof, Stored
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.url import StoreUrl
from lake_assets.s3.verify import combined_etag, is_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

    from lake_assets.s3.store import Store

__all__ = ["BucketObjects", "open_bucket_objects"]

_T = TypeVar("_T")
#: Parts of one body under way at once.
_UPLOADS = 4
_CONFIG = TransferConfig(encryption=None)


def open_bucket_objects(parsed: StoreUrl, store: "Store", access: Access | None) -> "BucketObjects":
    """The objects below an ``s3://`` address; bodies by obstore unless boto3 was asked for."""
    in_force = access_in_force(parsed.text, access)
    client = boto_client(parsed.text, in_force)
    return BucketObjects(_engine(parsed, client, in_force), store, _CONFIG)


@lru_cache(maxsize=16)
def _engine(parsed: StoreUrl, client: "S3Client", access: Access) -> BotoEngine:
    """One for all callers of one client, which is of one environment."""
    if access.engine == "boto3":
        return BotoEngine(parsed, client, _CONFIG)
    from lake_assets.s3.engine_obstore import ObstoreEngine

    return ObstoreEngine(parsed, client, _CONFIG, obstore_store(parsed.text, access))


class BucketObjects:
    """The objects below ``s3://bucket/prefix``."""

    is_s3 = True

    def __init__(self, engine: BotoEngine, store: "Store", config: TransferConfig) -> None:
        self.url = engine.url
        self.store = store
        self._engine = engine
        self._config = config

    def look(self, key: str) -> Found | None:
        """What a HEAD says."""
        if not key:  # the bucket itself
            return None
        return self._engine.glance(key)

    def read(
        self, key: str, *, etag: str | None = None, proof: Proof | None = None, n_threads: int = 16
    ) -> Stored:
        """One GET; where it answers for a big body, that answer is dropped and ranges are read."""
        if not key:
            raise MissingObjectError(f"{self.url} is a whole bucket and no object; name one in it")
        reason = ""
        for attempt in range(1, self._config.retry_attempts + 1):
            try:
                stored = self._read_once(key, etag, n_threads)
            except BrokenAnswerError as error:
                reason = str(error)
            else:
                if self._is_right(key, stored, proof):
                    return stored
                reason = "the bytes are not those of its checksum or ETag"
            if attempt < self._config.retry_attempts:
                pause(attempt)
        raise BodyMismatchError(
            f"{self.url}/{key}: {reason} in {self._config.retry_attempts} tries; look at the store"
        )

    def read_span(self, key: str, start: int, stop: int, *, etag: str | None) -> memoryview:
        """One ranged GET under If-Match."""
        if start == stop:
            return memoryview(b"")
        return self._retried(lambda: self._span(key, start, stop, etag))

    def write(self, key: str, body: memoryview, metadata: Mapping[str, str]) -> None:
        """One PUT, or a multipart upload; what the store says that it got is compared."""
        if not key:
            raise SettingsError(f"{self.url} is a whole bucket; name an object in it")
        body = body.cast("B") if body.nbytes else memoryview(b"")
        new = NewObject(key, "", body.nbytes, metadata=metadata, create=False, body=body)
        if body.nbytes <= self._config.multipart_threshold_bytes:
            if not self._engine.put_quickly(new):
                self._engine.put(new)
        else:
            self._write_parts(new, body)

    def swap(
        self, key: str, body: memoryview, metadata: Mapping[str, str], *, base: Stored
    ) -> bool:
        """One PUT under If-Match."""
        new = NewObject(key, "", body.nbytes, metadata=metadata, create=False, body=body)
        if self._retried(lambda: self._engine.replace(new, base.found.etag)):
            return True
        try:  # ours, where the answer of the attempt that wrote it was lost
            return bytes(self.read(key).body) == bytes(body)
        except MissingObjectError:
            return False

    def _read_once(self, key: str, etag: str | None, n_threads: int) -> Stored:
        try:
            body = self._engine.get(key, etag=etag)
        except SourceChangedError as error:
            if etag or self._engine.look(key):
                raise
            raise MissingObjectError(f"{self.url}/{key} is not there") from error
        found = body.found
        if found.size_bytes <= self._config.multipart_threshold_bytes:
            return Stored(found, _whole(body, found.size_bytes))
        body.close()
        data = np.empty(found.size_bytes, np.uint8).data
        step = self._config.multipart_chunk_bytes

        def fill(start: int) -> None:
            stop = min(start + step, found.size_bytes)
            self._retried(lambda: self._fill(key, data[start:stop], start, found.etag))

        _side_by_side(fill, range(0, found.size_bytes, step), n_threads)
        return Stored(found, data)

    def _span(self, key: str, start: int, stop: int, etag: str | None) -> memoryview:
        data = np.empty(stop - start, np.uint8).data
        try:
            self._fill(key, data, start, etag)
        except SourceChangedError as error:
            if self._engine.look(key):
                raise
            raise MissingObjectError(f"{self.url}/{key} is not there") from error
        return data

    def _fill(self, key: str, data: memoryview, start: int, etag: str | None) -> None:
        stop = start + len(data)
        body = self._engine.get(key, etag=etag, span=(start, stop))
        if body.found.size_bytes < stop:
            body.close()
            raise SourceChangedError(
                f"{self.url}/{key} has {body.found.size_bytes} bytes, not the {stop} that were "
                "asked for; read again"
            )
        _fill(body, data)

    def _is_right(self, key: str, stored: Stored, proof: Proof | None) -> bool:
        found, body = stored.found, stored.body
        if len(body) != found.size_bytes:
            return False
        proven = None if proof is None else proof(found, body)
        if proven is not None:
            return proven
        file = cast("BinaryIO", _ViewFile(body))
        return is_object(self._engine, key, file=file, found=found) is not False

    def _write_parts(self, new: NewObject, body: memoryview) -> None:
        engine, step = self._engine, self._config.part_bytes(new.size_bytes)
        upload_id, has_md5 = self._retried(lambda: engine.begin(new, ""))
        starts = range(0, new.size_bytes, step)
        etags, digests = [""] * len(starts), [b""] * len(starts)

        def send(index: int) -> None:
            data = bytearray(body[starts[index] : starts[index] + step])
            md5 = hashlib.md5(data, usedforsecurity=False).digest()
            digests[index] = md5
            etags[index] = self._retried(
                lambda: engine.upload_part(new.key, upload_id, index + 1, data, md5=md5)
            )

        try:
            _side_by_side(send, range(len(starts)), _UPLOADS)
            etag = self._retried(lambda: engine.complete(new, upload_id, etags))
        except BaseException:  # Ctrl-C as well: parts that nobody completes cost money
            engine.abort(new.key, upload_id)
            raise
        if etag is None:
            raise StorageError(f"the upload of {self.url}/{new.key} is gone; write it again")
        if has_md5 and "-" in etag and etag != combined_etag(digests):
            engine.delete(new.key)
            raise BodyMismatchError(
                f"{self.url}/{new.key}: the store made other bytes of the parts (ETag {etag}); "
                "it was deleted again"
            )

    def _retried(self, once: Callable[[], _T]) -> _T:
        for attempt in range(1, self._config.retry_attempts):
            try:
                return once()
            except BrokenAnswerError:
                pause(attempt)
        return once()


class _ViewFile(io.RawIOBase):
    """Bytes in memory as a file, without a copy of them."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] (a buffer)
        n_bytes = min(len(buffer), len(self._view) - self._at)
        buffer[:n_bytes] = self._view[self._at : self._at + n_bytes]
        self._at += n_bytes
        return n_bytes

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        self._at = base + offset
        return self._at


def _whole(body: Body, size_bytes: int) -> memoryview:
    """A body of a few blocks; without a copy where it comes in one."""
    try:
        blocks = [memoryview(block) for block in body.blocks]
    finally:
        body.close()
    if len(blocks) == 1:
        return blocks[0]
    data = np.empty(sum(map(len, blocks)), np.uint8).data
    at = 0
    for block in blocks:
        data[at : at + len(block)] = block
        at += len(block)
    if at != size_bytes:
        raise BrokenAnswerError(f"{at} bytes arrived of {size_bytes}")
    return data


def _fill(body: Body, data: memoryview) -> None:
    at = 0
    try:
        for block in body.blocks:
            if at + len(block) > len(data):
                raise BrokenAnswerError(f"more than {len(data)} bytes arrived")
            data[at : at + len(block)] = block
            at += len(block)
    finally:
        body.close()
    if at != len(data):
        raise BrokenAnswerError(f"{at} bytes arrived of {len(data)}")


def _side_by_side(work: Callable[[int], None], items: Iterable[int], n_threads: int) -> None:
    """Run all; the first error ends those that have not begun."""
    if n_threads == 1:
        for item in items:
            work(item)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="objects")
    try:
        for done in [pool.submit(work, item) for item in items]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)
