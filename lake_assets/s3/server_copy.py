"""One object from bucket to bucket without its bytes passing through here.

An object that was uploaded in parts is copied in the same parts, so that it keeps its ETag: that
proves the copy, and a later comparison needs no reading. Above 5 GB S3 copies only by parts.

Content type and the like, user metadata, storage class and tags come along; ACLs, locks and
retention of the source do not, those of the target bucket count.
"""

import logging
import math
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.address import Address
from lake_assets.s3.client import boto_client
from lake_assets.s3.compare import n_parts_of, part_sizes
from lake_assets.s3.refusals import code_of, is_answer, refusals
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.transfer_config import TransferConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

__all__ = ["ServerCopy", "copy_parts_of", "copy_whole", "needs_parts", "part_ranges"]

logger = logging.getLogger(__name__)

#: S3 copies no more by one request.
_LARGEST_COPY_BYTES = 5 * 1024**3
#: Size of a part where the source has none of its own; 10,000 of them are 5 TB.
_PART_BYTES = 512 * 1024**2
#: What an object carries besides its bytes; a copy by parts does not bring it along by itself.
_CARRIED = (
    *("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"),
    *("Metadata", "StorageClass", "WebsiteRedirectLocation"),
)
#: How stores say that an object has no tags, or that they know none.
_TAGLESS = frozenset({"NoSuchTagSet", "NoSuchTagSetError", "NotImplemented", "501"})


@dataclass(frozen=True, slots=True)
class ServerCopy:
    """One copy to be made."""

    source: Address
    info: ObjectInfo
    """As listed; another ETag now is an error."""
    target: Address
    key: str
    """Of the copy."""
    overwrite: bool
    config: TransferConfig

    @property
    def client(self) -> "S3Client":
        """Speaks to the bucket that is written; the store reads from the other one by itself."""
        return boto_client(self.target.url, self.target.access)

    @property
    def asked(self) -> str:
        """For messages."""
        return f"copy {self.source.url_of(self.info.key)} to {self.target.url_of(self.key)}"

    @property
    def from_source(self) -> dict[str, Any]:
        """Arguments of every request that reads the source."""
        place = {"Bucket": self.source.bucket, "Key": self.info.key}
        return {"CopySource": place, "CopySourceIfMatch": f'"{self.info.etag}"'}

    @property
    def into_target(self) -> dict[str, Any]:
        """Arguments of every request that writes the target."""
        return {"Bucket": self.target.bucket, "Key": self.key}

    @property
    def encryption(self) -> dict[str, Any]:
        """Arguments that ask for encryption, as uploads do."""
        config = self.config
        asked = {"ServerSideEncryption": config.encryption, "SSEKMSKeyId": config.kms_key_id}
        return {name: value for name, value in asked.items() if value}


def needs_parts(info: ObjectInfo) -> bool:
    """Whether one request cannot make a true copy."""
    return n_parts_of(info) > 0 or info.size_bytes > _LARGEST_COPY_BYTES


def copy_whole(job: ServerCopy) -> None:
    """Copy one object by one request.

    Raises:
        SourceChangedError: The source was replaced since it was listed.
        StorageError: The target is there already, or the store refuses.
        BodyMismatchError: The copy has another ETag; it was removed again.
    """
    client = job.client
    condition = {} if job.overwrite or not _knows_condition(client) else {"IfNoneMatch": "*"}
    with refusals(job.asked, job.target.bucket):
        answer = client.copy_object(
            **job.into_target, **job.from_source, **job.encryption, **condition
        )
    etag = answer["CopyObjectResult"]["ETag"].strip('"')
    _verify(job, etag, answer.get("ServerSideEncryption"))


def copy_parts_of(job: ServerCopy, pool: Executor) -> None:
    """Copy one object by parts, several at once.

    Args:
        job: The copy.
        pool: Runs the parts; the caller must not be one of its own tasks.

    Raises:
        SourceChangedError: The source was replaced since it was listed.
        StorageError: The target is there already, or the store refuses.
        BodyMismatchError: The copy has another ETag; it was removed again.
    """
    client = job.client
    reader = boto_client(job.source.url, job.source.access)
    own_sizes = part_sizes(reader, job.source.bucket, job.info) if n_parts_of(job.info) else None
    ranges = part_ranges(job.info.size_bytes, own_sizes)
    with refusals(job.asked, job.target.bucket):
        head = reader.head_object(Bucket=job.source.bucket, Key=job.info.key)
    begun = _begin(job, {name: head[name] for name in _CARRIED if head.get(name)})
    upload = {**job.into_target, "UploadId": begun["UploadId"]}
    try:
        with refusals(job.asked, job.target.bucket):
            tasks = [
                pool.submit(_copy_part, job, upload, number, span)
                for number, span in enumerate(ranges, start=1)
            ]
            parts = _results(tasks)
            condition = {} if job.overwrite else {"IfNoneMatch": "*"}
            done = client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}, **condition
            )
    except BaseException:  # Ctrl-C as well: parts that nobody completes cost money
        with suppress(StorageError), refusals("drop the upload", job.target.bucket):
            client.abort_multipart_upload(**upload)
        raise
    if own_sizes:
        _verify(job, done["ETag"].strip('"'), begun.get("ServerSideEncryption"))


def part_ranges(size_bytes: int, own_sizes: list[int] | None) -> list[tuple[int, int]]:
    """First and last byte (inclusive) of each part of a copy.

    Example:
        >>> part_ranges(10, [4, 4, 2])
        [(0, 3), (4, 7), (8, 9)]
        >>> len(part_ranges(5 * 1024**4, None))
        10000
    """
    if not own_sizes:
        part = max(_PART_BYTES, math.ceil(size_bytes / 10_000))
        own_sizes = [min(part, size_bytes - start) for start in range(0, size_bytes, part)]
    ranges, start = [], 0
    for size in own_sizes:
        ranges.append((start, start + size - 1))
        start += size
    return ranges


def _begin(job: ServerCopy, carried: dict[str, Any]) -> Mapping[str, Any]:
    """Begin a copy by parts, with the tags of the source where these may be read and written."""
    client, tags = job.client, _tags(job)
    asked = {**job.into_target, **carried, **job.encryption}
    refused: StorageError | None = None
    if tags:
        try:
            with refusals(f"tag {job.target.url_of(job.key)}", job.target.bucket):
                return client.create_multipart_upload(**asked, Tagging=urlencode(tags))
        except StorageError as error:
            if not is_answer(error.__cause__):
                raise
            refused = error
    with refusals(job.asked, job.target.bucket):
        begun = client.create_multipart_upload(**asked)
    if refused:  # the tags it was: without them the store agrees
        logger.warning("%s; it is copied without its tags", refused)
    return begun


def _tags(job: ServerCopy) -> dict[str, str]:
    reader = boto_client(job.source.url, job.source.access)
    try:
        with refusals(f"read the tags of {job.source.url_of(job.info.key)}", job.source.bucket):
            found = reader.get_object_tagging(Bucket=job.source.bucket, Key=job.info.key)
    except StorageError as error:
        if not is_answer(error.__cause__):
            raise
        if code_of(error.__cause__) not in _TAGLESS:
            logger.warning("%s; it is copied without them", error)
        return {}
    return {tag["Key"]: tag["Value"] for tag in found.get("TagSet", ())}


def _copy_part(
    job: ServerCopy, upload: dict[str, Any], number: int, span: tuple[int, int]
) -> dict[str, Any]:
    # A small object has no range: S3 takes ranges of objects above 5 MB only.
    whole = span == (0, job.info.size_bytes - 1)
    ranged = {} if whole else {"CopySourceRange": f"bytes={span[0]}-{span[1]}"}
    answer = job.client.upload_part_copy(**upload, **job.from_source, PartNumber=number, **ranged)
    return {"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": number}


def _results(tasks: list[Any]) -> list[dict[str, Any]]:
    try:
        return [task.result() for task in tasks]
    except BaseException:  # Ctrl-C as well
        for task in tasks:  # what began must end before the upload is dropped
            if not task.cancel():
                with suppress(Exception):  # the first error is the one to tell
                    task.result()
        raise


def _verify(job: ServerCopy, etag: str, encryption: str | None) -> None:
    """Equal ETags are equal bytes; unlike ones are an error only where both are made of MD5s."""
    if etag == job.info.etag or encryption not in {None, "AES256"}:
        return
    reader = boto_client(job.source.url, job.source.access)
    with refusals(f"look up {job.source.url_of(job.info.key)}", job.source.bucket):
        head = reader.head_object(Bucket=job.source.bucket, Key=job.info.key)
    was_replaced = head["ETag"].strip('"') != job.info.etag  # by a store that ignores If-Match
    is_kms = head.get("ServerSideEncryption", "AES256") != "AES256"
    if not was_replaced and (is_kms or head.get("SSECustomerAlgorithm")):
        return
    with refusals(f"remove {job.target.url_of(job.key)}", job.target.bucket):
        job.client.delete_object(**job.into_target)
    if was_replaced:
        raise SourceChangedError(f"cannot {job.asked}: it was replaced since it was listed")
    raise BodyMismatchError(
        f"cannot {job.asked}: the copy has ETag {etag}, the source {job.info.etag}; it was removed"
    )


def _knows_condition(client: "S3Client") -> bool:
    """Whether this botocore can ask for a copy that writes over nothing."""
    operation = client.meta.service_model.operation_model("CopyObject")
    return operation.input_shape is not None and "IfNoneMatch" in operation.input_shape.members
