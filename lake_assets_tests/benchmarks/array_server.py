"""A small S3 in memory with a latency, in a child process, for the benchmark of arrays.

It keeps bodies and user metadata, answers HEAD, GET with ranges, PUT, multipart and listings, and
waits before each answer. It needs far less time than moto, whose own work would be what a client
of many requests at once is measured by.
"""

import asyncio
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["array_server"]

_DATE = "Fri, 20 Nov 2026 10:00:00 GMT"


class Memory:
    """What is stored, by path."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str], str]] = {}
        self.uploads: dict[str, tuple[dict[str, str], dict[int, bytes]]] = {}
        self.n_uploads = 0

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        """Status, head and body of one answer."""
        url = urlsplit(target)
        path, query = unquote(url.path), parse_qs(url.query, keep_blank_values=True)
        is_bucket = path.strip("/").count("/") == 0
        if is_bucket:
            return 200, "", self._listing(query) if method == "GET" else b""
        if method in {"GET", "HEAD"}:
            return self._give(path, headers)
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, "", b""
        return self._keep(path, query, headers, body)

    def _keep(
        self, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> tuple[int, str, bytes]:
        metadata = {k: v for k, v in headers.items() if k.startswith("x-amz-meta-")}
        if "uploads" in query:
            self.n_uploads += 1  # an id is never given again: others are still under way
            name = str(self.n_uploads)
            self.uploads[name] = (metadata, {})
            return 200, "", _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        if "partNumber" in query:
            self.uploads[query["uploadId"][0]][1][int(query["partNumber"][0])] = body
            return 200, f'ETag: "{_md5(body).hex()}"\r\n', b""
        if "uploadId" in query:
            metadata, parts = self.uploads.pop(query["uploadId"][0])
            bodies = [parts[n] for n in sorted(parts)]
            etag = f"{_md5(b''.join(map(_md5, bodies))).hex()}-{len(bodies)}"
            self.objects[path] = (b"".join(bodies), metadata, etag)
            said = f"<ETag>&quot;{etag}&quot;</ETag>"
            return 200, "", _xml("CompleteMultipartUploadResult", said)
        etag = _md5(body).hex()
        self.objects[path] = (body, metadata, etag)
        return 200, f'ETag: "{etag}"\r\n', b""

    def _give(self, path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        if path not in self.objects:
            return 404, "", b""
        body, metadata, etag = self.objects[path]
        said = "".join(f"{name}: {value}\r\n" for name, value in metadata.items())
        said += f'ETag: "{etag}"\r\nLast-Modified: {_DATE}\r\n'
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
        if not wanted:
            return 200, said, body
        first, last = wanted.groups()
        start = int(first) if first else max(0, len(body) - int(last))
        stop = min(len(body), int(last) + 1) if first and last else len(body)
        said += f"Content-Range: bytes {start}-{stop - 1}/{len(body)}\r\n"
        return 206, said, memoryview(body)[start:stop]

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        delimiter = query.get("delimiter", [""])[0]
        items: dict[str, str] = {}
        for path, (body, _, etag) in sorted(self.objects.items()):
            key = path.split("/", 2)[2]
            folder, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            if key.startswith(prefix) and found:
                name = escape(f"{prefix}{folder}{delimiter}")
                items[name] = f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
            elif key.startswith(prefix):
                items[key] = (
                    f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size>"
                    "<LastModified>2026-11-20T10:00:00.000Z</LastModified>"
                    f"<ETag>&quot;{etag}&quot;</ETag></Contents>"
                )
        said = f"<Name>bucket</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false"
        return _xml("ListBucketResult", f"{said}</IsTruncated>{''.join(items.values())}")


async def _serve_one(
    memory: Memory, latency_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            method, target, _ = head[0].split(" ")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            if "100-continue" in headers.get("expect", "").lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            await asyncio.sleep(latency_s)
            status, said, answer = memory.answer(method, target, headers, body)
            writer.write(
                f"HTTP/1.1 {status} OK\r\n{said}Content-Length: {len(answer)}\r\n\r\n".encode()
            )
            if method != "HEAD":
                writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(latency_s: float) -> None:
    memory = Memory()
    server = await asyncio.start_server(
        lambda reader, writer: _serve_one(memory, latency_s, reader, writer),
        "127.0.0.1",
        0,
        limit=2**20,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0"?><{name}>{inner}</{name}>'.encode()


@contextmanager
def array_server(latency_s: float) -> Iterator[str]:
    """The address of a server that is there as long as the block."""
    command = [sys.executable, __file__, str(latency_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
