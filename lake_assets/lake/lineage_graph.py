"""The graph of one table: its export files, what the stages made of them, and a version.

Built from the documents that the stages wrote anyway. An edge leads through the manifest of the
work that read the one and wrote the other, so its count grows with the files, not their product.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from lake_assets import delta
from lake_assets.catalog import Document, read_document
from lake_assets.errors import SettingsError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.recorded import (
    CompactedManifest,
    PlacedTable,
    StagedGroup,
    StoredFile,
    compacted_manifest,
    group_keys,
    staged_group,
    table_versions,
)
from lake_assets.s3 import Store, join_url, storage_options
from lake_assets.staging.manifests import StagingState, staging_state

__all__ = ["Edge", "Lineage", "Node", "table_lineage"]

#: Documents read at once: small objects, so only their latency counts.
_READERS = 16

NodeKind = Literal["export", "staged by", "staging", "compacted by", "lake", "table", "quarantine"]


@dataclass(frozen=True, slots=True)
class Node:
    """A file, a piece of work (``… by``: its manifest), or a version of a table."""

    id: str
    """Its address; ``shop.orders@3`` of a table version."""
    kind: NodeKind
    table: str
    """``shop.orders``."""
    sha256: str | None = None
    """Of a file's bytes; of work the id of its manifest."""
    size_bytes: int | None = None
    rows: int | None = None
    about: str = ""
    """Export, hive partition, or why it was refused."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Rows went from one node to another."""

    source: str
    target: str
    rows: int | None
    """None where only the sum over several files was recorded; 0 where none of them counts."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A graph, in the order in which data flows."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    asked: tuple[str, ...] = ()
    """The nodes that were asked for."""
    gaps: tuple[str, ...] = ()
    """What documents name and no document explains any more."""

    def of_kind(self, kind: NodeKind) -> tuple[Node, ...]:
        """The nodes of one kind."""
        return tuple(node for node in self.nodes if node.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "asked": list(self.asked),
            "nodes": [
                {
                    "id": node.id,
                    "kind": node.kind,
                    "table": node.table,
                    "sha256": node.sha256,
                    "size_bytes": node.size_bytes,
                    "rows": node.rows,
                    "about": node.about,
                }
                for node in self.nodes
            ],
            "edges": [{"from": e.source, "to": e.target, "rows": e.rows} for e in self.edges],
            "gaps": list(self.gaps),
        }


def table_lineage(
    root: Store, path: str, *, version: int | None = None, everything: bool = False
) -> Lineage:
    """The whole graph of a table: what is staged, and what a version is made of.

    Args:
        root: The lake's store.
        path: ``shop/orders``.
        version: Of the table; the newest by default.
        everything: Also compacted files that the version does not have, and superseded staging.

    Raises:
        SettingsError: There is no such version, or this project did not publish it.
        StorageError: A document is not what was written, or the store refused.
    """
    graph, uri = _Graph(root, path.replace("/", ".")), join_url(root.url, "lake", path)
    versions = table_versions(root.url, path)
    newest = delta.table_version(uri, storage_options(uri))
    if version is not None and (newest is None or version > newest):
        raise SettingsError(f"{graph.table} has no version {version}; its newest is {newest}")
    at = next((v for v in versions if version is None or v.version <= version), None)
    if version is not None and at is None:
        raise SettingsError(f"{graph.table} version {version} was not published by this project")
    live = set(at.manifests.values()) if at else set()
    keys = live | ({i.key for i in root.list(f"compacted/{path}/")} if everything else set())
    compacted = list(fan_out(lambda key: compacted_manifest(root, key), keys, workers=_READERS))
    wanted = {file.key for manifest in compacted for file, _ in manifest.inputs}
    state = staging_state(root, PlacedTable(path))
    for group in _groups(root, state, wanted, everything=everything):
        graph.add_group(group)
    _add_quarantines(graph, root, path)
    for manifest in sorted(compacted, key=lambda item: item.partition):
        graph.add_compacted(manifest)
    if at:
        rows = sum(m.rows for m in compacted if m.key in live)
        told = at.version if version is None else version
        graph.add_version(told, rows, [m for m in compacted if m.key in live])
    return graph.lineage(wanted)


class _Graph:
    """Nodes and edges as they are found, each once."""

    def __init__(self, root: Store, table: str) -> None:
        self.table = table
        self._root = root
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], Edge] = {}

    def add_group(self, group: StagedGroup) -> None:
        """A staging task with its export files and what it wrote."""
        work = self._work("staged by", group.key, group.id, group.rows, group.export_id)
        for source in group.sources:
            about = group.export_id
            self._node(
                source.uri, "export", source.sha256, source.size_bytes, source.rows, about=about
            )
            self._edge(source.uri, work, source.rows)
        for file in group.files:
            if not file.is_index:
                self._edge(work, self._file("staging", file), file.rows)

    def add_compacted(self, manifest: CompactedManifest) -> None:
        """A compacted partition with the staged files it was made of."""
        work = self._work(
            "compacted by", manifest.key, manifest.id, manifest.rows, manifest.partition
        )
        for file, kept in manifest.inputs:
            self._edge(self._file("staging", file), work, kept)
        for file in manifest.outputs:
            self._edge(work, self._file("lake", file), file.rows)

    def add_version(self, version: int, rows: int, manifests: Iterable[CompactedManifest]) -> None:
        """A version of the table, made of these partitions."""
        node = f"{self.table}@{version}"
        self._node(node, "table", None, None, rows)
        for manifest in manifests:
            for file in manifest.outputs:
                self._edge(self._url(file.key), node, file.rows)

    def add_refused(self, uris: Iterable[str], key: str, document: Document) -> None:
        """Files that are not loaded, and why."""
        node = self._url(key)
        self._node(node, "quarantine", document.id, None, 0, about=document.content["reason"])
        for uri in uris:
            if uri not in self._nodes:
                self._node(uri, "export", None, None, None, about=document.content["partition"])
            self._edge(uri, node, 0)

    def lineage(self, wanted: Collection[str]) -> Lineage:
        """The graph; ``wanted`` are staged files that must come from somewhere."""
        made = {edge.target for edge in self._edges.values()}
        gaps = sorted(url for key in wanted if (url := self._url(key)) not in made)
        return Lineage(tuple(self._nodes.values()), tuple(self._edges.values()), gaps=tuple(gaps))

    def _work(self, kind: NodeKind, key: str, manifest: str, rows: int, about: str) -> str:
        return self._node(self._url(key), kind, manifest, None, rows, about=about)

    def _file(self, kind: NodeKind, file: StoredFile) -> str:
        url = self._url(file.key)
        return self._node(url, kind, file.sha256, file.size_bytes, file.rows, about=file.partition)

    def _node(
        self,
        address: str,
        kind: NodeKind,
        sha256: str | None,
        size_bytes: int | None,
        rows: int | None,
        *,
        about: str = "",
    ) -> str:
        new = Node(address, kind, self.table, sha256, size_bytes, rows, about)
        self._nodes.setdefault(address, new)
        return address

    def _edge(self, source: str, target: str, rows: int | None) -> None:
        # A file that a task reads in several ranges is named for each: rows are known for none.
        self._edges.setdefault((source, target), Edge(source, target, rows))

    def _url(self, key: str) -> str:
        return join_url(self._root.url, key)


def _groups(
    root: Store, state: StagingState, wanted: Collection[str], *, everything: bool
) -> list[StagedGroup]:
    """The tasks whose manifests count, and earlier ones as far as something was made of them."""
    groups = _read_groups(root, state.current, lost_is_an_error=True)
    known = {file.key for group in groups for file in group.files}
    if everything or not set(wanted) <= known:
        former = [key for export in state.exports.values() for key in export.manifests[:-1]]
        seen = {group.key for group in groups}
        more = _read_groups(root, former, lost_is_an_error=False)
        groups += [
            group
            for group in more
            if group.key not in seen
            and (everything or any(file.key in wanted for file in group.files))
        ]
    return groups


def _read_groups(
    root: Store, manifests: Iterable[str], *, lost_is_an_error: bool
) -> list[StagedGroup]:
    documents = list(
        fan_out(lambda key: (key, read_document(root, key)), manifests, workers=_READERS)
    )
    held = {key: document for key, document in documents if "records" not in document.facts}
    keys = [key for manifest, document in documents for key in group_keys(manifest, document)]

    def read(key: str) -> StagedGroup | None:
        try:
            return staged_group(key, held.get(key) or read_document(root, key))
        except StorageError:
            # `lake gc` takes the records of superseded groups together with their data.
            if lost_is_an_error or root.head(key) is not None:
                raise
            return None

    found = fan_out(read, dict.fromkeys(keys), workers=_READERS)
    return [group for group in found if group is not None]


def _add_quarantines(graph: _Graph, root: Store, path: str) -> None:
    keys = [info.key for info in root.list(f"staging/{path}/")]
    plans = {
        key.rpartition("/")[0]: key
        for key in keys
        if key.rpartition("/")[2].startswith("plan-") and key.endswith(".json")
    }
    for key in keys:
        name = key.rpartition("/")[2]
        if not (name.startswith("quarantine-") or "-refused-" in name):
            continue
        document = read_document(root, key)
        if "sources" in document.facts:
            graph.add_refused(document.facts["sources"], key, document)
        elif plan := plans.get(key.rpartition("/")[0].rpartition("/")[0]):
            source = read_document(root, plan).facts["source"]
            uris = [join_url(source, item) for item in dict.fromkeys(document.content["inputs"])]
            graph.add_refused(uris, key, document)
