"""The catalog as Delta tables (``catalog.files`` …): built from the documents, which are the truth.

Insert only, and each document once: what is there already is found by id, not by a place that was
reached last, so a document that comes late or from a clock that is wrong is not missed, nor is one
that was replaced at its place. A profile is taken in once the manifest that it is of is there, so
``profiles`` has one row for each column of a materialization. Of an old catalog only the last days
are listed (``look_back``). Tables that were lost are built anew.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from lake_assets import delta
from lake_assets.catalog import Objects, read_document
from lake_assets.catalog.materialization import LOG_FOLDER
from lake_assets.catalog.profile import PROFILES, profile_counts
from lake_assets.catalog.records import FOLDER as REGISTRY
from lake_assets.catalog.registry import data_root
from lake_assets.compacted.write import FileShape, write_files
from lake_assets.delta.insert import insert
from lake_assets.errors import PublishConflictError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.catalog_rows import (
    KINDS,
    LEDGER,
    SCHEMAS,
    Listed,
    Row,
    blob_ids,
    rows_of_document,
    schema_rows,
)
from lake_assets.s3 import Folder, ObjectInfo, Store, join_url, open_store, storage_options

__all__ = ["LOOK_BACK", "Indexed", "index_catalog"]

#: Longer than any writer's clock is wrong. Counted from the last time that anything was indexed.
LOOK_BACK = timedelta(days=7)
INDEXED_AT = "lake.indexed_at"
#: Documents that one round of commits takes in: what is held in memory.
_BATCH = 20_000
_READERS = 16
_TRIES = 20
#: After so many versions the files of a table, one for each, are put into one.
_TIDY_EVERY = 50
_TARGET_BYTES = 256 * 1024**2
#: Folders whose documents lie by what they are of, not by day.
_UNDATED = ("staging/", "compacted/", REGISTRY, PROFILES)
#: A profile takes the memory, and makes the rows, of about so many other documents.
_PROFILE_WEIGHT = 100
#: Of staging: an export's manifests and refusals, a snapshot's groups and theirs.
_STAGED = re.compile(r"manifest-|quarantine-|\d{6}-done-|\d{6}-refused-")
_ID_COLUMN = {"lineage": "out_manifest_id", "schemas": "schema_id", "blobs": "blob_id"}


@dataclass(frozen=True, slots=True)
class Indexed:
    """What one indexing did."""

    documents: int
    """New ones."""
    rows: dict[str, int]
    """Rows added, by table."""
    damaged: tuple[str, ...]
    """Documents that cannot be read, each with why; tried again while they are looked for."""
    seconds: float


def index_catalog(
    root: Store, *, look_back: timedelta | None = LOOK_BACK, now: datetime | None = None
) -> Indexed:
    """Bring the catalog's tables up to date with the documents; again it writes nothing.

    Any number of processes may do it at once: each document gets in once.

    Args:
        root: The lake's store.
        look_back: How far before the last indexing documents are looked for; None lists all. The
            first indexing always does.
        now: The time of this indexing (UTC).

    Raises:
        PublishConflictError: Other indexers kept winning; nothing is lost, index again.
        StorageError: The store refused.
    """
    started = time.monotonic()
    tables = {name: _Table(root, name) for name in SCHEMAS}
    now = now or datetime.now(UTC)
    told = {INDEXED_AT: now.isoformat()}
    for table in tables.values():
        table.make()
    known = tables[LEDGER].ids()
    cutoff = None if look_back is None else _cutoff(tables[LEDGER], look_back, now)
    new = (i for i in _documents(root, cutoff) if known.isdisjoint({i.key, _entry(i.key, i.etag)}))
    rows: dict[str, int] = dict.fromkeys(SCHEMAS, 0)
    damaged: list[str] = []
    documents = 0
    batch = _batch(new)
    while batch:
        items = [*_read(root, batch, damaged)]
        found, broken = _rows(root, items, tables)
        damaged += broken
        batch = _batch(new)
        for name in SCHEMAS:  # the ledger is the last one
            # Only the last round tells the time: after a crash before it, all is listed again.
            rows[name] += tables[name].add(found[name], {} if batch else told)
        documents += len(found[LEDGER])
    return Indexed(documents, rows, tuple(damaged), time.monotonic() - started)


class _Table:
    """One table of the catalog, at the version that was last looked at."""

    def __init__(self, root: Store, name: str) -> None:
        self._root, self._folder = root, f"lake/catalog/{name}/"
        self.uri = join_url(root.url, "lake", "catalog", name)
        self.options = storage_options(self.uri)
        self._name, self._schema = name, SCHEMAS[name]
        self._id = _ID_COLUMN.get(name, "manifest_id")

    def make(self) -> None:
        """Create the table without rows where it is not there, so that it can be asked."""
        if delta.table_version(self.uri, self.options) is None:
            insert(self.uri, self._schema, [], seen=None, storage_options=self.options)

    def values(self, column: str) -> frozenset[str]:
        """All values of a column."""
        version = delta.table_version(self.uri, self.options)
        return frozenset[str]() if version is None else self._values(column, version)

    def ids(self) -> frozenset[str]:
        """The ids of all rows."""
        version = delta.table_version(self.uri, self.options)
        return frozenset[str]() if version is None else self._ids_at(version)

    def add(self, rows: Sequence[Row], told: dict[str, str]) -> int:
        """Add the rows whose id is not there yet; how many these were.

        All rows of an id come with one commit, so an id that is there is there with all of them.
        """
        if not rows:
            return 0
        frame = pl.DataFrame(rows, schema=self._schema, orient="row")
        for attempt in range(_TRIES):
            version = delta.table_version(self.uri, self.options)
            if version is not None:
                there = self._ids_at(version)
                mask = [value not in there for value in self._ids_of(frame)]
                frame = frame.filter(pl.Series(mask, dtype=pl.Boolean))
            if not frame.height:
                return 0
            made = self._insert(frame, version, told)
            if made is not None:
                if made % _TIDY_EVERY == 0:
                    self._tidy(told)
                return frame.height
            time.sleep(0.01 * 2 ** min(attempt, 6))
        raise PublishConflictError(
            f"other indexers won all {_TRIES} commits of {self.uri}; index again when it is quieter"
        )

    def _values(self, column: str, version: int) -> frozenset[str]:
        frame = delta.scan(self.uri, self.options, version).select(column).collect()
        return frozenset(frame[column])

    def _ids_at(self, version: int) -> frozenset[str]:
        if self._name != LEDGER:
            return self._values(self._id, version)
        scan = delta.scan(self.uri, self.options, version)
        # Ledgers of before had no ETag: their documents are known by the key alone.
        etag = pl.col("etag") if "etag" in scan.collect_schema() else pl.lit(None, pl.String)
        return frozenset(self._ids_of(scan.select("document", etag=etag).collect()))

    def _ids_of(self, frame: pl.DataFrame) -> Iterator[str]:
        """An id of each row, in their order."""
        if self._name != LEDGER:
            yield from frame[self._id]
        else:
            yield from map(_entry, frame["document"], frame["etag"])

    def _insert(
        self, frame: pl.DataFrame, seen: int | None, told: dict[str, str], *, instead: bool = False
    ) -> int | None:
        written = write_files(self._root, self._folder, "", frame, FileShape(_TARGET_BYTES))
        files = [
            delta.DataFile(item["path"], item["size_bytes"], item["rows"], (), item["stats"])
            for item in written
        ]
        return insert(
            self.uri, self._schema, files, seen=seen, storage_options=self.options,
            proof=told, instead=instead,
        )  # fmt: skip

    def _tidy(self, told: dict[str, str]) -> None:
        """Put many small files into one; when somebody commits meanwhile, it is left for later."""
        version = delta.table_version(self.uri, self.options)
        frame = delta.scan(self.uri, self.options, version).collect()
        if self._insert(frame.sort(self._id), version, told, instead=True) is not None:
            delta.checkpoint(self.uri, self.options)


def _entry(key: str, etag: str | None) -> str:
    """What the ledger knows a document by: one that is replaced at its place is another."""
    return key if etag is None else f"{key} {etag}"


def _cutoff(ledger: _Table, look_back: timedelta, now: datetime) -> datetime | None:
    """From when on documents are looked for; None where nothing was indexed yet."""
    for commit in delta.history(ledger.uri, 1, ledger.options):
        if INDEXED_AT in commit:  # by a clock that may have been ahead of this one
            return min(datetime.fromisoformat(commit[INDEXED_AT]), now) - look_back
    return None


def _documents(root: Store, cutoff: datetime | None) -> Iterator[ObjectInfo]:
    """All documents of the time; no upper end, as a clock may be ahead."""
    yield from _logged(root, cutoff)
    for folder in _UNDATED:
        for info in root.list(folder):
            # By the store's clock, whatever the writer's was.
            if _is_document(info.key) and (cutoff is None or info.modified_at >= cutoff):
                yield info


def _logged(root: Store, cutoff: datetime | None) -> Iterator[ObjectInfo]:
    first = "" if cutoff is None else f"{LOG_FOLDER}{cutoff.date().isoformat()}"
    days = [
        item.key
        for item in root.browse(LOG_FOLDER)
        if isinstance(item, Folder) and item.key >= first
    ]
    for listed in fan_out(lambda day: list(root.list(day)), days, workers=_READERS):
        yield from listed


def _batch(listed: Iterator[ObjectInfo]) -> list[ObjectInfo]:
    """The next ones, as many documents as one round holds."""
    found: list[ObjectInfo] = []
    weight = 0
    while weight < _BATCH and (info := next(listed, None)) is not None:
        found.append(info)
        weight += _PROFILE_WEIGHT if info.key.startswith(PROFILES) else 1
    return found


def _is_document(key: str) -> bool:
    """Whether it is a manifest or a refusal: not a plan, a claim, a failed try, or data."""
    name = key.rpartition("/")[2]
    return name.endswith(".json") and (
        key.startswith(("compacted/", REGISTRY, PROFILES)) or _STAGED.match(name) is not None
    )


def _read(root: Store, listed: Collection[ObjectInfo], damaged: list[str]) -> Iterator[Listed]:
    """The documents that count; one that cannot be read stops no other."""

    def read(info: ObjectInfo) -> Listed | str | None:
        try:
            document = read_document(root, info.key)
            is_profile = document.kind == "profile"
            if is_profile and not profile_counts(root, document, info.key):
                return None
            return Listed(info.key, info.etag, document)
        except StorageError as error:
            # A manifest of compaction is replaced by deleting it first.
            return None if root.head(info.key) is None else str(error)

    # Reading a folder is work for the processor, and threads only get in each other's way.
    workers = _READERS if "://" in root.url else 1
    for item in fan_out(read, listed, workers=workers):
        if isinstance(item, str):
            damaged.append(item)
        # Other kinds are not remembered as read: a later version may know them.
        elif item is not None and item.document.kind in KINDS:
            yield item


def _rows(
    root: Store, items: Iterable[Listed], tables: dict[str, _Table]
) -> tuple[dict[str, list[Row]], list[str]]:
    """The rows by table, each id once, and what could not be read."""
    found: dict[str, list[Row]] = defaultdict(list)
    broken: list[str] = []
    blobs: dict[str, str] = {}
    seen: set[str] = set()
    for item in items:
        try:
            rows = list(rows_of_document(root.url, item))
        except (KeyError, TypeError, ValueError, StorageError) as error:
            broken.append(f"{root.url}/{item.key} lacks {error}; restore it, or update lake_assets")
            continue
        known_as = f"{item.document.kind == 'profile'} {item.subject}"
        for name, row in rows:
            if name == LEDGER or known_as not in seen:
                found[name].append(row)
        seen.add(known_as)
        blobs |= dict(blob_ids(item.document))
    _add_blobs(root, blobs, tables, found)
    return found, broken


def _add_blobs(
    root: Store, blobs: dict[str, str], tables: dict[str, _Table], found: dict[str, list[Row]]
) -> None:
    """The rows of objects and schemas that no table has yet."""
    known = tables["blobs"].values("blob_id") if blobs else frozenset[str]()
    new = {id_: kind for id_, kind in blobs.items() if id_ not in known}
    elsewhere = data_root(root) if new else None
    places = [Objects(root), *([Objects(open_store(elsewhere))] if elsewhere else [])]

    def look(id_: str) -> tuple[str, Objects, ObjectInfo] | None:
        heads = ((objects, objects.head(id_)) for objects in places)
        return next(((id_, objects, info) for objects, info in heads if info), None)

    for seen in fan_out(look, new, workers=_READERS):
        if seen is not None:  # gone: `lake verify` tells
            id_, objects, info = seen
            found["blobs"].append((id_, new[id_], info.size_bytes, info.modified_at))
            if new[id_] == "schema":
                found["schemas"] += schema_rows(id_, json.loads(objects.get(id_)))
