"""One figure of an array benchmark: a fresh process on a fresh server; and the line of a table."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from array_server import array_server

__all__ = ["Figure", "figure_of", "print_head", "print_ratios", "timed"]

Figure = dict[str, float]
"""Seconds: ``wall``, ``cpu``."""


def timed(run: Callable[[], object]) -> tuple[object, str]:
    """What a call gave, and its figure as the JSON that ``figure_of`` reads."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    got = run()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return got, json.dumps({"wall": wall, "cpu": cpu})


def figure_of(command: Sequence[str], latency_s: float = 0.0) -> Figure:
    """The figure that a process prints last; its server has a bucket ``bucket``, and is its own."""
    with array_server(latency_s) as address:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_head() -> None:
    """The machine, and what stands in the columns."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'':20} {'ours s':>9} {'peer s':>9} {'x wall':>7} {'x CPU':>7}   range of x wall")


def print_ratios(name: str, ours: Sequence[Figure], peers: Sequence[Figure]) -> None:
    """Medians of all rounds, and how the ratio of each round lies around theirs."""
    mine = {key: statistics.median(figure[key] for figure in ours) for key in ("wall", "cpu")}
    peer = {key: statistics.median(figure[key] for figure in peers) for key in ("wall", "cpu")}
    each = [one["wall"] / own["wall"] for own, one in zip(ours, peers, strict=True)]
    print(
        f"{name:20} {mine['wall']:9.4f} {peer['wall']:9.4f} {peer['wall'] / mine['wall']:7.1f} "
        f"{peer['cpu'] / mine['cpu']:7.1f}   {min(each):.1f} to {max(each):.1f}",
        flush=True,
    )
