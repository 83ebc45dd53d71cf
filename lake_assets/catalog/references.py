"""Files that stay where they are: named by the sha256 of their stored bytes, checked when read.

A ``.gz`` is hashed as it is stored, not as it unpacks. A file that is replaced is another file:
it gets another reference, and the old one says so instead of serving the new bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from lake_assets.catalog.objects import MEMORY_BYTES, open_verified
from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3 import ObjectInfo, Store, open_store, sha256_of
from lake_assets.s3.address import parse_address
from lake_assets.s3.globs import glob_regex, literal_prefix

__all__ = ["FileReference", "files_below", "open_reference", "refer_to", "refer_to_object"]


@dataclass(frozen=True, slots=True)
class FileReference:
    """One file as it was when it was hashed."""

    uri: str
    """A local path or ``s3://bucket/key``."""
    sha256: str
    size_bytes: int
    etag: str
    modified_at: datetime
    """UTC."""


def refer_to(uri: str) -> FileReference:
    """Hash one file where it lies.

    Raises:
        StorageError: There is no such file.
        SourceChangedError: It changed while it was hashed.
    """
    address = parse_address(uri)
    store = address.open()
    info = store.head(address.path)
    if info is None:
        raise StorageError(f"there is no file {uri}; give the address of one file")
    return refer_to_object(store, info)


def refer_to_object(store: Store, info: ObjectInfo) -> FileReference:
    """Hash one listed object.

    Raises:
        SourceChangedError: It was replaced since it was listed, or while it was hashed.
    """
    with store.open(info, memory_bytes=MEMORY_BYTES) as file:
        digest = sha256_of(file)
    # A large file of a folder is read where it lies: it may have been written to meanwhile.
    if info.size_bytes > MEMORY_BYTES and store.head(info.key) != info:
        raise SourceChangedError(f"{store.url}/{info.key} changed while it was hashed; run again")
    return FileReference(
        f"{store.url.rstrip('/')}/{info.key}", digest, info.size_bytes, info.etag, info.modified_at
    )


def files_below(url: str, pattern: str = "**") -> tuple[Store, Iterator[ObjectInfo]]:
    """The store at a folder or prefix, and its files that match, sorted by key.

    A folder never matches, only files do.

    Args:
        url: A folder or ``s3://bucket/prefix``.
        pattern: Counted from ``url``; ``*`` stays within one segment, ``**`` goes beyond.

    Raises:
        SettingsError: The pattern cannot be one.
    """
    wanted = glob_regex(pattern)
    store = open_store(url)
    found = store.list(literal_prefix(pattern))
    return store, (info for info in found if wanted.fullmatch(info.key))


def open_reference(uri: str, sha256: str, *, memory_bytes: int = MEMORY_BYTES) -> BinaryIO:
    """The file at ``uri`` as a seekable file, if its bytes still have ``sha256``.

    Raises:
        BodyMismatchError: It was changed in place; nothing of it is handed out.
        StorageError: It is gone.
    """
    address = parse_address(uri)
    store = address.open()
    info = store.head(address.path)
    if info is None:
        raise StorageError(f"{uri} (recorded as {sha256}) is gone; restore it")
    try:
        return open_verified(store, info, sha256=sha256, memory_bytes=memory_bytes)
    except SourceChangedError as error:
        raise BodyMismatchError(
            f"{uri} (recorded as {sha256}) is being written; open it again"
        ) from error
