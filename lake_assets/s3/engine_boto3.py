"""A bucket as the other end of a transfer, over boto3: every request that obstore does not make.

One attempt each, but for ``put``, which replaces what the store kept wrong of our own object.
"""

import hashlib
import json
import logging
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError, TransferError
from lake_assets.s3.engine import (
    SHA256_FIELD,
    Body,
    BrokenAnswerError,
    Found,
    NewObject,
    own_sha256,
    pause,
)
from lake_assets.s3.refusals import code_of, refusals, refused
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.url import StoreUrl

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

__all__ = ["BotoEngine"]

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 1024**2
_MD5 = re.compile(r"[0-9a-f]{32}(-\d{1,5})?")
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_REPLACED = frozenset({"412", "PreconditionFailed"})
_GONE_UPLOAD = frozenset({"NoSuchUpload", "404"})
#: Real S3 answers this while another conditional write of the key is under way.
_CONFLICT = "ConditionalRequestConflict"
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


class BotoEngine:
    """The objects below ``s3://bucket/prefix``."""

    has_parts = True

    def __init__(self, url: StoreUrl, client: "S3Client", config: TransferConfig) -> None:
        self.url = url.text
        self._bucket = url.bucket
        self._prefix = f"{url.path}/" if url.path else ""
        self._client = client
        client.meta.events.register("before-call.s3", _one_checksum, unique_id="lake-one-checksum")
        self._tries = config.retry_attempts
        self._warned = False
        self._sse: dict[str, str] = {}
        if config.encryption:
            self._sse["ServerSideEncryption"] = config.encryption
        if config.kms_key_id:
            self._sse["SSEKMSKeyId"] = config.kms_key_id

    def look(self, key: str, *, deep: bool = False) -> Found | None:  # noqa: ARG002 (a HEAD tells all)
        """What a HEAD says; None for 404 alone: a refusal is no absence."""
        try:
            item = self._client.head_object(**self._place(key))
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in _MISSING:
                return None
            raise self._named("look up", key, error) from error
        return _found(item, item["ContentLength"])

    def glance(self, key: str) -> Found | None:
        """As ``look``, but for ``has_md5``; see ``ObstoreEngine``."""
        return self.look(key)

    def get(self, key: str, *, etag: str | None, span: tuple[int, int] | None = None) -> Body:
        """Open the body, or bytes ``span`` of it, under If-Match."""
        asked: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag else {}
        if span:
            asked["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        try:
            got = self._client.get_object(**self._place(key), **asked)
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in _REPLACED:
                raise self._changed(key, "was replaced") from error
            if code_of(error) in _MISSING:
                raise self._changed(key, "is gone") from error
            raise self._named("read", key, error) from error
        size = got["ContentLength"]
        if span:
            size = _whole_size(got, key)
        found = _found(got, size)
        if etag and found.etag != etag:  # a store that does not know If-Match
            got["Body"].close()
            raise self._changed(key, "was replaced")
        return Body(found, self._blocks(key, got["Body"]), got["Body"].close)

    def part_sizes(self, key: str, n_parts: int) -> list[int] | None:
        """By HEADs with a part number: one where all parts are alike, else one for each."""
        with refusals(f"look up the parts of {self.url}/{key}"):
            try:
                items = [self._client.head_object(**self._place(key), PartNumber=1)]
                if items[0].get("PartsCount") != n_parts:
                    return None
                size = items[0]["ContentLength"]
                whole = self._client.head_object(**self._place(key))["ContentLength"]
                if -(-whole // size) == n_parts:
                    return [size] * n_parts
                items += [
                    self._client.head_object(**self._place(key), PartNumber=number)
                    for number in range(2, n_parts + 1)
                ]
            except ClientError as error:
                if code_of(error) in _MISSING | {"416", "InvalidPartNumber", "501", "400"}:
                    return None
                raise
        return [item["ContentLength"] for item in items]

    def put(self, new: NewObject) -> bool:
        """One PUT under If-None-Match, its answer compared; a wrong copy of ours is replaced."""
        data = _bytes_of(new)
        digest = hashlib.md5(data, usedforsecurity=False)
        md5, said_md5 = digest.hexdigest(), b64encode(digest.digest()).decode()
        is_proven_else = new.body is not None and not new.create
        sha256 = "" if is_proven_else else hashlib.sha256(data).hexdigest()
        condition = {"IfNoneMatch": "*"} if new.create else {}
        wrong = ""
        for attempt in range(1, self._tries + 1):
            try:
                answer = self._client.put_object(
                    **self._place(new.key),
                    Body=data,
                    ContentMD5=said_md5,
                    **self._said(new, sha256),
                    **condition,
                )
            except (ClientError, BotoCoreError) as error:
                code = code_of(error)
                if code in _REPLACED and not wrong:
                    return self._is_ours(new, Found(new.size_bytes, md5, sha256), error)
                failure = self._named("write", new.key, error)
                if not isinstance(failure, BrokenAnswerError) or attempt == self._tries:
                    self._drop_wrong(new.key, wrong)
                    raise failure from error
            else:
                self._check_encryption(answer)
                etag = answer["ETag"].strip('"')
                if etag == md5 or not _has_md5(answer, etag):
                    return True
                # What is there is ours and wrong: replace that and nothing else.
                wrong, condition = etag, {"IfMatch": f'"{etag}"'}
            pause(attempt)
        self._drop_wrong(new.key, wrong)
        raise BodyMismatchError(
            f"{self.url}/{new.key}: the store kept other bytes (ETag {wrong}, sent {md5}) "
            f"in {self._tries} tries; it was deleted again"
        )

    def replace(self, new: NewObject, etag: str) -> bool:
        """Write a body in memory over the object of that ETag; False where there is another."""
        data = _bytes_of(new)
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        try:
            self._client.put_object(
                **self._place(new.key),
                Body=data,
                ContentMD5=b64encode(md5).decode(),
                IfMatch=f'"{etag}"',
                **self._said(new, ""),
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in _REPLACED | _MISSING:
                return False
            raise self._named("write", new.key, error) from error
        return True

    def put_quickly(self, new: NewObject) -> bool:  # noqa: ARG002 (there is no quicker way)
        """Nothing was written; see ``ObstoreEngine``."""
        return False

    def begin(self, new: NewObject, sha256: str) -> tuple[str, bool]:
        """Start a multipart upload; False beside its id where a KMS key hides the MD5s."""
        try:
            answer = self._client.create_multipart_upload(
                **self._place(new.key), **self._said(new, sha256)
            )
        except (ClientError, BotoCoreError) as error:
            raise self._named("write", new.key, error) from error
        self._check_encryption(answer)
        return answer["UploadId"], _is_plain(answer)

    def uploaded(self, key: str, upload_id: str) -> dict[int, str] | None:
        """What the store has of an upload; None where it was completed, aborted or expired."""
        pages = self._client.get_paginator("list_parts").paginate(
            **self._place(key), UploadId=upload_id
        )
        try:
            return {
                part["PartNumber"]: part["ETag"].strip('"')
                for page in pages
                for part in page.get("Parts", ())
            }
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in _GONE_UPLOAD:
                return None
            raise self._named("look up the upload of", key, error) from error

    def upload_part(
        self, key: str, upload_id: str, number: int, data: bytearray, *, md5: bytes
    ) -> str:
        """Send one part; its ETag."""
        try:
            answer = self._client.upload_part(
                **self._place(key),
                UploadId=upload_id,
                PartNumber=number,
                Body=data,
                ContentMD5=b64encode(md5).decode(),
            )
        except (ClientError, BotoCoreError) as error:
            raise self._named(f"write part {number} of", key, error) from error
        return answer["ETag"].strip('"')

    def complete(self, new: NewObject, upload_id: str, etags: list[str]) -> str | None:
        """Make the parts one object, under If-None-Match where it must be new."""
        condition = {"IfNoneMatch": "*"} if new.create else {}
        parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, start=1)]
        try:
            answer = self._client.complete_multipart_upload(
                **self._place(new.key),
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **condition,
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in _REPLACED | _GONE_UPLOAD:
                return None
            raise self._named("write", new.key, error) from error
        return answer["ETag"].strip('"')

    def abort(self, key: str, upload_id: str) -> None:
        """Drop the parts of an upload."""
        with refusals(f"drop the upload of {self.url}/{key}"):
            try:
                self._client.abort_multipart_upload(**self._place(key), UploadId=upload_id)
            except ClientError as error:
                if code_of(error) not in _GONE_UPLOAD:
                    raise

    def delete(self, key: str) -> None:
        """Remove one object."""
        with refusals(f"delete {self.url}/{key}"):
            self._client.delete_object(**self._place(key))

    def address_of(self, key: str) -> str:
        """The object's address, endpoint included: one name on this machine."""
        return f"{self._client.meta.endpoint_url}/{self._bucket}/{self._prefix}{key}"

    def wishes(self, new: NewObject) -> str:
        """What else an upload of it is begun with, as text to compare."""
        return json.dumps([dict(new.metadata), self._sse], sort_keys=True)

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _said(self, new: NewObject, sha256: str) -> dict[str, Any]:
        own = {SHA256_FIELD: sha256} if sha256 else {}
        return {"Metadata": {**new.metadata, **own}, **self._sse}

    def _is_ours(self, new: NewObject, sent: Found, error: Exception) -> bool:
        """Whether our own attempt, whose answer was lost, wrote it; False: it was there before."""
        found = self.look(new.key)
        if (
            found is None
            or found.size_bytes != sent.size_bytes
            or (found.sha256 != sent.sha256 and found.etag != sent.etag)
        ):
            raise TransferError(
                f"{self.url}/{new.key} is there with other bytes; pass overwrite=True to replace it"
            ) from error
        answer = getattr(error, "response", {}).get("ResponseMetadata", {})
        return bool(answer.get("RetryAttempts"))

    def _drop_wrong(self, key: str, wrong: str) -> None:
        if wrong:
            self.delete(key)

    def _check_encryption(self, answer: Any) -> None:  # noqa: ANN401 (answers of boto3 are dicts)
        asked, got = self._sse.get("ServerSideEncryption"), answer.get("ServerSideEncryption")
        if asked and got != asked and not self._warned:
            self._warned = True
            logger.warning(
                "%s was asked to encrypt by %s and says %s; set encryption=None if that is meant",
                self.url,
                asked,
                got or "nothing",
            )

    def _blocks(self, key: str, body: Any) -> Iterator[bytes]:  # noqa: ANN401 (botocore's StreamingBody)
        try:
            yield from body.iter_chunks(_BLOCK_BYTES)
        except (BotoCoreError, HTTPError, ConnectionError, TimeoutError) as error:
            raise BrokenAnswerError(
                f"cannot read {self.url}/{key}: the body broke off ({error})"
            ) from error

    def _changed(self, key: str, what: str) -> SourceChangedError:
        return SourceChangedError(f"{self.url}/{key} {what} since it was listed; run again")

    def _named(self, verb: str, key: str, error: Exception) -> StorageError:
        named = refused(f"{verb} {self.url}/{key}", error)
        return BrokenAnswerError(str(named)) if _is_passing(error) else named


def _one_checksum(params: dict[str, Any], **_: object) -> None:
    """Spare botocore's CRC32 of a body that goes with its MD5, which a store checks as well.

    It costs a third of an upload's CPU; over https it is a trailer, which some stores refuse.
    """
    if "Content-MD5" in params["headers"]:
        params["context"].pop("checksum", None)


def _is_passing(error: Exception) -> bool:
    """Whether another attempt may succeed: the store was busy, or no answer came."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return (
            status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS or code_of(error) == _CONFLICT
        )
    return code_of(error) not in {"NoCredentialsError", "PartialCredentialsError"}


def _bytes_of(new: NewObject) -> bytes:
    if new.body is not None:
        return bytes(new.body)
    with open(new.path, "rb") as file:
        data = file.read(new.size_bytes + 1)
    if len(data) != new.size_bytes:
        raise SourceChangedError(f"{new.path} changed while it was uploaded; run again")
    return data


def _found(answer: Any, size_bytes: int) -> Found:  # noqa: ANN401 (answers of boto3 are dicts)
    etag = answer["ETag"].strip('"')
    said = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    return Found(
        size_bytes,
        etag,
        own_sha256(said),
        has_md5=_has_md5(answer, etag),
        metadata=said,
        modified_at=answer.get("LastModified"),
    )


def _has_md5(answer: Any, etag: str) -> bool:  # noqa: ANN401 (an answer)
    return _is_plain(answer) and bool(_MD5.fullmatch(etag))


def _is_plain(answer: Any) -> bool:  # noqa: ANN401 (an answer)
    """Whether ETags are made of MD5s: not under a key of KMS or of the customer."""
    by_kms = answer.get("ServerSideEncryption", "AES256") != "AES256"
    return not by_kms and not answer.get("SSECustomerAlgorithm")


def _whole_size(answer: Any, key: str) -> int:  # noqa: ANN401 (an answer)
    whole = answer.get("ContentRange", "").rpartition("/")[2]
    if not whole.isdigit():
        answer["Body"].close()
        raise StorageError(
            f"cannot read a part of {key}: the store does not serve ranges; "
            "raise multipart_threshold_bytes"
        )
    return int(whole)
