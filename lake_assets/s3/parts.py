"""The ETag of a multipart upload: the MD5 of the MD5s of its parts, and how many there were.

Pure but for reading the file; where the sizes of the parts come from is the caller's matter.
"""

import hashlib
from collections.abc import Sequence
from typing import IO

__all__ = ["parts_etag"]

_BLOCK_BYTES = 1024**2


def parts_etag(file: IO[bytes], sizes: Sequence[int]) -> str:
    """The ETag that S3 gives the bytes of ``file`` when they are uploaded in parts of these sizes.

    Args:
        file: Read from its beginning to its end.
        sizes: Bytes of each part, in order; the last part takes what is left.

    Example:
        >>> import io
        >>> parts_etag(io.BytesIO(b"abcde"), [3, 3])
        'fd279fa64fe1fa9a3551a4a88ae83424-2'
    """
    file.seek(0)
    digests = [_digest(file, size) for size in sizes[:-1]]
    digests.append(_digest(file, None))
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(digests)}"


def _digest(file: IO[bytes], size: int | None) -> bytes:
    md5 = hashlib.md5(usedforsecurity=False)
    while size is None or size > 0:
        block = file.read(_BLOCK_BYTES if size is None else min(size, _BLOCK_BYTES))
        if not block:
            break
        size = None if size is None else size - len(block)
        md5.update(block)
    return md5.digest()
