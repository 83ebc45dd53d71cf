"""A tree of cottoncandy's objects rewritten as zarr or npy: verified, resumable, with a report.

Sources are read and never changed. A record of each migrated array lies below the target, written
when the copy was read back and was the same; its name tells the source's state, so one listing
says what is done, and a rerun reads and writes nothing else. A bad object is reported, the rest
goes on.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lake_assets.arrays.dense import write_npy
from lake_assets.arrays.documents import put_body
from lake_assets.arrays.metadata import from_stored
from lake_assets.arrays.nodes import Node, nodes_below
from lake_assets.arrays.one import Reading, read_node
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import OrderPolicy
from lake_assets.arrays.same import same_array, same_sparse
from lake_assets.arrays.sparse import put_npz
from lake_assets.errors import MissingObjectError, SettingsError
from lake_assets.s3 import Location, quote_segment
from lake_assets.s3.access import Located

__all__ = ["Format", "Migrated", "Migration", "migrate"]

logger = logging.getLogger(__name__)

Format = Literal["zarr", "npy"]
Status = Literal["migrated", "unchanged", "planned", "skipped", "failed"]

_RECORDS = "_migration"
_NPY, _NPZ = ".npy", ".npz"
#: Arrays in memory at once.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of one array or document."""

    source: str
    target: str
    status: Status
    kind: str
    """Of the source: object, chunks, sparse, zarr."""
    source_bytes: int
    """In the store."""
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    target_bytes: int | None = None
    reason: str | None = None
    """Why it was skipped or failed."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of a tree."""

    source: str
    target: str
    to_format: Format
    items: tuple[Migrated, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what is no array is skipped, and no failure."""
        return not self.failed

    @property
    def failed(self) -> tuple[Migrated, ...]:
        """The bad ones."""
        return tuple(item for item in self.items if item.status == "failed")

    def count(self, status: Status) -> int:
        """How many are of a status."""
        return sum(item.status == status for item in self.items)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("migrated", "unchanged", "planned", "skipped", "failed")
        return {
            "source": self.source,
            "target": self.target,
            "format": self.to_format,
            "counts": {name: self.count(name) for name in names},
            "source_bytes": sum(item.source_bytes for item in self.items),
            "target_bytes": sum(item.target_bytes or 0 for item in self.items),
            "items": [asdict(item) for item in self.items],
        }


def migrate(
    source: Location,
    target: Location,
    *,
    to_format: Format = "zarr",
    dry_run: bool = False,
    order_policy: OrderPolicy = "auto",
    seen: Callable[[Migrated], None] | None = None,
) -> Migration:
    """Rewrite all arrays below a prefix, each verified by reading it back.

    Dense arrays become zarr (of the same name) or ``.npy``, sparse ones ``.npz``, JSON stays JSON.
    Other objects are skipped and pickles refused, by name.

    Args:
        source: A prefix or one array, of cottoncandy's or of ours.
        target: Another prefix.
        to_format: Of dense arrays. ``npy`` holds each array in memory, ``zarr`` a few chunks.
        dry_run: Only say what would be done.
        order_policy: See ``read_raw``.
        seen: Called with each item as it is finished.

    Raises:
        SettingsError: One of the places lies in the other.
        MissingObjectError: There is nothing at the source.
        StorageError: The target cannot be listed.
    """
    given, goal = place_of(source), place_of(target)
    if f"{given.url}/".startswith(f"{goal.url}/") or f"{goal.url}/".startswith(f"{given.url}/"):
        raise SettingsError(f"{given.url} and {goal.url} lie in each other; give another target")
    root, nodes = _sources(given)
    work = _Work(root, goal, to_format, Reading(order_policy), _recorded(goal))
    planned = _without_clashes(in_threads(work.planned, nodes))

    def finish(step: tuple[Node, Migrated]) -> Migrated:
        node, item = step
        if item.status == "planned" and not dry_run:
            item = work.done(node, item)
        if item.status == "failed":
            logger.warning("%s was not migrated: %s", item.source, item.reason)
        if seen is not None:
            seen(item)
        return item

    # A zarr array is written by threads of its own.
    n_threads = 1 if to_format == "zarr" else _THREADS
    items = in_threads(finish, zip(nodes, planned, strict=True), n_threads)
    return Migration(given.url, goal.url, to_format, tuple(items))


@dataclass(frozen=True, slots=True)
class _Work:
    source: Place
    target: Place
    to_format: Format
    reading: Reading
    recorded: Mapping[str, str]
    """Keys of the records below the target, by name."""

    def planned(self, node: Node) -> Migrated:
        """The item before anything was done."""
        record = self.recorded.get(self._record(node))
        suffix = _NPZ if node.kind == "sparse" else _NPY if self.to_format == "npy" else ""
        path = node.path if node.path.endswith(suffix) else node.path + suffix
        item = Migrated(
            self.source.at(node.path).url,
            self.target.at(path).url,
            "planned",
            node.kind,
            sum(info.size_bytes for info in node.objects),
        )
        said = None if record is None else json.loads(self.target.objects.store.get(record))
        if said is None or not self._is_there(said["target"], said["status"]):
            return item
        shape = None if said["shape"] is None else tuple(said["shape"])
        return replace(
            item,
            status="unchanged" if said["status"] == "migrated" else said["status"],
            target=said["target"],
            shape=shape,
            dtype=said["dtype"],
            target_bytes=said["target_bytes"],
            reason=said["reason"],
        )

    def done(self, node: Node, item: Migrated) -> Migrated:
        """The item after it was copied and compared, or why it was not."""
        try:
            value, metadata = read_node(self.source, node, self.reading)
            item = self._copied(value, from_stored(metadata), item)
        except Exception as error:  # noqa: BLE001 (whatever one bad object is, the rest goes on)
            return replace(item, status="failed", reason=f"{type(error).__name__}: {error}")
        body = json.dumps(asdict(item)).encode()
        self.target.objects.store.put(self._record_key(node), body)
        return item

    def _is_there(self, url: str, status: str) -> bool:
        """Whether a recorded copy still is; what was skipped has none."""
        if status != "migrated":
            return True
        place = place_of(url, self.target.access)
        store = place.objects.store
        return bool(store.head(place.key)) or next(store.list(place.prefix), None) is not None

    def _copied(self, value: Any, metadata: Mapping[str, str], item: Migrated) -> Migrated:  # noqa: ANN401 (any value)
        import scipy.sparse as sp

        if sp.issparse(value):
            url = item.target if item.target.endswith(_NPZ) else item.target + _NPZ
            written = put_npz(place_of(url, self.target.access), value, metadata)
            same_sparse(value, Located(url, self.target.access))
        elif hasattr(value, "dtype"):
            url = item.target
            where = Located(url, self.target.access)
            written = self._write(where, value, metadata)
            same_array(value, where, self.to_format)
        elif isinstance(value, bytes):
            return replace(item, status="skipped", reason="it is no array and no JSON")
        else:
            url = self.target.at(item.source[len(self.source.url) :].strip("/")).url
            return self._copy_document(item, value, url)
        return replace(
            item,
            status="migrated",
            target=url,
            shape=tuple(map(int, value.shape)),
            dtype=str(value.dtype),
            target_bytes=written.stored_bytes,
        )

    def _write(self, url: Location, value: Any, metadata: Mapping[str, str]) -> Any:  # noqa: ANN401 (an array)
        if self.to_format == "zarr":
            from lake_assets.arrays.zarr_store import write_zarr

            return write_zarr(url, value, attributes=metadata)
        return write_npy(url, np.asarray(value), metadata=metadata)

    def _copy_document(self, item: Migrated, value: object, url: str) -> Migrated:
        if isinstance(value, dict) and any(hasattr(leaf, "dtype") for leaf in value.values()):
            return replace(
                item, status="skipped", reason="it is an archive of several arrays (npz)"
            )
        body = memoryview(json.dumps(value, ensure_ascii=False).encode())
        written = put_body(place_of(url, self.target.access), body, "json", {})
        return replace(item, status="migrated", target=url, target_bytes=written.stored_bytes)

    def _record(self, node: Node) -> str:
        """Names what the source was: its path, and the state of all its objects."""
        start = len(self.source.prefix)
        state = [[info.key[start:], info.size_bytes, info.etag] for info in node.objects]
        said = [self.source.url, state, self.to_format, self.reading.order_policy]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
        name = quote_segment(node.path.rpartition("/")[2])[-60:]
        return f"{digest}-{name}.json"

    def _record_key(self, node: Node) -> str:
        return self.target.at(_RECORDS, self._record(node)).key


def _sources(given: Place) -> tuple[Place, list[Node]]:
    """The root that paths count from, and what is to be migrated."""
    single = given.objects.store.head(given.key) if given.key else None
    if single is not None:
        root, _, name = given.key.rpartition("/")
        return Place(given.objects, root, given.access), [Node(name, "object", (single,))]
    nodes = nodes_below(given)
    if not nodes:
        raise MissingObjectError(f"there is nothing at {given.url}, no object and nothing below")
    if nodes[0].path:
        return given, nodes
    root, _, name = given.key.rpartition("/")
    return Place(given.objects, root, given.access), [Node(name, nodes[0].kind, nodes[0].objects)]


def _recorded(goal: Place) -> dict[str, str]:
    prefix = f"{goal.at(_RECORDS).key}/"
    return {info.key[len(prefix) :]: info.key for info in goal.objects.store.list(prefix)}


def _without_clashes(items: Iterable[Migrated]) -> list[Migrated]:
    """The items; one whose target is that of another one, or lies in it, has failed."""
    claimed: dict[str, str] = {}
    checked: list[Migrated] = []
    for item in items:
        above = [item.target]
        while "/" in above[-1]:
            above.append(above[-1].rpartition("/")[0])
        other = next((claimed[url] for url in above if url in claimed), None)
        if other is not None:
            reason = f"its target {item.target} lies in that of {other}; rename one of them"
            checked.append(replace(item, status="failed", reason=reason))
        else:
            claimed[item.target] = item.source
            checked.append(item)
    return checked
