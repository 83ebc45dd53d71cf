"""zstd that leaves noise alone: a chunk that would hardly shrink is stored as it is, in its frame.

The last bits of measured floats are noise: level 1 takes 4 to 8 % off them, and reading is bound by
undoing that (0.7 GB/s a core instead of 13). A zstd frame may hold its bytes uncompressed, so what
is written is what any zarr reads; see docs/decisions/0018.
"""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import ShardingCodec, ZstdCodec

if TYPE_CHECKING:
    from zarr.abc.codec import Codec
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer
    from zarr.core.metadata.v3 import ArrayV3Metadata

__all__ = ["SparingZstd", "sparing"]

#: Of what there was; a chunk that keeps more is not worth the time of every reader.
_WORTH = 0.9
#: What a chunk is judged by: pieces from all over it.
_PIECES, _PIECE_BYTES = 8, 8192
#: zstd's first level without entropy coding: matches are found, all else is copied.
_PLAIN = Zstd(level=-1)


class SparingZstd(ZstdCodec):
    """zarr's codec, in what it reads and how it is described; level 1 writes noise uncompressed.

    Who asks for a higher level wants it small: then every chunk is compressed.
    """

    async def _encode_single(self, chunk_bytes: "Buffer", chunk_spec: "ArraySpec") -> "Buffer":
        body = await asyncio.to_thread(self._encoded, chunk_bytes.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(body)

    def _encoded(self, values: np.ndarray) -> bytes:
        codec, body = Zstd(level=self.level, checksum=self.checksum), values.view("u1")
        if self.level > 1:
            return codec.encode(body)
        sample = _sample(body)
        found = codec.encode(sample)
        if len(found) > _WORTH * len(sample):
            return _PLAIN.encode(body)
        return found if sample is body else codec.encode(body)


def sparing(array: "zarr.Array[Any]") -> "zarr.Array[Any]":
    """The array, open for writing by ``SparingZstd``; its description stays the same."""
    described = cast("ArrayV3Metadata", array.metadata)  # ours are of no other format
    metadata = replace(described, codecs=tuple(_sparing(codec) for codec in described.codecs))
    return zarr.Array(cast("Any", zarr.AsyncArray(metadata, array.store_path, array.config)))


def _sparing(codec: "Codec") -> "Codec":
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(_sparing(inner) for inner in codec.codecs))
    if isinstance(codec, ZstdCodec):
        return SparingZstd(level=codec.level, checksum=codec.checksum)
    return codec


def _sample(body: np.ndarray) -> np.ndarray:
    """Bytes from all over a chunk, or all of a small one."""
    if len(body) <= _PIECES * _PIECE_BYTES:
        return body
    starts = np.linspace(0, len(body) - _PIECE_BYTES, _PIECES).astype(int)
    return np.concatenate([body[start : start + _PIECE_BYTES] for start in starts])
