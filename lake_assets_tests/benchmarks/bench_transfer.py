"""Transfers against boto3 and obstore: ratios in one interleaved run.

    python lake_assets_tests/benchmarks/bench_transfer.py [small|big|all] [rounds]

The server is a tiny static one in a child process (this file with ``serve``): asyncio, GET with
ranges, HEAD, PUT and multipart, bodies from memory, uploads hashed for their ETag only. Client
CPU is that of the measuring process, which is a fresh one for each figure.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

N_SMALL, SMALL_BYTES = 3000, 20_000
BIG_BYTES, PART_BYTES = 10**9, 8 * 2**20
SMALL_WAYS = ["boto3 download_file", "obstore loop, unverified", "ours"]
BIG_WAYS = ["boto3", "obstore", "ours"]


# The server ------------------------------------------------------------------------------------


class Static(asyncio.Protocol):
    """One connection: a head, then perhaps a body."""

    small = os.urandom(SMALL_BYTES)
    block = os.urandom(PART_BYTES)
    uploads: dict[str, list[str]] = {}  # noqa: RUF012 (one server, one state)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer, self.left = transport, b"", 0
        self.body, self.request = hashlib.md5(usedforsecurity=False), ("", "", b"")

    def data_received(self, data: bytes) -> None:
        if self.left:
            taken = data[: self.left]
            self.body.update(taken)
            self.left -= len(taken)
            if self.left:
                return
            self.answer()
            data = data[len(taken) :]
        self.buffer += data
        while (at := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self.buffer[:at], self.buffer[at + 4 :]
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self.request = (method, path, head)
            said = re.search(rb"(?i)content-length: *(\d+)", head)
            length = int(said[1]) if said else 0
            if b"100-continue" in head:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.body = hashlib.md5(rest[:length], usedforsecurity=False)
            self.left = max(0, length - len(rest))
            self.buffer = rest[length:]
            if self.left:
                return
            self.answer()

    def answer(self) -> None:
        method, path, head = self.request
        url = urlsplit(path)
        query = parse_qs(url.query, keep_blank_values=True)
        if method in {"GET", "HEAD"}:
            self.give(unquote(url.path), head, with_body=method == "GET")
        elif method == "PUT":
            digest = self.body.hexdigest()
            if "uploadId" in query:
                parts = self.uploads[query["uploadId"][0]]
                number = int(query["partNumber"][0])
                parts.extend([""] * (number - len(parts)))
                parts[number - 1] = digest
            self.say("", f'ETag: "{digest}"\r\n')
        elif "uploads" in query:
            name = str(len(self.uploads))
            self.uploads[name] = []
            self.say(
                "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>"
                f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            )
        else:
            parts = self.uploads.pop(query["uploadId"][0])
            digest = hashlib.md5(b"".join(map(bytes.fromhex, parts)), usedforsecurity=False)
            self.say(
                "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>"
                f'<ETag>"{digest.hexdigest()}-{len(parts)}"</ETag></CompleteMultipartUploadResult>'
            )

    def say(self, text: str, more: str = "") -> None:
        self.transport.write(
            f"HTTP/1.1 200 OK\r\n{more}x-amz-server-side-encryption: AES256\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}".encode()
        )

    def give(self, path: str, head: bytes, *, with_body: bool) -> None:
        size, etag = (BIG_BYTES, BIG_ETAG) if path.endswith("big") else (SMALL_BYTES, SMALL_ETAG)
        wanted = re.search(rb"(?i)range: *bytes=(\d+)-(\d*)", head)
        start, end, status = 0, size, "200 OK"
        if wanted:
            start, status = int(wanted[1]), "206 Partial Content"
            end = min(size, int(wanted[2]) + 1) if wanted[2] else size
        place = f"Content-Range: bytes {start}-{end - 1}/{size}\r\n" if wanted else ""
        self.transport.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\nETag: {etag}\r\n{place}"
            "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\r\n"
            "Content-Type: binary/octet-stream\r\n\r\n".encode()
        )
        if not with_body:
            return
        if size == SMALL_BYTES:
            self.transport.write(self.small[start:end])
            return
        view = memoryview(self.block)
        while start < end:  # every part of the big object is the same block
            at = start % PART_BYTES
            step = min(PART_BYTES - at, end - start)
            self.transport.write(view[at : at + step])
            start += step


SMALL_ETAG = f'"{hashlib.md5(Static.small, usedforsecurity=False).hexdigest()}"'


def _big_etag() -> str:
    whole, rest = divmod(BIG_BYTES, PART_BYTES)
    one = hashlib.md5(Static.block, usedforsecurity=False).digest()
    last = hashlib.md5(Static.block[:rest], usedforsecurity=False).digest()
    digest = hashlib.md5(one * whole + last, usedforsecurity=False).hexdigest()
    return f'"{digest}-{whole + 1}"'


BIG_ETAG = _big_etag()


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(port, SMALL_ETAG.strip('"'), BIG_ETAG.strip('"'), sep="\n", flush=True)
    await server.serve_forever()


# The ways --------------------------------------------------------------------------------------


def boto_client():
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(max_pool_connections=50))


def obstore_bucket():
    from lake_assets.s3.client import obstore_store

    return obstore_store("s3://bucket")


def small(way: str, folder: Path) -> Callable[[], None]:
    """What to measure; what it needs is imported and connected before."""
    keys = [f"k{n:05}" for n in range(N_SMALL)]
    if way == "ours":
        from lake_assets.s3.transfer import Transfer
        from lake_assets.s3.transfer_config import ObjectRef

        refs = [ObjectRef(k, f"{folder}/{k}", SMALL_BYTES, LISTED_SMALL) for k in keys]
        transfer = Transfer("s3://bucket").__enter__()

        def run() -> None:
            report = transfer.download(refs)
            assert len(report.done) == N_SMALL, report.failed[:1]

        return run
    if way.startswith("boto3"):
        client = boto_client()

        def one(key: str) -> None:
            client.download_file("bucket", key, f"{folder}/{key}")
    else:
        import obstore

        store = obstore_bucket()

        def one(key: str) -> None:
            body = obstore.get(store, key).bytes()
            Path(f"{folder}/{key}").write_bytes(body)

    def loop() -> None:
        with ThreadPoolExecutor(20 if way.startswith("boto3") else 16) as pool:
            list(pool.map(one, keys))

    return loop


def big_down(way: str, folder: Path) -> Callable[[], None]:
    target = f"{folder}/big"
    if way == "boto3":
        client = boto_client()
        return lambda: client.download_file("bucket", "big", target)
    if way == "obstore":
        import obstore

        store = obstore_bucket()

        def ranges() -> None:
            with Path(target).open("wb") as file, ThreadPoolExecutor(16) as pool:

                def one(start: int) -> None:
                    end = min(start + PART_BYTES, BIG_BYTES)
                    body = obstore.get_range(store, "big", start=start, end=end)
                    os.pwrite(file.fileno(), body, start)

                list(pool.map(one, range(0, BIG_BYTES, PART_BYTES)))

        return ranges
    from lake_assets.s3.transfer import Transfer
    from lake_assets.s3.transfer_config import ObjectRef

    transfer = Transfer("s3://bucket").__enter__()
    refs = [ObjectRef("big", target, BIG_BYTES, LISTED_BIG)]

    def run() -> None:
        report = transfer.download(refs)
        assert report.ok, report.failed

    return run


def big_up(way: str, folder: Path) -> Callable[[], None]:
    source = folder.parent / "source"
    if way == "boto3":
        client = boto_client()
        return lambda: client.upload_file(str(source), "bucket", "up")
    if way == "obstore":
        import obstore

        store = obstore_bucket()
        return lambda: obstore.put(store, "up", source, chunk_size=PART_BYTES)
    from lake_assets.s3.transfer import Transfer
    from lake_assets.s3.transfer_config import ObjectRef

    transfer = Transfer("s3://bucket").__enter__()

    def run() -> None:
        report = transfer.upload([ObjectRef("up", source)], overwrite=True)
        assert report.ok, report.failed

    return run


WORKS = {"small": small, "down": big_down, "up": big_up}
LISTED_SMALL = os.environ.get("BENCH_SMALL_ETAG", "")
LISTED_BIG = os.environ.get("BENCH_BIG_ETAG", "")


def measure(work: str, way: str, folder: Path) -> None:
    """One figure, in this process; printed as JSON."""
    run = WORKS[work](way, folder)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": after.ru_maxrss / 1024}))


# The run ---------------------------------------------------------------------------------------


def one_figure(work: str, way: str, scratch: Path, environment: dict[str, str]) -> dict[str, float]:
    folder = scratch / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = [sys.executable, __file__, "measure", work, way, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(work: str, ways: list[str], rounds: int, scratch: Path, environment: dict) -> None:
    """Every way in turn, round by round, so that the machine's moods meet all of them."""
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            figures[way].append(one_figure(work, way, scratch, environment))
    print(f"\n{work}: median of {rounds} rounds")
    ours = figures["ours"]
    for way in ways:
        wall, cpu, peak = (
            statistics.median(f[name] for f in figures[way]) for name in ("wall", "cpu", "peak_mb")
        )
        ratios = [
            statistics.median(f[name] / o[name] for f, o in zip(figures[way], ours, strict=True))
            for name in ("wall", "cpu")
        ]
        print(
            f"  {way:26} wall {wall:6.2f} s  cpu {cpu:6.2f} s  peak {peak:4.0f} MB  "
            f"| way / ours: wall {ratios[0]:.2f}, cpu {ratios[1]:.2f}"
        )


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    versions = ", ".join(f"{name} {version(name)}" for name in ("boto3", "obstore"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{versions}; server: asyncio in a child process")
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        port, small_etag, big_etag = (server.stdout.readline().strip() for _ in range(3))
        with tempfile.TemporaryDirectory() as scratch:
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
                "HOME": scratch,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_DEFAULT_REGION": "us-east-1",
                "BENCH_SMALL_ETAG": small_etag,
                "BENCH_BIG_ETAG": big_etag,
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
            if what in {"small", "all"}:
                compare("small", SMALL_WAYS, rounds, Path(scratch), environment)
            if what in {"big", "all"}:
                compare("down", BIG_WAYS, rounds, Path(scratch), environment)
                with Path(scratch, "source").open("wb") as file:
                    file.writelines(os.urandom(10**7) for _ in range(BIG_BYTES // 10**7))
                compare("up", BIG_WAYS, rounds, Path(scratch), environment)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
