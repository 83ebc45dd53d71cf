"""Whether the body of a chunk or shard is what was written: by checksums, and by gaps. Pure.

zarr finds a wrong checksum by itself and cannot say of which object; a chunk that a shard lacks it
takes for one of fill values.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest

from lake_assets.arrays.zarr_grid import Grid

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest

__all__ = ["damage_of"]

#: Offset and length of a chunk that a shard does not hold.
_ABSENT = 2**64 - 1
_CRC_BYTES = 4
_ENTRY_BYTES = 16


def damage_of(
    body: np.ndarray,
    grid: Grid,
    place: Sequence[int],
    asked: "ByteRequest | None",
    *,
    has_sums: bool,
) -> str | None:
    """Why a body cannot be what was written; None where nothing speaks against it.

    Args:
        body: uint8 ``(bytes,)``, of an object or of a part of it.
        grid: Of the array.
        place: Of the object, along each axis.
        asked: Which part it is: all of it, the index of a shard, or one of its chunks.
        has_sums: Whether each chunk ends with its crc32c, as ours do.
    """
    if grid.shards is None or isinstance(asked, RangeByteRequest):
        is_whole = grid.shards is not None or asked is None
        return _wrong_sum(body) if has_sums and is_whole else None
    inside = grid.chunks_inside(place)
    n_bytes = inside.size * _ENTRY_BYTES + _CRC_BYTES
    if asked is not None and asked != SuffixByteRequest(n_bytes):
        return None
    if len(body) < n_bytes:
        return f"it has {len(body)} bytes, and its index alone {n_bytes}"
    reasons = _shard_damage(body, inside, is_index=asked is not None, has_sums=has_sums)
    return next(reasons, None)


def _shard_damage(
    body: np.ndarray, inside: np.ndarray, *, is_index: bool, has_sums: bool
) -> Iterator[str]:
    end = body[-(inside.size * _ENTRY_BYTES + _CRC_BYTES) :]
    if has_sums and (reason := _wrong_sum(end)):
        yield f"of its index, {reason}"
    index = np.frombuffer(end[:-_CRC_BYTES].tobytes(), "<u8").reshape(-1, 2)
    is_absent = index[:, 0] == _ABSENT
    if n_absent := int((is_absent.reshape(inside.shape) & inside).sum()):
        yield f"it lacks {n_absent} of the {int(inside.sum())} chunks that this shard holds"
    if has_sums and not is_index:
        for start, length in index[~is_absent].tolist():
            if reason := _wrong_sum(body[start : start + length]):
                yield f"of its chunk at byte {start}, {reason}"


def _wrong_sum(body: np.ndarray) -> str | None:
    if len(body) < _CRC_BYTES:
        return f"the {len(body)} bytes are no chunk"
    found = google_crc32c.value(body[:-_CRC_BYTES])
    stored = int.from_bytes(body[-_CRC_BYTES:].tobytes(), "little")
    return None if found == stored else f"the crc32c is {found:08x}, stored is {stored:08x}"
