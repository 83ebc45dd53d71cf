"""Ctrl-C: once ends what is under way in order, twice ends it at once.

An orderly end waits for requests that are blocked, up to the client's time-out.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "two_interrupts"]

#: Exit code, as shells have it: 128 and the number of the signal.
INTERRUPTED = 130


@contextmanager
def two_interrupts() -> Iterator[None]:
    """Let a second Ctrl-C end the process at once; no partial file stays either way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _first(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _second)
    # Not by print, which may be what the signal came in between.
    os.write(2, b"lake: ending; Ctrl-C again ends at once\n")
    raise KeyboardInterrupt


def _second(_signal: int, _frame: FrameType | None) -> None:
    from lake_assets.s3.partial import remove_own_partials

    remove_own_partials()
    os._exit(INTERRUPTED)  # threads that are blocked would be waited for
