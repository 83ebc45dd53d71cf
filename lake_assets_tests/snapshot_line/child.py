"""One process that runs ``shop.orders``, told by JSON on its first argument; it may die early.

As ``lake.child``: ``die`` is ``[when, part of a key, n]``; with ``wait`` it says ready and begins
on a line of input.
"""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lake_assets.lake.databases import open_databases
from lake_assets.lake.snapshot_run import run_snapshots
from lake_assets.settings import LakeSettings
from lake_assets_tests.lake.child import Mortal
from lake_assets_tests.loaded import Loaded
from lake_assets_tests.snapshot_line.shop import Shop

REPOSITORY = Path(__file__).parents[2]


def start(shop: Shop, **told: Any) -> Loaded:
    """A process that runs the table of ``shop``."""
    return Loaded(__name__, task(shop, **told))


def start_anew(shop: Shop) -> subprocess.Popen[str]:
    """As ``start``, but with no more memory than a fresh interpreter has."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, task(shop)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def task(shop: Shop, **told: Any) -> str:
    return json.dumps({"settings": shop.settings.model_dump(mode="json"), **told})


def main() -> None:
    told = json.loads(sys.argv[1])
    databases = open_databases(LakeSettings.model_validate(told["settings"]))
    if told.get("die"):
        databases = replace(databases, root=Mortal(databases.root, *told["die"]))
    if told.get("wait"):
        print("ready", flush=True)  # noqa: T201 (to the parent)
        sys.stdin.readline()
    report = run_snapshots(databases, databases.table("shop.orders"))
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_kb": peak_kb, **report.as_dict()}))  # noqa: T201 (to the parent)


if __name__ == "__main__":
    main()
