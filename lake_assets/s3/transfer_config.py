"""What a transfer is told: its settings and the objects it moves. Values; nothing moves here."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lake_assets.errors import SettingsError
from lake_assets.s3.client import Access

__all__ = ["ObjectRef", "TransferConfig"]

_MIB = 1024**2
#: S3 refuses smaller parts (but for the last one) and more parts than this.
_SMALLEST_PART_BYTES = 5 * _MIB
_MOST_PARTS = 10_000
#: S3 refuses a larger body in one PUT.
_LARGEST_PUT_BYTES = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object and the file it is, or shall be, on this machine."""

    key: str
    """Below the URL of the transfer."""
    local_path: str | os.PathLike[str]
    size_bytes: int | None = None
    """As listed; what arrives must be of this size."""
    etag: str | None = None
    """As listed; another one now is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """How to move objects; the defaults are right for S3 and for stores like it."""

    region: str | None = None
    """Else as ``access`` says, else environment, else profile."""
    endpoint_url: str | None = None
    access: Access | None = None
    """Credentials, profile, addressing; None leaves all of it to boto3's chain."""
    max_concurrency: int = 16
    """Requests under way at once, parts of big objects included: there is no second pool."""
    pool_connections: int | None = None
    """Connections kept open; as many as ``max_concurrency`` by default."""
    multipart_threshold_bytes: int = 8 * _MIB
    """Objects above it move in parts, both ways."""
    multipart_chunk_bytes: int = 8 * _MIB
    """Size of a part; larger where the object would have more than 10,000 of them."""
    retry_attempts: int = 3
    """Tries of a request, and tries of a body that arrived wrong; the first included."""
    encryption: Literal["AES256", "aws:kms"] | None = "AES256"
    """Asked of the store for uploads; a warning is logged where it does not say that it did."""
    kms_key_id: str | None = None
    skip: Literal["content", "exists", "never"] = "content"
    """What need not move: what is there with the same bytes, whatever is there, nothing."""
    existence: Literal["auto", "head", "list"] = "auto"
    """How to ask what is there; auto lists while that costs less than a HEAD for each key."""
    fsync: bool = False
    """Flush each file to the disk. Without it a power cut may lose files, which a rerun finds."""
    bandwidth_limit_bytes_per_s: float | None = None
    read_timeout_s: float = 60.0
    """Longest silence of the store before a request counts as failed."""
    engine: Literal["auto", "boto3", "obstore"] = "auto"
    """Who reads bodies: auto is obstore, and boto3 for keys that obstore cannot spell."""
    resume_folder: str | os.PathLike[str] | None = None
    """Where unfinished multipart uploads are noted; ``~/.cache/lake_assets/uploads`` by default."""

    def __post_init__(self) -> None:
        """Refuse what S3 would refuse later."""
        counts = (self.max_concurrency, self.retry_attempts, self.pool_connections or 1)
        if min(counts) < 1 or self.read_timeout_s <= 0:
            raise SettingsError(
                "max_concurrency, pool_connections, retry_attempts and read_timeout_s start at 1"
            )
        if not 0 < self.multipart_threshold_bytes <= _LARGEST_PUT_BYTES:
            raise SettingsError("multipart_threshold_bytes is between 1 byte and 5 GiB")
        if not _SMALLEST_PART_BYTES <= self.multipart_chunk_bytes <= _LARGEST_PUT_BYTES:
            raise SettingsError("multipart_chunk_bytes is between 5 MiB and 5 GiB: S3's own limits")
        if self.kms_key_id and self.encryption != "aws:kms":
            raise SettingsError("kms_key_id needs encryption='aws:kms'")
        limit = self.bandwidth_limit_bytes_per_s
        if limit is not None and limit <= 0:
            raise SettingsError("bandwidth_limit_bytes_per_s is above 0; None is without limit")

    def part_bytes(self, size_bytes: int) -> int:
        """Bytes of each part of an upload of this size, so that S3 takes all of them.

        Example:
            >>> TransferConfig().part_bytes(10**9) // 2**20
            8
            >>> TransferConfig().part_bytes(10**12) // 2**20
            96
        """
        least = -(-size_bytes // _MOST_PARTS)
        return max(self.multipart_chunk_bytes, -(-least // _MIB) * _MIB)

    def reach(self) -> Access:
        """How to reach the bucket: what was set here wins over ``access``."""
        access = replace(
            self.access or Access(),
            pool_connections=self.pool_connections or self.max_concurrency,
            retry_attempts=self.retry_attempts,
            read_timeout_s=self.read_timeout_s,
        )
        if self.region:
            access = replace(access, region=self.region)
        return replace(access, endpoint_url=self.endpoint_url) if self.endpoint_url else access

    def note_folder(self) -> Path:
        """Where unfinished uploads are noted."""
        if self.resume_folder is not None:
            return Path(self.resume_folder)
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "lake_assets" / "uploads"
