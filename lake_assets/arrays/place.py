"""Where an array is: an address as a root that is opened once, and a key below it.

Keys are taken as they are written: nothing is unquoted, joined or collapsed.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from lake_assets.errors import SettingsError
from lake_assets.s3 import Access, Location
from lake_assets.s3.address import parse_address
from lake_assets.s3.objects import Objects, open_objects

__all__ = ["Place", "in_threads", "place_of"]

_T = TypeVar("_T")
_R = TypeVar("_R")
#: Requests for small objects under way at once.
_THREADS = 32


@dataclass(frozen=True, slots=True)
class Place:
    """One object or prefix of an opened root."""

    objects: Objects
    key: str
    """Without a slash at its end; empty for the root itself."""
    access: Access | None = field(default=None, repr=False)
    """How the bucket is reached, where the caller said it."""

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{self.objects.url.rstrip('/')}/{self.key}" if self.key else self.objects.url

    @property
    def prefix(self) -> str:
        """What all keys below it start with: never a look-alike's."""
        return f"{self.key}/" if self.key else ""

    def at(self, *segments: str) -> "Place":
        """A place below."""
        return Place(self.objects, self.prefix + "/".join(segments), self.access)


def place_of(url: Location, access: Access | None = None) -> Place:
    """The place that a person wrote; a bucket is opened whole, a folder where its parent is.

    Args:
        url: A folder, a file or ``s3://bucket/key``, also as a path of universal_pathlib.
        access: How to reach the bucket; by default as the path, else as ``use_access`` and the
            environment say.

    Raises:
        SettingsError: It is no address, or names no object.
        StorageError: The AWS configuration cannot be used.
    """
    address = parse_address(url, access)
    key = address.path.rstrip("/")
    if not key and not address.is_s3:
        raise SettingsError(f"{url!r} is the root of the file system; name a file or folder")
    return Place(open_objects(address.root, address.access), key, address.access)


def in_threads(work: Callable[[_T], _R], items: Iterable[_T], n_threads: int = 0) -> Sequence[_R]:
    """The results in the order of the items; the first error ends those that have not begun.

    Args:
        work: Called side by side.
        items: What it is called with.
        n_threads: 0 for as many as small requests are worth.
    """
    given = list(items)
    n_workers = min(n_threads or _THREADS, len(given))
    if n_workers < 2:  # noqa: PLR2004 (no thread for one)
        return [work(item) for item in given]
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="arrays")
    try:
        return [done.result() for done in [pool.submit(work, item) for item in given]]
    finally:
        pool.shutdown(cancel_futures=True)
