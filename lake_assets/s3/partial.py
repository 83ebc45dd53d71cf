"""Files that are not whole yet: their names, and the step that makes them visible."""

import itertools
import os

from lake_assets.errors import BodyMismatchError
from lake_assets.s3.engine import Engine

__all__ = ["mismatch", "partial_of", "publish", "write_all"]

#: Listings of folders leave out what begins so.
_PARTIAL = ".part-"
_numbers = itertools.count()


def partial_of(path: str) -> str:
    """A name beside ``path`` that no other transfer on this machine uses."""
    folder = os.path.dirname(path)
    return f"{folder}/{_PARTIAL}{os.getpid():x}-{next(_numbers):x}"


def write_all(fd: int, block: bytes | memoryview) -> None:
    """Write a block whole: a single write may take a part of it."""
    n_written = os.write(fd, block)
    while n_written < len(block):
        block = memoryview(block)[n_written:]
        n_written = os.write(fd, block)


def publish(partial: str, path: str, *, fsync: bool) -> None:
    """Give a whole file its name; with ``fsync`` the name is on the disk as well."""
    os.replace(partial, path)
    if fsync:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def mismatch(engine: Engine, key: str, reason: str, *, tries: int) -> BodyMismatchError:
    """The error for bytes that stayed wrong."""
    return BodyMismatchError(f"{engine.url}/{key}: {reason} in {tries} tries; look at the store")
