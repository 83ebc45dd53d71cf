"""Archives of ``.npy`` files, as ``np.savez`` and scipy's ``save_npz`` write them. Pure, no pickle.

Each member has the zip's CRC-32, and is checked to its last byte.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from lake_assets.arrays.npy import array_of, encode_npy
from lake_assets.errors import ArrayFormatError

__all__ = ["BROKEN", "decode_npz", "encode_npz"]

BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError, RuntimeError,
    UnicodeDecodeError,
)  # fmt: skip
"""What damage makes of a zip archive. RuntimeError: a member that says it is encrypted, and
NotImplementedError, for a method of packing that zipfile does not know."""

_SUFFIX = ".npy"
#: zlib's fastest: level 6, which numpy takes, needs several times as long for a few percent.
_LEVEL = 1
#: All members carry the same time, so that the same arrays are the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def encode_npz(arrays: Mapping[str, np.ndarray]) -> memoryview:
    """The archive of named arrays; the same bytes each time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(name + _SUFFIX, _TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, encode_npy(array), compresslevel=_LEVEL)
    return memoryview(file.getvalue())  # a view of the file's own breaks where both are collected


def decode_npz(body: memoryview, name: str) -> dict[str, np.ndarray]:
    """The arrays of an archive, by name.

    Raises:
        ArrayFormatError: It is no such archive, or a member is broken.
        UnsafeDataError: A member holds Python objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {
                member.removesuffix(_SUFFIX): array_of(
                    memoryview(archive.read(member)), f"{name}:{member}"
                )
                for member in archive.namelist()
            }
    except BROKEN as error:
        raise ArrayFormatError(f"{name} is no whole archive of arrays: {error}") from error
