"""What must stay: the objects that manifests, live and retained versions, and documents refer to.

Read by ``verify``, which misses them, and by ``gc``, which spares them. In doubt an object stays.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from urllib.parse import unquote

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.catalog.objects import ASIDE
from lake_assets.catalog.objects import FOLDER as BLOBS
from lake_assets.catalog.profile import PROFILES, profile_key
from lake_assets.catalog.removal import object_id
from lake_assets.errors import StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.recorded import (
    PlacedTable,
    compacted_manifest,
    group_keys,
    staged_group,
    table_versions,
)
from lake_assets.s3 import ObjectInfo, Store, join_url, storage_options
from lake_assets.staging.manifests import staging_state

__all__ = [
    "ASIDE",
    "BLOBS",
    "StagedMarks",
    "blob_references",
    "compacted_references",
    "data_files",
    "profile_references",
    "staged_marks",
]

#: Documents read at once: small objects, so only their latency counts.
_READERS = 16
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_MANIFEST = re.compile(r"manifest-\d{6}-[0-9a-f]{16}-[0-9a-f]{16}\.json")
_RECORD = re.compile(r"\d{6}-done-[0-9a-f]+\.json")
#: Data files of ours are named by the first half of their sha256.
_OURS = re.compile(r"/[0-9a-f]{32}(\.index)?\.parquet$")
#: Not in a folder of Delta's own (its log, change data).
_PARQUET = re.compile(r"(?!.*/_delta_log/|.*/_change_data/).*\.parquet")
#: A drift check compares the newest version with up to 30 before it.
PROFILED_VERSIONS = 31
#: Larger blobs are data, not documents that name other blobs.
_DOCUMENT_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class StagedMarks:
    """What the records of one export's staging folder refer to."""

    kept: frozenset[str]
    """Of manifests that count or are retained, and of work that is not recorded whole yet."""
    superseded: frozenset[str]
    """Of older ones: records of groups, and the data files that only these name."""


def staged_marks(root: Store, listed: Collection[ObjectInfo], cutoff: datetime) -> StagedMarks:
    """What to keep of one export.

    Args:
        root: The lake's store.
        listed: All objects of the export's staging folder.
        cutoff: What was superseded after it is retained.

    Raises:
        StorageError: A record is not what was written: what it refers to cannot be known.
    """
    by_name = {info.key: info for info in listed}
    names = {key: key.rpartition("/")[2] for key in by_name}
    manifests = sorted(key for key, name in names.items() if _MANIFEST.fullmatch(name))
    records = {key for key, name in names.items() if _RECORD.fullmatch(name)}
    kept: set[str] = set()
    old: set[str] = set()
    followers = [*(by_name[key].modified_at for key in manifests[1:]), None]
    for key, superseded_at in zip(manifests, followers[: len(manifests)], strict=True):
        recent = superseded_at is None or superseded_at > cutoff
        for group in group_keys(key, read_document(root, key)):
            if group in by_name:
                (kept if recent else old).add(group)
            elif superseded_at is None:  # those of superseded ones go with their data
                raise StorageError(
                    f"{root.url}/{group} is gone, which {key} names; restore it: without it nobody"
                    " knows which files belong to it"
                )
    last = by_name[manifests[-1]].modified_at if manifests else None
    for plan in {key.rpartition("/")[0] for key in records - kept - old}:
        members = {key for key in records if key.rpartition("/")[0] == plan}
        newest = max(by_name[key].modified_at for key in members)
        # A plan that no manifest names may be finished yet, unless a later manifest took its place.
        given_up = last is not None and newest < last and newest <= cutoff
        (old if given_up else kept).update(members - kept)
    named = _files_of(root, kept)
    former = _files_of(root, old - kept)
    # Planning a datamart table reads the index files of corrected exports: where their rows were.
    kept |= named | {key for key in former if key.endswith(".index.parquet") and not records}
    groups = {key for key in old if key in records}
    return StagedMarks(frozenset(kept), frozenset((former | groups) - kept))


def compacted_references(root: Store, path: str, cutoff: datetime | None) -> frozenset[str]:
    """Keys of the data files of a table that are live, retained, or named by a recent manifest.

    Args:
        root: The lake's store.
        path: ``shop/orders``.
        cutoff: Versions that were the newest after it, and manifests written after it, are
            retained; None for all of them.

    Raises:
        StorageError: The log or a manifest cannot be read.
    """
    folder, uri = f"lake/{path}/", join_url(root.url, "lake", path)
    # In this order: what a commit removes or adds meanwhile is in the one or in the other.
    live = {file.path for file in delta.live_files(uri, storage_options(uri))}
    committed = _committed_since(root, f"{folder}_delta_log/", cutoff)
    manifests = [
        info.key
        for info in root.list(f"compacted/{path}/")
        if cutoff is None or info.modified_at > cutoff
    ]
    documents = fan_out(lambda key: compacted_manifest(root, key), manifests, workers=_READERS)
    named = {file.key for document in documents for file in document.outputs}
    return frozenset(named | {f"{folder}{file}" for file in live | committed})


def blob_references(root: Store, blobs: Iterable[ObjectInfo]) -> frozenset[str]:
    """The sha256 of all blobs, also set aside ones, that a document names, or a blob that is named.

    Any 64 hex digits in a document are taken for a name: a digest too many keeps a blob too many.

    Raises:
        StorageError: A document cannot be read.
    """
    there = {object_id(info): info for info in blobs}
    documents = [
        info.key
        for info in root.list("catalog/")
        if not info.key.startswith(("catalog/objects/", PROFILES))  # these name no blob
    ]
    marked: set[str] = set()
    todo = documents
    while todo:
        new: set[str] = set()
        for body in fan_out(root.get, todo, workers=_READERS):
            new |= {match.decode() for match in _DIGEST.findall(body)}
        new = (new & there.keys()) - marked
        marked |= new
        todo = [there[name].key for name in new if there[name].size_bytes <= _DOCUMENT_BYTES]
    return frozenset(marked)


def profile_references(root: Store, path: str) -> frozenset[str]:
    """Keys of the profiles that are asked for: of what is staged, and of the last versions.

    Raises:
        StorageError: The log cannot be read.
    """
    manifests = {*staging_state(root, PlacedTable(path)).current}
    for version in islice(table_versions(root.url, path), PROFILED_VERSIONS):
        manifests |= {*version.manifests.values()}
    return frozenset(map(profile_key, manifests))


def data_files(listed: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """Those of a table's objects that are data files of ours, staged or of the lake.

    Below a Delta log every parquet file is the table's; elsewhere only what has our names, so that
    a person's own file is nobody's orphan.
    """
    objects = list(listed)
    logged = any("/_delta_log/" in info.key for info in objects)
    return [
        info
        for info in objects
        if _OURS.search(info.key)
        or (logged and info.key.startswith("lake/") and _PARQUET.fullmatch(info.key))
    ]


def _files_of(root: Store, groups: Iterable[str]) -> set[str]:
    read = fan_out(
        lambda key: staged_group(key, read_document(root, key)), sorted(groups), workers=_READERS
    )
    return {file.key for group in read for file in group.files}


def _committed_since(root: Store, log: str, cutoff: datetime | None) -> set[str]:
    """Paths that commits after the cutoff added or removed: versions from then on need them."""
    commits = [
        info
        for info in root.list(log)
        if info.key.endswith(".json") and "/" not in info.key[len(log) :]
    ]
    recent = [info for info in commits if cutoff is None or info.modified_at > cutoff]
    paths = fan_out(lambda info: _paths_of(root, info), recent, workers=_READERS)
    return {path for found in paths for path in found}


def _paths_of(root: Store, info: ObjectInfo) -> list[str]:
    try:
        actions = [json.loads(line) for line in root.get(info.key).splitlines() if line]
    except ValueError as error:
        raise StorageError(
            f"{root.url}/{info.key} is no commit of a Delta log ({error}); restore it"
        ) from error
    return [
        unquote(action[kind]["path"])
        for action in actions
        for kind in ("add", "remove")
        if kind in action
    ]
