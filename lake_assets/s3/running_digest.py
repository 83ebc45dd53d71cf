"""The hash of a file that is written in pieces, taken while further pieces arrive.

Hashes are taken in order and pieces arrive in any: each is read back from the page cache once all
before it are there.
"""

import hashlib
import os
import threading

__all__ = ["RunningDigest"]

#: Fits the cache of one core: reading it back costs little beside the hash.
_BLOCK_BYTES = 256 * 1024


class RunningDigest:
    """The hash of one file; any thread may report a piece.

    Args:
        fd: The file, open for reading.
        size_bytes: Of the whole file.
        piece_bytes: Of each piece but the last.
        algorithm: A name that hashlib knows.
    """

    def __init__(self, fd: int, *, size_bytes: int, piece_bytes: int, algorithm: str) -> None:
        self._fd = fd
        self._size = size_bytes
        self._step = piece_bytes
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._here = [False] * -(-size_bytes // piece_bytes)
        self._next = 0
        self._is_busy = False
        self._lock = threading.Lock()

    def arrived(self, number: int) -> None:
        """One piece is in the file, numbered from 0: hash what can be hashed by now.

        One thread does, the others return at once; so when all calls have returned, all pieces
        that were reported in a row are hashed.

        Raises:
            OSError: The file cannot be read.
        """
        with self._lock:
            self._here[number] = True
            if self._is_busy:
                return
            self._is_busy = True
        try:
            while self._take():
                self._hash(self._next)
                self._next += 1
        except BaseException:  # Ctrl-C as well: another thread may go on
            self._is_busy = False
            raise

    def hexdigest(self) -> str | None:
        """The hash; None while pieces are missing."""
        return self._digest.hexdigest() if self._next == len(self._here) else None

    def _take(self) -> bool:
        """Whether there is a next piece; where not, this thread is busy no more."""
        with self._lock:
            if self._next < len(self._here) and self._here[self._next]:
                return True
            self._is_busy = False
            return False

    def _hash(self, number: int) -> None:
        start = number * self._step
        end = min(start + self._step, self._size)
        buffer = memoryview(bytearray(min(_BLOCK_BYTES, end - start)))
        while start < end:
            n_read = os.preadv(self._fd, [buffer[: end - start]], start)
            if not n_read:
                raise OSError(f"the file ended at {start} of {self._size} bytes")
            self._digest.update(buffer[:n_read])
            start += n_read
