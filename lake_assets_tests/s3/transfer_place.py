"""A store under test with a folder of local files beside it, for the tests of transfers."""

import threading
from collections.abc import Callable
from pathlib import Path

from lake_assets.s3 import open_store
from lake_assets.s3.transfer import Transfer
from lake_assets.s3.transfer_config import TransferConfig

__all__ = ["MIB", "PARTS", "Place", "side_by_side"]

MIB = 2**20
#: Everything above 1 MiB moves in parts, of the smallest size that S3 takes.
PARTS = {"multipart_threshold_bytes": MIB, "multipart_chunk_bytes": 5 * MIB, "retry_attempts": 2}


class Place:
    """A store under test and a folder of local files."""

    def __init__(self, url: str, local: Path, engine: str) -> None:
        self.url, self.local, self.engine = url, local, engine
        self.store = open_store(url)
        local.mkdir()

    def transfer(self, progress=None, **config) -> Transfer:
        config = {"engine": self.engine, "resume_folder": self.local.parent / "notes", **config}
        return Transfer(self.url, TransferConfig(**config), progress)

    def file(self, name: str, body: bytes) -> Path:
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def names(self) -> list[str]:
        return sorted(
            p.relative_to(self.local).as_posix() for p in self.local.rglob("*") if p.is_file()
        )


def side_by_side(calls: list[Callable[[], None]]) -> None:
    """Run the calls at once; returns when all have ended."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
