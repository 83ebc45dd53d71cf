"""A process that publishes what its input says: ``python -m lake_assets_tests.delta.publisher``.

The first line of the input is the task as JSON, the second the word to start, so that several
begin together. It says ``ready`` once it is loaded and at the end what each publish did.
"""

import json
import os
import sys
from dataclasses import asdict

from lake_assets.delta import publish
from lake_assets_tests.delta.tables import written


def main() -> None:
    task = json.loads(sys.stdin.readline())
    uri, options = task["uri"], task["options"]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    done = []
    for turn in task["turns"]:
        contents = {tuple(partition): ids for partition, ids in turn["contents"]}
        change = written(uri, contents, options, app=task["app"], generation=turn["generation"])
        if turn.get("die"):
            os._exit(9)
        done.append(asdict(publish(uri, change, options)))
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main()
