"""What the documents of a lake say of a table: both lines read alike, whoever configured them.

Export files, staged files, compacted partitions, and which of these a version is made of. Documents
only: whether the bytes are still what they were is asked by ``verify``.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lake_assets import delta
from lake_assets.catalog import Document, read_document
from lake_assets.errors import SettingsError
from lake_assets.s3 import Folder, Store, join_url, storage_options

__all__ = [
    "CompactedManifest",
    "ExportFile",
    "PlacedTable",
    "StagedGroup",
    "StoredFile",
    "TableVersion",
    "chosen_tables",
    "common_place",
    "compacted_manifest",
    "group_keys",
    "newest_version",
    "recorded_tables",
    "staged_group",
    "table_versions",
]

_STAGES = ("staging/", "compacted/", "lake/")


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table of which only the place is known, whether it is configured or not."""

    path: str
    """``shop/orders``."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file of an export as it was when it was staged."""

    uri: str
    etag: str
    size_bytes: int
    sha256: str | None
    """Of the stored bytes; the database line does not record it."""
    rows: int | None
    """None where a task read several files and recorded only their sum."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that a stage wrote."""

    key: str
    sha256: str
    size_bytes: int
    rows: int
    partition: str = ""
    is_index: bool = False


@dataclass(frozen=True, slots=True)
class StagedGroup:
    """What one staging task read and wrote: a whole export, or a group of a snapshot's files."""

    key: str
    """Of its manifest."""
    id: str
    export_id: str
    sources: tuple[ExportFile, ...]
    files: tuple[StoredFile, ...]
    """Each data file is followed by its index file, where it has one."""
    rows_in: int
    rows: int
    written_at: str


@dataclass(frozen=True, slots=True)
class CompactedManifest:
    """What compacting one hive partition read and wrote."""

    key: str
    id: str
    partition: str
    inputs: tuple[tuple[StoredFile, int], ...]
    """Staged files, each with how many of its rows count."""
    outputs: tuple[StoredFile, ...]
    rows_in: int
    rows: int
    written_at: datetime
    """UTC."""
    seconds: float


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A version that this project published, and the manifests whose files it is made of."""

    version: int
    committed_at: datetime
    """UTC."""
    manifests: Mapping[str, str]
    """Key of the compacted manifest, by hive partition."""
    proof: Mapping[str, str]


def recorded_tables(root: Store) -> tuple[str, ...]:
    """The paths (``shop/orders``) of all tables of which any stage holds something."""
    found: set[str] = set()
    for stage in _STAGES:
        for source in _folders(root, stage):
            found |= {key[len(stage) : -1] for key in _folders(root, source)}
    return tuple(sorted(found))


def chosen_tables(root: Store, names: Collection[str] = ()) -> tuple[str, ...]:
    """The paths of the named tables (``shop.orders``), each once; all recorded ones by default.

    Raises:
        SettingsError: No stage holds anything of a table of that name.
    """
    known = recorded_tables(root)
    wanted = tuple(dict.fromkeys(name.replace(".", "/") for name in names))
    if unknown := sorted(set(wanted) - set(known)):
        there = ", ".join(path.replace("/", ".") for path in known) or "none"
        name = unknown[0].replace("/", ".")
        raise SettingsError(f"{root.url} holds nothing of a table {name!r}; there is: {there}")
    return wanted or known


def group_keys(key: str, document: Document) -> tuple[str, ...]:
    """The keys of the documents that name a staging manifest's files: its own, or its groups'."""
    folder = key.rpartition("/")[0]
    records = document.facts.get("records")
    return (key,) if records is None else tuple(f"{folder}/{name}" for name in records)


def staged_group(key: str, document: Document) -> StagedGroup:
    """The task that a staging manifest, or a group's manifest, records."""
    content, facts = document.content, document.facts
    # A group's manifest lies one folder below that of its snapshot, from which its paths count.
    folder = key.rpartition("/")[0]
    folder = folder.rpartition("/")[0] if document.kind == "staging-group" else folder
    return StagedGroup(
        key=key,
        id=document.id,
        export_id=content["partition"],
        sources=tuple(_export_files(content, facts)),
        files=tuple(file for item in content["outputs"] for file in _staged_files(folder, item)),
        rows_in=content["rows_in"],
        rows=content["rows"],
        written_at=facts["written_at"],
    )


def compacted_manifest(root: Store, key: str) -> CompactedManifest:
    """A manifest of compaction.

    Raises:
        StorageError: It is gone, or is not what was written.
    """
    document = read_document(root, key)
    content, facts = document.content, document.facts
    inputs = zip(facts["inputs"], content["inputs"], strict=True)
    return CompactedManifest(
        key=key,
        id=document.id,
        partition=content["partition"],
        inputs=tuple(
            (StoredFile(path, item["sha256"], item["size_bytes"], item["rows"]), item["kept"])
            for path, item in inputs
        ),
        outputs=tuple(
            StoredFile(
                f"{facts['folder']}{item['path']}",
                item["sha256"],
                item["size_bytes"],
                item["rows"],
                content["partition"],
            )
            for item in content["outputs"]
        ),
        rows_in=content["rows_in"],
        rows=content["rows"],
        written_at=datetime.fromisoformat(facts["written_at"]),
        seconds=facts["seconds"],
    )


def table_versions(root_url: str, path: str) -> Iterator[TableVersion]:
    """The versions of a table that this project published, newest first.

    A version that held partitions back has the manifests of the version before for these. Commits
    are read as far as versions are asked for.

    Raises:
        StorageError: The store refused.
    """
    uri = join_url(root_url, "lake", path)
    commits: list[dict[str, Any]] = []
    for commit in delta.commits(uri, storage_options(uri)):
        commits.append(commit)
        if "lake.partitions" in commit and commit.get("lake.inputs"):
            yield from reversed(_versions(path, commits))
            commits = []
    yield from reversed(_versions(path, commits))


def newest_version(root_url: str, path: str) -> TableVersion | None:
    """The newest version that this project published, from as few commits as say all of it.

    Raises:
        StorageError: The store refused.
    """
    return next(table_versions(root_url, path), None)


def _versions(path: str, commits: Sequence[dict[str, Any]]) -> list[TableVersion]:
    """Those that commits, newest first, made; oldest first."""
    manifests: dict[str, str] = {}
    found: list[TableVersion] = []
    for commit in reversed(commits):
        if "lake.partitions" not in commit:
            continue
        entries = json.loads(commit["lake.partitions"])
        named = {
            name: f"compacted/{path}/{name}/{entry['manifest']}.json"
            for name, entry in entries.items()
        }
        # Without inputs the commit is a part of its plan: what it does not name stayed.
        manifests = named if commit.get("lake.inputs") else manifests | named
        found.append(
            TableVersion(
                version=commit["version"],
                committed_at=datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC),
                manifests=dict(manifests),
                proof={k: str(v) for k, v in commit.items() if k.startswith("lake.")},
            )
        )
    return found


def common_place(uris: list[str]) -> str:
    """The deepest folder that all of these lie in; empty where there is none."""
    split = [uri.split("/")[:-1] for uri in uris]
    place: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        place.append(parts[0])
    found = "/".join(place)
    return "" if found.endswith((":", ":/")) else found  # buckets that differ


def _folders(root: Store, prefix: str) -> Collection[str]:
    return [item.key for item in root.browse(prefix) if isinstance(item, Folder)]


def _export_files(content: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[ExportFile]:
    if "sources" in facts:  # an export of the datamart
        for item, source in zip(content["inputs"], facts["sources"], strict=True):
            yield ExportFile(
                source["uri"], source["etag"], item["size_bytes"], item["sha256"], item["rows"]
            )
        return
    inputs = content["inputs"]
    alone = len(inputs) == 1 and inputs[0]["start"] is None
    for item, etag in zip(inputs, facts["etags"], strict=True):
        uri = join_url(facts["source"], item["name"])
        yield ExportFile(uri, etag, item["size_bytes"], None, content["rows_in"] if alone else None)


def _staged_files(folder: str, item: Mapping[str, Any]) -> Iterator[StoredFile]:
    yield StoredFile(f"{folder}/{item['path']}", item["sha256"], item["size_bytes"], item["rows"])
    index = item.get("index")
    if index:
        key = f"{folder}/{index['path']}"
        yield StoredFile(key, index["sha256"], index["size_bytes"], item["rows"], is_index=True)
