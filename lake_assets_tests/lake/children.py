"""Starting processes that run the line, together or to their death; see child."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lake_assets_tests.lake.line import MODELS
from lake_assets_tests.loaded import Loaded

REPOSITORY = Path(__file__).parents[2]
CHILD = "lake_assets_tests.lake.child"


def start(exports: object, root: object, *, wait: bool = False, **told: Any) -> Loaded:
    """A process that runs model_snapshot; settings as ``settings``."""
    return Loaded(CHILD, task(exports, root, wait=wait, **told))


def start_anew(exports: object, root: object, **told: Any) -> subprocess.Popen[str]:
    """As ``start``, but with no more memory than a fresh interpreter has."""
    return subprocess.Popen(
        [sys.executable, "-m", CHILD, task(exports, root, **told)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def task(exports: object, root: object, **told: Any) -> str:
    settings = {"exports": str(exports), "root": str(root), **told.pop("settings", {})}
    return json.dumps({"settings": settings, "tables": [MODELS], **told})


def together(*processes: Loaded) -> None:
    """Let all begin once the last is ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def result(process: Loaded | subprocess.Popen[str]) -> dict[str, Any]:
    """What the process reports; it must have ended well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])
