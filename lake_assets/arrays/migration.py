"""A tree of cottoncandy's objects rewritten as zarr or npy: verified, resumable, with a report.

Sources are read and never changed. A record of each migrated array lies below the target, written
when the copy was read back and was the same. It tells the source's state and the copy's, so a rerun
copies only what changed on either side, and which source a target belongs to. A bad object or
record is reported, the rest goes on.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lake_assets.arrays.dense import write_npy
from lake_assets.arrays.documents import put_body
from lake_assets.arrays.metadata import from_stored
from lake_assets.arrays.migrated import Format, Migrated, Migration, Status
from lake_assets.arrays.migration_records import Claims, records_at
from lake_assets.arrays.nodes import RECORDS, Node, nodes_below
from lake_assets.arrays.one import Reading, read_node
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import OrderPolicy
from lake_assets.arrays.same import same_array, same_sparse
from lake_assets.arrays.sparse import put_npz
from lake_assets.errors import ArrayFormatError, MissingObjectError, SettingsError
from lake_assets.s3 import Access, Location, quote_segment
from lake_assets.s3.access import Located
from lake_assets.s3.url import text_of

__all__ = ["Format", "Migrated", "Migration", "migrate"]

logger = logging.getLogger(__name__)

_NPY, _NPZ = ".npy", ".npz"
#: Arrays in memory at once.
_THREADS = 8


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
        source: A prefix or one array, of cottoncandy's or of ours; both where ``x`` is an object
            and there is something below ``x/``.
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
    root, nodes = _sources(given, is_folder=text_of(source).endswith("/"))
    records = records_at(goal)
    copies = (*records.own.values(), *records.others)
    states = _states(goal, copies)
    there = [copy for copy in copies if copy.status == "migrated" and copy.target in states]
    work = _Work(root, goal, to_format, Reading(order_policy), records.own, states, Claims(there))
    damaged = records.without({work.record(node) for node in nodes})
    work = replace(work, unreadable=damaged[0].source if damaged else None)
    planned = [work.claimed(item) for item in in_threads(work.planned, nodes)]

    def finish(step: tuple[Node | None, Migrated]) -> Migrated:
        node, item = step
        if node is not None and item.status == "planned" and not dry_run:
            item = work.done(node, item)
        if item.status == "failed":
            logger.warning("%s was not migrated: %s", item.source, item.reason)
        if seen is not None:
            seen(item)
        return item

    # A zarr array is written by threads of its own.
    n_threads = 1 if to_format == "zarr" else _THREADS
    steps = [*((None, item) for item in damaged), *zip(nodes, planned, strict=True)]
    items = in_threads(finish, steps, n_threads)
    return Migration(given.url, goal.url, to_format, tuple(items))


@dataclass(frozen=True, slots=True)
class _Work:
    source: Place
    target: Place
    to_format: Format
    reading: Reading
    recorded: Mapping[str, Migrated]
    """What records of migrations into this target say, by name."""
    states: Mapping[str, str]
    """Of what stands at the recorded targets now; see ``Migrated.target_state``."""
    claims: Claims
    unreadable: str | None = None
    """A record that is damaged: what is there and no other one tells of may be in it."""

    def planned(self, node: Node) -> Migrated:
        """The item before anything was done."""
        said = self.recorded.get(self.record(node))
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
        status: Status = "unchanged" if said.status == "migrated" else said.status
        return replace(said, source=item.source, status=status, source_bytes=item.source_bytes)

    def claimed(self, item: Migrated) -> Migrated:
        """The item; failed where its target is another source's, or may be."""
        reason = self._refusal(item, item.target)
        return item if reason is None else replace(item, status="failed", reason=reason)

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

    def record(self, node: Node) -> str:
        """Names what the source was: its path, and the state of all its objects."""
        start = len(self.source.prefix)
        state = [[info.key[start:], info.size_bytes, info.etag] for info in node.objects]
        said = [self.source.url, state, self.to_format, self.reading.order_policy]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
        name = quote_segment(node.path.rpartition("/")[2])[-60:]
        return f"{digest}-{name}.json"

    def _refusal(self, item: Migrated, target: str) -> str | None:
        """Why an item must not be written at a target, for a person; else it is now its own."""
        is_known = self.claims.is_known(target)
        reason = self.claims.refusal(target, item.source)
        is_unsure = reason is None and not is_known and item.status == "planned"
        if self.unreadable is None or not is_unsure or _state(target, self.target.access) is None:
            return reason
        return (
            f"something is at its target {target}, and whose it is may stand in {self.unreadable},"
            " which cannot be read; remove one of the two, or give another target"
        )

    def _is_there(self, said: Migrated) -> bool:
        """Whether a recorded copy still is what it was; what was skipped has none."""
        if said.status != "migrated":
            return True
        state = self.states.get(said.target)
        return state is not None and state == said.target_state

    def _own(self, item: Migrated, url: str) -> str:
        """A target that shows only now, if it is no other source's."""
        reason = self._refusal(item, url)
        if reason is not None:
            raise SettingsError(reason)
        return url

    def _copied(self, value: Any, metadata: Mapping[str, str], item: Migrated) -> Migrated:  # noqa: ANN401 (any value)
        import scipy.sparse as sp

        if sp.issparse(value):
            path = self._path_of(item)
            named = path if path.endswith(_NPZ) else path + _NPZ
            url = self._own(item, self.target.at(named).url)
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
            url = self.target.at(self._path_of(item)).url
            return self._copy_document(item, value, self._own(item, url))
        return replace(
            item,
            status="migrated",
            target=url,
            shape=tuple(map(int, value.shape)),
            dtype=str(value.dtype),
            target_bytes=written.stored_bytes,
            target_state=state,
        )

    def _path_of(self, item: Migrated) -> str:
        """Of its source below the root, without the ending that a dense array would get."""
        return item.source.removeprefix(f"{self.source.url.rstrip('/')}/")

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

    def _record_key(self, node: Node) -> str:
        return self.target.at(RECORDS, self.record(node)).key


def _sources(given: Place, *, is_folder: bool) -> tuple[Place, list[Node]]:
    """The root that paths count from, and what is to be migrated.

    ``x`` is the object ``x`` and all below ``x/``, ``x/`` the latter alone.
    """
    single = None if is_folder or not given.key else given.objects.store.head(given.key)
    nodes = nodes_below(given)
    if single is not None:
        root, _, name = given.key.rpartition("/")
        below = [replace(node, path=f"{name}/{node.path}") for node in nodes if node.path]
        nodes = [Node(name, "object", (single,)), *below]
        return Place(given.objects, root, given.access), nodes
    if not nodes:
        raise MissingObjectError(f"there is nothing at {given.url}, no object and nothing below")
    if nodes[0].path:
        return given, nodes
    root, _, name = given.key.rpartition("/")
    return Place(given.objects, root, given.access), [Node(name, nodes[0].kind, nodes[0].objects)]


def _states(goal: Place, copies: Iterable[Migrated]) -> dict[str, str]:
    """The state of each recorded copy that is still there."""
    urls = list({copy.target for copy in copies if copy.status == "migrated"})
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
    except ArrayFormatError:  # it is there, and is no copy of anything: writing over it says why
        return "damaged"
