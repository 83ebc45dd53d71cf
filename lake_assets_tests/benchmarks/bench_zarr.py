"""zarr arrays beside cottoncandy 0.4.0: ratios of interleaved rounds.

    python lake_assets_tests/benchmarks/bench_zarr.py [work …] [--rounds 3]

An array of 256 MiB of noise: ``slice`` is 1/64 of it along the first axis, ``block`` 1/64 as a
block of an eighth of both, ``full_down`` and ``full_up`` are all of it. Ours in three cuts: by rows
(``axis``), along all axes alike (``even``), and the second one in shards of 4 MiB. cottoncandy's is
one uncompressed object, which it always fetches whole, so that its ``block`` is its ``slice``;
server, environment and peer are those of ``bench_arrays``.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from array_figures import figure_of, print_head, print_ratios, timed
from bench_arrays import COLUMNS, PART, PEER, ROWS, big
from bench_arrays import one_figure as figure_of_peer

PARTS = {
    "slice": PART,
    "block": np.s_[ROWS // 8 : ROWS // 4, COLUMNS // 8 : COLUMNS // 4],
    "full_down": np.s_[:],
    "full_up": np.s_[:],
}
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
    part, is_up = PARTS[work], work == "full_up"
    run = (lambda: write_zarr(url, array, layout=layout)) if is_up else lambda: read_zarr(url, part)
    got, figure = timed(run)
    assert np.array_equal(read_zarr(url) if is_up else got, array[part])
    print(figure)


def main() -> None:
    """All works, round by round, and the ratios of their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    print_head()
    for work in said.works:
        peer, own = [], {cut: [] for cut in CUTS}
        for _ in range(said.rounds):
            peer.append(figure_of_peer(PEER, "slice" if work == "block" else work))
            for cut, figures in own.items():
                figures.append(figure_of([sys.executable, __file__, "measure", cut, work]))
        for cut, figures in own.items():
            print_ratios(f"{work} {cut}", figures, peer)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:4])
    else:
        main()
