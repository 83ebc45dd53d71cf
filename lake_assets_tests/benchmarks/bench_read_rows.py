"""How much the proof costs: ``read_rows`` beside one bare Polars read of the same text.

Run it: ``python lake_assets_tests/benchmarks/bench_read_rows.py [rounds]``. The cases take turns,
so a busy machine slows all of them; the figures are medians, and the ratios those of the medians.
"""

import gzip
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from lake_assets.export.payload import PayloadLimits
from lake_assets.export.pega_tables import column_type, find_table
from lake_assets.export.rows import read_rows

DATA = Path(__file__).parents[3] / "shared" / "data" / "pega_exports" / "datamart"
SPEC = find_table("predictor_snapshot")


def chunks_of(text: bytes) -> list[bytes]:
    """The text in chunks of whole lines, as ``text_chunks`` cuts it."""
    size, chunks, start = PayloadLimits().chunk_bytes, [], 0
    while start < len(text):
        end = len(text) if start + size >= len(text) else text.rfind(b"\n", start, start + size) + 1
        chunks.append(text[start:end])
        start = end
    return chunks


def quoted(text: bytes) -> bytes:
    """All numbers in quotes, as some Pega versions write them."""
    return re.sub(rb'":(-?[0-9.]+(?:E-?[0-9]+)?)([,}])', rb'":"\1"\2', text)


def spaced(text: bytes) -> bytes:
    """The separators of ``json.dumps``."""
    return b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in text.splitlines())


def with_odd_rows(text: bytes, every: int) -> bytes:
    """One quoted number every so many rows."""
    lines = text.splitlines(keepends=True)
    for number in range(every // 2, len(lines), every):
        lines[number] = re.sub(rb'"Positives":([0-9]+)', rb'"Positives":"\1"', lines[number])
    return b"".join(lines)


def bare_read(text: bytes) -> Callable[[], object]:
    """Polars alone with the contract's types, times as text: the unit of the ratios."""
    names = json.loads(text[: text.index(b"\n")])
    types = {name: column_type(SPEC, name) for name in names}
    schema = {name: t if t.is_numeric() else pl.String() for name, t in types.items()}
    return lambda: pl.read_ndjson(text, schema=schema)


def full_read(text: bytes) -> Callable[[], object]:
    chunks = chunks_of(text)
    return lambda: [read_rows("bench", chunk, SPEC) for chunk in chunks]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Print one line per case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    files = sorted(DATA.glob("Data*Predictor*.gz"))
    if not files:
        say(f"skipped: no predictor exports in {DATA}")
        return
    text = b"".join(gzip.decompress(path.read_bytes()) for path in files)
    cases = {
        "pl.read_ndjson, explicit schema": bare_read(text),
        "read_rows, as exported": full_read(text),
        "read_rows, json.dumps separators": full_read(spaced(text)),
        "read_rows, all numbers quoted": full_read(quoted(text)),
        "read_rows, 1 odd row in 10,000": full_read(with_odd_rows(text, 10_000)),
        "read_rows, 1 odd row in 1,000": full_read(with_odd_rows(text, 1_000)),
        "read_rows, every 2nd row odd": full_read(with_odd_rows(text, 2)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - start)
    machine = f"Python {platform.python_version()}, {platform.platform()}"
    say(
        f"{len(text) / 1e6:.1f} MB, {len(text.splitlines()):,} rows; polars {pl.__version__} with"
        f" {pl.thread_pool_size()} threads, {machine};"
        f" median of {rounds}"
    )
    unit = statistics.median(next(iter(seconds.values())))
    for name, each in seconds.items():
        say(f"{name:<34} {statistics.median(each):7.3f} s  {statistics.median(each) / unit:5.2f}")


if __name__ == "__main__":
    main()
