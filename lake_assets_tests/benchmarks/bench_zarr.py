"""zarr arrays beside cottoncandy 0.4.0: ratios of interleaved rounds.

    python lake_assets_tests/benchmarks/bench_zarr.py [work …] [--rounds 3]

An array of 256 MiB of noise: ``slice`` is 1/64 of it along the first axis, ``full_down`` and
``full_up`` are all of it. Ours in three cuts: by rows (``axis``), along all axes alike (``even``),
and the second one in shards of 4 MiB. cottoncandy's is one uncompressed object, which it always
fetches whole; server, environment and peer are those of ``bench_arrays``.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from array_server import array_server
from bench_arrays import PART, PEER, big
from bench_arrays import one_figure as figure_of_peer

WORKS = ("slice", "full_down", "full_up")
CUTS = {
    "axis": {"axis": 0},
    "even": {},
    "shards": {"shard_bytes": 4 * 2**20},
}


def measure(cut: str, work: str) -> None:
    """One figure, in this process; printed as JSON."""
    from lake_assets.arrays.zarr_grid import Layout
    from lake_assets.arrays.zarr_store import read_zarr, write_zarr

    url, array, layout = "s3://bucket/array", big(), Layout(**CUTS[cut])
    write_zarr("s3://bucket/before", np.arange(10.0))  # connected and imported, as the peer is
    if work != "full_up":
        write_zarr(url, array, layout=layout)
    part = PART if work == "slice" else np.s_[:]
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    got = write_zarr(url, array, layout=layout) if work == "full_up" else read_zarr(url, part)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    assert np.array_equal(read_zarr(url) if work == "full_up" else got, array[part])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu}))


def own_figure(cut: str, work: str) -> dict[str, float]:
    """One figure of a fresh process and a fresh server."""
    with array_server(0.0) as address:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        done = subprocess.run(
            [sys.executable, __file__, "measure", cut, work],
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        sys.exit(f"{cut}, {work}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """All works, round by round, and the ratios of their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", default=WORKS)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'':18} {'ours s':>9} {'peer s':>9} {'x wall':>7} {'x CPU':>7}   range of x wall")
    for work in said.works:
        peer, own = [], {cut: [] for cut in CUTS}
        for _ in range(said.rounds):
            peer.append(figure_of_peer(PEER, work))
            for cut, figures in own.items():
                figures.append(own_figure(cut, work))
        wall, cpu = (statistics.median(f[name] for f in peer) for name in ("wall", "cpu"))
        for cut, figures in own.items():
            mine = {name: statistics.median(f[name] for f in figures) for name in ("wall", "cpu")}
            pairs = zip(figures, peer, strict=True)
            each = [theirs["wall"] / ours["wall"] for ours, theirs in pairs]
            print(
                f"{work:10} {cut:7} {mine['wall']:9.4f} {wall:9.4f} {wall / mine['wall']:7.1f} "
                f"{cpu / mine['cpu']:7.1f}   {min(each):.1f} to {max(each):.1f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:4])
    else:
        main()
