"""What a profile costs: 10 million floats on one core, and beside the staging of real exports.

Run it: ``python lake_assets_tests/benchmarks/bench_profile.py [rounds]``. One thread of Polars;
figures are CPU seconds, so a busy machine counts little. The cases take turns; medians.
"""

import gzip
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
from lake_assets.export.find import list_exports
from lake_assets.export.payload import PayloadLimits
from lake_assets.export.pega_tables import find_table
from lake_assets.export.rows import read_rows
from lake_assets.s3 import open_store
from lake_assets.staging.manifests import StagingState
from lake_assets.staging.stage import StagingWork, stage_export

EXPORTS = Path(__file__).parents[3] / "shared" / "data" / "pega_exports"
FILES = {
    "predictor_snapshot": "Data*PredictorBinning*.gz",
    "binary_distribution": "Data-DM-BinaryDistribution*.gz",
    "model_snapshot": "Data*ModelSnapshot*.gz",
}
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


def exports(rounds: int) -> None:
    """The same rows read, staged (read, proven, written) and profiled."""
    for table, pattern in FILES.items():
        spec = find_table(table)
        files = sorted((EXPORTS / "datamart").glob(pattern))
        if not files:
            say(f"skipped {table}: no exports in {EXPORTS}")
            continue
        found = list_exports(str(EXPORTS), [spec]).exports[spec.name]
        frames: list[pl.DataFrame] = []

        def read(files=files, spec=spec, frames=frames) -> None:
            frames[:] = [
                read_rows(file.name, gzip.decompress(file.read_bytes()), spec).frame
                for file in files
            ]

        def stage(spec=spec, found=found) -> None:
            with tempfile.TemporaryDirectory() as folder:
                work = StagingWork(
                    spec, open_store(str(EXPORTS)), open_store(folder), PayloadLimits(),
                    rescue_share=0.01, buffer_bytes=64 * 1024**2,
                )  # fmt: skip
                for export in found:
                    stage_export(work, export, StagingState({}))

        def profile(frames=frames) -> None:
            profile_of(frames).profile().sketches()

        seconds: dict[str, list[float]] = {"read": [], "stage": [], "profile": []}
        for _ in range(rounds):
            for name, case in (("read", read), ("stage", stage), ("profile", profile)):
                seconds[name].append(cpu(case))
        each = {name: statistics.median(of) for name, of in seconds.items()}
        rows = sum(frame.height for frame in frames)
        say(
            f"{table:<20} {rows:6,} rows × {frames[0].width} columns:"
            f" read {each['read']:.3f} s, stage {each['stage']:.3f} s, profile"
            f" {each['profile']:.3f} s = {each['profile'] / each['read']:.0%} of reading,"
            f" {each['profile'] / each['stage']:.0%} of staging"
        )


def main() -> None:
    """Print one line per case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    machine = f"Python {platform.python_version()}, {platform.platform()}"
    say(f"polars {pl.__version__}, {pl.thread_pool_size()} thread, {machine}; median of {rounds}")
    floats(rounds)
    exports(rounds)


if __name__ == "__main__":
    main()
