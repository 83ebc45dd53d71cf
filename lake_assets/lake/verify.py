"""Is a lake still what its documents say: missing, changed, truncated and orphaned objects by name.

Asked of what the newest versions of the tables and the manifests that count need. Nothing is
written. What may be removed is ``gc``'s to say.
"""

import hashlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from lake_assets.catalog.removal import object_id
from lake_assets.errors import SettingsError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.expected import Expected, Problem, damaged_records, expected_objects
from lake_assets.lake.marks import (
    ASIDE,
    BLOBS,
    blob_references,
    compacted_references,
    data_files,
    staged_marks,
)
from lake_assets.lake.recorded import chosen_tables
from lake_assets.lake.sources import changed_sources
from lake_assets.s3 import ObjectInfo, Store, join_url, open_store, sha256_of

__all__ = ["Finding", "Level", "Verified", "verify"]

Level = Literal["list", "head", "bytes"]
FindingKind = Literal["missing", "changed", "truncated", "orphaned", "source changed"]

#: A writer's files are named by no manifest until its work is done.
UNDER_WAY = timedelta(hours=1)
#: Objects asked for, or read, side by side.
_WORKERS = 8
#: Of a body in memory; a longer one goes through the local disk.
_MEMORY_BYTES = 8 * 1024**2
_EVER = datetime.min.replace(tzinfo=UTC)
_HASH_BITS = 64
_BLOB_REMEDY = "restore it: its name is the sha256 of its bytes"


@dataclass(frozen=True, slots=True)
class Finding:
    """One object that is not as it should be."""

    kind: FindingKind
    uri: str
    table: str
    """``shop.orders``; empty for a blob of the catalog."""
    found: str
    remedy: str
    sha256: str = ""
    """That it should have: its first digits, or all; empty where that is not recorded."""

    @property
    def is_damage(self) -> bool:
        """Whether something that is needed is not there as it was written."""
        return self.kind in {"missing", "changed", "truncated"}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "kind": self.kind,
            "uri": self.uri,
            "table": self.table,
            "found": self.found,
            "remedy": self.remedy,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what was found."""

    level: Level
    tables: tuple[str, ...]
    objects: int
    """Looked at: of those that are needed, the sample."""
    bytes_read: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What could not be looked at, and why."""
    seconds: float

    @property
    def damage(self) -> tuple[Finding, ...]:
        """The findings that are damage; orphans and changed exports are none."""
        return tuple(finding for finding in self.findings if finding.is_damage)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "level": self.level,
            "tables": list(self.tables),
            "objects": self.objects,
            "bytes_read": self.bytes_read,
            "damaged": bool(self.damage),
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _Tally:
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    bytes_read: int = 0


def verify(
    root_url: str,
    *,
    level: Level = "list",
    tables: Collection[str] = (),
    sample: float = 1.0,
    grace: timedelta = UNDER_WAY,
) -> Verified:
    """Hold a lake against its manifests and the newest versions of its tables.

    Args:
        root_url: The lake.
        level: ``list`` compares sizes with one listing; ``head`` asks for each object and reads
            those that were written to after their manifest; ``bytes`` reads all, manifests too, and
            compares the sha256. Staging manifests are read and checked at every level.
        tables: ``shop.orders``; by default all, and the blobs of the catalog.
        sample: Share of the objects, above 0 to 1: the same ones each time, chosen by their keys.
        grace: Objects that no document names are orphans when they are older.

    Raises:
        SettingsError: An unknown level or table, or a share that is none.
        StorageError: The store refused.
    """
    started = time.monotonic()
    if level not in get_args(Level):
        raise SettingsError(f"there is no level {level!r}; give one of {list(get_args(Level))}")
    if not 0 < sample <= 1:
        raise SettingsError(f"the sample is {sample}; give a share above 0, up to 1")
    root = open_store(root_url)
    paths = chosen_tables(root, tables)
    tally, limit = _Tally(), datetime.now(UTC) - grace
    for path in paths:
        _verify_table(root, path, level, sample, limit, tally)
    if not tables:
        _verify_blobs(root, level, sample, limit, tally)
    return Verified(
        level=level,
        tables=tuple(path.replace("/", ".") for path in paths),
        objects=tally.objects,
        bytes_read=tally.bytes_read,
        findings=tuple(tally.findings),
        notes=tuple(tally.notes),
        seconds=time.monotonic() - started,
    )


def _verify_table(
    root: Store, path: str, level: Level, sample: float, limit: datetime, tally: _Tally
) -> None:
    listed = {
        info.key: info
        for stage in ("staging", "compacted", "lake")
        for info in root.list(f"{stage}/{path}/")
    }
    expected, problems, sources = expected_objects(root, path, listed, read_all=level == "bytes")
    table = path.replace("/", ".")
    chosen = [item for item in expected if _in_sample(item.key, sample)]
    tally.objects += len(chosen)
    tally.findings += [_finding(root, table, problem) for problem in problems]
    look = _Look(root, level, listed)
    for problem, n_bytes in fan_out(look.at, chosen, workers=1 if level == "list" else _WORKERS):
        tally.bytes_read += n_bytes
        tally.findings += [_finding(root, table, problem)] if problem else []
    needed = {item.key for item in expected}
    for info in _orphans(root, path, listed, needed, limit, tally):
        if _in_sample(info.key, sample):
            tally.findings.append(_orphan(root, table, info))
    wanted = [source for source in sources if _in_sample(source.uri, sample)]
    for uri, found in changed_sources(wanted, tally.notes):
        remedy = f"run {table}: it is staged anew; or put the former file back"
        tally.findings.append(Finding("source changed", uri, table, found, remedy))


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks at one object that is needed."""

    root: Store
    level: Level
    listed: dict[str, ObjectInfo]

    def at(self, item: Expected) -> tuple[Problem | None, int]:
        """What is wrong with it, and how many of its bytes were read."""
        info = self.listed.get(item.key)
        if self.level == "head":
            info = self.root.head(item.key)
        if info is None:
            return item.problem("missing", "is not there"), 0
        if info.size_bytes != item.size_bytes:
            kind = "truncated" if info.size_bytes < item.size_bytes else "changed"
            said = f"has {info.size_bytes:,} bytes instead of {item.size_bytes:,}"
            return item.problem(kind, said), 0
        touched = item.written_at is not None and info.modified_at > item.written_at
        if item.sha256 and (self.level == "bytes" or (self.level == "head" and touched)):
            return self._hashed(item, info)
        return None, 0

    def _hashed(self, item: Expected, info: ObjectInfo) -> tuple[Problem | None, int]:
        try:
            with self.root.open(info, memory_bytes=_MEMORY_BYTES) as body:
                digest = sha256_of(body)
        except StorageError as error:
            return item.problem("changed", f"cannot be read ({error})"), 0
        if digest.startswith(item.sha256):
            return None, info.size_bytes
        said = f"has the sha256 {digest[:12]}… instead of {item.sha256[:12]}…"
        return item.problem("changed", said), info.size_bytes


def _orphans(
    root: Store,
    path: str,
    listed: dict[str, ObjectInfo],
    needed: Collection[str],
    limit: datetime,
    tally: _Tally,
) -> Iterator[ObjectInfo]:
    """Data files that nothing names; documents are read only where a file may be one."""
    doubtful = [
        info
        for info in data_files(listed.values())
        if info.key not in needed and info.modified_at < limit
    ]
    staged: dict[str, list[ObjectInfo]] = {}
    for info in doubtful:
        if info.key.startswith("staging/"):
            staged.setdefault("/".join(info.key.split("/")[:4]) + "/", []).append(info)
    for folder, suspects in staged.items():
        members = [info for key, info in listed.items() if key.startswith(folder)]
        try:
            marks = staged_marks(root, members, _EVER)
        except StorageError as error:  # told as damage already
            tally.notes.append(f"no orphans were looked for below {folder}: {error}")
            continue
        yield from (info for info in suspects if info.key not in marks.kept)
    lake = [info for info in doubtful if info.key.startswith("lake/")]
    if lake:
        try:
            named = compacted_references(root, path, None)
        except StorageError as error:
            tally.notes.append(f"no orphans were looked for below lake/{path}/: {error}")
            return
        yield from (info for info in lake if info.key not in named)


def _verify_blobs(root: Store, level: Level, sample: float, limit: datetime, tally: _Tally) -> None:
    there, aside = list(root.list(BLOBS)), list(root.list(ASIDE))
    if level != "list":  # else one would read all documents
        # What is set aside is read like what is in its place, and goes back there.
        names = {object_id(info) for info in (*there, *aside)}
        tally.findings += [_finding(root, "", each) for each in damaged_records(root, names)]
    in_place = {object_id(info) for info in there}
    alone = [info for info in aside if object_id(info) not in in_place]
    bodies = [info for info in (*there, *alone) if _in_sample(object_id(info), sample)]
    items = [
        Expected(info.key, info.size_bytes, object_id(info), None, _BLOB_REMEDY) for info in bodies
    ]
    tally.objects += len(items)
    look = _Look(root, level, {info.key: info for info in bodies})
    for problem, n_bytes in fan_out(look.at, items, workers=_WORKERS):
        tally.bytes_read += n_bytes
        tally.findings += [_finding(root, "", problem)] if problem else []
    old = [i for i in there if i.modified_at < limit and _in_sample(object_id(i), sample)]
    if old:
        named = blob_references(root, [*there, *aside])
        tally.findings += [_orphan(root, "", info) for info in old if object_id(info) not in named]


def _finding(root: Store, table: str, problem: Problem) -> Finding:
    uri = join_url(root.url, problem.key)
    return Finding(problem.kind, uri, table, problem.found, problem.remedy, problem.sha256)


def _orphan(root: Store, table: str, info: ObjectInfo) -> Finding:
    found = f"is named by no document ({info.size_bytes:,} bytes)"
    return Finding(
        "orphaned", join_url(root.url, info.key), table, found, "`lake gc` removes it; or leave it"
    )


def _in_sample(name: str, share: float) -> bool:
    """Whether an object is in the sample: by the hash of its name, so alike in every run."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[: _HASH_BITS // 8]) < share * 2**_HASH_BITS
