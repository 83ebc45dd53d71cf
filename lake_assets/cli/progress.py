"""How far a run is, on stderr: one line that changes on a terminal, lines for a log elsewhere."""

import sys
import time

__all__ = ["LogProgress", "clear_progress", "show_progress"]

#: Between two lines about one stage in a log.
_EVERY_S = 10.0


def show_progress(table: str, stage: str, done: int, total: int) -> None:
    """On a terminal: the line of a table and stage, written over until its last step."""
    if sys.stderr.isatty():
        end = "\n" if stage == "lake" else "\r"
        print(f"\x1b[2K{table}: {stage} {done}/{total}", end=end, file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Leave the terminal's line to what is printed next."""
    if sys.stderr.isatty():
        print("\x1b[2K", end="\r", file=sys.stderr, flush=True)


class LogProgress:
    """The same; where nobody looks, a line when a stage ends, and every ten seconds before."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, table: str, stage: str, done: int, total: int) -> None:
        """Tell of one step."""
        now = time.monotonic()
        if sys.stderr.isatty():
            show_progress(table, stage, done, total)
        elif done == total or now - self._told_at >= _EVERY_S:
            self._told_at = now
            print(f"{table}: {stage} {done}/{total}", file=sys.stderr, flush=True)
