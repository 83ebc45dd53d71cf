"""Compression of one array: the codecs that are allowed, and decoding that cannot overflow.

Which codec an object has is told by its metadata, that is by whoever wrote it: a name off the list
is refused before anything is looked up. A body decodes to exactly the bytes that its shape needs;
one that declares or holds more is an error before memory is given to it.
"""

import bz2
import lzma
import zlib
from typing import Protocol

import numpy as np
from numcodecs import blosc, lz4, zstd  # pyright: ignore[reportAttributeAccessIssue] (no stubs)

from lake_assets.errors import ArrayFormatError, SettingsError, UnsafeDataError

__all__ = ["CODECS", "DEFAULT_CODEC", "codec_named", "decode", "encode"]

#: cottoncandy's name of each, as it stands in the metadata.
CODECS = {
    "blosc": "Blosc",
    "bz2": "BZ2",
    "gzip": "gzip",
    "lz4": "LZ4",
    "lzma": "lzma",
    "zlib": "Zlib",
    "zstd": "Zstd",
}
DEFAULT_CODEC = "blosc"
#: What one call takes: Blosc's own limit and LZ4's; the others have none.
_MOST_BYTES = {"blosc": 2**31 - 17, "lz4": 0x7E000000}
_ZSTD_LEVEL = 1
#: Level 3 needs three times as long for 3 % of the size (8 MB of a random walk).
_BLOSC_LEVEL = 1
_ZLIB_LEVEL = 6
#: Of a dictionary that a foreign lzma file may ask for.
_LZMA_MEMORY_BYTES = 2**28
_ZSTD_MAGIC = b"(\xb5/\xfd"


class _Inflater(Protocol):
    """What zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


def codec_named(compression: bool | str | None, n_bytes: int) -> str:  # noqa: FBT001 (cottoncandy's word)
    """The codec for an array of so many bytes; empty for none.

    Args:
        compression: True for the best that takes so many bytes (Blosc's zstd with shuffle, beyond
            2 GiB plain zstd), False or None for none, else a name of the list in any case.
        n_bytes: Of the array; an empty one is never compressed.

    Raises:
        SettingsError: The name is not on the list, or its codec does not take so many bytes.

    Example:
        >>> codec_named(True, 100), codec_named(True, 3 * 2**30), codec_named("LZ4", 100)
        ('blosc', 'zstd', 'lz4')
    """
    if not compression or str(compression).lower() in {"false", "none"} or not n_bytes:
        return ""
    if compression is True:
        return DEFAULT_CODEC if n_bytes <= _MOST_BYTES[DEFAULT_CODEC] else "zstd"
    name = str(compression).lower()
    if name not in CODECS:
        raise SettingsError(f"compression {compression!r} is none of {sorted(CODECS.values())}")
    most = _MOST_BYTES.get(name)
    if most is not None and n_bytes > most:
        raise SettingsError(
            f"{name} takes at most {most} bytes at once and the array has {n_bytes}; "
            "use compression='Zstd', or write it in chunks (write_chunked, zarr)"
        )
    return name


def encode(codec: str, data: np.ndarray) -> memoryview:
    """The bytes of a flat array by a codec of the list; the same bytes each time."""
    if codec == "blosc":
        # The shuffle is by items: a flat view of whole items compresses best.
        body = blosc.compress(data, b"zstd", _BLOSC_LEVEL, blosc.SHUFFLE)
    elif codec == "zstd":
        body = zstd.compress(data, _ZSTD_LEVEL)
    elif codec == "lz4":
        body = lz4.compress(data)
    elif codec == "gzip":
        deflater = zlib.compressobj(_ZLIB_LEVEL, wbits=31)  # no time in it, unlike cottoncandy's
        body = deflater.compress(data.data.cast("B")) + deflater.flush()
    elif codec == "zlib":
        body = zlib.compress(data.data.cast("B"), _ZLIB_LEVEL)
    elif codec == "bz2":
        body = bz2.compress(data.data.cast("B"))
    else:
        body = lzma.compress(data.data.cast("B"))
    return memoryview(body)


def decode(said: str, body: memoryview, n_bytes: int) -> memoryview:
    """Exactly ``n_bytes`` of a body; without a copy where it is not compressed.

    Args:
        said: What the metadata call the codec.
        body: As stored.
        n_bytes: That the shape and dtype need.

    Raises:
        UnsafeDataError: The codec is not on the list.
        ArrayFormatError: The body is broken, or holds more or fewer bytes.
    """
    name = said.lower()
    if name in {"false", "none", ""}:
        raw = body
    elif name not in CODECS:
        raise UnsafeDataError(
            f"refusing compression {said!r}: metadata may name one of {sorted(CODECS)} only"
        )
    else:
        try:
            raw = _decoded(name, body, n_bytes)
        except (RuntimeError, ValueError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, ArrayFormatError):
                raise
            raise ArrayFormatError(
                f"the body ({len(body)} bytes) is no {CODECS[name]}: {error}"
            ) from error
    if len(raw) != n_bytes:
        raise ArrayFormatError(f"the body has {len(raw)} bytes, shape and dtype need {n_bytes}")
    return raw


def _decoded(name: str, body: memoryview, n_bytes: int) -> memoryview:
    if name in {"blosc", "zstd", "lz4"}:
        declared = _DECLARED[name](body)
        if declared != n_bytes:
            raise ArrayFormatError(
                f"the body holds {declared} bytes, shape and dtype need {n_bytes}"
            )
        out = np.empty(n_bytes, np.uint8)
        if name == "zstd" and not n_bytes:  # cottoncandy's empty arrays; zstd refuses to fill none
            return out.data
        {"blosc": blosc, "zstd": zstd, "lz4": lz4}[name].decompress(body, out)
        return out.data
    # One byte more than is needed shows that there is more, and no more than that is made.
    if name in {"gzip", "zlib"}:
        engine = zlib.decompressobj(31 if name == "gzip" else 15)
        raw = engine.decompress(body, n_bytes + 1)
        rest = engine.unconsumed_tail
        if not engine.eof:
            raw += engine.decompress(rest, 1)
    else:
        engine = (
            bz2.BZ2Decompressor()
            if name == "bz2"
            else lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)
        )
        raw = engine.decompress(body, n_bytes + 1)
        if not engine.eof and not engine.needs_input:
            raw += engine.decompress(b"", 1)
    _refuse_rest(engine, len(raw), n_bytes)
    return memoryview(raw)


def _refuse_rest(engine: _Inflater, n_found: int, n_bytes: int) -> None:
    if n_found > n_bytes:
        raise ArrayFormatError(f"the body holds more than the {n_bytes} bytes of shape and dtype")
    if not engine.eof:
        raise ArrayFormatError("the body ends before its codec's end mark")
    if engine.unused_data:
        raise ArrayFormatError(f"{len(engine.unused_data)} bytes stand after the compressed body")


def _blosc_bytes(body: memoryview) -> int:
    # Bytes 4 to 8 of the header are the size of the content, 12 to 16 that of the whole.
    if len(body) < 16 or int.from_bytes(body[12:16], "little") != len(body):  # noqa: PLR2004 (the header)
        raise ArrayFormatError("the body is not as long as its Blosc header says")
    return int.from_bytes(body[4:8], "little")


def _lz4_bytes(body: memoryview) -> int:
    if len(body) < 4:  # noqa: PLR2004 (numcodecs writes the size before the block)
        raise ArrayFormatError("the body is too short for LZ4")
    return int.from_bytes(body[:4], "little")


def _zstd_bytes(body: memoryview) -> int:
    """Content size of the frame header (RFC 8878, 3.1.1.1), which numcodecs always writes."""
    if bytes(body[:4]) != _ZSTD_MAGIC or len(body) < 6:  # noqa: PLR2004 (the header)
        raise ArrayFormatError("the body does not begin as a zstd frame")
    flags = body[4]
    size_flag, single = flags >> 6, bool(flags & 0x20)
    n_size = (1 if single else 0, 2, 4, 8)[size_flag]
    at = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    if not n_size:
        raise ArrayFormatError("the zstd frame does not say how long its content is")
    size = int.from_bytes(body[at : at + n_size], "little")
    return size + 256 if n_size == 2 else size  # noqa: PLR2004 (two bytes count from 256)


_DECLARED = {"blosc": _blosc_bytes, "lz4": _lz4_bytes, "zstd": _zstd_bytes}
