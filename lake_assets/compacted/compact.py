"""Write one hive partition: merge the rows that count, in order, as files of the target size.

The files lie in the Delta table's folder and stay invisible until they are published. The manifest
is written last, and only when every row that counts was written exactly once.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.catalog.profile import Profile, Profiler, put_profile
from lake_assets.compacted.partitions import (
    CODE_VERSION,
    WHOLE_TABLE,
    CompactionSettings,
    PartitionPlan,
    Table,
    TablePlan,
)
from lake_assets.compacted.write import FileShape, all_apart, write_files
from lake_assets.delta import DataFile
from lake_assets.errors import ConservationError
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store

__all__ = [
    "CompactedPartition",
    "Passes",
    "compact_partition",
    "compacted_manifests",
    "compacted_now",
    "manifest_key",
    "read_compacted",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompactedPartition:
    """One compacted hive partition, as its manifest records it."""

    name: str
    values: tuple[str | None, ...]
    manifest: str
    files: tuple[DataFile, ...]
    rows_in: int
    rows: int
    written: bool
    """False where the manifest was there already."""
    seconds: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the partition's files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Passes:
    """The rows of a partition that count, in order."""

    frames: Iterable[pl.DataFrame]
    """Each fits the memory."""
    checks: Mapping[str, Any] = field(default_factory=dict)
    """What else was compared, recorded as it is when the frames are through."""
    profiler: Profiler | None = None
    """Shown the rows on their way; None where profiles are off."""
    same: Mapping[str, str] = field(default_factory=dict)
    """Columns that are another one once more, and which."""


def compacted_manifests(root: Store, table: Table) -> frozenset[str]:
    """Keys of all manifests of compacted partitions of a table, from one listing."""
    return frozenset(info.key for info in root.list(f"compacted/{table.path}/"))


def manifest_key(table: Table, plan: PartitionPlan) -> str:
    """Where the manifest of exactly this plan lies."""
    return f"compacted/{table.path}/{plan.name}/{plan.plan_id}.json"


def read_compacted(root: Store, table: Table, plan: PartitionPlan) -> CompactedPartition:
    """The partition that was compacted by this plan."""
    key = manifest_key(table, plan)
    return _recorded(plan, key, read_document(root, key).content)


def _recorded(plan: PartitionPlan, key: str, content: Mapping[str, Any]) -> CompactedPartition:
    return CompactedPartition(
        plan.name,
        plan.values,
        key,
        tuple(
            DataFile(item["path"], item["size_bytes"], item["rows"], plan.values, item["stats"])
            for item in content["outputs"]
        ),
        content["rows_in"],
        content["rows"],
        written=False,
    )


def compacted_now(
    root: Store, table: Table, plans: Iterable[PartitionPlan], *, workers: int
) -> dict[str, CompactedPartition]:
    """Those of the partitions that are compacted and whose files are all there, by name.

    A table that goes back to an earlier state finds the manifest of then, whose files a vacuum may
    have taken since.
    """
    done = compacted_manifests(root, table)
    wanted = [plan for plan in plans if manifest_key(table, plan) in done]
    folder = f"lake/{table.path}/"
    there = (
        {info.key[len(folder) :]: info.size_bytes for info in root.list(folder)} if wanted else {}
    )
    found = fan_out(lambda plan: read_compacted(root, table, plan), wanted, workers=workers)
    return {
        item.name: item
        for item in found
        if all(there.get(file.path) == file.size_bytes for file in item.files)
    }


def compact_partition(
    root: Store,
    table: Table,
    plans: TablePlan,
    plan: PartitionPlan,
    settings: CompactionSettings,
    passes: Passes,
) -> CompactedPartition:
    """Compact one partition. Doing it twice, or in two processes at once, gives the same objects.

    Args:
        root: The lake's store.
        table: The table.
        plans: The plan of the whole table.
        plan: The partition's part of it.
        settings: Bounds of the work.
        passes: The rows that count.

    Raises:
        ConservationError: The rows written are not the rows that count; no manifest was written.
        StorageError: A staged file cannot be read or is not the one recorded.
    """
    started = time.monotonic()
    folder = f"lake/{table.path}/"
    written = (
        output
        for frame in _seen(passes)
        for output in _write(root, folder, plan, frame, settings, passes.same)
    )
    outputs = list(all_apart(root, folder, written, settings.compression))
    rows = sum(item["rows"] for item in outputs)
    if rows != plan.rows:
        raise ConservationError(
            f"{table.id} {plan.name}: {plan.rows} of {plan.rows_in} staged rows"
            f" count, {rows} were written; nothing was recorded"
        )
    profile = _profile(passes, dict(zip(plans.partition_by, plan.values, strict=True)), rows)
    content = {
        "asset": f"compacted/{table.path}",
        "partition": plan.name,
        "code_version": CODE_VERSION,
        "config_id": plans.config_id,
        "plan_id": plan.plan_id,
        "inputs": [
            {
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "rows": file.rows,
                "kept": int(keep.sum()),
            }
            for file, keep in zip(plan.files, plan.keep, strict=True)
        ],
        "outputs": outputs,
        "rows_in": plan.rows_in,
        "rows_dropped": {"superseded": plan.rows_in - rows},
        "rows": rows,
    } | ({"checks": dict(passes.checks)} if passes.checks else {})
    facts = {
        "inputs": [file.path for file in plan.files],
        "folder": folder,
        "written_at": datetime.now(UTC).isoformat(),
        "seconds": round(time.monotonic() - started, 3),
    }
    key = manifest_key(table, plan)
    document = Document("compacted", content, facts)
    if profile is not None:
        put_profile(root, key, document, profile)
    if write_document(root, key, document):
        done = _recorded(plan, key, content)
    else:  # another process was first: what its manifest names is what gets published
        _replace_false(root, table, plan, document, profile)
        done = read_compacted(root, table, plan)
    logger.info("compacted %s %s: %d rows", table.id, plan.name, rows)
    return replace(done, written=True, seconds=time.monotonic() - started)


def _seen(passes: Passes) -> Iterator[pl.DataFrame]:
    """The frames, each shown to the profiler before it is written."""
    for frame in passes.frames:
        if passes.profiler is not None:
            passes.profiler.add(frame)
        yield frame


def _profile(passes: Passes, keys: Mapping[str, str | None], rows: int) -> Profile | None:
    """What was seen, with the partition's keys, which are its folder's name and in no file."""
    if passes.profiler is None:
        return None
    passes.profiler.add_constants(keys, rows)
    return passes.profiler.profile()


def _replace_false(
    root: Store, table: Table, plan: PartitionPlan, document: Document, profile: Profile | None
) -> None:
    """Put a manifest in place of one whose files are gone; one of another process is left alone."""
    if not compacted_now(root, table, [plan], workers=1):
        key = manifest_key(table, plan)
        root.delete(key)
        if profile is not None:
            put_profile(root, key, document, profile)
        write_document(root, key, document)


def _write(
    root: Store,
    folder: str,
    plan: PartitionPlan,
    frame: pl.DataFrame,
    settings: CompactionSettings,
    same: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    row_bytes = sum(file.written_bytes for file in plan.files) / max(1, plan.rows_in)
    rows_per_file = max(1, int(settings.target_file_bytes / max(1.0, row_bytes)))
    rows_per_file = min(rows_per_file, settings.rows_per_file or rows_per_file)
    place = "" if plan.name == WHOLE_TABLE else f"{plan.name}/"
    shape = FileShape(settings.target_file_bytes, settings.compression, same)
    for start in range(0, frame.height, rows_per_file):
        part = frame.slice(start, rows_per_file)
        yield from write_files(root, folder, place, part, shape)
