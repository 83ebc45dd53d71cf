"""How much faster ``read_part`` reads a DynamoDB export than Python line by line.

Run it: ``python lake_assets_tests/benchmarks/bench_dynamodb.py [MB of gzip] [rounds]``. The other
way is what users of dbsnaplake write: gunzip, ``json.loads`` for each line, take the tags off,
``pl.DataFrame`` of the dicts. The cases take turns, so a busy machine slows all of them; CPU
seconds are shown beside the wall clock's. Every case gives the same rows, which is checked.
"""

import base64
import gzip
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from lake_assets.export.read_part import Reading, read_part
from lake_assets.export.source import FilePart, SourceFile
from lake_assets.s3 import open_store

KEY = "data/export.json.gz"


def order(number: int, random_: random.Random) -> dict[str, object]:
    """One item with every common type, about 440 bytes of JSON."""
    lines = [
        {
            "M": {
                "sku": {"S": f"s{random_.randrange(9999)}"},
                "qty": {"N": f"{random_.randrange(9)}"},
            }
        }
        for _ in range(random_.randrange(4))
    ]
    return {
        "order_id": {"S": f"ord-{number}"},
        "customer": {"S": f"c{random_.randrange(10**6)}"},
        "amount": {"N": f"{random_.random() * 1000:.2f}"},
        "paid": {"BOOL": random_.random() < 0.5},
        "note": {"NULL": True} if number % 3 else {"S": f"note {random_.random()}"},
        "tags": {"SS": ["a", f"b{number % 50}"]},
        "address": {"M": {"city": {"S": f"X{number % 1000}"}, "zip": {"N": f"{number % 99999}"}}},
        "lines": {"L": lines},
        "created_at": {"S": f"2024-{1 + number % 12:02}-01T00:00:00.{number % 1000:03}Z"},
        "token": {"B": base64.b64encode(random_.randbytes(12)).decode()},
    }


def export(size_bytes: int) -> bytes:
    """A gzipped data file of about this size."""
    random_ = random.Random(1)  # noqa: S311 (test data)
    lines, packed = 0, b""
    while len(packed) < size_bytes:
        items = (order(number, random_) for number in range(lines, lines + 10_000))
        text = "".join(json.dumps({"Item": item}, separators=(",", ":")) + "\n" for item in items)
        packed += gzip.compress(text.encode(), 6)
        lines += 10_000
    return packed


def plain(tagged: dict[str, object]) -> object:
    """One value without its tag, numbers as text, in the plainest Python."""
    ((tag, value),) = tagged.items()
    if tag == "M":
        return {name: plain(each) for name, each in value.items()}
    if tag == "L":
        return [plain(each) for each in value]
    if tag == "B":
        return base64.b64decode(value)
    return None if tag == "NULL" else value


def line_by_line(path: Path) -> pl.DataFrame:
    rows = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        item = json.loads(line)["Item"]
        rows.append({name: plain(value) for name, value in item.items()})
    return pl.DataFrame(rows, infer_schema_length=None)


def with_read_part(path: Path) -> pl.DataFrame:
    store = open_store(str(path.parent.parent))
    listed = store.head(KEY)
    assert listed is not None
    part = FilePart(SourceFile(KEY, listed.size_bytes, listed.etag))
    return pl.concat(rows.frame for rows in read_part(store, part, Reading("dynamodb")))


def timed(case: Callable[[Path], pl.DataFrame], path: Path) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    case(path)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print one line per case and the ratio."""
    size_mb = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, KEY)
        path.parent.mkdir()
        path.write_bytes(export(int(size_mb * 1e6)))
        cases = {"json.loads line by line": line_by_line, "read_part": with_read_part}
        ours, theirs = with_read_part(path), line_by_line(path)
        assert ours.select(theirs.columns).equals(theirs)
        height = ours.height
        del ours, theirs
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, case in cases.items():
                spent[name].append(timed(case, path))
        stored_mb = path.stat().st_size / 1e6
    print(
        f"{stored_mb:.1f} MB of gzip, {height:,} items; polars {pl.__version__},"
        f" Python {platform.python_version()}; median of {rounds}"
    )
    medians = {
        name: [statistics.median(each) for each in zip(*figures, strict=True)]
        for name, figures in spent.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:<26} {wall:7.2f} s  {cpu:7.2f} CPU s  {stored_mb / wall:6.1f} MB/s of gzip")
    (slow, slow_cpu), (fast, fast_cpu) = medians.values()
    print(f"read_part is {slow / fast:.1f} times as fast ({slow_cpu / fast_cpu:.1f} in CPU time)")


if __name__ == "__main__":
    main()
