"""Finished export files as local files: for programs that want the files themselves.

The pipeline does not need this; it reads straight from the store. What pdstools' ``S3Data`` users
know as ``get_files`` and ``get_datamart_data``: new and cached paths, each verified.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lake_assets.errors import BadInputError
from lake_assets.export.find import Export
from lake_assets.fanout import fan_out
from lake_assets.s3 import ObjectInfo, Store, sha256_of

__all__ = ["Downloaded", "download_exports"]

#: Where a target folder keeps what its files were when they were fetched.
_RECORDS = ".lake_download"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Local paths of finished export files, by key."""

    new: tuple[Path, ...]
    """Fetched now, verified against the store."""
    cached: tuple[Path, ...]
    """Fetched before; the object has not changed and the local bytes are still those."""
    refused: tuple[BadInputError, ...] = ()
    """Keys that would lead out of the folder; nothing was fetched for them."""


def download_exports(
    store: Store, exports: Iterable[Export], folder: str | Path, *, workers: int = 8
) -> Downloaded:
    """Bring the data files of exports into a folder, under their keys.

    A file that is there is fetched again when its object changed, or when the local bytes are not
    the ones that were fetched (a truncated or edited copy). Files appear by rename, whole or not.

    Args:
        store: Where the keys count from; ``export_source`` gives it.
        exports: What to fetch; only finished files are in them.
        folder: Made where it does not exist.
        workers: Files fetched at once.

    Raises:
        StorageError: The store failed or a file was replaced since it was listed.
    """
    target = Path(folder).resolve()
    files = [file.data for export in exports for file in export.files]
    refused = tuple(_refusal(info.key) for info in files if not _stays_inside(target, info.key))
    wanted = [info for info in files if _stays_inside(target, info.key)]

    def bring(info: ObjectInfo) -> bool:
        if _is_cached(target, info):
            return False
        _fetch(store, target, info)
        return True

    new: list[Path] = []
    cached: list[Path] = []
    for info, fetched in zip(wanted, fan_out(bring, wanted, workers=workers), strict=True):
        (new if fetched else cached).append(target / info.key)
    return Downloaded(tuple(new), tuple(cached), refused)


def _stays_inside(folder: Path, key: str) -> bool:
    return ".." not in key.split("/") and (folder / key).resolve().is_relative_to(folder)


def _refusal(key: str) -> BadInputError:
    return BadInputError(
        key,
        expected="a key that stays below the target folder",
        found="one that leads out of it",
        remedy="copy the object to a plain key",
    )


def _record(folder: Path, info: ObjectInfo) -> Path:
    return folder / _RECORDS / f"{hashlib.sha256(info.key.encode()).hexdigest()[:32]}.json"


def _is_cached(folder: Path, info: ObjectInfo) -> bool:
    path, record = folder / info.key, _record(folder, info)
    if not (path.is_file() and record.is_file()):
        return False
    known = json.loads(record.read_text(encoding="utf-8"))
    if known["etag"] != info.etag or path.stat().st_size != info.size_bytes:
        return False
    with path.open("rb") as file:
        return sha256_of(file) == known["sha256"]


def _fetch(store: Store, folder: Path, info: ObjectInfo) -> None:
    path, record = folder / info.key, _record(folder, info)
    path.parent.mkdir(parents=True, exist_ok=True)
    record.parent.mkdir(exist_ok=True)
    with store.open(info, memory_bytes=1024**2) as body:
        digest = sha256_of(body)
        handle, partial = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(body, file, 1024**2)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    # After the file: a crash in between leaves a file without a record, which is fetched again.
    record.write_text(
        json.dumps({"key": info.key, "etag": info.etag, "sha256": digest}), encoding="utf-8"
    )
