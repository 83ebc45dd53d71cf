"""Buckets themselves, and links to single objects: what only an S3 account has.

A folder takes part where it can: it is made and removed like a bucket.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.address import Address, parse_address
from lake_assets.s3.client import Access, boto_client
from lake_assets.s3.refusals import code_of, is_answer, refusals
from lake_assets.s3.remove import Problem, RemoveReport, plan_removal, remove
from lake_assets.s3.url import Location

__all__ = ["Bucket", "list_buckets", "make_bucket", "presign", "remove_bucket"]

#: A version 4 signature is good for a week at most.
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of the account."""

    name: str
    created_at: datetime | None
    """UTC."""


def list_buckets(access: Access | None = None) -> list[Bucket]:
    """The buckets that the credentials may see, by name.

    Raises:
        StorageError: The store refuses, or cannot be reached.
    """
    client = boto_client("s3://", access)
    with refusals("list the buckets"):
        found = client.list_buckets().get("Buckets", [])
    buckets = [Bucket(item["Name"], item.get("CreationDate")) for item in found]
    return sorted(buckets, key=lambda bucket: bucket.name)


def make_bucket(url: Location | Address) -> None:
    """Make a bucket in the region of the access, or a folder with those above it.

    Raises:
        StorageError: It is there already, or the store refuses.
        SettingsError: A prefix was given: prefixes are not made, writing a key is enough.
    """
    address = parse_address(url)
    if not address.is_s3:
        try:
            address.local_path.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"cannot make {address.url}: {error.strerror}") from error
        return
    _need_bucket(address, "make")
    client = boto_client(address.url, address.access)
    with refusals(f"make {address.root}", address.bucket):
        if _is_there(address):  # one region answers 200 to making one's own bucket again
            raise StorageError(f"cannot make {address.root}: the bucket is there already")
        region = client.meta.region_name
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        client.create_bucket(
            Bucket=address.bucket, **({"CreateBucketConfiguration": place} if place else {})
        )


def remove_bucket(url: Location | Address, *, force: bool = False) -> RemoveReport:
    """Remove an empty bucket or folder; with ``force`` all that is in it first, versions included.

    Raises:
        StorageError: It is not empty, not there, or the store refuses.
        SettingsError: A prefix in a bucket was given.
    """
    address = parse_address(url)
    if not address.is_s3:
        return _remove_folder(address, force=force)
    _need_bucket(address, "remove")
    client = boto_client(address.url, address.access)
    report = _empty(address) if force else RemoveReport()
    if not report.failed:
        with refusals(f"remove {address.root}", address.bucket):
            client.delete_bucket(Bucket=address.bucket)
        report.removed.append(address.root)
    return report


def presign(
    url: Location | Address,
    *,
    expires: timedelta = timedelta(hours=1),
    method: Literal["get", "put"] = "get",
) -> str:
    """A link with which anybody may read (or write) one object until it expires. It is a secret.

    Nothing is asked of the store: whether the object is there is not known.

    Raises:
        SettingsError: A folder, a bucket or a prefix was given, or a time beyond 7 days.
        StorageError: There are no credentials to sign with.
    """
    address = parse_address(url)
    if not address.is_s3 or address.says_folder:
        raise SettingsError(f"{address.url} is no object in a bucket; give s3://bucket/key")
    if not timedelta(seconds=1) <= expires <= _LONGEST:
        raise SettingsError("a signed link lives between 1 second and 7 days")
    client = boto_client(address.url, address.access)
    with refusals(f"sign {address.url}", address.bucket):
        return client.generate_presigned_url(
            f"{method}_object",
            Params={"Bucket": address.bucket, "Key": address.path},
            ExpiresIn=int(expires.total_seconds()),
        )


def _need_bucket(address: Address, verb: str) -> None:
    if address.path.strip("/"):
        raise SettingsError(f"{address.url} is a prefix; give s3://{address.bucket} to {verb}")


def _is_there(address: Address) -> bool:
    from botocore.exceptions import ClientError

    client = boto_client(address.url, address.access)
    try:
        client.head_bucket(Bucket=address.bucket)
    except ClientError as error:
        # 403: somebody else's, which the store says better when it is made.
        if code_of(error) in {"404", "NoSuchBucket", "403"}:
            return False
        raise
    return True


def _remove_folder(address: Address, *, force: bool) -> RemoveReport:
    path = address.local_path
    if force:
        return remove(plan_removal(address.at(address.prefix), recursive=True))
    try:
        path.rmdir()
    except OSError as error:
        raise StorageError(f"cannot remove {address.url}: {error.strerror}") from error
    return RemoveReport([str(path)])


def _empty(address: Address) -> RemoveReport:
    """Remove every version of every key."""
    client = boto_client(address.url, address.access)
    report = RemoveReport()
    try:
        with refusals(f"empty {address.root}", address.bucket):
            for page in client.get_paginator("list_object_versions").paginate(
                Bucket=address.bucket
            ):
                items = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                names = [{"Key": i["Key"], "VersionId": i["VersionId"]} for i in items]
                if names:
                    answer = client.delete_objects(
                        Bucket=address.bucket, Delete={"Objects": names, "Quiet": True}
                    )
                    failed = answer.get("Errors", ())
                    report.failed += [
                        Problem(address.url_of(e.get("Key", "")), e.get("Message", "refused"))
                        for e in failed
                    ]
                    report.removed += [address.url_of(name["Key"]) for name in names]
    except StorageError as error:
        if not is_answer(error.__cause__) or code_of(error.__cause__) == "NoSuchBucket":
            raise
        return remove(plan_removal(address, recursive=True))  # a store without versions
    return report
