"""Write one hive partition: merge the rows that count, in order, as files of the target size.

The files lie in the Delta table's folder and stay invisible until they are published. The manifest
is written last, and only when every row that counts was written exactly once.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.compacted.passes import sorted_passes
from lake_assets.compacted.plan import (
    CODE_VERSION,
    CompactionSettings,
    PartitionPlan,
    TablePlan,
    partition_name,
)
from lake_assets.compacted.write import write_files
from lake_assets.delta import DataFile
from lake_assets.errors import ConservationError
from lake_assets.export.pega_tables import TableSpec
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store

__all__ = [
    "CompactedPartition",
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

    month: str | None
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


def compacted_manifests(root: Store, spec: TableSpec) -> frozenset[str]:
    """Keys of all manifests of compacted partitions of a table, from one listing."""
    return frozenset(info.key for info in root.list(f"compacted/{spec.path}/"))


def manifest_key(spec: TableSpec, plan: PartitionPlan) -> str:
    """Where the manifest of exactly this plan lies."""
    return f"compacted/{spec.path}/{partition_name(plan.month)}/{plan.plan_id}.json"


def read_compacted(root: Store, spec: TableSpec, plan: PartitionPlan) -> CompactedPartition:
    """The partition that was compacted by this plan."""
    key = manifest_key(spec, plan)
    content = read_document(root, key).content
    files = tuple(
        DataFile(item["path"], item["size_bytes"], item["rows"], (plan.month,), item["stats"])
        for item in content["outputs"]
    )
    return CompactedPartition(
        plan.month, key, files, content["rows_in"], content["rows"], written=False
    )


def compacted_now(
    root: Store, spec: TableSpec, plans: Iterable[PartitionPlan], *, workers: int
) -> dict[str | None, CompactedPartition]:
    """Those of the partitions that are compacted and whose files are all there, by month.

    A table that goes back to an earlier state finds the manifest of then, whose files a vacuum may
    have taken since.
    """
    done = compacted_manifests(root, spec)
    wanted = [plan for plan in plans if manifest_key(spec, plan) in done]
    folder = f"lake/{spec.path}/"
    there = (
        {info.key[len(folder) :]: info.size_bytes for info in root.list(folder)} if wanted else {}
    )
    found = fan_out(lambda plan: read_compacted(root, spec, plan), wanted, workers=workers)
    return {
        item.month: item
        for item in found
        if all(there.get(file.path) == file.size_bytes for file in item.files)
    }


def compact_partition(
    root: Store,
    spec: TableSpec,
    table: TablePlan,
    plan: PartitionPlan,
    settings: CompactionSettings,
) -> CompactedPartition:
    """Compact one partition. Doing it twice, or in two processes at once, gives the same objects.

    Raises:
        ConservationError: The rows written are not the rows that count; no manifest was written.
        StorageError: A staged file cannot be read or is not the one recorded.
    """
    started = time.monotonic()
    folder = f"lake/{spec.path}/"
    outputs: list[dict[str, Any]] = []
    passes = sorted_passes(root, spec, plan, names=table.schema, memory_bytes=settings.memory_bytes)
    for frame in passes:
        outputs.extend(_write(root, folder, plan, frame, settings))
    rows = sum(item["rows"] for item in outputs)
    if rows != plan.rows:
        raise ConservationError(
            f"{spec.id} {partition_name(plan.month)}: {plan.rows} of {plan.rows_in} staged rows"
            f" count, {rows} were written; nothing was recorded"
        )
    content = {
        "asset": f"compacted/{spec.path}",
        "partition": partition_name(plan.month),
        "code_version": CODE_VERSION,
        "config_id": table.config_id,
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
    }
    facts = {
        "inputs": [file.path for file in plan.files],
        "folder": folder,
        "written_at": datetime.now(UTC).isoformat(),
        "seconds": round(time.monotonic() - started, 3),
    }
    key = manifest_key(spec, plan)
    document = Document("compacted", content, facts)
    if not write_document(root, key, document):
        _replace_false(root, spec, plan, document)
    logger.info("compacted %s %s: %d rows", spec.id, partition_name(plan.month), rows)
    # Another process may have been first: what its manifest names is what gets published.
    done = read_compacted(root, spec, plan)
    return CompactedPartition(
        plan.month,
        key,
        done.files,
        done.rows_in,
        done.rows,
        written=True,
        seconds=time.monotonic() - started,
    )


def _replace_false(root: Store, spec: TableSpec, plan: PartitionPlan, document: Document) -> None:
    """Put a manifest in place of one whose files are gone; one of another process is left alone."""
    if not compacted_now(root, spec, [plan], workers=1):
        key = manifest_key(spec, plan)
        root.delete(key)
        write_document(root, key, document)


def _write(
    root: Store, folder: str, plan: PartitionPlan, frame: pl.DataFrame, settings: CompactionSettings
) -> Iterator[dict[str, Any]]:
    row_bytes = sum(file.size_bytes for file in plan.files) / max(1, plan.rows_in)
    rows_per_file = max(1, int(settings.target_file_bytes / max(1.0, row_bytes)))
    place = f"{partition_name(plan.month)}/"
    for start in range(0, frame.height, rows_per_file):
        part = frame.slice(start, rows_per_file)
        yield from write_files(root, folder, place, part, settings.target_file_bytes)
