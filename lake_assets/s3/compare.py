"""Whether two objects hold the same bytes, asked as cheaply as the stores allow.

Sizes first; then MD5s that ETags are made of, part by part where an upload had parts; then the
sha256 that our own uploads carry. What cannot be proven the same counts as different.
"""

import filecmp
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lake_assets.s3.address import Address
from lake_assets.s3.client import boto_client
from lake_assets.s3.engine import SHA256_FIELD
from lake_assets.s3.parts import parts_etag
from lake_assets.s3.refusals import refusals
from lake_assets.s3.store import ObjectInfo, sha256_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

__all__ = ["n_parts_of", "part_sizes", "same_content"]

_BLOCK_BYTES = 1024**2
_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-(\d{1,5})")


def same_content(source: Address, info: ObjectInfo, target: Address, other: ObjectInfo) -> bool:
    """Whether the object ``info`` below ``source`` and ``other`` below ``target`` have equal bytes.

    Raises:
        StorageError: One of them cannot be read.
    """
    if info.size_bytes != other.size_bytes:
        return False
    if source.is_s3 and target.is_s3:
        if info.etag == other.etag and (_MD5.fullmatch(info.etag) or n_parts_of(info)):
            return True
        ours, theirs = _sha256(source, info), _sha256(target, other)
        return bool(ours) and ours == theirs
    if source.is_s3:
        return _file_has(Path(target.root, other.key), source, info)
    if target.is_s3:
        return _file_has(Path(source.root, info.key), target, other)
    first, second = Path(source.root, info.key), Path(target.root, other.key)
    return filecmp.cmp(first, second, shallow=False)


def n_parts_of(info: ObjectInfo) -> int:
    """How many parts an object was uploaded in, as its ETag says; 0 for one without parts."""
    parts = _PARTS.fullmatch(info.etag)
    return int(parts[1]) if parts else 0


def part_sizes(client: "S3Client", bucket: str, info: ObjectInfo) -> list[int] | None:
    """Bytes of each part that an object was uploaded in; None where the store does not tell.

    Raises:
        StorageError: The store refuses.
    """
    n_parts = n_parts_of(info)

    def part(number: int) -> int:
        found = client.head_object(Bucket=bucket, Key=info.key, PartNumber=number)
        return found["ContentLength"] if found.get("PartsCount") == n_parts else 0

    with refusals(f"look up s3://{bucket}/{info.key}", bucket):
        first = part(1)
        if not first:
            return None
        last = info.size_bytes - first * (n_parts - 1)
        if 0 < last <= first:  # all but the last are alike, as every client makes them
            return [first] * (n_parts - 1) + [last]
        sizes = [first, *(part(number) for number in range(2, n_parts + 1))]
    return sizes if sum(sizes) == info.size_bytes else None


def _file_has(path: Path, place: Address, stored: ObjectInfo) -> bool:
    """Whether a local file has the bytes of a stored object."""
    with path.open("rb") as file:
        if _MD5.fullmatch(stored.etag) and _md5_of(file) == stored.etag:
            return True
        sha256 = _sha256(place, stored)
        if sha256:
            file.seek(0)
            return sha256_of(file) == sha256
        if not n_parts_of(stored):
            return False  # other bytes, or an ETag that is no MD5 (KMS)
        sizes = part_sizes(boto_client(place.url, place.access), place.bucket, stored)
        return sizes is not None and parts_etag(file, sizes) == stored.etag


def _md5_of(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _sha256(place: Address, info: ObjectInfo) -> str | None:
    """The digest that our upload left in the metadata."""
    client = boto_client(place.url, place.access)
    with refusals(f"look up {place.url_of(info.key)}", place.bucket):
        found = client.head_object(Bucket=place.bucket, Key=info.key)
    # Some stores write the names of metadata in capitals.
    fields = {name.lower(): value for name, value in found.get("Metadata", {}).items()}
    return fields.get(SHA256_FIELD)
