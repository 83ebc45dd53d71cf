"""One object that moves in pieces, side by side in the threads of a transfer.

What a piece is, and what follows the last one, is the caller's: ranges of a download, parts of an
upload.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from lake_assets.errors import StorageError
from lake_assets.s3.engine import BrokenAnswerError, pause
from lake_assets.s3.flow import Flow
from lake_assets.s3.pool import Job

__all__ = ["Pieces"]

_T = TypeVar("_T")


class Pieces:
    """Runs the pieces of one object; the first error of one spares the others.

    Args:
        flow: Of the transfer; a cancelled one ends the pieces as an error does.
        tries: Of each request, the first included.
    """

    def __init__(self, flow: Flow, *, tries: int) -> None:
        self.error: Exception | None = None
        """Of the first piece that failed."""
        self._flow = flow
        self._tries = tries
        self._left = 0
        self._lock = threading.Lock()

    def jobs(
        self, n_pieces: int, work: Callable[[int], None], end: Callable[[], Sequence[Job]]
    ) -> list[Job]:
        """A job for each piece, numbered from 0; the last one to end goes on with ``end``."""
        self._left = n_pieces
        return [self._job(number, work, end) for number in range(n_pieces)]

    def guarded(self, step: Callable[[], None]) -> Exception | None:
        """Why a step failed; None when it did not, or when a piece failed before."""
        if self.error is not None:  # nothing is left to win
            return None
        try:
            self._flow.check()
            step()
        except (StorageError, OSError, ValueError) as error:
            return error
        return None

    def retried(self, step: Callable[[], _T]) -> _T:
        """What ``step`` returns; again while an answer breaks off.

        Raises:
            BrokenAnswerError: The last one did as well.
            CancelledError: The transfer was cancelled between two tries.
        """
        for attempt in range(1, self._tries):
            try:
                return step()
            except BrokenAnswerError:
                self._flow.check()
                pause(attempt)
        return step()

    def _job(
        self, number: int, work: Callable[[int], None], end: Callable[[], Sequence[Job]]
    ) -> Job:
        def job() -> Sequence[Job]:
            error = self.guarded(lambda: work(number))
            with self._lock:
                self.error = self.error or error
                self._left -= 1
                is_last = not self._left
            return end() if is_last else ()

        return job
