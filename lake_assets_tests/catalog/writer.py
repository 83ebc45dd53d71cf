"""One process that registers: told by JSON on its first argument, it may die at a named write.

It says ready and begins on a line of input; what it registered is printed, as JSON.
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any

from lake_assets.catalog import Catalog
from lake_assets.s3 import open_store


def mortal(store: Any, part: str) -> Any:
    """The store, whose process is killed right before it creates a key with ``part`` in it."""
    create = store.create

    def create_or_die(key: str, body: bytes) -> bool:
        if part in key:
            os.kill(os.getpid(), signal.SIGKILL)
        return create(key, body)

    store.create = create_or_die
    return store


def register(catalog: Catalog, told: dict, number: int) -> list:
    """One file, one object that all writers share, a job, a partition that all writers make."""
    dataset, partition = told["dataset"], f"n={number % 4}/all"
    made = [catalog.new_partition(dataset, partition), catalog.new_job(dataset)]
    made.append(catalog.register_log(b"the same for all", dataset, made[1].uuid))
    made.append(catalog.register_file(told["files"][number], dataset, partition))
    return made


def main() -> None:
    told = json.loads(sys.argv[1])
    store = open_store(told["root"])
    catalog = Catalog(mortal(store, told["die"]) if told.get("die") else store)
    print("ready", flush=True)  # noqa: T201 (to the parent)
    sys.stdin.readline()
    made = [each for n in range(len(told["files"])) for each in register(catalog, told, n)]
    print(json.dumps([asdict(record) for record in made]))  # noqa: T201 (to the parent)


if __name__ == "__main__":
    main()
