"""Dictionaries of arrays, of any depth: one object for each leaf, read by one listing.

Written so that cottoncandy reads them; keys that are no texts are kept in the leaf's metadata.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypeGuard

import numpy as np
import scipy.sparse as sp

from lake_assets.arrays.chunk_index import INDEX
from lake_assets.arrays.dense import put_raw
from lake_assets.arrays.nodes import Node, nodes_below
from lake_assets.arrays.one import Reading, read_node, read_object, value_of
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import Compression, OrderPolicy
from lake_assets.arrays.records import Written
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    LakeError,
    MissingObjectError,
    SettingsError,
    StorageError,
)
from lake_assets.s3 import Location
from lake_assets.s3.engine import Found
from lake_assets.s3.objects import SIDECAR

__all__ = ["Others", "is_tree", "read_tree", "tree_at", "write_tree"]

logger = logging.getLogger(__name__)

_Leaf: TypeAlias = tuple[Any, Mapping[str, str]]
"""A value and its metadata."""
Others = Literal["keep", "remove", "refuse"]
"""What becomes of objects below the prefix that are not of the tree; only leaves are removed."""

_PATH = "path"
#: How many keys lead to a leaf of ``write_tree``: what else lies below a tree has none, or others.
_DEPTH = "tree-depth"
#: A larger object is asked whose leaf it is before it is fetched.
_LARGE_BYTES = 1024**2
#: Names that mean something else in a folder.
_TAKEN = frozenset({"", ".", "..", INDEX, "zarr.json", ".zarray", "_versions"})


def write_tree(
    url: Location,
    tree: Mapping[Any, Any],
    *,
    compression: Compression = True,
    others: Others = "keep",
) -> Written:
    """Write a dictionary of arrays and dictionaries, its leaves side by side.

    Leaves appear one by one: for readers at the same time, write to a new prefix.

    Args:
        url: The prefix.
        tree: Keys are texts or whole numbers; leaves what numpy makes an array of, or sparse.
        compression: Of dense leaves.
        others: ``keep`` what else lies below, ``remove`` leaves of an earlier tree at this prefix
            when all is written (never anything else), or ``refuse`` to write beside it.

    Raises:
        SettingsError: A key cannot be stored, two would be one, or a leaf is no array.
        StorageError: There are other objects and ``refuse`` was said.
    """
    place = place_of(url)
    leaves = dict(_leaves(tree, ()))
    keys = {place.at(*map(str, path)).key: path for path in leaves}
    if len(keys) != len(leaves):
        raise SettingsError(f"keys of the tree for {url} are one as texts, like 1 and '1'")
    unknown = [] if others == "keep" else _others(place, set(keys))
    if unknown and others == "refuse":
        raise StorageError(
            f"{len(unknown)} other objects lie below {place.url} (first {unknown[0]!r}) and would "
            "be read as part of the tree; remove them, or write to a place of its own"
        )
    if unknown and not place.key:
        raise SettingsError(f"refusing to remove {len(unknown)} objects of the whole of {url}")
    written = in_threads(lambda item: _put(place, *item, compression), leaves.items())
    if unknown:
        _remove_leaves(place, set(keys))
    return Written(
        place.url,
        "tree",
        None,
        None,
        sum(leaf.n_bytes for leaf in written),
        sum(leaf.stored_bytes for leaf in written),
        next((leaf.codec for leaf in written if leaf.codec), None),
        n_objects=len(written),
    )


def read_tree(
    url: Location,
    *,
    keys: Iterable[object] | None = None,
    others: Literal["skip", "read"] = "skip",
    order_policy: OrderPolicy = "auto",
    allow_pickle: bool = False,
) -> dict[Any, Any]:
    """Read a tree as nested dictionaries, however many keys.

    What ``write_tree`` wrote there has its own leaves, and other arrays and trees may lie below it.
    Where there are no leaves of its own (cottoncandy's trees, a branch, a folder) all is read.

    Args:
        url: The prefix.
        keys: Only these leaves and branches, as ``"a"``, ``"a/b"`` or 3; nothing else is fetched.
            One that is no leaf or branch of the tree itself is read as well.
        others: ``read`` all that lies below, as ``read_any`` does, or ``skip`` what is not its own.
        order_policy: See ``read_raw``.
        allow_pickle: Whether pickles among the leaves are read, restricted.

    Returns:
        Arrays as numpy, sparse or (chunks, zarr) lazy dask; JSON as values; other objects as bytes.

    Raises:
        MissingObjectError: Nothing is there, or one of ``keys`` is not.
        ArrayFormatError: A leaf is broken, or an object has the name of a branch.
        SettingsError: ``keys`` is one text.
    """
    if isinstance(keys, str):
        raise SettingsError(f"keys={keys!r} is one text; give a list of keys: [{keys!r}]")
    place, reading = place_of(url), Reading(order_policy, allow_pickle)
    nodes = _nodes(place)
    named = [nodes] if keys is None else _chosen(place, nodes, [str(key) for key in keys])
    wanted = list({node.path: node for group in named for node in group}.values())
    if others == "read":
        return _tree_of(place, wanted, reading, {})
    leaves = in_threads(lambda node: _own_leaf(place, node, reading), wanted)
    own = {node.path: leaf for node, leaf in zip(wanted, leaves, strict=True) if leaf is not None}
    groups = ([node for node in group if node.path in own] or group for group in named)
    chosen = {node.path: node for group in groups for node in group}
    if left := [node.path for node in wanted if node.path not in chosen]:
        said = (
            "%s: left out %d that write_tree did not write there, like %s; others='read' reads all"
        )
        logger.info(said, place.url, len(left), left[0])
    return _tree_of(place, chosen.values(), reading, own)


def tree_at(place: Place, reading: Reading) -> dict[Any, Any]:
    """All that lies below an opened place."""
    return _tree_of(place, _nodes(place), reading, {})


def is_tree(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a dictionary with an array somewhere in it."""
    return _is_branch(value) and any(
        is_tree(item)
        or hasattr(item, "dtype")  # numpy's, sparse, and lazy ones, which are computed
        for item in value.values()
    )


def _is_branch(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it is a dictionary; scipy's dok is one, too, and an array."""
    return isinstance(value, Mapping) and not sp.issparse(value)


def _leaves(
    tree: Mapping[Any, Any], above: tuple[str | int, ...]
) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    if not tree:
        raise SettingsError(
            f"the branch {list(above)} is empty, which no store keeps; leave it out"
        )
    for key, value in tree.items():
        path = (*above, _checked(key, above))
        if _is_branch(value):
            yield from _leaves(value, path)
        else:
            yield path, value


def _checked(key: object, above: tuple[str | int, ...]) -> str | int:
    if isinstance(key, np.integer):
        key = int(key)
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise SettingsError(f"key {key!r} below {list(above)} is neither a text nor a number")
    text = str(key)
    if text in _TAKEN or "/" in text or "\0" in text or text.endswith(SIDECAR):
        raise SettingsError(
            f"key {key!r} below {list(above)} cannot be the name of an object; "
            "nest dictionaries instead of '/', or choose another name"
        )
    return key


def _put(place: Place, path: tuple[str | int, ...], leaf: Any, compression: Compression) -> Written:  # noqa: ANN401 (a leaf)
    at = place.at(*map(str, path))
    said = {_DEPTH: str(len(path))}
    if not all(isinstance(key, str) for key in path):
        said[_PATH] = json.dumps(path)
    if sp.issparse(leaf):
        from lake_assets.arrays.sparse import put_npz

        return put_npz(at, leaf, said)
    try:
        return put_raw(at, leaf, compression=compression, metadata=said)
    except (SettingsError, ValueError) as error:
        raise SettingsError(f"leaf {list(path)} ({type(leaf).__name__}): {error}") from error


def _others(place: Place, keys: set[str]) -> list[str]:
    return [
        info.key
        for info in place.objects.store.list(place.prefix)
        if info.key not in keys and info.key.removesuffix(SIDECAR) not in keys
    ]


def _remove_leaves(place: Place, keys: set[str]) -> None:
    """Remove leaves of an earlier tree here; other assets may lie below, arrays or trees."""
    objects = place.objects

    def remove(node: Node) -> None:
        key = place.at(node.path).key
        try:
            is_own = _is_own(place, node)
        except BodyMismatchError:  # its sidecar is damaged: whose it is cannot be said
            return
        if is_own:
            objects.store.delete(key)
            if not objects.is_s3:
                objects.store.delete(key + SIDECAR)

    nodes = [node for node in nodes_below(place) if node.kind == "object"]
    in_threads(remove, [node for node in nodes if place.at(node.path).key not in keys])


def _nodes(place: Place) -> list[Node]:
    nodes = nodes_below(place)
    if not nodes:
        raise MissingObjectError(f"there is nothing at {place.url}, no object and nothing below")
    return nodes


def _own_leaf(place: Place, node: Node, reading: Reading) -> _Leaf | None:
    """A leaf that ``write_tree`` wrote at this place; None for all else, however broken."""
    if node.kind != "object":
        return None
    if node.objects[0].size_bytes > _LARGE_BYTES and not _is_own(place, node):
        return None
    at = place.at(node.path)
    try:
        stored = read_object(at, node)
    except LakeError:
        if _is_own(place, node):
            raise
        return None
    if not _has_depth(stored.found, node):
        return None
    return value_of(stored, at, reading), stored.found.metadata


def _is_own(place: Place, node: Node) -> bool:
    found = place.objects.look(place.at(node.path).key)
    return found is not None and _has_depth(found, node)


def _has_depth(found: Found, node: Node) -> bool:
    return found.metadata.get(_DEPTH) == str(len(node.path.split("/")))


def _tree_of(
    place: Place, nodes: Iterable[Node], reading: Reading, known: Mapping[str, _Leaf]
) -> dict[Any, Any]:
    """The nodes as nested dictionaries, those read that are not known."""
    given = list(nodes)
    read = in_threads(lambda n: known.get(n.path) or read_node(place, n, reading), given)
    tree: dict[Any, Any] = {}
    for node, (value, metadata) in zip(given, read, strict=True):
        _insert(tree, _path_of(node.path, metadata), value, f"{place.url}/{node.path}")
    return tree


def _chosen(place: Place, nodes: list[Node], keys: list[str]) -> list[list[Node]]:
    """The nodes that each key names."""
    chosen: list[list[Node]] = []
    for key in (key.strip("/") for key in keys):
        found = [n for n in nodes if n.path == key or n.path.startswith(f"{key}/")]
        if not found:
            names = sorted({node.path.partition("/")[0] for node in nodes})
            raise MissingObjectError(f"{place.url} has no {key!r}; there are {names[:20]}")
        chosen.append(found)
    return chosen


def _path_of(path: str, metadata: Mapping[str, str]) -> tuple[Any, ...]:
    """The keys of a leaf; numbers where its metadata say so and agree with its name."""
    segments = tuple(path.split("/"))
    try:
        said = json.loads(metadata.get(_PATH, "null"))
    except ValueError:
        return segments
    # A branch that was opened or moved has less of the path, from its end.
    if isinstance(said, list) and all(isinstance(key, str | int) for key in said):
        tail = tuple(said[-len(segments) :])
        if tuple(map(str, tail)) == segments:
            return tail
    return segments


def _insert(tree: dict[Any, Any], path: tuple[Any, ...], value: Any, name: str) -> None:  # noqa: ANN401 (a leaf)
    branch = tree
    for key in path[:-1]:
        branch = branch.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ArrayFormatError(f"{name} lies below {key!r}, which is an object; use keys=")
    if path[-1] in branch:
        raise ArrayFormatError(f"{name} is an object and a branch; read one of them by keys=")
    branch[path[-1]] = value
