"""Database snapshots beside dbsnaplake, Polars alone and dlt: ratios of interleaved rounds.

    python -m lake_assets_tests.benchmarks.bench_snapshots [--rounds 5] [--scale 1] [--only s3 …]

``s3`` goes from a bucket to a bucket of one moto server, ``folders`` from folder to folder,
``memory`` compares the peak with that of four times the data. Every figure is taken in a fresh
process that has done a tiny table before; the ways are the scripts in ``snapshot_peers``, those of
others in environments that uv makes for them and throws away. That every way has written every row
is checked. Validation, resumability and the atomic publish are on in ours, as always.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import boto3

PEERS = Path(__file__).parent / "snapshot_peers"
BUCKET = "bench"
#: The data: files and rows at scale 1, about 115 MB.
FILES, ROWS = 60, 1_500_000
TIMES = 4
#: Memory is steadier than time.
_ROUNDS_OF_MEMORY = 3
#: Its log of requests would cost it more than some answers.
_SERVER = """
import logging
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
logging.getLogger("werkzeug").setLevel(logging.ERROR)
host, port = server.get_host_and_port()
print(f"http://{host}:{port}", flush=True)
sys.stdin.read()
"""

Figure: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class Way:
    """How the table is made, and in which environment."""

    name: str
    script: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the table; ours only."""
    needs: tuple[str, ...] = ()
    """What it needs that the project does not have."""


OURS = Way("ours", "with_ours.py")
OURS_ALL = Way("ours, dedupe none", "with_ours.py", {"dedupe": "none"})
OURS_LIKE = Way("ours, none, snappy", "with_ours.py", {"dedupe": "none", "compression": "snappy"})
DBSNAPLAKE = Way("dbsnaplake 0.3.2", "with_dbsnaplake.py", needs=("dbsnaplake==0.3.2",))
BYTES = Way("bytes only, 8 threads", "with_bytes.py")
SINK = Way("polars one-pass sink", "with_sink.py")
DLT = Way("dlt 1.31 to Delta", "with_dlt.py", needs=("dlt[filesystem,deltalake]==1.31.*",))

#: Ours first, so that the others are compared with each of ours.
ON_S3 = (OURS, OURS_ALL, OURS_LIKE, DBSNAPLAKE, BYTES)
ON_FOLDERS = (OURS, OURS_ALL, OURS_LIKE, SINK, DLT)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the rows")
    parser.add_argument("--only", nargs="+", choices=["s3", "folders", "memory"], default=[])
    told = parser.parse_args()
    parts = told.only or ["s3", "folders", "memory"]
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in ("polars", "deltalake", "boto3", "moto")))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        environment = _environment(scratch)
        data, rows = scratch / "source", int(ROWS * told.scale)
        _generate(data, FILES, rows)
        _generate(scratch / "warm", 2, 2_000)
        size = sum(path.stat().st_size for path in data.iterdir())
        print(f"{FILES} files, {size / 1e6:.0f} MB, {rows:,} rows, 24 partitions")
        if "folders" in parts:
            figure = partial(on_folder, scratch, environment, rows)
            compare("folder to folder", ON_FOLDERS, told.rounds, figure)
        if {"s3", "memory"} & set(parts):
            with _server(environment) as there:
                _upload(there, data, "source")
                _upload(there, scratch / "warm", "warm")
                if "s3" in parts:
                    figure = partial(on_s3, there, "source", rows)
                    compare("S3 to S3", ON_S3, told.rounds, figure)
                if "memory" in parts:
                    _generate(scratch / "large", FILES * TIMES, rows * TIMES)
                    _upload(there, scratch / "large", "large")
                    memory(there, rows, told.rounds)


def compare(
    title: str, ways: tuple[Way, ...], rounds: int, figure: Callable[[Way], Figure]
) -> None:
    """Every way in turn, round by round, so that the machine's moods meet all of them."""
    figures: dict[str, list[Figure]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            figures[way.name].append(figure(way))
    print(f"\n{title}: {rounds} rounds, median (least-most)")
    for way in ways:
        print(f"  {way.name:22}" + _spread(figures[way.name]))
    for us in (way.name for way in ways if way.script == OURS.script):
        for other in (way.name for way in ways if way.script != OURS.script):
            print(f"  {us} is faster than {other} by " + _ratios(figures[other], figures[us]))


def memory(there: dict[str, str], rows: int, rounds: int) -> None:
    """Our peak, and that at so many times the data."""
    sizes = {f"{FILES} files": ("source", rows), f"{FILES * TIMES} files": ("large", rows * TIMES)}
    figures: dict[str, list[Figure]] = {name: [] for name in sizes}
    rounds = min(rounds, _ROUNDS_OF_MEMORY)
    for _ in range(rounds):
        for name, (source, n_rows) in sizes.items():
            figures[name].append(on_s3(there, source, n_rows, OURS))
    print(f"\nmemory of {OURS.name}, S3 to S3: {rounds} rounds, median (least-most)")
    for name, found in figures.items():
        print(f"  {name:22}" + _spread(found))
    least, most = figures.values()
    print(f"  with {TIMES} times the data the peak is {_ratio(most, least, 'peak')} times")


def on_folder(scratch: Path, environment: dict[str, str], rows: int, way: Way) -> Figure:
    """One figure from folder to folder; what it wrote is removed."""
    target = scratch / "out"
    target.mkdir()
    warm, source = scratch / "warm", scratch / "source"
    try:
        places = {"warm": str(warm), "source": str(source), "target": f"{target}/lake"}
        return _run(way, places, rows, environment)
    finally:
        shutil.rmtree(target)


def on_s3(there: dict[str, str], source: str, rows: int, way: Way) -> Figure:
    """One figure from bucket to bucket; what it wrote is removed."""
    at = f"s3://{BUCKET}"
    try:
        places = {"warm": f"{at}/warm", "source": f"{at}/{source}", "target": f"{at}/out/lake"}
        return _run(way, places, rows, there)
    finally:
        client = _client(there)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="out/"):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                client.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


def _run(way: Way, places: dict[str, str], rows: int, environment: dict[str, str]) -> Figure:
    command = [sys.executable]
    if way.needs:
        needs = [word for name in way.needs for word in ("--with", name)]
        command = ["uv", "run", "--isolated", "--no-project", "--quiet", *needs, "python"]
    command += [str(PEERS / way.script), json.dumps({**places, "settings": way.settings})]
    # Not in the repository: its pyproject would be taken for that of the others.
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=environment["HOME"]
    )
    if done.returncode:
        sys.exit(f"{way.name}: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"  {way.name:22}{_spread([found])}", file=sys.stderr)  # a long run is watched
    if found["rows"] != rows:
        sys.exit(f"{way.name}: {found['rows']} rows in the lake, {rows} in the source")
    return found


def _spread(figures: list[Figure]) -> str:
    texts = []
    for name, unit, digits in (("wall", "s", 2), ("cpu", "CPU s", 2), ("peak", "MB", 0)):
        found = [figure[name] for figure in figures]
        low, middle, high = min(found), statistics.median(found), max(found)
        texts.append(f"{middle:7.{digits}f} ({low:.{digits}f}-{high:.{digits}f}) {unit}")
    return " ".join(texts)


def _ratios(above: list[Figure], below: list[Figure]) -> str:
    return f"{_ratio(above, below, 'wall')}, in CPU {_ratio(above, below, 'cpu')}"


def _ratio(above: list[Figure], below: list[Figure], name: str) -> str:
    """Median of the rounds' ratios, and the least and the most of them."""
    found = [one[name] / other[name] for one, other in zip(above, below, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def _environment(home: Path) -> dict[str, str]:
    """That of the machine without its AWS and lake variables; HOME has no configuration."""
    taken = ("AWS_", "LAKE_", "VIRTUAL_ENV")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(taken)},
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def _generate(folder: Path, files: int, rows: int) -> None:
    """In a process of its own: this one stays small and idle."""
    command = [sys.executable, str(PEERS / "orders.py"), str(folder), str(files), str(rows)]
    subprocess.run(command, check=True)


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of whoever has a moto server, in a process of its own, for its S3."""
    command = [sys.executable, "-c", _SERVER]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        there = environment | {"AWS_ENDPOINT_URL": process.stdout.readline().strip()}
        _client(there).create_bucket(Bucket=BUCKET)
        yield there
    finally:
        process.terminate()
        process.wait()


def _client(there: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=there["AWS_ENDPOINT_URL"],
        region_name=there["AWS_DEFAULT_REGION"],
        aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
    )


def _upload(there: dict[str, str], folder: Path, prefix: str) -> None:
    client = _client(there)

    def put(path: Path) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.name}", Body=path.read_bytes())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, folder.iterdir()))


if __name__ == "__main__":
    main()
