"""One figure of one way, in the way's own process: wall clock, CPU seconds, peak memory, rows.

Only the standard library: some ways run where nothing of the project is installed.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Prepare", "measure"]

Prepare: TypeAlias = Callable[[str, str, dict[str, Any]], Callable[[], object]]
"""Gives the work for (source, target, task); what it does itself is not measured."""


def measure(prepare: Prepare, count: Callable[[str, dict[str, Any]], int]) -> None:
    """Do the task of the command line after a tiny one; print the figure as JSON.

    The tiny one loads what is loaded at first use, so no way pays for its imports.

    Args:
        prepare: The way.
        count: Rows that are in the target, from (target, task).
    """
    task = json.loads(sys.argv[1])
    prepare(task["warm"], f"{task['target']}-warm", task)()
    run = prepare(task["source"], task["target"], task)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    figure = {
        "wall": wall,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak": _peak_mb(),
        "rows": count(task["target"], task),
    }
    print(json.dumps(figure))


def _peak_mb() -> float:
    """Of this program; ``ru_maxrss`` of a child begins with what its parent held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS: bytes
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024
