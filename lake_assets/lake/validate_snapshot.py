"""Is a published database table what was exported: counts, sums of every column, files, keys.

Everything is computed anew from the staged and the live files; what manifests and commits say is
only compared. Memory is that of a partition's files, one after the other.
"""

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.compacted.partitions import PartitionPlan, TablePlan, partition_name
from lake_assets.compacted.snapshot_passes import ColumnSums, read_staged_file
from lake_assets.compacted.snapshot_plan import resolve
from lake_assets.compacted.widen import cast_frame
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.fanout import fan_out
from lake_assets.lake.databases import (
    Databases,
    pending_snapshots,
    plan_lake,
    staged_snapshots,
)
from lake_assets.lake.read import table_uri
from lake_assets.s3 import Store, storage_options

__all__ = ["Counted", "Validation", "validate_snapshot"]

#: Manifests read at once: small objects, so only their latency counts.
_READERS = 16
_KILO = 1024
#: Files are named by the first half of their sha256.
_OURS = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Counted:
    """One side of the comparison, in dbsnaplake's words."""

    n_files: int
    total_size: int
    """Stored bytes."""
    total_n_record: int
    n_partition: int
    partitions: tuple[Mapping[str, Any], ...] = ()
    """For each partition ``data`` (its hive path), ``n_files``, ``total_size``, ``total_n_record``,
    ``count_on`` (non-null values, None without such a column)."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "n_files": self.n_files,
            "total_size": self.total_size,
            "total_size_4_human": _for_people(self.total_size),
            "total_n_record": self.total_n_record,
            "n_partition": self.n_partition,
            "partitions": [dict(partition) for partition in self.partitions],
        }


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict on a table."""

    table: str
    version: int | None
    snapshots: tuple[str, ...]
    source: Counted
    """What the exports hold; their partitions are not known."""
    before: Counted
    """Staging."""
    after: Counted
    """The lake."""
    rows_dropped: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "table": self.table,
            "version": self.version,
            "snapshots": list(self.snapshots),
            "valid": self.valid,
            "problems": list(self.problems),
            "rows_dropped": dict(self.rows_dropped),
            "source": self.source.as_dict(),
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
        }


def validate_snapshot(databases: Databases, table: SnapshotTable) -> Validation:
    """Hold the live table against the snapshots that it is made of.

    Raises:
        StorageError: Staging or the lake cannot be read, or a staged file is not the recorded one.
    """
    root, uri = databases.root, table_uri(databases.root.url, table)
    options = storage_options(uri)
    version = delta.table_version(uri, options)
    plan = plan_lake(databases, table)
    problems = _state_problems(databases, table, version)
    live: dict[str, list[delta.DataFile]] = {}
    for file in delta.live_files(uri, options):
        live.setdefault(partition_name(plan.partition_by, file.partition), []).append(file)
    strangers = sorted(set(live) - set(plan.partitions))
    problems += [f"{name}: is live and in no snapshot" for name in strangers]
    resolved = resolve(root, table, list(plan.partitions.values()), databases.compaction(table))
    before, after = [], []
    for name in plan.partitions:
        staged, lake, found = _compare(databases, table, plan, resolved[name], live.get(name, []))
        before.append(staged)
        after.append(lake)
        problems += found
    source, dropped = _source(databases, table, plan)
    superseded = sum(p.rows_in - p.rows for p in resolved.values())
    dropped |= {"superseded": superseded} if superseded else {}
    lake = _counted(after)
    if source.total_n_record != lake.total_n_record + sum(dropped.values()):
        problems.append(
            f"{source.total_n_record} rows were exported, {lake.total_n_record} are live and"
            f" {sum(dropped.values())} were dropped by rule"
        )
    return Validation(
        table=table.id,
        version=version,
        snapshots=tuple(sorted(plan.export_ids)),
        source=source,
        before=_counted(before),
        after=lake,
        rows_dropped=dropped,
        problems=tuple(problems),
    )


def _state_problems(databases: Databases, table: SnapshotTable, version: int | None) -> list[str]:
    state, proof = pending_snapshots(databases, table)
    if version is None:
        return ["nothing is published yet"]
    if not state.current:
        return ["nothing is staged that the table could be held against"]
    if proof is None:
        return ["what is staged is not published yet; run the table"]
    rolled_back = proof.get("lake.rolled_back_to")
    return [f"was rolled back to version {rolled_back}"] if rolled_back else []


def _source(
    databases: Databases, table: SnapshotTable, plan: TablePlan
) -> tuple[Counted, dict[str, int]]:
    """What was read of the exports, and the rows that a transform dropped (or added: below 0)."""
    root = databases.root
    keys = staged_snapshots(databases, table).current
    documents = fan_out(lambda key: read_document(root, key), keys, workers=_READERS)
    used = [d.content for d in documents if d.content["partition"] in plan.export_ids]
    read = sum(content["rows_in"] for content in used)
    changed = read - sum(content["rows"] for content in used)
    counted = Counted(
        n_files=sum(content["n_files"] for content in used),
        total_size=sum(content["size_bytes"] for content in used),
        total_n_record=read,
        n_partition=0,
    )
    return counted, {"transform": changed} if changed else {}


def _compare(
    databases: Databases,
    table: SnapshotTable,
    plan: TablePlan,
    partition: PartitionPlan,
    live: Sequence[delta.DataFile],
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """One partition as staged and as live, and what differs."""
    root, counted = databases.root, table.settings.count_on
    columns = {name: t for name, t in plan.schema.items() if name not in plan.partition_by}
    staged, lake, problems = ColumnSums(), ColumnSums(), list[str]()
    rows = 0
    for file, keep in zip(partition.files, partition.keep, strict=True):
        if keep.any():
            kept = read_staged_file(root, file).filter(keep)
            staged.add(cast_frame(kept, columns, table=table.id))
    for file in live:
        found = _live_rows(root, table, file)
        if isinstance(found, str):
            problems.append(f"{partition.name}: {found}")
        else:
            rows += found.height
            lake.add(cast_frame(found, columns, table=table.id))
    if rows != partition.rows:
        problems.append(f"{partition.name}: {partition.rows} staged rows count, {rows} are live")
    elif wrong := sorted(n for n in columns if staged.sums[n] != lake.sums[n]):
        problems.append(f"{partition.name}: the values of {wrong} are not those that were staged")
    before = {
        "data": partition.name,
        "n_files": len(partition.files),
        "total_size": sum(file.size_bytes for file in partition.files),
        "total_n_record": partition.rows_in,
        "count_on": staged.filled[counted] if counted else None,
    }
    after = {
        "data": partition.name,
        "n_files": len(live),
        "total_size": sum(file.size_bytes for file in live),
        "total_n_record": rows,
        "count_on": lake.filled[counted] if counted else None,
    }
    return before, after, problems


def _live_rows(root: Store, table: SnapshotTable, file: delta.DataFile) -> pl.DataFrame | str:
    """The rows of a live file, or what is wrong with it; its name begins with its sha256."""
    key = f"lake/{table.path}/{file.path}"
    if root.head(key) is None:
        return f"{file.path} is live and not there"
    body = root.get(key)
    name = file.path.rpartition("/")[2].removesuffix(".parquet")
    if not _OURS.fullmatch(name):
        return f"{file.path} is live and was not written by this project"
    if len(body) != file.size_bytes or not hashlib.sha256(body).hexdigest().startswith(name):
        return f"{file.path} does not have the bytes that were written"
    return pl.read_parquet(io.BytesIO(body))


def _counted(partitions: Sequence[Mapping[str, Any]]) -> Counted:
    return Counted(
        n_files=sum(item["n_files"] for item in partitions),
        total_size=sum(item["total_size"] for item in partitions),
        total_n_record=sum(item["total_n_record"] for item in partitions),
        n_partition=len(partitions),
        partitions=tuple(partitions),
    )


def _for_people(size_bytes: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size_bytes < _KILO:
            return f"{size_bytes:.2f} {unit}"
        size_bytes /= _KILO
    return f"{size_bytes:.2f} TB"
