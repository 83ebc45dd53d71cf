"""Which objects of a listing make one array: what lies below a prefix, sorted into nodes.

A node is an object, or a folder that is one array: zarr, chunks, sparse parts. Sidecars belong to
their file. Only indexes are read here, and only where a folder might be one of cottoncandy's.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lake_assets.arrays.chunk_index import INDEX
from lake_assets.arrays.place import Place, in_threads
from lake_assets.arrays.raw import check_crc32c
from lake_assets.errors import MissingObjectError
from lake_assets.s3 import ObjectInfo
from lake_assets.s3.objects import SIDECAR

__all__ = ["RECORDS", "Node", "folder_kind", "is_record", "nodes_below"]

#: Where a migration keeps its records, below its target: no part of the tree.
RECORDS = "_migration"
_RECORD = re.compile(rf"(?:.*/)?{RECORDS}/[0-9a-f]{{32}}-[^/]*\.json")

FolderKind = Literal["chunks", "sparse", "zarr"]

_ZARR_ARRAY, _ZARR_2 = "zarr.json", ".zarray"
#: What makes a folder an array of ours: a version, which is written last.
_VERSION = re.compile(r"(?P<above>(?:.*/)?)_versions/\d{12}\.json")
#: Data of a writer that was killed, or of one that is still writing the first version: no node.
_DATA = re.compile(r"(?:.*/)?_data/\d{8}T\d{6}-[0-9a-f]{12}(?:\.objects\.json|/.*)")
#: Names of a chunk, of cottoncandy or ours, and of the parts of sparse folders.
_PART = re.compile(r"pt\d{4,}(?:-[0-9a-f]{8})?")
_SPARSE_PARTS = ({"data", "indices", "indptr"}, {"row", "col", "data"}, {"data", "offsets"})
#: What describes a zarr group and its attributes: no arrays.
_ZARR_GROUP = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zmetadata"})


@dataclass(frozen=True, slots=True)
class Node:
    """One array or document below a prefix."""

    path: str
    """Below the prefix."""
    kind: Literal["object", "chunks", "sparse", "zarr"]
    objects: tuple[ObjectInfo, ...]
    """All that it consists of, by key."""


def nodes_below(place: Place) -> list[Node]:
    """All that lies below a prefix, by path, in one listing.

    Raises:
        StorageError: It cannot be listed.
    """
    start = len(place.prefix)
    listed = place.objects.store.list(place.prefix)
    infos = [info for info in listed if not is_record(info.key[start:])]
    infos = _without_sidecars(infos, place)
    paths = [info.key[start:] for info in infos]
    zarr = _zarr_folders(paths)
    folders: dict[str, FolderKind] = {**zarr, **_indexed_folders(place, paths, zarr)}
    held: dict[str, list[ObjectInfo]] = defaultdict(list)
    single: list[Node] = []
    for info in infos:
        path = info.key[start:]
        folder = _folder_of(path, folders)
        if folder is not None:
            held[folder].append(info)
        elif _DATA.fullmatch(path):
            continue
        elif path.rpartition("/")[2] not in _ZARR_GROUP:
            single.append(Node(path, "object", (info,)))
    nodes = [Node(path, folders[path], tuple(items)) for path, items in held.items()]
    return sorted((*single, *nodes), key=lambda node: node.path)


def is_record(path: str) -> bool:
    """Whether a path is that of a record of a migration."""
    return _RECORD.fullmatch(path) is not None


def folder_kind(place: Place) -> FolderKind | None:
    """What one folder is as an array, by a listing of one level; None for a tree or nothing."""
    start = len(place.prefix)
    names = {item.key[start:] for item in place.objects.store.browse(place.prefix)}
    if _ZARR_2 in names or ("_versions/" in names and _has_version(place)):
        return "zarr"
    if _ZARR_ARRAY in names:
        said = _json_at(place.at(_ZARR_ARRAY))
        return "zarr" if isinstance(said, dict) and said.get("node_type") == "array" else None
    return _index_kind(place, names) if INDEX in names else None


def _has_version(place: Place) -> bool:
    keys = (info.key for info in place.objects.store.list(place.at("_versions").prefix))
    return any(_VERSION.fullmatch(key[len(place.prefix) :]) for key in keys)


def _zarr_folders(paths: Iterable[str]) -> Mapping[str, FolderKind]:
    """Folders that are zarr arrays: ours by their versions, others by what describes them."""
    ours: set[str] = set()
    said: set[str] = set()
    for path in paths:
        folder, _, name = f"/{path}".rpartition("/")
        version = _VERSION.fullmatch(path)
        if version:
            ours.add(version["above"].removesuffix("/"))
        elif name in {_ZARR_ARRAY, _ZARR_2} and not _DATA.fullmatch(path):
            said.add(folder[1:])
    # A folder that holds described ones is a group.
    groups = {above for folder in said for above in _above(folder)}
    arrays = {f for f in said - groups if _folder_of(f"{f}/", ours) is None}
    return dict.fromkeys(ours | arrays, "zarr")


def _above(folder: str) -> set[str]:
    """All folders that hold one."""
    if not folder:
        return set()
    segments = folder.split("/")
    return {"/".join(segments[:n]) for n in range(len(segments))}


def _indexed_folders(
    place: Place, paths: Sequence[str], zarr: Collection[str]
) -> Mapping[str, FolderKind]:
    """Folders whose ``metadata.json`` is an index of cottoncandy's, and not a document."""
    names: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        names[folder].add(name)
    folders = [
        path.rpartition("/")[0]
        for path in paths
        if path.rpartition("/")[2] == INDEX and _folder_of(path, zarr) is None
    ]
    folders = [folder for folder in folders if len(names[folder]) > 1]
    kinds: Sequence[FolderKind | None] = in_threads(
        lambda folder: _index_kind(place.at(folder) if folder else place, names[folder]), folders
    )
    return {f: kind for f, kind in zip(folders, kinds, strict=True) if kind is not None}


def _index_kind(place: Place, names: Collection[str]) -> Literal["chunks", "sparse"] | None:
    """What the ``metadata.json`` beside ``names`` is an index of.

    One that is no JSON was that of the parts that are there: each of them alone is not the array,
    and who reads the folder is told.
    """
    index = place.at(INDEX)
    try:
        said = json.loads(bytes(index.objects.read(index.key, proof=check_crc32c).body))
    except MissingObjectError:
        return None
    except (ValueError, RecursionError):
        if any(map(_PART.fullmatch, names)):
            return "chunks"
        return "sparse" if any(parts <= set(names) for parts in _SPARSE_PARTS) else None
    if not isinstance(said, dict):
        return None
    if {"shape", "dtype", "dask", "chunks"} <= set(said):
        return "chunks"
    return "sparse" if {"type", "attrs", "shape"} <= set(said) else None


def _json_at(place: Place) -> Any:  # noqa: ANN401 (any JSON)
    try:
        return json.loads(bytes(place.objects.read(place.key, proof=check_crc32c).body))
    except (ValueError, MissingObjectError):
        return None


def _folder_of(path: str, folders: Collection[str]) -> str | None:
    """The folder array that a path is part of, if any."""
    if "" in folders:
        return ""
    above = path
    while "/" in above:
        above = above.rpartition("/")[0]
        if above in folders:
            return above
    return None


def _without_sidecars(infos: list[ObjectInfo], place: Place) -> list[ObjectInfo]:
    if place.objects.is_s3:
        return infos
    keys = {info.key for info in infos}
    return [
        info
        for info in infos
        if not (info.key.endswith(SIDECAR) and info.key.removesuffix(SIDECAR) in keys)
    ]
