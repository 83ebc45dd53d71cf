"""How large the row groups of a stored parquet file are: its footer is read, and nothing else.

From a bucket only the last bytes come, by ranges under If-Match. No ETag proves a part of an
object, so what the footer says must add up; the rows are read and verified by others, later.
"""

import io
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.errors import BadInputError, StorageError
from lake_assets.s3 import ObjectInfo, Store, parse_url
from lake_assets.s3.client import boto_client
from lake_assets.s3.engine import BrokenAnswerError, Engine, pause
from lake_assets.s3.transfer_config import TransferConfig

__all__ = ["row_group_bytes"]

_TRIES = 5
#: Of a store that knows no ranges: a longer file lies on local disk.
_MEMORY_BYTES = 16 * 1024**2


def row_group_bytes(store: Store, info: ObjectInfo) -> list[int]:
    """Stored bytes of each row group of the file ``info``, as listed.

    Raises:
        SourceChangedError: The file is gone or was replaced since it was listed.
        BadInputError: It has no footer, or one that does not add up.
    """
    with _opened(store, info) as body:
        try:
            footer = pq.read_metadata(body)
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        except StorageError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise _no_footer(store, info, str(error)) from error
    sizes = [
        sum(group.column(number).total_compressed_size for number in range(group.num_columns))
        for group in groups
    ]
    rows = sum(group.num_rows for group in groups)
    if rows != footer.num_rows or sum(sizes) > info.size_bytes:
        raise _no_footer(
            store,
            info,
            f"{rows} of {footer.num_rows} rows in row groups of {sum(sizes)} bytes, in a file of "
            f"{info.size_bytes}",
        )
    return sizes


class _Ranged(io.RawIOBase):
    """A stored object as a file whose every read is a request."""

    def __init__(self, engine: Engine, info: ObjectInfo) -> None:
        self._engine = engine
        self._info = info
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] (what io hands over)
        end = min(self._at + len(buffer), self._info.size_bytes)
        if end <= self._at:
            return 0
        data = self._fetch(self._at, end)
        buffer[: len(data)] = data
        self._at = end
        return len(data)

    def _fetch(self, start: int, end: int) -> bytes:
        reason = ""
        for attempt in range(1, _TRIES + 1):
            try:
                body = self._engine.get(self._info.key, etag=self._info.etag, span=(start, end))
                try:
                    data = b"".join(body.blocks)
                finally:
                    body.close()
            except BrokenAnswerError as error:
                reason = str(error)
            else:
                if len(data) == end - start:
                    return data
                reason = f"{len(data)} bytes arrived of {end - start}"
            if attempt < _TRIES:
                pause(attempt)
        raise StorageError(
            f"cannot read the end of {self._engine.url}/{self._info.key}: {reason}, {_TRIES} times"
        )


def _opened(store: Store, info: ObjectInfo) -> BinaryIO:
    if not store.url.startswith("s3://"):
        return store.open(info, memory_bytes=_MEMORY_BYTES if "://" in store.url else -1)
    from lake_assets.s3.engine_boto3 import BotoEngine

    engine = BotoEngine(parse_url(store.url), boto_client(store.url), TransferConfig())
    return cast("BinaryIO", _Ranged(engine, info))


def _no_footer(store: Store, info: ObjectInfo, found: str) -> BadInputError:
    return BadInputError(
        f"{store.url}/{info.key}",
        expected="a parquet file",
        found=f"no footer that can be read ({found})",
        remedy="export the file again",
    )
