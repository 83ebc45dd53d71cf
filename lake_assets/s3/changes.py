"""What is new in a listing since the last one: late keys and overwritten objects included.

A store can only be asked for keys after a given one, which misses whatever comes late or is written
over. So the whole listing streams past a set of fingerprints of what was seen (16 bytes an object,
1.6 MB for 100,000); whoever keeps the state decides when it is saved. What is done with the objects
does not belong here.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.store import ObjectInfo

__all__ = ["Changes", "ListingState"]

_MAGIC = b"lake-listing-1\n"
#: 128 bits: two of a billion objects share one with a chance of 1 : 10^21.
_BYTES = 16


@dataclass(frozen=True, slots=True)
class ListingState:
    """Fingerprints (of key, size, ETag) of the objects that were there; the default saw nothing."""

    fingerprints: frozenset[bytes] = frozenset()

    def to_bytes(self) -> bytes:
        """The state as one small object; equal states give equal bytes."""
        body = b"".join(sorted(self.fingerprints))
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "ListingState":
        """The state that ``to_bytes`` wrote.

        Raises:
            StorageError: The bytes are not a whole state; without it everything counts as new.
        """
        head = len(_MAGIC) + hashlib.sha256().digest_size
        body = data[head:]
        if (
            not data.startswith(_MAGIC)
            or hashlib.sha256(body).digest() != data[len(_MAGIC) : head]
            or len(body) % _BYTES
        ):
            raise StorageError(
                f"{len(data)} bytes are no whole listing state; begin with ListingState()"
            )
        return cls(frozenset(body[at : at + _BYTES] for at in range(0, len(body), _BYTES)))


class Changes:
    """The objects of a listing that are new or overwritten since ``before``; iterate it once.

    Example:
        >>> from datetime import UTC, datetime
        >>> old = ObjectInfo("b", 1, "e1", datetime(2026, 1, 1, tzinfo=UTC))
        >>> late = ObjectInfo("a", 1, "e2", datetime(2026, 1, 1, tzinfo=UTC))
        >>> first = Changes([old], ListingState())
        >>> [info.key for info in first]
        ['b']
        >>> [info.key for info in Changes([late, old], first.state())]
        ['a']
    """

    def __init__(self, listing: Iterable[ObjectInfo], before: ListingState) -> None:
        self._listing = listing
        self._before = before.fingerprints
        self._after: set[bytes] = set()
        self._started = False
        self._finished = False

    def __iter__(self) -> Iterator[ObjectInfo]:
        """The changed objects, in the order of the listing."""
        if self._started:
            raise SettingsError("changes are iterated once; make a new one from a new listing")
        self._started = True
        for info in self._listing:
            mark = _fingerprint(info)
            self._after.add(mark)
            if mark not in self._before:
                yield info
        self._finished = True

    def state(self) -> ListingState:
        """What to hand to the next listing; save it after the changed objects are dealt with.

        Raises:
            SettingsError: The listing is not read to its end: what follows would be lost.
        """
        self._need_the_end()
        return ListingState(frozenset(self._after))

    @property
    def n_gone(self) -> int:
        """How many of the objects that were there are deleted or overwritten now.

        Raises:
            SettingsError: The listing is not read to its end.
        """
        self._need_the_end()
        return len(self._before - self._after)

    def _need_the_end(self) -> None:
        if not self._finished:
            raise SettingsError(
                "the listing is not read to its end; iterate over all changes first"
            )


def _fingerprint(info: ObjectInfo) -> bytes:
    # A key holds no NUL on S3 or in a folder; surrogates stand for names that are not UTF-8.
    text = f"{info.key}\0{info.size_bytes}\0{info.etag}"
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_BYTES).digest()
