"""obstore as the fast lane for bodies: read, and small ones written; all else is boto3's.

Keys that obstore cannot spell (empty or dotted segments) are read by boto3 as well.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError
from obstore.exceptions import UnauthenticatedError as NoCredentialsError

from lake_assets.errors import StorageError, first_line
from lake_assets.s3.engine import Body, BrokenAnswerError, Found, NewObject, own_sha256
from lake_assets.s3.engine_boto3 import BotoEngine
from lake_assets.s3.obstore_paths import can_spell
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.url import StoreUrl

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)
    from obstore import GetOptions, GetResult
    from obstore.store import S3Store

__all__ = ["ObstoreEngine"]

#: Bodies up to this size come in one piece: less work for each than a stream.
_ONE_PIECE_BYTES = 1024**2
#: What obstore hands over beside user metadata.
_NO_METADATA = frozenset(
    {
        *("cache-control", "content-disposition", "content-encoding", "content-language"),
        *("content-type", "storage-class"),
    }
)


class ObstoreEngine(BotoEngine):
    """The objects below ``s3://bucket/prefix``, bodies read by obstore."""

    def __init__(
        self, url: StoreUrl, client: "S3Client", config: TransferConfig, store: "S3Store"
    ) -> None:
        super().__init__(url, client, config)
        self._store = store

    def glance(self, key: str) -> Found | None:
        """A HEAD for an eighth of boto3's work, which is asked where an answer is unclear."""
        path = self._prefix + key
        if not can_spell(path):
            return self.look(key)
        try:
            return _found(obstore.get(self._store, path, options={"head": True}))
        except FileNotFoundError:
            return None
        except BaseError:
            return self.look(key)

    def get(self, key: str, *, etag: str | None, span: tuple[int, int] | None = None) -> Body:
        """Open the body, or bytes ``span`` of it, under If-Match."""
        path = self._prefix + key
        if not can_spell(path):
            return super().get(key, etag=etag, span=span)
        options: GetOptions = {}
        if etag:
            options["if_match"] = f'"{etag}"'
        if span:
            options["range"] = span
        try:
            got = obstore.get(self._store, path, options=options)
        except (BaseError, FileNotFoundError) as error:
            raise self._read_error(key, error) from error
        found = _found(got)
        if etag and found.etag != etag:  # a store that does not know If-Match
            raise self._changed(key, "was replaced")
        return Body(found, self._pieces(key, got), _nothing)

    def put_quickly(self, new: NewObject) -> bool:
        """Write a body in memory by one PUT, for a third of boto3's work.

        Returns:
            Whether the store has it: its ETag is the MD5 of what was sent. Else ``put`` has to
            write it, which knows what a store says in other cases, and why one refuses.
        """
        path = self._prefix + new.key
        if new.body is None or new.create or _NO_METADATA & set(new.metadata):
            return False
        if not can_spell(path):
            return False
        try:  # in one part, for its ETag has to be the MD5
            answer = obstore.put(
                self._store, path, new.body, attributes=dict(new.metadata), use_multipart=False
            )
        except (BaseError, FileNotFoundError):
            return False
        md5 = hashlib.md5(new.body, usedforsecurity=False).hexdigest()
        return (answer["e_tag"] or "").strip('"') == md5

    def _pieces(self, key: str, got: "GetResult") -> Iterator[memoryview]:
        try:
            start, end = got.range
            if end - start <= _ONE_PIECE_BYTES:
                yield memoryview(got.bytes())
            else:
                yield from map(memoryview, got.stream(min_chunk_size=_ONE_PIECE_BYTES))
        except BaseError as error:
            raise self._read_error(key, error) from error

    def _read_error(self, key: str, error: Exception) -> StorageError:
        asked, said = f"cannot read {self.url}/{key}", str(error)
        if isinstance(error, PreconditionError):
            return self._changed(key, "was replaced")
        if "NoSuchBucket" in said:
            return StorageError(f"{asked}: there is no such bucket at this endpoint")
        if isinstance(error, FileNotFoundError):
            return self._changed(key, "is gone")
        if isinstance(error, PermissionDeniedError | NoCredentialsError):
            return StorageError(f"{asked}: the store refused the credentials or the request")
        return BrokenAnswerError(f"{asked}: {first_line(error)}")


def _found(got: "GetResult") -> Found:
    meta = got.meta
    said = {name.lower(): value for name, value in got.attributes.items()}
    return Found(
        meta["size"],
        (meta["e_tag"] or "").strip('"'),
        own_sha256(said),
        metadata={name: value for name, value in said.items() if name not in _NO_METADATA},
        modified_at=meta["last_modified"],
    )


def _nothing() -> None:
    """An obstore answer closes with its last reference."""
