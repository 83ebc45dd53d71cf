"""Publisher processes that begin together; see publisher."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lake_assets_tests.delta.tables import Contents

REPOSITORY = Path(__file__).parents[2]


def turn(contents: Contents, generation: int = 1, *, die: bool = False) -> dict:
    pairs = [[list(partition), list(ids)] for partition, ids in contents.items()]
    return {"contents": pairs, "generation": generation, "die": die}


def start(
    uri: str, turns: Sequence[dict], *, app: str, options: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A publisher that is loaded and waits for the word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lake_assets_tests.delta.publisher"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    task = {"uri": uri, "turns": list(turns), "app": app, "options": options and dict(options)}
    assert process.stdin
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    return process


def go(*processes: subprocess.Popen[str]) -> None:
    """Let them all begin, once the last is ready."""
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()


def results(*processes: subprocess.Popen[str]) -> list[list[dict]]:
    """What each publish of each process did."""
    texts = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [json.loads(text) for text in texts]
