"""Publisher processes that begin together; see publisher."""

import json
from collections.abc import Mapping, Sequence

from lake_assets_tests.delta.tables import Contents
from lake_assets_tests.loaded import Loaded


def turn(contents: Contents, generation: int = 1, *, die: bool = False) -> dict:
    pairs = [[list(partition), list(ids)] for partition, ids in contents.items()]
    return {"contents": pairs, "generation": generation, "die": die}


def start(
    uri: str, turns: Sequence[dict], *, app: str, options: Mapping[str, str] | None = None
) -> Loaded:
    """A publisher that is loaded and waits for the word."""
    process = Loaded("lake_assets_tests.delta.publisher")
    task = {"uri": uri, "turns": list(turns), "app": app, "options": options and dict(options)}
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    return process


def go(*processes: Loaded) -> None:
    """Let them all begin, once the last is ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def results(*processes: Loaded) -> list[list[dict]]:
    """What each publish of each process did."""
    texts = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [json.loads(text) for text in texts]
