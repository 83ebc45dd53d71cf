"""Objects as files below a folder: under their keys, verified, cached, never outside the folder.

Which objects, is decided elsewhere (``download.py``).
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lake_assets.errors import BadInputError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.s3 import ObjectInfo, Store, sha256_of

__all__ = ["Downloaded", "FailedFile", "bring_files"]

#: Where a target folder keeps what its files were when they were fetched.
_RECORDS = ".lake_download"


@dataclass(frozen=True, slots=True)
class FailedFile:
    """An object that could not be fetched; there is no file of it, or still the older one."""

    key: str
    error: OSError


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Local paths of finished export files, by key."""

    new: tuple[Path, ...]
    """Fetched now, verified against the store."""
    cached: tuple[Path, ...]
    """Fetched before; the object has not changed and the local bytes are still those."""
    refused: tuple[BadInputError, ...] = ()
    """Keys that have no place of their own in the folder; nothing was fetched for them."""
    failed: tuple[FailedFile, ...] = ()
    """What the store or the disk did not give, and why; call again for these."""
    waiting: tuple[str, ...] = ()
    """Keys without their sentinel (or sentinels without their file): not finished yet."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """New and cached files, sorted: those of two calls compare."""
        return tuple(sorted(self.new + self.cached))


def bring_files(
    store: Store, files: Iterable[ObjectInfo], folder: str | Path, *, workers: int = 8
) -> Downloaded:
    """Bring objects into a folder, under their keys.

    A file that is there is fetched again when its object changed, when it came from another store,
    or when the local bytes are not the ones that were fetched (a truncated or edited copy). Files
    appear by rename, whole or not at all; one that fails does not stop the others.

    Args:
        store: Where the keys count from.
        files: What to fetch, as listed.
        folder: Made where it does not exist.
        workers: Files fetched at once.
    """
    target = Path(folder).resolve()
    wanted, refused = _placed(target, files)

    def bring(info: ObjectInfo) -> bool | OSError:
        try:
            if _is_cached(store, target, info):
                return False
            _fetch(store, target, info)
        except OSError as error:  # a StorageError is one
            return error
        return True

    new: list[Path] = []
    cached: list[Path] = []
    failed: list[FailedFile] = []
    for info, came in zip(wanted, fan_out(bring, wanted, workers=workers), strict=True):
        if isinstance(came, OSError):
            failed.append(FailedFile(info.key, came))
        else:
            (new if came else cached).append(target / info.key)
    return Downloaded(tuple(new), tuple(cached), refused, tuple(failed))


def _placed(
    folder: Path, files: Iterable[ObjectInfo]
) -> tuple[list[ObjectInfo], tuple[BadInputError, ...]]:
    """Those that have a path of their own below the folder, and why the others have none."""
    wanted: dict[Path, ObjectInfo] = {}
    refused: list[BadInputError] = []
    # Plain keys first: of a/b and a//b, which share a path, the one that is spelled so gets it.
    for info in sorted(
        files, key=lambda info: (str(PurePosixPath(info.key)) != info.key, info.key)
    ):
        if not _stays_inside(folder, info.key):
            refused.append(_refusal(info.key, "one that leads out of it"))
        elif (path := folder / info.key) in wanted:
            refused.append(_refusal(info.key, f"the path of the key {wanted[path].key!r}"))
        else:
            wanted[path] = info
    folders = {parent for path in wanted for parent in path.parents}
    refused += [
        _refusal(wanted.pop(path).key, "the folder of other keys")
        for path in wanted.keys() & folders
    ]
    refused.sort(key=lambda error: error.key)
    return sorted(wanted.values(), key=lambda info: info.key), tuple(refused)


def _stays_inside(folder: Path, key: str) -> bool:
    segments = key.split("/")
    if ".." in segments or "\0" in key or segments[0] == _RECORDS:
        return False
    path = (folder / key).resolve()
    return path != folder and path.is_relative_to(folder)


def _refusal(key: str, found: str) -> BadInputError:
    return BadInputError(
        key,
        expected="a key with a path of its own below the target folder",
        found=found,
        remedy="copy the object to a plain key",
    )


def _record(folder: Path, info: ObjectInfo) -> Path:
    name = hashlib.sha256(info.key.encode(errors="surrogatepass")).hexdigest()[:32]
    return folder / _RECORDS / f"{name}.json"


def _is_cached(store: Store, folder: Path, info: ObjectInfo) -> bool:
    path, record = folder / info.key, _record(folder, info)
    if not (path.is_file() and record.is_file()):
        return False
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:  # cut off by a crash
        return False
    said = (known.get("source"), known.get("etag")) if isinstance(known, dict) else ()
    if said != (store.url, info.etag) or path.stat().st_size != info.size_bytes:
        return False
    with path.open("rb") as file:
        return sha256_of(file) == known.get("sha256")


def _fetch(store: Store, folder: Path, info: ObjectInfo) -> None:
    path, record = folder / info.key, _record(folder, info)
    with store.open(info, memory_bytes=1024**2) as body:
        digest = sha256_of(body)
        with _appearing(path) as partial:
            with partial.open("xb") as file:
                shutil.copyfileobj(body, file, 1024**2)
            if partial.stat().st_size != info.size_bytes:
                raise StorageError(f"{store.url}/{info.key} changed while it was copied; run again")
    # After the file: a crash in between leaves a file without its record, which is fetched again.
    known = {"key": info.key, "source": store.url, "etag": info.etag, "sha256": digest}
    with _appearing(record) as partial:
        partial.write_text(json.dumps(known), encoding="utf-8")


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A name to write to, once; what was written there appears as ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".part-{uuid.uuid4().hex}"
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
