"""Starting processes that run the line, together or to their death; see child."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lake_assets_tests.lake.line import MODELS

REPOSITORY = Path(__file__).parents[2]


def start(
    exports: object, root: object, *, wait: bool = False, **told: Any
) -> subprocess.Popen[str]:
    """A process that runs model_snapshot; settings as ``settings``."""
    settings = {"exports": str(exports), "root": str(root), **told.pop("settings", {})}
    task = {"settings": settings, "tables": [MODELS], "wait": wait, **told}
    return subprocess.Popen(
        [sys.executable, "-m", "lake_assets_tests.lake.child", json.dumps(task)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(*processes: subprocess.Popen[str]) -> None:
    """Let all begin once the last is ready."""
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process reports; it must have ended well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])
