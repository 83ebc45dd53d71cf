"""Processes that begin with all imported, which costs others a second: a server forks them.

Each is a process all the same, with its own memory, threads, locks and death. Where the memory of
one is measured it must be started anew: a fork begins with the memory of the server.
"""

import multiprocessing as mp
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

__all__ = ["Loaded"]

_SERVER = mp.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "lake_assets_tests.catalog.writer",
        "lake_assets_tests.delta.publisher",
        "lake_assets_tests.lake.child",
        "lake_assets_tests.snapshot_line.child",
    ]
)


class Loaded:
    """``python -m module args…``, with as much of the face of ``subprocess.Popen`` as is used."""

    def __init__(self, module: str, *args: str) -> None:
        input_, our_end = _SERVER.Pipe(duplex=False)
        our_other_end, output = _SERVER.Pipe(duplex=False)
        self._errors = tempfile.NamedTemporaryFile("r", encoding="utf-8")  # noqa: SIM115 (closed by communicate)
        streams = (input_, output, self._errors.name)
        self._process = _SERVER.Process(
            target=_run, args=(module, args, dict(os.environ), *streams), daemon=True
        )
        self._process.start()
        self.stdin = os.fdopen(os.dup(our_end.fileno()), "w", encoding="utf-8")
        self.stdout = os.fdopen(os.dup(our_other_end.fileno()), encoding="utf-8")
        for end in (input_, our_end, our_other_end, output):
            end.close()
        self._read: list[str] = []
        self._reader = threading.Thread(target=self._read_all, daemon=True)

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal that killed it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it still prints, and its errors, once it has ended."""
        self.stdin.close()
        if self._reader.ident is None:
            self._reader.start()
        self._reader.join(timeout)
        self._process.join(0 if self._reader.is_alive() else timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        self._reader.join()
        with self._errors:
            return self._read[0], self._errors.read()

    def _read_all(self) -> None:
        with self.stdout:
            self._read.append(self.stdout.read())


def _run(
    module: str,
    args: tuple[str, ...],
    environment: Mapping[str, str],
    input_: Connection,
    output: Connection,
    errors: str,
) -> None:
    """In the child: the parent's environment, not that of the server's start; its own streams."""
    os.environ.clear()
    os.environ.update(environment)
    with input_, output, Path(errors).open("w", encoding="utf-8") as file:
        for number, stream in enumerate((input_, output, file)):
            os.dup2(stream.fileno(), number)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.argv = [module, *args]
    import_module(module).main()
