"""Registrations a second with many writers, and what one costs as the catalog grows.

Run it: ``python lake_assets_tests/benchmarks/bench_catalog.py [registrations of a writer]``.

The local test server is moto in a process of its own; writers are processes that begin together.
A file (by reference) is one PUT, a log (an object and its document) is two. Beside them: as many
bare conditional PUTs by the same store, the most that the server takes. The cases take turns;
figures are medians. The CPU time of a registration, of its writer and of the server, is given as
well: it is what is left of a rate on a machine with other work. After each case all records are
listed by another process's catalog: none may be lost, none be there twice.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lake_assets.catalog import Catalog, Owner
from lake_assets.s3 import open_store

N_WRITERS, ROUNDS = 8, 3
_SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@contextmanager
def moto() -> Iterator[tuple[str, psutil.Process]]:
    """A bucket on a moto server, and the server; the environment leads to it."""
    import boto3

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _SERVER], text=True, **pipes) as server:
        os.environ.update(
            AWS_ENDPOINT_URL=server.stdout.readline().strip(), AWS_ACCESS_KEY_ID="testing",
            AWS_SECRET_ACCESS_KEY="testing",  # noqa: S106 (moto takes any)
            AWS_DEFAULT_REGION="us-east-1",
        )  # fmt: skip
        boto3.client("s3").create_bucket(Bucket="bench")
        yield "s3://bench", psutil.Process(server.pid)
        server.stdin.close()


def write(root: str, what: str, dataset: str, folder: str, n: int) -> None:
    """One writer: ready, a line of input, ``n`` registrations."""
    store = open_store(root)
    catalog = Catalog(store)
    job = catalog.new_job(dataset).uuid
    paths = [Path(folder, f"{os.getpid()}-{number}") for number in range(n)]
    for path in paths:
        path.write_text(path.name)
    catalog._check_content(
        "files", Owner(dataset, None, "p")
    )  # its look-ups are no part of the rate
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.process_time()
    for path in paths:
        if what == "files":
            catalog.register_file(str(path), dataset, "p")
        elif what == "logs":
            catalog.register_log(path.name.encode(), dataset, job)
        else:
            store.create(f"bare/{path.name}", b"x" * 700)
    print(time.process_time() - begun)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the registrations of all writers together cost."""

    per_s: float
    writer_ms: float
    """CPU time of one registration in its writer."""
    server_ms: float
    """CPU time of one registration in the server; 0 for a folder."""


def measure(base: str, what: str, n: int, server: psutil.Process | None) -> Cost:
    """Let all writers begin together; each registration is proven to be there once."""
    root = f"{base}/{uuid.uuid4().hex}"
    catalog = Catalog(root)
    dataset = catalog.register_dataset().uuid
    catalog.new_partition(dataset, "p")
    with tempfile.TemporaryDirectory() as folder:
        args = [sys.executable, __file__, "write", root, what, dataset, folder, str(n)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        writers = [subprocess.Popen(args, text=True, **pipes) for _ in range(N_WRITERS)]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        begun, served = time.perf_counter(), cpu_s(server)
        for writer in writers:  # all begin before the first is waited for
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate()[0] for writer in writers]
        seconds, served = time.perf_counter() - begun, cpu_s(server) - served
        assert [writer.returncode for writer in writers] == [0] * N_WRITERS
    if what == "bare":
        found = [info.key for info in open_store(root).list("bare/")]
    else:
        found = [each.uuid for each in catalog.list_contents(what, Owner(dataset))]
    total = N_WRITERS * n
    assert len(found) == len(set(found)) == total, f"{len(found)} of {total}"
    return Cost(total / seconds, sum(map(float, said)) * 1000 / total, served * 1000 / total)


def cpu_s(process: psutil.Process | None) -> float:
    """CPU seconds that a process has used."""
    return sum(process.cpu_times()[:2]) if process else 0.0


def growth(folder: str, sizes: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    """Milliseconds of one registration, and of opening the catalog, by number of registrations."""
    catalog = Catalog(folder)
    dataset = catalog.register_dataset().uuid
    job = catalog.new_job(dataset).uuid
    found, done = {}, 0
    for size in sizes:
        for number in range(done, size):
            catalog.register_log(str(number).encode(), dataset, job)
        done = size + 100
        begun = time.perf_counter()
        for number in range(size, done):
            catalog.register_log(str(number).encode(), dataset, job)
        each = (time.perf_counter() - begun) * 10
        begun = time.perf_counter()
        Catalog(folder).new_job(dataset)
        found[size] = (each, (time.perf_counter() - begun) * 1000)
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{platform.python_version()}, {os.cpu_count()} cores, load {load}; {N_WRITERS} x {n}")
    with moto() as (base, server), tempfile.TemporaryDirectory() as folder:
        for name, place, process in (("moto", base, server), ("folder", folder, None)):
            costs: dict[str, list[Cost]] = {"bare": [], "files": [], "logs": []}
            for _ in range(ROUNDS):
                for what, found in costs.items():
                    found.append(measure(place, what, n, process))
            for what, found in costs.items():
                per_s, writer_ms, server_ms = (
                    statistics.median(getattr(each, field) for each in found)
                    for field in ("per_s", "writer_ms", "server_ms")
                )
                rounds = [round(each.per_s) for each in found]
                print(
                    f"{name:6} {what:5} {per_s:4.0f}/s {rounds}; CPU each: "
                    f"writer {writer_ms:.1f} ms, server {server_ms:.1f} ms",
                    flush=True,
                )
        for size, (each, again) in growth(f"{folder}/growing", (100, 1000, 4000)).items():
            print(f"folder with {size:6} logs: {each:.2f} ms each, open and new job {again:.2f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(*sys.argv[2:6], int(sys.argv[6]))
    else:
        main()
