"""Whether a local file is a stored object: by size, by the MD5s in its ETag, by its own sha256.

Cheap proofs come first; requests are made only where the ETag alone leaves a doubt.
"""

import hashlib
import re
from typing import BinaryIO

from lake_assets.s3.engine import Engine, Found
from lake_assets.s3.parts import parts_etag

__all__ = ["combined_etag", "guess_part_bytes", "is_object"]

_MIB = 1024**2
_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-(\d{1,5})")
#: Part sizes of common writers: boto3 and AWS CLI, minimum, s5cmd, rclone, others.
_COMMON_PART_BYTES = (8 * _MIB, 5 * _MIB, 50 * _MIB, 16 * _MIB, 10 * _MIB, 64 * _MIB)


def is_object(
    engine: Engine, key: str, *, file: BinaryIO, found: Found, deep: bool = False
) -> bool | None:
    """Whether the bytes of ``file`` are those of the object; None where nothing can tell.

    Args:
        engine: Asked for more where ``found`` leaves a doubt.
        key: Of the object.
        file: Read from its beginning.
        found: What is known of the object.
        deep: Whether the bytes of a stored file may be read for a hash.
    """
    if file.seek(0, 2) != found.size_bytes:
        return False
    if found.sha256 and _digest(file, "sha256") == found.sha256:
        return True  # faster than MD5, and true whoever encrypts
    if found.has_md5 is not False and _fits_etag(file, found):
        return True
    more = engine.look(key, deep=deep) if deep or found.has_md5 is None else found
    if more is None or more.etag != found.etag:
        return False
    if more.sha256:
        return _digest(file, "sha256") == more.sha256
    return _fits_parts(engine, key, file=file, found=more)


def guess_part_bytes(etag: str, size_bytes: int, *, likely: int) -> int | None:
    """Part size that gives as many parts as the ETag says; None where it is no ETag of parts.

    Example:
        >>> guess_part_bytes("0" * 32 + "-2", 12 * 2**20, likely=8 * 2**20) // 2**20
        8
    """
    parts = _PARTS.fullmatch(etag)
    if not parts or not int(parts[1]):
        return None
    n_parts = int(parts[1])
    least = -(-size_bytes // n_parts)
    for size in (likely, *_COMMON_PART_BYTES, -(-least // _MIB) * _MIB):
        if -(-size_bytes // size) == n_parts:
            return size
    return None


def combined_etag(digests: list[bytes]) -> str:
    """The ETag of an object whose parts have these MD5s."""
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(digests)}"


def _fits_parts(engine: Engine, key: str, *, file: BinaryIO, found: Found) -> bool | None:
    """As the store says that it was uploaded: the common part sizes did not fit."""
    if not found.has_md5:
        return None
    parts = _PARTS.fullmatch(found.etag)
    if not parts:
        return False
    sizes = engine.part_sizes(key, int(parts[1]))
    return None if sizes is None else parts_etag(file, sizes) == found.etag


def _fits_etag(file: BinaryIO, found: Found) -> bool:
    if _MD5.fullmatch(found.etag):
        return _digest(file, "md5") == found.etag
    part = guess_part_bytes(found.etag, found.size_bytes, likely=8 * _MIB)
    if part is None:
        return False
    n_parts = -(-found.size_bytes // part)
    return parts_etag(file, [part] * n_parts) == found.etag


def _digest(file: BinaryIO, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    file.seek(0)
    while block := file.read(_MIB):
        digest.update(block)
    return digest.hexdigest()
