"""The objects of a table that have to be there, as the documents that need them describe them.

What the newest version is made of, and what the staging manifests that count name. A document that
is gone or altered is told of instead of what it names.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

from lake_assets import delta
from lake_assets.catalog import Document, read_document
from lake_assets.catalog.materialization import LOG_FOLDER
from lake_assets.catalog.profile import PROFILES
from lake_assets.compacted.partitions import WHOLE_TABLE
from lake_assets.errors import StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.marks import BLOBS
from lake_assets.lake.recorded import (
    ExportFile,
    PlacedTable,
    compacted_manifest,
    group_keys,
    staged_group,
    table_versions,
)
from lake_assets.s3 import ObjectInfo, Store, join_url, storage_options
from lake_assets.staging.manifests import staging_state

__all__ = ["Expected", "Problem", "damaged_records", "expected_objects"]

#: Documents read at once: small objects, so only their latency counts.
_READERS = 16
#: Our lake files are named by the first half of their sha256.
_NAME_DIGITS = 32
_DOCUMENT = "restore it: nothing else says what was done"
_T = TypeVar("_T")
#: What names an object in the document of a materialization.
_BLOB_FIELDS = ("config_id", "graph_id", "schema_id", "log_id")
_BLOB = "restore it: its name is the sha256 of its bytes"
_LAKE = "restore it, or go back to a version that is whole (`lake history`, `lake rollback`)"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a needed object."""

    kind: Literal["missing", "changed", "truncated"]
    key: str
    found: str
    remedy: str
    sha256: str = ""
    """That it should have, as far as it is recorded."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A needed object as it was written."""

    key: str
    size_bytes: int
    sha256: str
    """Its first digits, or all 64; empty where nobody recorded it."""
    written_at: datetime | None
    """UTC; it was there at this time, and nobody writes to it later. None where not recorded."""
    remedy: str

    def problem(self, kind: Literal["missing", "changed", "truncated"], found: str) -> Problem:
        """Something wrong with it."""
        return Problem(kind, self.key, found, self.remedy, self.sha256)


def expected_objects(
    root: Store, path: str, listed: Mapping[str, ObjectInfo], *, read_all: bool
) -> tuple[list[Expected], list[Problem], list[ExportFile]]:
    """What a table needs, the damaged documents, and the export files that it was staged from.

    Args:
        root: The lake's store.
        path: ``shop/orders``.
        listed: What is there of it, by key.
        read_all: Also read the manifests of compaction; else they only have to be there.

    Raises:
        StorageError: The log of the table cannot be read.
    """
    problems: list[Problem] = []
    found, sources = _staged(root, path, listed, problems)
    found.update(_live(root, path, listed, problems, read_all=read_all))
    return list(found.values()), problems, sources


def damaged_records(root: Store, blobs: Collection[str]) -> list[Problem]:
    """The documents of materializations and profiles that are altered, and the blobs they miss.

    Args:
        root: The lake's store.
        blobs: The sha256 of all blobs that are there.

    Raises:
        StorageError: The store refused.
    """
    listed = {info.key: info for folder in (LOG_FOLDER, PROFILES) for info in root.list(folder)}
    problems: list[Problem] = []
    missing: dict[str, Problem] = {}
    named = _read(partial(_blobs_of, root), listed, listed, problems)
    for key, found in named.items():
        for name, blob in found.items():
            if blob not in blobs:
                said = f"is not there, {name} of {key}"
                missing[blob] = Problem("missing", f"{BLOBS}{blob[:2]}/{blob}", said, _BLOB)
    return [*problems, *missing.values()]


def _blobs_of(root: Store, key: str) -> dict[str, str]:
    """The blobs that a document names, read and let go: there is one for each materialization."""
    content = read_document(root, key).content
    return {name: blob for name in _BLOB_FIELDS if (blob := content.get(name))}


def _staged(
    root: Store, path: str, listed: Mapping[str, ObjectInfo], problems: list[Problem]
) -> tuple[dict[str, Expected], list[ExportFile]]:
    manifests = _documents(root, staging_state(root, PlacedTable(path)).current, listed, problems)
    keys = [key for name, document in manifests.items() for key in group_keys(name, document)]
    records = [key for key in keys if key not in manifests]
    groups = manifests | _documents(root, records, listed, problems)
    found: dict[str, Expected] = {}
    sources: list[ExportFile] = []
    for key in keys:
        if key not in groups:
            continue
        group = staged_group(key, groups[key])
        sources += group.sources
        written_at = datetime.fromisoformat(group.written_at)
        remedy = f"restore it; or remove {key} and run again, while the export is there"
        for file in group.files:
            other = found.get(file.key)
            at = max(written_at, other.written_at or written_at) if other else written_at
            found[file.key] = Expected(file.key, file.size_bytes, file.sha256, at, remedy)
    return found, sources


def _live(
    root: Store,
    path: str,
    listed: Mapping[str, ObjectInfo],
    problems: list[Problem],
    *,
    read_all: bool,
) -> dict[str, Expected]:
    uri = join_url(root.url, "lake", path)
    live = delta.live_files(uri, storage_options(uri))
    newest = next(table_versions(root.url, path), None)
    manifests = newest.manifests if newest else {}
    recorded: dict[str, str] = {}
    if read_all:
        read = partial(compacted_manifest, root)
        for manifest in _read(read, manifests.values(), listed, problems).values():
            recorded |= {file.key: file.sha256 for file in manifest.outputs}
    else:
        gone = sorted(set(manifests.values()) - listed.keys())
        problems += [Problem("missing", key, "is not there", _DOCUMENT) for key in gone]
    found: dict[str, Expected] = {}
    for file in live:
        key = f"lake/{path}/{file.path}"
        folder, _, name = file.path.removesuffix(".parquet").rpartition("/")
        ours = len(name) == _NAME_DIGITS and not set(name) - set("0123456789abcdef")
        manifest = listed.get(manifests.get(folder or WHOLE_TABLE, ""))
        found[key] = Expected(
            key,
            file.size_bytes,
            recorded.get(key, name if ours else ""),
            manifest.modified_at if manifest else None,
            _LAKE,
        )
    return found


def _documents(
    root: Store, keys: Iterable[str], listed: Mapping[str, ObjectInfo], problems: list[Problem]
) -> dict[str, Document]:
    return _read(partial(read_document, root), keys, listed, problems)


def _read(
    read: Callable[[str], _T],
    keys: Iterable[str],
    listed: Mapping[str, ObjectInfo],
    problems: list[Problem],
) -> dict[str, _T]:
    """What can be read, by key; the rest are problems."""

    def attempt(key: str) -> _T | Problem:
        if key not in listed:
            return Problem("missing", key, "is not there", _DOCUMENT)
        try:
            return read(key)
        except StorageError as error:
            return Problem("changed", key, f"cannot be read ({error})", _DOCUMENT)

    wanted = list(dict.fromkeys(keys))
    found: dict[str, _T] = {}
    for key, result in zip(wanted, fan_out(attempt, wanted, workers=_READERS), strict=True):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            found[key] = result
    return found
