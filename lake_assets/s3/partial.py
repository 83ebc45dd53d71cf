"""Files that are not whole yet: their names, the step that makes them visible, their removal."""

import itertools
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress

from lake_assets.errors import BodyMismatchError
from lake_assets.s3.engine import Engine

__all__ = [
    "mismatch",
    "partial_of",
    "publish",
    "remove_own_partials",
    "remove_stale_partials",
    "write_all",
]

#: Listings of folders leave out what begins so.
_PARTIAL = ".part-"
#: The names that are given here and, elsewhere, made of a UUID; a person's own file has another.
_NAME = re.compile(r"\.part-(?:[0-9a-f]+-[0-9a-f]+|[0-9a-f]{32})")
#: What nobody has written to for so long, here or over the network, has no writer any more.
_STALE_S = 86_400.0
_numbers = itertools.count()
#: Where this process gave such names.
_folders: set[str] = set()


def partial_of(path: str) -> str:
    """A name beside ``path`` that no other transfer on this machine uses."""
    folder = os.path.dirname(path)
    _folders.add(folder)
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


def remove_stale_partials(folders: Iterable[str]) -> None:
    """Remove what processes that were killed left in these folders, a day or more ago.

    By age and not by process number: the folder may be written to from other machines, too.
    """
    limit = time.time() - _STALE_S
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not _NAME.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                if entry.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(entry.path)


def remove_own_partials() -> None:
    """Remove all that this process has begun and not finished: it is about to end."""
    own = f"{_PARTIAL}{os.getpid():x}-"
    for folder in list(_folders):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(own):
                    with suppress(OSError):
                        os.unlink(entry.path)


def mismatch(engine: Engine, key: str, reason: str, *, tries: int) -> BodyMismatchError:
    """The error for bytes that stayed wrong."""
    return BodyMismatchError(f"{engine.url}/{key}: {reason} in {tries} tries; look at the store")
