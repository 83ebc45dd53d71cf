"""Where rows come from and went: export file → staging → compacted → table version, and back.

Finding what was asked for in the graphs of the tables, and walking them from there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lake_assets.errors import SettingsError
from lake_assets.lake.lineage_graph import Edge, Lineage, Node, table_lineage
from lake_assets.lake.recorded import recorded_tables
from lake_assets.s3 import open_store

__all__ = ["lineage"]

_TABLE = re.compile(r"(?P<name>\w+\.\w+)(?:@(?P<version>\d+))?")
_DIGEST = re.compile("[0-9a-f]{6,64}")


def lineage(root_url: str, what: str) -> Lineage:
    """All that something is made of, and all that was made of it.

    Args:
        root_url: The lake.
        what: A table (``shop.orders``, ``shop.orders@3`` for a version), or a file of any stage: by
            address, key, the end of either, or the first 6 or more hex digits of its sha256.

    Raises:
        SettingsError: There is no such table, version or file.
        StorageError: A document is not what was written, or the store refused.
    """
    root = open_store(root_url)
    tables = recorded_tables(root)
    asked = _TABLE.fullmatch(what)
    if asked and asked["name"].replace(".", "/") in tables:
        version = None if asked["version"] is None else int(asked["version"])
        whole = table_lineage(root, asked["name"].replace(".", "/"), version=version)
        versions = [node.id for node in whole.of_kind("table")]
        if not versions:
            raise SettingsError(f"{asked['name']} was not published yet; run the table")
        return _around(whole, versions)
    likely = [path for path in tables if f"/{path}/" in f"/{what}"] or tables
    for everything in (False, True):  # a file that no version has any more is looked for last
        graphs = [table_lineage(root, path, everything=everything) for path in likely]
        whole = _joined(graphs)
        found = [node.id for node in whole.nodes if _is_meant(node, what)]
        if found:
            return _around(whole, found)
    raise SettingsError(
        f"no document of {root.url} names a table or a file {what!r}; give a table (shop.orders),"
        " an address, the end of one, or 6 and more digits of a sha256"
    )


def _is_meant(node: Node, what: str) -> bool:
    if node.kind in {"staged by", "compacted by", "table"}:
        return node.id == what or node.id.endswith(f"/{what}")
    if _DIGEST.fullmatch(what) and node.sha256 and node.kind != "quarantine":
        return node.sha256.startswith(what)
    return node.id == what or node.id.endswith(f"/{what.lstrip('/')}")


def _joined(graphs: Iterable[Lineage]) -> Lineage:
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    gaps: list[str] = []
    for graph in graphs:
        for node in graph.nodes:
            nodes.setdefault(node.id, node)
        edges += graph.edges
        gaps += graph.gaps
    return Lineage(tuple(nodes.values()), tuple(edges), gaps=tuple(gaps))


def _around(whole: Lineage, asked: list[str]) -> Lineage:
    """What the asked nodes are made of, and what was made of them; edges without rows end there."""
    upwards: dict[str, list[Edge]] = {}
    downwards: dict[str, list[Edge]] = {}
    for edge in whole.edges:
        upwards.setdefault(edge.target, []).append(edge)
        downwards.setdefault(edge.source, []).append(edge)
    above = _walk(asked, upwards, up=True)
    below = _walk(asked, downwards, up=False)
    edges = [edge for edge in whole.edges if edge in above or edge in below]
    ids = {*asked, *(e.source for e in edges), *(e.target for e in edges)}
    nodes = tuple(node for node in whole.nodes if node.id in ids)
    gaps = tuple(gap for gap in whole.gaps if gap in ids)
    return replace(whole, nodes=nodes, edges=tuple(edges), asked=tuple(asked), gaps=gaps)


def _walk(asked: Iterable[str], edges: Mapping[str, list[Edge]], *, up: bool) -> set[Edge]:
    seen, found = set(asked), set[Edge]()
    queue = list(seen)
    while queue:
        for edge in edges.get(queue.pop(), ()):
            if up and edge.rows == 0:
                continue  # nothing of that file is in here
            found.add(edge)
            there = edge.source if up else edge.target
            if there not in seen and edge.rows != 0:
                seen.add(there)
                queue.append(there)
    return found
