"""One process that runs the line: told by JSON on its first argument, it may die at a named write.

``die`` is ``[when, part of a key, n]``: killed ``before`` or ``after`` the n-th such write.
With ``wait`` it says ready and begins on a line of input; ``times`` runs it again and again.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import replace
from typing import IO, Any

from lake_assets.lake import open_datamart, run_datamart
from lake_assets.s3 import ObjectInfo, Store
from lake_assets.settings import LakeSettings


class Mortal:
    """A store whose writer is killed at one of its writes."""

    def __init__(self, store: Store, when: str, part: str, number: int) -> None:
        self.url = store.url
        self._store, self._when, self._part, self._left = store, when, part, number

    def list(self, prefix: str = "") -> Any:
        return self._store.list(prefix)

    def head(self, key: str) -> ObjectInfo | None:
        return self._store.head(key)

    def get(self, key: str, **checks: Any) -> bytes:
        return self._store.get(key, **checks)

    def open(self, listed: ObjectInfo, *, memory_bytes: int) -> IO[bytes]:
        return self._store.open(listed, memory_bytes=memory_bytes)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def put(self, key: str, body: bytes) -> None:
        self._maybe_die("before", key)
        self._store.put(key, body)
        self._maybe_die("after", key)

    def create(self, key: str, body: bytes) -> bool:
        self._maybe_die("before", key)
        made = self._store.create(key, body)
        self._maybe_die("after", key)
        return made

    def _maybe_die(self, when: str, key: str) -> None:
        of_catalog = self._part.startswith("catalog/")  # its keys hold those of the manifests
        if when != self._when or self._part not in key or key.startswith("catalog/") != of_catalog:
            return
        self._left -= 1
        if self._left == 0:
            self.die()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    told = json.loads(sys.argv[1])
    lake = open_datamart(LakeSettings.model_validate(told["settings"]))
    if told.get("die"):
        lake = replace(lake, root=Mortal(lake.root, *told["die"]))
    if told.get("wait"):
        print("ready", flush=True)  # noqa: T201 (to the parent)
        sys.stdin.readline()
    report = run_datamart(lake, tables=told["tables"])
    for _ in range(told.get("times", 1) - 1):
        report = run_datamart(lake, tables=told["tables"])
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_kb": peak_kb, **report.as_dict()}))  # noqa: T201 (to the parent)


if __name__ == "__main__":
    main()
