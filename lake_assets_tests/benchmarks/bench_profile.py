"""What a profile costs: 10 million floats on one core, and as a part of the datamart's stages.

Run it: ``python -m lake_assets_tests.benchmarks.bench_profile [rounds] [folder of exports]``.
One thread of Polars; figures are CPU seconds, so a busy machine counts little. The cases take
turns; medians.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars is loaded

import numpy as np
import polars as pl

from lake_assets.catalog.profile import Profiler, merge
from lake_assets.demo.exports import export_objects
from lake_assets.lake import compact, find, open_datamart, plan, stage
from lake_assets.settings import LakeSettings
from lake_assets_tests.factories import put_folder, table_rows

TABLES = (
    *("predictor_snapshot", "binary_distribution", "model_snapshot", "snapshot", "notification"),
)
MILLIONS = 10
FRAME_ROWS = 1_000_000


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def profile_of(frames: list[pl.DataFrame]) -> Profiler:
    profiler = Profiler()
    for frame in frames:
        profiler.add(frame)
    return profiler


def floats(rounds: int) -> None:
    """Columns of 10 M values by how much they repeat."""
    rng = np.random.default_rng(1)
    n = MILLIONS * 1_000_000
    columns = {
        "lognormal float64, all different": rng.lognormal(size=n),
        "normal float64, 3 decimals": np.round(rng.normal(size=n), 3),
        "int64 of 100 values": rng.integers(0, 100, n),
        "int64, all different": rng.permutation(n),
    }
    for name, values in columns.items():
        frames = [
            pl.DataFrame({"x": values[start : start + FRAME_ROWS]})
            for start in range(0, n, FRAME_ROWS)
        ]
        seconds = [cpu(lambda frames=frames: profile_of(frames).profile()) for _ in range(rounds)]
        say(f"{MILLIONS} M {name:<34} {statistics.median(seconds):6.2f} s CPU")
    one = profile_of([pl.DataFrame({"x": rng.lognormal(size=FRAME_ROWS)})]).profile()
    spent = cpu(lambda: merge([one] * 100))
    size = len(str(one.sketches()))
    say(f"merge of 100 profiles of one column {spent:6.3f} s; {size:,} bytes each")


def staged(exports: str, table: str, *, profile: bool) -> tuple[float, float, int]:
    """CPU seconds of staging all exports of a table, and of compacting it; its rows."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"root": folder, "exports": exports, "workers": 1}
        lake = open_datamart(
            LakeSettings.model_validate({**settings, "datamart": {"profile": profile}})
        )
        spec, found = lake.table(table), find(lake)
        staging = cpu(lambda: list(stage(lake, spec, found)))
        planned = plan(lake, spec)
        return staging, cpu(lambda: list(compact(lake, spec, planned))), planned.rows


def stages(exports: str, rounds: int) -> None:
    """Both stages of the datamart with profiles and without, in turn."""
    for table in TABLES:
        staged(exports, table, profile=True)  # warm
        seconds: dict[bool, list[tuple[float, float, int]]] = {True: [], False: []}
        for _ in range(rounds):
            for profile, found in seconds.items():
                found.append(staged(exports, table, profile=profile))
        if not seconds[True][0][2]:
            continue
        for place, name in enumerate(("staging", "compacting")):
            on, off = (
                statistics.median(each[place] for each in seconds[profile])
                for profile in (True, False)
            )
            say(
                f"{table:<20} {seconds[True][0][2]:6,} rows: {name:<10} {on * 1e3:6.0f} ms with,"
                f" {off * 1e3:6.0f} ms without: profiles are {(on - off) / on:.0%} of it"
            )


def generated(rounds: int, n_exports: int, n_rows: int) -> None:
    """The same of made-up exports of so many rows each."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(n_exports):
            at = range(0, n_rows, 2000)
            rows = [r for n in at for r in table_rows("model_snapshot", min(2000, n_rows - n))]
            for place, row in enumerate(rows):
                row["pzInsKey"] = f"key {number} {place}"
            name = f"20260901T02{number:02}00.000"
            put_folder(Path(folder), export_objects("model_snapshot", name, rows))
        stages(folder, rounds)


def main() -> None:
    """Print one line per case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    machine = f"Python {platform.python_version()}, {platform.platform()}"
    say(f"polars {pl.__version__}, {pl.thread_pool_size()} thread, {machine}; median of {rounds}")
    floats(rounds)
    for n_exports, n_rows in ((1, 40_000), (20, 1000), (20, 200)):
        say(f"{n_exports} made-up exports of {n_rows:,} rows:")
        generated(rounds, n_exports, n_rows)
    exports = sys.argv[2] if len(sys.argv) > 2 else None
    if exports:
        say(f"{exports}:")
        stages(exports, rounds)


if __name__ == "__main__":
    main()
