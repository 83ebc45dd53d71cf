"""S3 as a store, over boto3: control calls, verified reads, conditional writes."""

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from lake_assets.errors import SourceChangedError, StorageError
from lake_assets.s3.engine import pause
from lake_assets.s3.listing import Place, browse_pages, list_pages, version_pages
from lake_assets.s3.parts import parts_etag
from lake_assets.s3.refusals import code_of, refused
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion
from lake_assets.s3.url import StoreUrl
from lake_assets.s3.verified_body import Expected, VerifiedReads, fetch_right, write_hashed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)
    from mypy_boto3_s3.type_defs import (  # pyright: ignore[reportMissingImports] (stubs)
        GetObjectOutputTypeDef,
    )

__all__ = ["PARTS_ETAG", "WRITER", "BucketStore"]

_T = TypeVar("_T")

#: Tries for one body. botocore retries requests; it never fetches a wrong body again.
_TRIES = 5
_BLOCK_BYTES = 1024**2
PARTS_ETAG = re.compile(r"[0-9a-f]{32}-(\d{1,5})")
"""The ETag of an object that was written in parts, and how many they were."""
WRITER = "lake-writer"
"""Metadata by which a writer knows its own object again."""

# Error codes; a HEAD has no body, so botocore gives its bare status.
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_REPLACED = frozenset({"412", "PreconditionFailed"})


class BucketStore(VerifiedReads):
    """The objects below ``s3://bucket/prefix``."""

    def __init__(self, url: StoreUrl, client: "S3Client") -> None:
        self.url = url.text
        self._bucket = url.bucket
        self._prefix = f"{url.path}/" if url.path else ""
        self._client = client
        self._place = Place(client, url.bucket, self._prefix)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key starts with ``prefix``, by key, page by page."""
        return self._items("list", prefix, list_pages(self._place, prefix, start_after=start_after))

    def browse(self, prefix: str = "") -> Iterator[ObjectInfo | Folder]:
        """One level below ``prefix``, page by page."""
        return self._items("list", prefix, browse_pages(self._place, prefix))

    def versions(self, prefix: str = "") -> Iterator[ObjectVersion]:
        """All versions below ``prefix``; a bucket without versioning has one of each object."""
        return self._items("list the versions of", prefix, version_pages(self._place, prefix))

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object; None where there is none."""
        try:
            item = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise self._storage_error("look up", key, error) from error
        except BotoCoreError as error:
            raise self._storage_error("look up", key, error) from error
        return ObjectInfo(key, item["ContentLength"], item["ETag"].strip('"'), item["LastModified"])

    def put(self, key: str, body: bytes) -> None:
        """Write one object; S3 shows it whole or not at all."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error("write", key, error) from error

    def create(self, key: str, body: bytes) -> bool:
        """Write one object with ``If-None-Match: *``; 412 means that another writer was first."""
        return self._create(key, body, uuid.uuid4().hex)

    def _create(self, key: str, body: bytes, mark: str, *, again: bool = False) -> bool:
        """Create an object that carries ``mark``; ``again``: a try before may have made it."""
        for attempt in range(_TRIES):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=body,
                    IfNoneMatch="*",
                    Metadata={WRITER: mark},
                )
            except ClientError as error:
                if code_of(error) in _REPLACED:
                    retried = (
                        again or attempt or error.response["ResponseMetadata"].get("RetryAttempts")
                    )
                    return bool(retried) and self._is_made_by(key, mark)
                # Real S3 answers 409 while another conditional write of the key is under way.
                if code_of(error) != "ConditionalRequestConflict" or attempt == _TRIES - 1:
                    raise self._storage_error("create", key, error) from error
                pause(attempt)
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

    def _is_made_by(self, key: str, mark: str) -> bool:
        """Whether the object is ours: the answer to a try that wrote it may have been lost."""
        try:
            item = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error("look up", key, error) from error
        return item["Metadata"].get(WRITER) == mark

    def _fetch(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> None:
        def once() -> str:
            try:
                return self._fetch_once(key, file, listed, sha256)
            except (BotoCoreError, HTTPError, ConnectionError, TimeoutError) as error:
                return f"the body broke off ({error})"
            except StorageError:
                raise
            except OSError as error:
                raise StorageError(
                    f"cannot keep {self.url}/{key} on local disk: {error.strerror or error}"
                ) from error

        fetch_right(f"{self.url}/{key}", file, once, tries=_TRIES)

    def _fetch_once(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> str:
        """Stream one body into ``file``; what is wrong with it, or nothing."""
        got = self._request(key, listed)
        etag = got["ETag"].strip('"')
        with closing(got["Body"]) as body:  # read to its end or not: no connection is left open
            if listed and etag != listed.etag:  # a store that does not know If-Match
                raise self._changed(key, "was replaced")
            size = listed.size_bytes if listed else got["ContentLength"]
            etag = etag if self._has_md5s(got) else ""
            blocks = body.iter_chunks(_BLOCK_BYTES)
            wrong = write_hashed(blocks, file, Expected(size, sha256, etag))
        parts = PARTS_ETAG.fullmatch(etag)
        if not wrong and parts and not self._parts_fit(key, file, etag, int(parts[1])):
            return f"the bytes do not have the MD5s of the object's {parts[1]} parts"
        return wrong

    def _has_md5s(self, answer: "GetObjectOutputTypeDef") -> bool:
        """Whether the ETag is made of MD5s: no key of KMS or of the customer encrypts it."""
        encryption = answer.get("ServerSideEncryption", "AES256")
        return encryption == "AES256" and not answer.get("SSECustomerAlgorithm")

    def _request(self, key: str, listed: ObjectInfo | None) -> "GetObjectOutputTypeDef":
        condition = {"IfMatch": f'"{listed.etag}"'} if listed else {}
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key, **condition)
        except ClientError as error:
            if code_of(error) in _REPLACED:
                raise self._changed(key, "was replaced") from error
            if code_of(error) in _MISSING:
                raise self._changed(key, "is gone") from error
            raise self._storage_error("read", key, error) from error
        except BotoCoreError as error:
            raise self._storage_error("read", key, error) from error

    def _parts_fit(self, key: str, file: IO[bytes], etag: str, n_parts: int) -> bool:
        """Whether the parts of the body give the ETag; True where the store keeps no parts."""

        def part_bytes(number: int) -> int | None:
            # No If-Match: sizes prove nothing by themselves; stores differ in whose ETag it is.
            part = self._client.head_object(
                Bucket=self._bucket, Key=self._prefix + key, PartNumber=number
            )
            return part["ContentLength"] if part.get("PartsCount") == n_parts else None

        try:
            first = part_bytes(1)
            if first is None or parts_etag(file, [first] * n_parts) == etag:
                return True
            # Parts of unlike sizes are allowed, and as rare as a wrong body.
            sizes = [part_bytes(number) or 0 for number in range(1, n_parts + 1)]
        except ClientError as error:
            if code_of(error) in _MISSING | {"416", "InvalidPartNumber"}:
                raise self._changed(key, "was replaced") from error
            raise self._storage_error("look up", key, error) from error
        return parts_etag(file, sizes) == etag

    def _changed(self, key: str, what: str) -> SourceChangedError:
        return SourceChangedError(f"{self.url}/{key} {what} since it was listed; run again")

    def _items(self, verb: str, prefix: str, pages: Iterator[Sequence[_T]]) -> Iterator[_T]:
        try:
            for page in pages:
                yield from page
        except (ClientError, BotoCoreError) as error:
            raise self._storage_error(verb, prefix, error) from error

    def _storage_error(self, verb: str, key: str, error: Exception) -> StorageError:
        return refused(f"{verb} {self.url}/{key}".rstrip("/"), error, self._bucket)
