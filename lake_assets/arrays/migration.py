"""A tree of cottoncandy's objects rewritten as zarr or npy: verified, resumable, with a report.

Sources are read and never changed. A record of each migrated array lies below the target, written
when the copy was read back and was the same. It tells the source's state and the copy's, so a rerun
copies only what changed on either side, and which source a target belongs to. A bad object is
reported, the rest goes on.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lake_assets.arrays.dense import write_npy
from lake_assets.arrays.documents import put_body
from lake_assets.arrays.metadata import from_stored
from lake_assets.arrays.nodes import RECORDS, Node, nodes_below
from lake_assets.arrays.one import Reading, read_node
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import OrderPolicy
from lake_assets.arrays.same import same_array, same_sparse
from lake_assets.arrays.sparse import put_npz
from lake_assets.errors import MissingObjectError, SettingsError
from lake_assets.s3 import Access, Location, quote_segment
from lake_assets.s3.access import Located

__all__ = ["Format", "Migrated", "Migration", "migrate"]

logger = logging.getLogger(__name__)

Format = Literal["zarr", "npy"]
Status = Literal["migrated", "unchanged", "planned", "skipped", "failed"]

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
    target_state: str | None = None
    """Of the copy that was compared: the ETag of an object, the checksum of a zarr version."""
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
    recorded = _recorded(goal)
    states = _states(goal, recorded.values())
    work = _Work(root, goal, to_format, Reading(order_policy), recorded, states)
    planned = _without_clashes(in_threads(work.planned, nodes), work.claimed())

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
    recorded: Mapping[str, Mapping[str, Any]]
    """The records below the target, by name."""
    states: Mapping[str, str]
    """Of what stands at the recorded targets now; see ``Migrated.target_state``."""

    def planned(self, node: Node) -> Migrated:
        """The item before anything was done."""
        said = self.recorded.get(self._record(node))
        suffix = _NPZ if node.kind == "sparse" else _NPY if self.to_format == "npy" else ""
        path = node.path if node.path.endswith(suffix) else node.path + suffix
        item = Migrated(
            self.source.at(node.path).url,
            self.target.at(path).url,
            "planned",
            node.kind,
            sum(info.size_bytes for info in node.objects),
        )
        if said is None or not self._is_there(said):
            return item
        shape = None if said["shape"] is None else tuple(said["shape"])
        return replace(
            item,
            status="unchanged" if said["status"] == "migrated" else said["status"],
            target=said["target"],
            shape=shape,
            dtype=said["dtype"],
            target_bytes=said["target_bytes"],
            target_state=said["target_state"],
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

    def claimed(self) -> dict[str, str]:
        """The source that each target belongs to, of all copies that are still there."""
        return {
            said["target"]: said["source"]
            for said in self.recorded.values()
            if said["status"] == "migrated" and said["target"] in self.states
        }

    def _is_there(self, said: Mapping[str, Any]) -> bool:
        """Whether a recorded copy still is what it was; what was skipped has none."""
        if said["status"] != "migrated":
            return True
        state = self.states.get(said["target"])
        return state is not None and state == said["target_state"]

    def _copied(self, value: Any, metadata: Mapping[str, str], item: Migrated) -> Migrated:  # noqa: ANN401 (any value)
        import scipy.sparse as sp

        if sp.issparse(value):
            url = item.target if item.target.endswith(_NPZ) else item.target + _NPZ
            written = put_npz(place_of(url, self.target.access), value, metadata)
            state = _state(url, self.target.access)
            same_sparse(value, Located(url, self.target.access))
        elif hasattr(value, "dtype"):
            url = item.target
            where = Located(url, self.target.access)
            written = self._write(where, value, metadata)
            state = _state(url, self.target.access)
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
            target_state=state,
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
        return replace(
            item,
            status="migrated",
            target=url,
            target_bytes=written.stored_bytes,
            target_state=_state(url, self.target.access),
        )

    def _record(self, node: Node) -> str:
        """Names what the source was: its path, and the state of all its objects."""
        start = len(self.source.prefix)
        state = [[info.key[start:], info.size_bytes, info.etag] for info in node.objects]
        said = [self.source.url, state, self.to_format, self.reading.order_policy]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
        name = quote_segment(node.path.rpartition("/")[2])[-60:]
        return f"{digest}-{name}.json"

    def _record_key(self, node: Node) -> str:
        return self.target.at(RECORDS, self._record(node)).key


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


def _recorded(goal: Place) -> dict[str, dict[str, Any]]:
    """What the records below a target say, by name."""
    prefix, store = f"{goal.at(RECORDS).key}/", goal.objects.store
    keys = [info.key for info in store.list(prefix)]
    bodies = in_threads(store.get, keys)
    return {key[len(prefix) :]: json.loads(body) for key, body in zip(keys, bodies, strict=True)}


def _states(goal: Place, records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The state of each recorded copy that is still there."""
    urls = list({said["target"] for said in records if said["status"] == "migrated"})
    states = in_threads(lambda url: _state(url, goal.access), urls)
    return {url: state for url, state in zip(urls, states, strict=True) if state is not None}


def _state(url: str, access: Access | None) -> str | None:
    """What tells one copy from another at the same target; None where there is none."""
    from lake_assets.arrays.zarr_versions import zarr_version

    place = place_of(url, access)
    info = place.objects.store.head(place.key)
    if info is not None:
        return info.etag
    try:
        return zarr_version(Located(url, access)).checksum
    except MissingObjectError:
        return None


def _without_clashes(items: Iterable[Migrated], recorded: Mapping[str, str]) -> list[Migrated]:
    """The items; one whose target is another source's, or lies in it or above it, has failed.

    Args:
        items: By path.
        recorded: The source of each target that earlier migrations wrote.
    """
    claimed = dict(recorded)
    holding = {above: source for url, source in recorded.items() for above in _above(url)}
    checked: list[Migrated] = []
    for item in items:
        claims = [claimed.get(url) for url in (item.target, *_above(item.target))]
        claims.append(holding.get(item.target))
        other = next((source for source in claims if source not in {None, item.source}), None)
        if other is not None:
            reason = (
                f"its target {item.target} is, holds or lies in that of {other}; rename one of"
                " them, give another target, or remove the copy that is there"
            )
            checked.append(replace(item, status="failed", reason=reason))
        else:
            claimed[item.target] = item.source
            checked.append(item)
    return checked


def _above(url: str) -> Iterator[str]:
    """The folders that a target lies in."""
    while "/" in url:
        url = url.rpartition("/")[0]
        yield url
