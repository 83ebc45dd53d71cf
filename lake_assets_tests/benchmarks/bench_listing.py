"""What it costs to list 100,000 keys: our store beside boto3's paginator and obstore.

Run it: ``python lake_assets_tests/benchmarks/bench_listing.py [rounds]``.

The server is one of our own in a child process that answers ListObjectsV2 with pages of 1,000 keys
made beforehand (moto needs more time for a page than any client does). Every measurement is a fresh
process, the cases take turns; figures are medians, ratios those of the medians. Loopback without
TLS: on a real network a page also costs a round trip, alike for all.
"""

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

N_KEYS, PAGE = 100_000, 1000
_ITEM = (
    "<Contents><Key>{key}</Key><LastModified>2026-09-29T02:00:00.000Z</LastModified>"
    "<ETag>&quot;{etag:032x}&quot;</ETag><Size>{size}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


def page(first: int, n_keys: int) -> bytes:
    """One answer as S3 spells it."""
    last = min(first + PAGE, n_keys)
    items = "".join(
        _ITEM.format(key=f"datamart/year%3D2026/file-{n:09d}.json.gz", etag=n, size=20_000 + n)
        for n in range(first, last)
    )
    more = last < n_keys
    token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name>'
        f"<Prefix></Prefix><EncodingType>url</EncodingType><KeyCount>{last - first}</KeyCount>"
        f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}"
        "</ListBucketResult>"
    ).encode()


def serve() -> None:
    """Answer listings until stdin closes; the bucket's name says how many keys it has."""
    pages: dict[tuple[int, int], bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            n_keys = int(parts.path.strip("/").partition("-")[2])
            token = int(parse_qs(parts.query).get("continuation-token", ["0"])[0])
            if (n_keys, token) not in pages:
                pages[n_keys, token] = page(token, n_keys)
            body = pages[n_keys, token]
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def with_boto3(bucket: str) -> int:
    import boto3

    client = boto3.client("s3", region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(1 for page in pages for item in page["Contents"] if item["Size"])


def with_obstore(bucket: str) -> int:
    import obstore

    from lake_assets.s3.client import obstore_store

    stream = obstore.list(obstore_store(f"s3://{bucket}"), chunk_size=PAGE)
    return sum(1 for chunk in stream for item in chunk if item["size"])


def with_obstore_arrow(bucket: str) -> int:
    import obstore
    import pyarrow as pa

    from lake_assets.s3.client import obstore_store

    stream = obstore.list(obstore_store(f"s3://{bucket}"), chunk_size=PAGE, return_arrow=True)
    return sum(pa.record_batch(batch).num_rows for batch in stream)


def with_ours(bucket: str) -> int:
    from lake_assets.s3 import open_store

    return sum(1 for info in open_store(f"s3://{bucket}").list() if info.size_bytes)


CASES: dict[str, Callable[[str], int]] = {
    "boto3 paginator": with_boto3,
    "obstore, dicts": with_obstore,
    "obstore, arrow": with_obstore_arrow,
    "lake_assets": with_ours,
}


def measure(case: str, n_keys: int) -> None:
    """Print wall and CPU seconds and the peak of memory of one listing, imports not counted."""
    CASES[case](f"keys-{PAGE}")  # imports, client, connection
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    assert CASES[case](f"keys-{n_keys}") == n_keys
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(wall, cpu, after.ru_maxrss / 1024)


@contextmanager
def server() -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout
        yield child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait()


def once(url: str, case: str, n_keys: int) -> tuple[float, ...]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", case, str(n_keys)],
        env=env, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return tuple(float(number) for number in done.stdout.split())


def main(rounds: int) -> None:
    """Run and print."""
    found: dict[str, list[tuple[float, ...]]] = {case: [] for case in CASES}
    small: dict[str, list[float]] = {case: [] for case in CASES}
    with server() as url:
        once(url, "lake_assets", N_KEYS)  # the server makes its pages
        for _ in range(rounds):
            for case in CASES:
                found[case].append(once(url, case, N_KEYS))
                small[case].append(once(url, case, N_KEYS // 10)[2])
    names = ("boto3", "botocore", "obstore", "pyarrow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"Python {platform.python_version()}, {versions}")
    print(f"{platform.platform()}, {os.cpu_count()} cores, {rounds} rounds, {N_KEYS:,} keys")
    base = [statistics.median(column) for column in zip(*found["boto3 paginator"], strict=True)]
    for case, runs in found.items():
        wall, cpu, rss = (statistics.median(column) for column in zip(*runs, strict=True))
        print(
            f"{case:16} wall {wall:5.2f} s ({wall / base[0]:4.2f} × boto3)  cpu {cpu:5.2f} s "
            f"({cpu / base[1]:4.2f})  peak RSS {rss:5.0f} MB "
            f"({rss - statistics.median(small[case]):+.1f} MB against a tenth of the keys)"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    elif sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
