"""How far a transfer is: a callback's values, a bar on a terminal, lines in the log elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress", "ProgressCallback", "shown"]

logger = logging.getLogger(__name__)

#: Between two lines in the log, and between two calls of a callback.
_LOG_EVERY_S = 10.0
_CALL_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one call is."""

    description: str
    n_ended: int
    n_total: int
    moved_bytes: int
    total_bytes: int | None
    """None where the sizes were not given."""
    seconds: float

    @property
    def bytes_per_s(self) -> float:
        """Mean rate so far."""
        return self.moved_bytes / self.seconds if self.seconds > 0 else 0.0

    @property
    def part(self) -> float:
        """What has ended, between 0 and 1: by bytes where the sizes are known, else by objects."""
        by_bytes = self.moved_bytes / self.total_bytes if self.total_bytes else 0.0
        by_count = self.n_ended / self.n_total if self.n_total else 1.0
        return min(1.0, max(by_bytes, by_count))

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at this rate; None before there is one."""
        return self.seconds * (1 - self.part) / self.part if self.part > 0 else None

    def __str__(self) -> str:
        """One line for a log."""
        eta = "" if self.eta_s is None else f", {self.eta_s:.0f} s left"
        rate = self.bytes_per_s / 1e6
        return (
            f"{self.description}: {self.n_ended} of {self.n_total} objects, {self.part:.0%}, "
            f"{self.moved_bytes / 1e6:.1f} MB at {rate:.1f} MB/s{eta}"
        )


ProgressCallback = Callable[[Progress], None]


@contextmanager
def shown(callback: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """What to call now and then with the progress: the callback, a bar, or the log.

    The last call, at the end of the block, is always passed on.
    """
    if callback is not None:
        yield _every(_CALL_EVERY_S, callback)
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _on_bar(bar)
    else:
        yield _every(_LOG_EVERY_S, lambda progress: logger.info("%s", progress))


def _every(seconds: float, call: ProgressCallback) -> ProgressCallback:
    last = time.monotonic()

    def passed_on(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds or progress.n_ended == progress.n_total:
            last = now
            call(progress)

    return passed_on


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _on_bar(bar: "Bar") -> ProgressCallback:
    task = bar.add_task("", total=None)

    def moved(progress: Progress) -> None:
        known = progress.total_bytes
        if progress.n_ended == progress.n_total:
            known = progress.moved_bytes
        label = f"{progress.description} {progress.n_ended}/{progress.n_total}"
        bar.update(task, description=label, completed=progress.moved_bytes, total=known)

    return moved
