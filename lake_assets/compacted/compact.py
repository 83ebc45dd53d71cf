"""Write one hive partition: merge the rows that count, in order, as files of the target size.

The files lie in the Delta table's folder and stay invisible until they are published. The manifest
is written last, and only when every row that counts was written exactly once.
"""

import io
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.compacted.plan import (
    CODE_VERSION,
    CompactionSettings,
    PartitionPlan,
    TablePlan,
    partition_name,
)
from lake_assets.compacted.schema import column_order
from lake_assets.compacted.winners import read_index
from lake_assets.delta import DataFile, column_statistics
from lake_assets.errors import ConservationError
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile
from lake_assets.staging.write import parquet_bytes, put_content

__all__ = ["CompactedPartition", "compact_partition", "compacted_manifests", "manifest_key", "read_compacted"]

logger = logging.getLogger(__name__)

#: Reading, merging, ordering and encoding hold about this many copies of a pass's rows.
_COPIES = 4
#: Rows of a row group: small enough to prune by, large enough to compress.
_ROW_GROUP_ROWS = 100_000
_ZSTD_LEVEL = 3


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
    return CompactedPartition(plan.month, key, files, content["rows_in"], content["rows"], written=False)


def compact_partition(
    root: Store, spec: TableSpec, table: TablePlan, plan: PartitionPlan, settings: CompactionSettings
) -> CompactedPartition:
    """Compact one partition. Doing it twice, or in two processes at once, gives the same objects.

    Raises:
        ConservationError: The rows written are not the rows that count; no manifest was written.
        StorageError: A staged file cannot be read or is not the one recorded.
    """
    started = time.monotonic()
    folder = f"lake/{spec.path}/"
    outputs: list[dict[str, Any]] = []
    for frame in _passes(root, spec, plan, settings):
        outputs.extend(_write(root, folder, plan, frame, settings))
    rows = sum(item["rows"] for item in outputs)
    if rows != plan.rows:
        raise ConservationError(
            f"{spec.id} {partition_name(plan.month)}: {plan.rows} of {plan.rows_in} staged rows count,"
            f" {rows} were written; nothing was recorded"
        )
    content = {
        "asset": f"compacted/{spec.path}",
        "partition": partition_name(plan.month),
        "code_version": CODE_VERSION,
        "config_id": table.config_id,
        "plan_id": plan.plan_id,
        "inputs": [
            {"sha256": file.sha256, "size_bytes": file.size_bytes, "rows": file.rows, "kept": int(keep.sum())}
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
    write_document(root, key, Document("compacted", content, facts))
    logger.info("compacted %s %s: %d rows", spec.id, partition_name(plan.month), rows)
    # Another process may have been first: what its manifest names is what gets published.
    done = read_compacted(root, spec, plan)
    return CompactedPartition(
        plan.month, key, done.files, done.rows_in, done.rows, written=True, seconds=time.monotonic() - started
    )


def _passes(
    root: Store, spec: TableSpec, plan: PartitionPlan, settings: CompactionSettings
) -> Iterator[pl.DataFrame]:
    """The rows that count, by time and key, in frames that fit the memory."""
    positions = _positions(root, plan)
    staged_bytes, staged_rows = sum(f.frame_bytes for f in plan.files), plan.rows_in
    row_bytes = max(1, staged_bytes // max(1, staged_rows))
    step = max(1, settings.memory_bytes // _COPIES // row_bytes)
    for start in range(0, plan.rows, step):
        parts: list[pl.DataFrame] = []
        for file, position in zip(plan.files, positions, strict=True):
            wanted = position.is_between(start, start + step - 1).fill_null(value=False)
            if wanted.any():
                parts.append(_read_rows(root, file, position, wanted))
        frame = pl.concat(parts, how="diagonal").sort("_position").drop("_position")
        source = [name for name in frame.columns if name not in INTERNAL_COLUMNS]
        yield frame.select(*column_order(spec, source), *INTERNAL_COLUMNS[:-1])


def _read_rows(root: Store, file: StagedFile, position: pl.Series, wanted: pl.Series) -> pl.DataFrame:
    body = root.get(file.path, sha256=file.sha256)
    frame = pl.read_parquet(io.BytesIO(body), use_pyarrow=False)
    return frame.with_columns(position.alias("_position")).filter(wanted)


def _positions(root: Store, plan: PartitionPlan) -> list[pl.Series]:
    """The place of each row in the sorted partition, for each file; null for rows that do not count."""
    if not plan.files:
        return []
    index = pl.concat(
        read_index(root, file, ["_time", "_key"])
        .with_row_index("_row")
        .with_columns(_file=pl.lit(number, dtype=pl.UInt32))
        .filter(keep)
        for number, (file, keep) in enumerate(zip(plan.files, plan.keep, strict=True))
    )
    index = index.sort("_time", "_key", "_file", "_row").select("_file", "_row").with_row_index("_position")
    by_file = index.partition_by("_file", as_dict=True)
    positions: list[pl.Series] = []
    for number, file in enumerate(plan.files):
        position = pl.Series("_position", [None], dtype=pl.UInt32).new_from_index(0, file.rows)
        mine = by_file.get((number,))
        if mine is not None:
            position = position.scatter(mine["_row"], mine["_position"])
        positions.append(position)
    return positions


def _write(
    root: Store, folder: str, plan: PartitionPlan, frame: pl.DataFrame, settings: CompactionSettings
) -> Iterator[dict[str, Any]]:
    """Files of at most the target size; halved until they fit, since only encoding tells the size."""
    sizes = sum(file.size_bytes for file in plan.files) / max(1, plan.rows_in)
    rows_per_file = max(1, int(settings.target_file_bytes / max(1.0, sizes)))
    queue = [frame.slice(start, rows_per_file) for start in range(0, frame.height, rows_per_file)]
    while queue:
        part = queue.pop(0)
        body = parquet_bytes(part, level=_ZSTD_LEVEL, row_group_rows=_ROW_GROUP_ROWS)
        if len(body) > settings.target_file_bytes and part.height > 1:
            half = -(-part.height // 2)
            queue[:0] = [part.slice(0, half), part.slice(half)]
            continue
        place = f"{partition_name(plan.month)}/"
        key, sha = put_content(root, folder + place, body)
        yield {
            "path": key[len(folder) :],
            "sha256": sha,
            "size_bytes": len(body),
            "rows": part.height,
            "stats": column_statistics(part),
        }
