"""Servers for the transfer benchmark, each in a child process: a small asyncio one, and nginx.

The asyncio one answers GET with ranges, HEAD, one listing, PUT and multipart; bodies come from
memory. Keys that end in ``big`` are large, those with ``own`` carry the sha256 that our uploads
leave. It does not hash uploads, as a store's work is not ours: the ETag of a body is the MD5 that
came with it, else zeros. nginx gives files only, and is far below what any client can take.
"""

import asyncio
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["BIG_BYTES", "N_SMALL", "PART_BYTES", "SMALL_BYTES", "asyncio_server", "nginx_server"]

N_SMALL, SMALL_BYTES = 3000, 20_000
BIG_BYTES, PART_BYTES = 10**9, 8 * 2**20


class Static(asyncio.Protocol):
    """One connection: a head, then perhaps a body."""

    small = os.urandom(SMALL_BYTES)
    block = os.urandom(PART_BYTES)
    uploads: dict[str, list[str]] = {}  # noqa: RUF012 (one server, one state)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer, self.left = transport, b"", 0
        self.request = ("", "", b"")

    def data_received(self, data: bytes) -> None:
        if self.left:
            taken = data[: self.left]
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
            self.left = max(0, length - len(rest))
            self.buffer = rest[length:]
            if self.left:
                return
            self.answer()

    def answer(self) -> None:
        method, path, head = self.request
        url = urlsplit(path)
        query = parse_qs(url.query, keep_blank_values=True)
        if method == "GET" and "prefix" in query:
            self.say(listing(query["prefix"][0]))
        elif method in {"GET", "HEAD"}:
            self.give(unquote(url.path), head, with_body=method == "GET")
        elif method == "PUT":
            said = re.search(rb"(?i)content-md5: *(\S+)", head)
            digest = b64decode(said[1]).hex() if said else "0" * 32
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
        is_big = path.endswith("big")
        size, etag = (BIG_BYTES, BIG_ETAG) if is_big else (SMALL_BYTES, SMALL_ETAG)
        own = f"x-amz-meta-sha256: {BIG_SHA256}\r\n" if is_big and "own" in path else ""
        wanted = re.search(rb"(?i)range: *bytes=(\d+)-(\d*)", head)
        start, end, status = 0, size, "200 OK"
        if wanted:
            start, status = int(wanted[1]), "206 Partial Content"
            end = min(size, int(wanted[2]) + 1) if wanted[2] else size
        place = f"Content-Range: bytes {start}-{end - 1}/{size}\r\n" if wanted else ""
        self.transport.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\nETag: {etag}\r\n{place}{own}"
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


def _big() -> tuple[str, str]:
    """ETag and sha256 of the big object: the same block again and again."""
    whole, rest = divmod(BIG_BYTES, PART_BYTES)
    one = hashlib.md5(Static.block, usedforsecurity=False).digest()
    last = hashlib.md5(Static.block[:rest], usedforsecurity=False).digest()
    digest = hashlib.md5(one * whole + last, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256()
    for _ in range(whole):
        sha256.update(Static.block)
    sha256.update(Static.block[:rest])
    return f'"{digest}-{whole + 1}"', sha256.hexdigest()


BIG_ETAG, BIG_SHA256 = _big() if sys.argv[0] == __file__ else ("", "")


def listing(prefix: str) -> str:
    """All small objects below a prefix in one page."""
    items = "".join(
        f"<Contents><Key>{prefix}k{n:05}</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified>"
        f"<ETag>{SMALL_ETAG}</ETag><Size>{SMALL_BYTES}</Size></Contents>"
        for n in range(N_SMALL)
    )
    return (
        f"<ListBucketResult><Name>bucket</Name><Prefix>{prefix}</Prefix><KeyCount>{N_SMALL}"
        f"</KeyCount><MaxKeys>{N_SMALL}</MaxKeys><IsTruncated>false</IsTruncated>{items}"
        "</ListBucketResult>"
    )


async def serve() -> None:
    """Until it is ended; says its port and its ETags first."""
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(port, SMALL_ETAG.strip('"'), BIG_ETAG.strip('"'), sep="\n", flush=True)
    await server.serve_forever()


@contextmanager
def asyncio_server() -> Iterator[dict[str, str]]:
    """What a measuring process must know to reach it, as environment variables."""
    server = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port, small, big = (server.stdout.readline().strip() for _ in range(3))
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "BENCH_SMALL_ETAG": small,
            "BENCH_BIG_ETAG": big,
        }
    finally:
        server.terminate()
        server.wait()


@contextmanager
def nginx_server(folder: Path) -> Iterator[dict[str, str]]:
    """The same over files; its ETags are no MD5s, so the sha256 of our uploads is the proof."""
    (folder / "bucket/d").mkdir(parents=True)
    small, block = os.urandom(SMALL_BYTES), os.urandom(10**7)
    for n in range(N_SMALL):
        (folder / f"bucket/d/k{n:05}").write_bytes(small)
    digest = hashlib.sha256()
    with (folder / "bucket/own-big").open("wb") as file:
        for _ in range(BIG_BYTES // len(block)):
            file.write(block)
            digest.update(block)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    header = "add_header x-amz-meta-sha256"
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder};\n"
        f"location /bucket/d/ {{ {header} {hashlib.sha256(small).hexdigest()}; }}\n"
        f"location /bucket/own-big {{ {header} {digest.hexdigest()}; }} }} }}\n"
    )
    nginx = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    try:
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{_up(port, nginx)}"}
    finally:
        nginx.terminate()
        nginx.wait()
        shutil.rmtree(folder / "bucket")


def _up(port: int, server: subprocess.Popen) -> int:
    """The port, once it answers."""
    while server.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return port
        time.sleep(0.05)
    sys.exit("nginx did not start")


if __name__ == "__main__":
    asyncio.run(serve())
