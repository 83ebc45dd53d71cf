"""Arrays beside cottoncandy 0.4.0: ratios of interleaved rounds.

    python lake_assets_tests/benchmarks/bench_arrays.py [work …] [--rounds 5]

``slice`` is 1/64 of an uncompressed array of 256 MB, ``full_down`` and ``full_up`` all of it;
``compressed_up`` an array of 8 MB with each one's default codec (CPU seconds); ``small_down`` and
``small_up`` a dict of 100 arrays of 10 KB at 20 ms a request. Every figure is taken in a fresh
process, cottoncandy's in an environment that uv makes for it and throws away; the server is the
one of ``array_server``. That what arrives is what was sent is checked after the clock has stopped.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from array_figures import Figure, figure_of, print_head, print_ratios, timed

OURS, PEER = "ours", "cottoncandy 0.4.0"
#: With them it imports; numcodecs is what it compresses with.
NEEDS = ("cottoncandy==0.4.0", "numpy>=2,<3")
LATENCY_S = {"small_down": 0.02, "small_up": 0.02}
WORKS = ("slice", "full_down", "full_up", "compressed_up", "small_down", "small_up")
N_SMALL, SMALL_ITEMS = 100, 2560
ROWS, COLUMNS = 16_384, 4096
PART = np.s_[ROWS // 64 : 2 * (ROWS // 64)]


def big() -> np.ndarray:
    """256 MiB of noise: nothing that compresses."""
    return np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype="f4")


def walk() -> np.ndarray:
    """8 MiB of a random walk in steps of a half: compresses to a fifth, as measurements do."""
    steps = np.random.default_rng(0).standard_normal(2**21)
    return (np.round(np.cumsum(steps) * 2) / 2).astype("f4").reshape(2048, 1024)


def small() -> dict[str, np.ndarray]:
    """100 arrays of 10 KB."""
    rng = np.random.default_rng(0)
    return {f"a{n:03}": rng.standard_normal(SMALL_ITEMS, dtype="f4") for n in range(N_SMALL)}


def ours(work: str) -> tuple[Callable[[], object], Callable[[object], bool]]:
    """What is measured, and whether what it gave is right."""
    from lake_assets.arrays import read_raw, read_tree, write_raw, write_tree

    url = f"s3://bucket/ours-{work}"
    write_raw(f"{url}-before", np.arange(10.0))  # connected, and all imported, as the peer is
    read_raw(f"{url}-before")
    if work in {"slice", "full_down"}:
        array = big()
        write_raw(url, array, compression=False)
        part = PART if work == "slice" else None
        expected = array if part is None else array[part]
        return lambda: read_raw(url, part), lambda got: np.array_equal(got, expected)
    if work.endswith("_up") and work != "small_up":
        array, is_plain = (big(), True) if work == "full_up" else (walk(), False)
        run = lambda: write_raw(url, array, compression=not is_plain)  # noqa: E731 (one of several)
        return run, lambda _: np.array_equal(read_raw(url), array)
    tree = small()
    if work == "small_up":
        return lambda: write_tree(url, tree), lambda _: _same(read_tree(url), tree)
    write_tree(url, tree)
    return lambda: read_tree(url), lambda got: _same(got, tree)


def cottoncandy(work: str) -> tuple[Callable[[], object], Callable[[object], bool]]:
    """The same by cottoncandy; a slice of an array in one object is cut from all of it."""
    import cottoncandy as cc

    name, address = f"peer-{work}", os.environ["AWS_ENDPOINT_URL"]
    cci = cc.get_interface("bucket", "testing", "testing", address, verbose=False)
    cci.upload_raw_array(f"{name}-before", np.arange(10.0))
    cci.download_raw_array(f"{name}-before")
    if work in {"slice", "full_down"}:
        array = big()
        cci.upload_raw_array(name, array, compression=False)
        part = PART if work == "slice" else np.s_[:]
        read = lambda: cci.download_raw_array(name)[part]  # noqa: E731 (one of several)
        return read, lambda got: np.array_equal(got, array[part])
    if work.endswith("_up") and work != "small_up":
        array, how = (big(), False) if work == "full_up" else (walk(), True)
        write = lambda: cci.upload_raw_array(name, array, compression=how)  # noqa: E731 (one of several)
        return write, lambda _: np.array_equal(cci.download_raw_array(name), array)
    tree = small()
    if work == "small_up":
        write = lambda: cci.dict2cloud(name, tree, verbose=False)  # noqa: E731 (one of several)
        return write, lambda _: _same(cci.cloud2dict(name, verbose=False), tree)
    cci.dict2cloud(name, tree, verbose=False)
    return lambda: cci.cloud2dict(name, verbose=False), lambda got: _same(got, tree)


def _same(got: object, tree: dict[str, np.ndarray]) -> bool:
    assert isinstance(got, dict)
    return set(got) == set(tree) and all(np.array_equal(got[k], tree[k]) for k in tree)


def measure(way: str, work: str) -> None:
    """One figure, in this process; printed as JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        run, is_right = (ours if way == OURS else cottoncandy)(work)
        got, figure = timed(run)
        assert is_right(got), f"{way}: {work} gave another array"
    print(figure)


def one_figure(way: str, work: str) -> Figure:
    """One figure of a fresh process and a fresh server."""
    command = [sys.executable]
    if way == PEER:
        needs = [word for name in NEEDS for word in ("--with", name)]
        command = ["uv", "run", "--isolated", "--no-project", "--quiet", *needs, "python"]
    return figure_of([*command, __file__, "measure", way, work], LATENCY_S.get(work, 0.0))


def main() -> None:
    """All works, round by round, and the ratios of their medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", default=WORKS)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    print_head()
    for work in said.works:
        figures: dict[str, list[Figure]] = {OURS: [], PEER: []}
        for number in range(said.rounds):
            for way in (OURS, PEER) if number % 2 else (PEER, OURS):
                figures[way].append(one_figure(way, work))
        print_ratios(work, figures[OURS], figures[PEER])


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:4])
    else:
        main()
