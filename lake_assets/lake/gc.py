"""Remove what nothing needs any more: mark what is referred to, sweep the rest that is old enough.

Marks are made anew right before a table is swept. Manifests stay: they are small, and the number of
them tells which plan is the later one. What ``marks`` spares is never touched, nor what is younger
than the grace period; an unreadable document ends the work on its table, for what it refers to
cannot be known. Objects of the catalog go in two steps (``catalog.removal``), so that none is lost
to which a document refers in the moment of its removal.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.catalog.profile import PROFILES
from lake_assets.catalog.removal import (
    AsideCopies,
    PutBack,
    aside_copies,
    object_id,
    put_back,
    set_aside,
)
from lake_assets.errors import LakeError, SettingsError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.marks import (
    ASIDE,
    BLOBS,
    blob_references,
    compacted_references,
    data_files,
    profile_references,
    staged_marks,
)
from lake_assets.lake.recorded import chosen_tables
from lake_assets.s3 import ObjectInfo, Store, join_url, open_store, parse_url, storage_options

__all__ = ["GRACE", "RETENTION", "Garbage", "Swept", "find_garbage", "freed_bytes", "sweep"]

#: How long versions can be read, and superseded staging stays: Delta's own default.
RETENTION = timedelta(days=7)
#: Far longer than any writer takes from its first file to the document that names it.
GRACE = timedelta(days=1)

OnError = Callable[[str, LakeError], None]
"""Told of a table (``shop.orders``; empty: of what belongs to none) that cannot be collected."""
GarbageKind = Literal["staging", "compacted", "claim", "partial", "blob", "set aside", "profile"]

_CLAIM = re.compile(r"\d{6}-claim-[0-9a-f]+\.json")
#: What ``s3`` calls files that are not whole yet; listings leave them out.
_PARTIAL = re.compile(r"\.part-(?:[0-9a-f]+-[0-9a-f]+|[0-9a-f]{32})")
#: A HEAD of S3 tells whole seconds, a listing may tell more.
_CLOCK_STEP = timedelta(seconds=1)
#: Objects removed side by side.
_WORKERS = 8
_REASONS: dict[GarbageKind, str] = {
    "staging": "only superseded manifests name it, or none",
    "compacted": "no retained version and no recent manifest needs it",
    "claim": "the worker's time is over",
    "partial": "its writer never finished",
    "blob": "no document names it; it is set aside and goes after another grace period",
    "set aside": "no document named it meanwhile, or it is in its place again",
    "profile": "its manifest is neither staged nor of one of the last versions",
}


@dataclass(frozen=True, slots=True)
class Garbage:
    """An object that nothing needs any more."""

    kind: GarbageKind
    key: str
    size_bytes: int
    table: str
    """``shop/orders``; empty where it is of none."""
    modified_at: datetime | None = None
    """UTC; written to since, it is somebody's again."""

    @property
    def reason(self) -> str:
        """Why it may go."""
        return _REASONS[self.kind]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "kind": self.kind,
            "key": self.key,
            "size_bytes": self.size_bytes,
            "table": self.table.replace("/", "."),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed."""

    removed: tuple[Garbage, ...]
    spared: tuple[Garbage, ...]
    """Found before, and needed again by the time of the sweep."""
    lost: tuple[str, ...]
    """Keys that a writer took up in the very moment of their removal; the table needs them."""
    restored: tuple[str, ...]
    """Ids of objects that were set aside, are referred to, and are in their place again."""
    damaged: tuple[str, ...]
    """Objects that are referred to and of which only damaged copies are left, each with why."""
    seconds: float

    @property
    def size_bytes(self) -> int:
        """Bytes that were freed; what is set aside is not, yet."""
        return freed_bytes(self.removed)


def freed_bytes(garbage: Iterable[Garbage]) -> int:
    """What removing garbage frees; an object is set aside first, which frees nothing yet."""
    return sum(item.size_bytes for item in garbage if item.kind != "blob")


def find_garbage(
    root_url: str,
    *,
    tables: Collection[str] = (),
    retention: timedelta = RETENTION,
    grace: timedelta = GRACE,
    now: datetime | None = None,
    on_error: OnError | None = None,
) -> tuple[Garbage, ...]:
    """What could be removed now, by key; nothing is.

    Args:
        root_url: The lake.
        tables: ``shop.orders``; by default all, the catalog's blobs and files never finished.
        retention: Versions that were the newest at any time of it stay readable; staging that was
            superseded during it stays.
        grace: Younger objects stay: their writers may be under way.
        now: The time to count from (UTC).
        on_error: Told instead of raising; the other tables are looked through.

    Raises:
        SettingsError: An unknown table, or a time below 0.
        StorageError: A document or a log cannot be read, or the store refused.
    """
    root = open_store(root_url)
    marker = _Marker(root, now or datetime.now(UTC), retention, grace)
    found: list[Garbage] = []
    for path in chosen_tables(root, tables):
        with _told(path, on_error):
            found += marker.table(path)
    if not tables:
        with _told("", on_error):
            found += [*marker.blobs(), *marker.spent_copies(), *marker.partials()]
    return tuple(sorted(found, key=lambda item: item.key))


def sweep(
    root_url: str,
    found: Collection[Garbage],
    *,
    retention: timedelta = RETENTION,
    grace: timedelta = GRACE,
    now: datetime | None = None,
    on_error: OnError | None = None,
) -> Swept:
    """Remove what was found, as far as it still is garbage, marked anew table by table.

    Objects that were set aside and are referred to are put back, whatever was found.

    Args:
        root_url: The lake.
        found: What ``find_garbage`` returned.
        retention: As there.
        grace: As there.
        now: As there.
        on_error: As there.

    Raises:
        SettingsError: A time below 0.
        StorageError: A document or a log cannot be read, or the store refused.
    """
    started = time.monotonic()
    root = open_store(root_url)
    marker = _Marker(root, now or datetime.now(UTC), retention, grace)
    wanted = {item.key: item for item in found}
    removed: list[Garbage] = []
    lost: list[str] = []
    for path in sorted({item.table for item in found if item.table}):
        with _told(path, on_error):
            going = _remove(root, [item for item in marker.table(path) if item.key in wanted])
            removed += going
            lost += _taken_up(root, path, {item.key for item in going})
    back: list[PutBack] = []
    with _told("", on_error):
        back += put_back(root, marker.copies().needed)
        if any(not item.table for item in found):
            removed += _sweep_objects(root, marker, wanted)
    gone = {item.key for item in removed}
    spared = tuple(item for item in found if item.key not in gone)
    restored = tuple(item.id for item in back if item.damage is None)
    damaged = tuple(f"object {item.id}: {item.damage}" for item in back if item.damage)
    seconds = time.monotonic() - started
    return Swept(tuple(removed), spared, tuple(lost), restored, damaged, seconds)


@contextmanager
def _told(path: str, on_error: OnError | None) -> Iterator[None]:
    """Tell of an error of one table where somebody wants to be told."""
    try:
        yield
    except LakeError as error:
        if on_error is None:
            raise
        on_error(path.replace("/", "."), error)


def _sweep_objects(root: Store, marker: "_Marker", wanted: Collection[str]) -> list[Garbage]:
    """Remove what belongs to no table."""
    blobs = {info.key: info for info in root.list(BLOBS)}
    aside = [item for item in marker.blobs() if item.key in wanted and item.key in blobs]
    set_aside(root, [blobs[item.key] for item in aside])
    copies = _remove(root, [item for item in marker.spent_copies() if item.key in wanted])
    partials = [item for item in marker.partials() if item.key in wanted]
    for item in partials:
        Path(root.url, item.key).unlink(missing_ok=True)
    return [*aside, *copies, *partials]


class _Marker:
    """Finds what nothing needs, as of one time."""

    def __init__(self, root: Store, now: datetime, retention: timedelta, grace: timedelta) -> None:
        if min(retention, grace) < timedelta(0):
            raise SettingsError(f"retention {retention} and grace {grace} cannot be below 0")
        self._root, self._now = root, now
        self._cutoff, self._limit = now - retention, now - grace

    def table(self, path: str) -> Iterator[Garbage]:
        """Of one table: staging, claims, lake files."""
        exports: dict[str, list[ObjectInfo]] = {}
        for info in self._root.list(f"staging/{path}/"):
            exports.setdefault("/".join(info.key.split("/")[:4]), []).append(info)
        for listed in exports.values():
            yield from self._export(path, listed)
        # The listing comes first: what is written after it is not in it.
        listed = data_files(self._root.list(f"lake/{path}/"))
        lake = [info for info in listed if info.modified_at < self._limit]
        if lake:
            kept = compacted_references(self._root, path, self._cutoff)
            for info in lake:
                if info.key not in kept:
                    yield Garbage("compacted", info.key, info.size_bytes, path, info.modified_at)
        yield from self._profiles(path)

    def blobs(self) -> Iterator[Garbage]:
        """Content-addressed objects that no document names."""
        blobs = list(self._root.list(BLOBS))
        old = [info for info in blobs if info.modified_at < self._limit]
        named = blob_references(self._root, blobs) if old else frozenset[str]()
        for info in old:
            if object_id(info) not in named:
                yield Garbage("blob", info.key, info.size_bytes, "")

    def spent_copies(self) -> Iterator[Garbage]:
        """Copies of objects set aside, which nobody came for."""
        for info in self.copies().spent:
            yield Garbage("set aside", info.key, info.size_bytes, "")

    def copies(self) -> AsideCopies:
        """What becomes of the copies that are set aside."""
        copies = list(self._root.list(ASIDE))  # first: what is named later is looked up later
        if not copies:
            return AsideCopies((), ())
        blobs = list(self._root.list(BLOBS))
        return aside_copies(
            copies,
            in_place={object_id(info) for info in blobs},
            named=blob_references(self._root, [*copies, *blobs]),
            before=self._limit,
        )

    def partials(self) -> Iterator[Garbage]:
        """Files of a folder that nobody finished; a bucket has none."""
        url = parse_url(self._root.url).text
        if "://" in url:
            return
        for path in Path(url).rglob(".part-*"):
            if not _PARTIAL.fullmatch(path.name) or not path.is_file() or path.is_symlink():
                continue
            about = path.stat()
            if datetime.fromtimestamp(about.st_mtime, UTC) < self._limit:
                yield Garbage("partial", str(path.relative_to(url)), about.st_size, "")

    def _profiles(self, path: str) -> Iterator[Garbage]:
        """Profiles of superseded manifests, once these are older than what is retained."""
        oldest = min(self._cutoff, self._limit)
        listed = [
            info
            for stage in ("staging", "compacted")
            for info in self._root.list(f"{PROFILES}{stage}/{path}/")
            if info.modified_at < oldest
        ]
        kept = profile_references(self._root, path) if listed else frozenset[str]()
        for info in listed:
            if info.key not in kept:
                yield Garbage("profile", info.key, info.size_bytes, path, info.modified_at)

    def _export(self, path: str, listed: list[ObjectInfo]) -> Iterator[Garbage]:
        old = [info for info in listed if info.modified_at < self._limit]
        if not old:
            return
        claims = {info.key for info in old if _CLAIM.fullmatch(info.key.rpartition("/")[2])}
        data = {info.key for info in data_files(old)}
        marks = staged_marks(self._root, listed, self._cutoff)
        for info in old:
            if info.key in marks.kept:
                continue
            if info.key in marks.superseded or info.key in data:
                yield Garbage("staging", info.key, info.size_bytes, path, info.modified_at)
            elif info.key in claims and self._is_over(info):
                yield Garbage("claim", info.key, info.size_bytes, path)

    def _is_over(self, info: ObjectInfo) -> bool:
        try:
            until = read_document(self._root, info.key).facts["until"]
        except StorageError:
            if self._root.head(info.key) is None:  # given back meanwhile
                return False
            raise
        return datetime.fromisoformat(until) < self._now


def _remove(root: Store, garbage: Collection[Garbage]) -> list[Garbage]:
    """Remove what was not written to meanwhile; what was removed.

    Records first: who finds none does the work anew, and writes the files that go next.
    """

    def remove(item: Garbage) -> Garbage | None:
        if item.modified_at is not None:  # whoever takes up an old file writes it again
            there = root.head(item.key)
            if there is None or there.modified_at - item.modified_at > _CLOCK_STEP:
                return None
        root.delete(item.key)
        return item

    records = [item for item in garbage if item.key.endswith(".json")]
    files = [item for item in garbage if not item.key.endswith(".json")]
    found = (fan_out(remove, batch, workers=_WORKERS) for batch in (records, files))
    return [item for batch in found for item in batch if item is not None]


def _taken_up(root: Store, path: str, gone: Collection[str]) -> list[str]:
    """Which of the removed files the table needs after all."""
    if not gone:
        return []
    uri = join_url(root.url, "lake", path)
    live = {f"lake/{path}/{file.path}" for file in delta.live_files(uri, storage_options(uri))}
    exports = {"/".join(key.split("/")[:4]) + "/" for key in gone if key.startswith("staging/")}
    for export in exports:
        live |= staged_marks(root, list(root.list(export)), datetime.max.replace(tzinfo=UTC)).kept
    return sorted(live & set(gone))
