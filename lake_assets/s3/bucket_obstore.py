"""S3 as a store whose single objects go over obstore: a third of the CPU of boto3 for each request.

obstore makes one attempt. Whatever it cannot spell, does not know or fails at, boto3 does again in
its own way: it is the one that retries, and that names what is wrong. Listing and deleting are
boto3's as before.
"""

import uuid
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from lake_assets.s3.bucket import PARTS_ETAG, WRITER, BucketStore
from lake_assets.s3.obstore_paths import can_spell
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.url import StoreUrl
from lake_assets.s3.verified_body import Expected, write_hashed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)
    from mypy_boto3_s3.type_defs import (  # pyright: ignore[reportMissingImports] (stubs)
        GetObjectOutputTypeDef,
    )
    from obstore import GetOptions, GetResult
    from obstore.store import S3Store

__all__ = ["FastBucketStore"]

#: Larger bodies are boto3's: obstore ends a request after 30 s, however well it goes.
_LARGEST_BYTES = 64 * 1024**2
#: Bodies up to this size come in one piece: less work for each than a stream.
_ONE_PIECE_BYTES = 8 * 1024**2
_BLOCK_BYTES = 1024**2
#: Status of an answer, as obstore's errors quote it; the number alone may be part of a key.
_PRECONDITION = "412 Precondition Failed"


class FastBucketStore(BucketStore):
    """The objects below ``s3://bucket/prefix``.

    Args:
        url: Of the store.
        client: boto3's, for all that obstore does not do.
        fast: obstore's store of the whole bucket, which retries nothing.
    """

    def __init__(self, url: StoreUrl, client: "S3Client", fast: "S3Store") -> None:
        super().__init__(url, client)
        self._fast = fast
        self._etags_tell = True

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object; None where there is none."""
        if not can_spell(self._prefix + key):
            return super().head(key)
        try:
            item = obstore.head(self._fast, self._prefix + key)
        except FileNotFoundError:
            return None
        except BaseError:
            return super().head(key)
        etag = (item["e_tag"] or "").strip('"')
        return ObjectInfo(key, item["size"], etag, item["last_modified"])

    def put(self, key: str, body: bytes) -> None:
        """Write one object; S3 shows it whole or not at all."""
        path = self._prefix + key
        if len(body) <= _LARGEST_BYTES and can_spell(path):
            try:
                obstore.put(self._fast, path, body, use_multipart=False)
            except (BaseError, FileNotFoundError):
                pass
            else:
                return
        super().put(key, body)

    def create(self, key: str, body: bytes) -> bool:
        """Write one object with ``If-None-Match: *``; 412 means that another writer was first."""
        path, mark = self._prefix + key, uuid.uuid4().hex
        if len(body) > _LARGEST_BYTES or not can_spell(path):
            return super().create(key, body)
        try:
            obstore.put(
                self._fast,
                path,
                body,
                mode="create",
                attributes={WRITER: mark},
                use_multipart=False,
            )
        except AlreadyExistsError as error:
            # 409 is of the same class: another conditional write of the key is under way.
            return False if _PRECONDITION in str(error) else self._create(key, body, mark)
        except (BaseError, FileNotFoundError):
            return self._create(key, body, mark, again=True)  # the answer alone may have been lost
        return True

    def _fetch_once(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> str:
        """Stream one body into ``file``; what is wrong with it, or nothing."""
        if self._fetch_fast(self._prefix + key, file, listed, sha256):
            return ""
        file.seek(0)
        file.truncate()
        return super()._fetch_once(key, file, listed, sha256)

    def _fetch_fast(
        self, path: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> bool:
        """Whether the body is in ``file`` and proven right; else boto3 has to look."""
        size, etag = (listed.size_bytes, listed.etag) if listed else (0, "")
        if not can_spell(path) or not self._can_prove(size, etag, sha256):
            return False
        options: GetOptions = {"if_match": f'"{listed.etag}"'} if listed else {}
        try:
            got = obstore.get(self._fast, path, options=options)
            size, etag = got.meta["size"], (got.meta["e_tag"] or "").strip('"')
            if listed and (size, etag) != (listed.size_bytes, listed.etag):
                return False
            if not self._can_prove(size, etag, sha256):
                return False
            expected = Expected(size, sha256, "" if sha256 else etag)
            return not write_hashed(_blocks(got, size), file, expected)
        except (BaseError, FileNotFoundError):
            return False

    def _can_prove(self, size: int, etag: str, sha256: str | None) -> bool:
        """Whether a body can be held to its own sha256 or to an ETag that is its MD5."""
        if sha256 is None and (not self._etags_tell or PARTS_ETAG.fullmatch(etag)):
            return False  # only boto3's answer tells of keys of KMS and of parts
        return size <= _LARGEST_BYTES

    def _has_md5s(self, answer: "GetObjectOutputTypeDef") -> bool:
        """As boto3's answer says; remembered, for under a key of KMS each body would come twice."""
        self._etags_tell = super()._has_md5s(answer)
        return self._etags_tell


def _blocks(got: "GetResult", size: int) -> Iterable[memoryview]:
    if size <= _ONE_PIECE_BYTES:
        return [memoryview(got.bytes())]
    return map(memoryview, got.stream(min_chunk_size=_BLOCK_BYTES))
