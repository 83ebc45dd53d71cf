"""The upkeep of a lake: what nothing needs goes, logs get checkpoints. One table stops no other.

``gc`` is the vacuum: it removes what a lite vacuum of a table would, and what no log knows of
(files never published, superseded staging, objects). It spares what a manifest needs that no
version has yet, of which a vacuum knows nothing, and writes no commit (decision 0011).
"""

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake_assets import delta
from lake_assets.errors import LakeError
from lake_assets.lake.gc import GRACE, RETENTION, Swept, find_garbage, sweep
from lake_assets.lake.recorded import chosen_tables
from lake_assets.s3 import Store, join_url, open_store, storage_options

__all__ = ["Maintained", "maintain"]

#: After so many commits a log gets a checkpoint: readers replay the commits behind the last one.
_COMMITS = 10
_LOG_ENTRY = re.compile(r"(\d{20})\.(json|checkpoint\b.*parquet)")


@dataclass(frozen=True, slots=True)
class Maintained:
    """What the upkeep did."""

    tables: tuple[str, ...]
    """Looked at: ``shop.orders``."""
    swept: Swept
    checkpoints: tuple[str, ...]
    """The tables that got one."""
    errors: tuple[str, ...]
    """What could not be done, each with its table."""
    seconds: float


def maintain(
    root_url: str,
    *,
    retention: timedelta = RETENTION,
    grace: timedelta = GRACE,
    now: datetime | None = None,
) -> Maintained:
    """Sweep a lake and checkpoint its logs; where there is nothing to do it writes nothing.

    Args:
        root_url: The lake.
        retention: Versions that were the newest at any time of it stay readable.
        grace: Younger objects stay: their writers may be under way.
        now: The time to count from (UTC).

    Raises:
        SettingsError: A time below 0.
        StorageError: The root cannot be listed.
    """
    started, root = time.monotonic(), open_store(root_url)
    errors: dict[str, str] = {}

    def tell(table: str, error: LakeError) -> None:
        errors[table] = str(error)

    found = find_garbage(root_url, retention=retention, grace=grace, now=now, on_error=tell)
    swept = sweep(root_url, found, retention=retention, grace=grace, now=now, on_error=tell)
    tables = chosen_tables(root)
    done: list[str] = []
    for path in tables:
        name = path.replace("/", ".")
        try:
            if _commits_since_checkpoint(root, path) >= _COMMITS:
                uri = join_url(root.url, "lake", path)
                delta.checkpoint(uri, storage_options(uri))
                done.append(name)
        except LakeError as error:
            tell(name, error)
    return Maintained(
        tables=tuple(path.replace("/", ".") for path in tables),
        swept=swept,
        checkpoints=tuple(done),
        errors=tuple(f"{table or 'catalog'}: {said}" for table, said in errors.items()),
        seconds=time.monotonic() - started,
    )


def _commits_since_checkpoint(root: Store, path: str) -> int:
    folder = f"lake/{path}/_delta_log/"
    newest = {"json": -1, "checkpoint": -1}
    for info in root.list(folder):
        if entry := _LOG_ENTRY.fullmatch(info.key[len(folder) :]):
            kind = entry[2].partition(".")[0]
            newest[kind] = max(newest[kind], int(entry[1]))
    return newest["json"] - newest["checkpoint"]
