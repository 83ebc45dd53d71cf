"""S3 as a store, over boto3: control calls, verified reads, conditional writes."""

import hashlib
import random
import re
import tempfile
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError
from urllib3.exceptions import HTTPError

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.url import StoreUrl

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingModuleSource, reportMissingImports]

__all__ = ["BucketStore"]

#: Tries for one body. botocore retries requests; it never fetches a wrong body again.
_TRIES = 5
_BLOCK_BYTES = 1024**2
_MD5_ETAG = re.compile(r"[0-9a-f]{32}")


class BucketStore:
    """The objects below ``s3://bucket/prefix``."""

    def __init__(self, url: StoreUrl, client: "S3Client") -> None:
        self.url = url.text
        self._bucket = url.bucket
        self._prefix = f"{url.path}/" if url.path else ""
        self._client = client

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key starts with ``prefix``, by key, page by page."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"][len(self._prefix) :]
                    if key and not key.endswith("/"):
                        yield ObjectInfo(
                            key, item["Size"], item["ETag"].strip('"'), item["LastModified"]
                        )
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error("list", prefix, error) from error

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object; None where there is none."""
        try:
            item = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if _code(error) in {"404", "NoSuchKey", "NotFound"}:
                return None
            raise self._storage_error("look up", key, error) from error
        except BotoCoreError as error:
            raise self._storage_error("look up", key, error) from error
        return ObjectInfo(key, item["ContentLength"], item["ETag"].strip('"'), item["LastModified"])

    def get(self, key: str, *, listed: ObjectInfo | None = None, sha256: str | None = None) -> bytes:
        """The whole body, verified; fetched again when it is wrong."""
        with tempfile.SpooledTemporaryFile(max_size=2**40) as file:
            self._fetch(key, file, listed, sha256)
            file.seek(0)
            return file.read()

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> IO[bytes]:
        """The verified body as a seekable file."""
        file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)
        try:
            self._fetch(listed.key, file, listed, None)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file  # pyright: ignore[reportReturnType] (typeshed does not call it IO; it is one)

    def put(self, key: str, body: bytes) -> None:
        """Write one object; S3 shows it whole or not at all."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error("write", key, error) from error

    def create(self, key: str, body: bytes) -> bool:
        """Write one object with ``If-None-Match: *``; 412 means that another writer was first."""
        for attempt in range(_TRIES):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=body, IfNoneMatch="*"
                )
            except ClientError as error:
                if _code(error) in {"PreconditionFailed", "412"}:
                    return False
                # Real S3 answers 409 while another conditional write of the key is under way.
                if _code(error) != "ConditionalRequestConflict" or attempt == _TRIES - 1:
                    raise self._storage_error("create", key, error) from error
                _pause(attempt)
            except BotoCoreError as error:
                raise self._storage_error("create", key, error) from error
            else:
                return True
        raise AssertionError("unreachable: the last try returns or raises")

    def delete(self, key: str) -> None:
        """Remove one object."""
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error("delete", key, error) from error

    def _fetch(
        self, key: str, file: IO[bytes] | Any, listed: ObjectInfo | None, sha256: str | None
    ) -> None:
        reason = ""
        for attempt in range(_TRIES):
            if attempt:
                _pause(attempt)
            file.seek(0)
            file.truncate()
            try:
                reason = self._fetch_once(key, file, listed, sha256)
            except (IncompleteReadError, HTTPError, OSError) as error:
                if isinstance(error, StorageError):
                    raise
                reason = f"the body broke off: {error}"
            if not reason:
                return
        raise BodyMismatchError(f"{self.url}/{key}: {reason} in {_TRIES} tries; look at the store")

    def _fetch_once(
        self, key: str, file: IO[bytes] | Any, listed: ObjectInfo | None, sha256: str | None
    ) -> str:
        """Stream one body into ``file``; what is wrong with it, or nothing."""
        condition = {"IfMatch": f'"{listed.etag}"'} if listed else {}
        try:
            got = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, **condition
            )
        except ClientError as error:
            if _code(error) in {"PreconditionFailed", "412", "NoSuchKey", "404"}:
                what = "is gone" if _code(error) in {"NoSuchKey", "404"} else "was replaced"
                raise SourceChangedError(
                    f"{self.url}/{key} {what} since it was listed; run again"
                ) from error
            raise self._storage_error("read", key, error) from error
        except BotoCoreError as error:
            raise self._storage_error("read", key, error) from error
        md5, sha, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        for block in got["Body"].iter_chunks(_BLOCK_BYTES):
            size += len(block)
            md5.update(block)
            sha.update(block)
            file.write(block)
        if size != got["ContentLength"] or (listed and size != listed.size_bytes):
            return f"{size} bytes arrived of {listed.size_bytes if listed else got['ContentLength']}"
        etag = got["ETag"].strip('"')
        # The ETag is the MD5 of single-part objects unless a key of KMS or of the customer encrypts them.
        plain = got.get("ServerSideEncryption") in (None, "AES256") and not got.get("SSECustomerAlgorithm")
        if plain and _MD5_ETAG.fullmatch(etag) and md5.hexdigest() != etag:
            return f"the bytes have MD5 {md5.hexdigest()}, the object {etag}"
        if sha256 and sha.hexdigest() != sha256:
            return f"the bytes have sha256 {sha.hexdigest()[:12]}…, recorded is {sha256[:12]}…"
        return ""

    def _storage_error(self, verb: str, key: str, error: Exception) -> StorageError:
        asked = f"cannot {verb} {self.url}/{key}".rstrip("/")
        code = _code(error)
        if code == "NoSuchBucket":
            return StorageError(f"{asked}: there is no bucket {self._bucket!r} at this endpoint")
        if code in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied", "403"}:
            return StorageError(f"{asked}: the store refused the credentials ({code})")
        return StorageError(f"{asked}: {error}")


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def _pause(attempt: int) -> None:
    time.sleep(min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, no secret)
