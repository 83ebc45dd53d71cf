"""A proxy that breaks answers on purpose: a small threaded HTTP server in front of the moto server.

Each ``Fault`` is a rule: which requests it meets (method, pattern of the decoded path), how often,
and what then happens. Every request is recorded, so a test can say who signed it. Conditional
writes pass one by one: moto looks and writes in two steps, S3 in one.
"""

import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote, urlsplit

__all__ = ["Fault", "FaultProxy", "Request", "fault_proxy"]

Kind = Literal[
    "503", "403", "409", "reset", "lose", "cut", "flip", "short", "stall", "replace",
    "send-cut", "send-flip", "send-short", "send-stall", "no-sse",
]  # fmt: skip

_ERRORS = {
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "409": (409, "ConditionalRequestConflict", "A conflicting operation occurred."),
    "403": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist."),
}
#: Longest time that a stalled answer holds its thread.
_STALL_S = 20


@dataclass(slots=True)
class Fault:
    """What happens to the next ``times`` requests that fit.

    ``503``, ``403``, ``409`` answer that · ``reset`` breaks the connection before the store sees
    the request, ``lose`` after it acted on it · ``cut`` breaks it in the middle of the body ·
    ``flip`` inverts one byte of the body · ``short`` sends half of the body and says so in
    Content-Length · ``stall`` sends half of the body and then nothing · ``replace`` gives another
    ETag with the same bytes, as a store does that ignores If-Match.

    ``no-sse`` leaves out that the object is encrypted, as a store does that ignores it.

    On the way to the store: ``send-cut`` breaks the connection in the middle of the sent body ·
    ``send-flip`` inverts one byte of it · ``send-short`` passes half of it on as if it were whole ·
    ``send-stall`` takes it and never answers; the store sees nothing.
    """

    kind: Kind
    pattern: str = ""
    method: str = "GET"
    times: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    client_port: int
    """The same for all requests of one connection."""


@dataclass(slots=True)
class FaultProxy:
    """A running proxy; change ``faults`` while it runs, ``clear()`` heals it."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    conditional: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """No faults from here on."""
        with self.lock:
            self.faults.clear()

    def renew(self) -> None:
        """As if it had just begun: no faults, no requests, and nobody is held back any more."""
        self.released.set()
        self.released = threading.Event()
        self.clear()
        self.requests = []

    def take(self, method: str, path: str) -> Kind | None:
        """The fault of this request, used up once."""
        with self.lock:
            for fault in self.faults:
                fits = fault.method == method and re.search(fault.pattern, path)
                if fits and fault.times > 0:
                    fault.times -= 1
                    return fault.kind
        return None


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    """A proxy on a free port in front of ``target`` (``http://host:port``), for the block."""
    proxy = FaultProxy("")

    class Handler(_Handler):
        upstream = urlsplit(target).netloc
        rules = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    upstream: str
    rules: FaultProxy
    protocol_version = "HTTP/1.1"
    timeout = _STALL_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Quiet."""

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError, ValueError):  # the client gave up
            super().handle()

    def finish(self) -> None:
        with suppress(ConnectionError, ValueError):
            super().finish()

    def _answer(self) -> None:
        path = unquote(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.rules.requests.append(Request(self.command, path, headers, self.client_address[1]))
        kind = self.rules.take(self.command, path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length // 2 if kind == "send-cut" else length)
        if kind in _ERRORS:
            self._error(*_ERRORS[kind])
            return
        if kind == "send-stall":
            self.rules.released.wait(_STALL_S)
        if kind in {"reset", "send-cut", "send-stall"}:
            self._reset()
            return
        if kind == "send-flip" and body:
            body = body[:-1] + bytes([body[-1] ^ 0xFF])
        if kind == "send-short":
            body = body[: length // 2]
            self.headers.replace_header("Content-Length", str(len(body)))
        with self.rules.conditional if "If-None-Match" in self.headers else nullcontext():
            status, headers, answer = self._forward(body)
        if kind == "lose":
            self._reset()
            return
        self._send(kind, status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 (names of http.server)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = HTTPConnection(self.upstream, timeout=_STALL_S)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            hop = {"connection", "transfer-encoding", "server", "date"}
            with upstream.getresponse() as response:
                headers = [(n, v) for n, v in response.getheaders() if n.lower() not in hop]
                return response.status, headers, response.read()
        finally:
            upstream.close()

    def _send(
        self, kind: Kind | None, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        whole = len(body)
        if kind == "flip" and body:
            middle = whole // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        if kind in {"short", "cut", "stall"}:
            body = body[: whole // 2]
        said = {n.lower(): v for n, v in headers}.get("content-length", str(whole))
        length = said if self.command == "HEAD" else str(len(body) if kind == "short" else whole)
        self.send_response(status)
        for name, value in headers:
            if name.lower() == "etag" and kind == "replace":
                self.send_header(name, f'"{"0" * 32}"')
            elif name.lower() != "content-length" and not (
                kind == "no-sse" and name.lower() == "x-amz-server-side-encryption"
            ):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if kind == "stall":
            self.rules.released.wait(_STALL_S)
        if kind in {"cut", "stall"}:
            self._reset()

    def _error(self, status: int, code: str, message: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self._send(None, status, [("Content-Type", "application/xml")], body)

    def _reset(self) -> None:
        """End the connection with RST, as a crashed peer or a firewall does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
