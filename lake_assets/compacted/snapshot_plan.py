"""What a database table has to become: the newest snapshot, or every one, partition by partition.

A partition is named by its snapshot's manifest, which fixes its files and the rows that count;
these are only looked for (``resolve``) where something has to be written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl
from deltalake import Schema

from lake_assets.catalog import Document, content_id
from lake_assets.compacted.partitions import (
    CODE_VERSION,
    CompactionSettings,
    PartitionPlan,
    TablePlan,
    partition_name,
)
from lake_assets.compacted.widen import join_schemas
from lake_assets.compacted.winners import OrderedFile, resolve_winners
from lake_assets.errors import ConservationError, SettingsError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.s3 import Store
from lake_assets.staging.derive import derive
from lake_assets.staging.manifests import StagedFile, StagingState
from lake_assets.staging.snapshot_manifest import read_snapshot

__all__ = [
    "plan_snapshots",
    "polars_schema",
    "resolve",
    "snapshot_compaction_config_id",
]

#: The indexes are looked at in this part of the memory: what staging has used lies beside it, kept
#: back by the allocator (700 MB at the peak with the whole, 1,070 at four times the data).
_BESIDE = 4


@dataclass(frozen=True, slots=True)
class _Staged:
    manifest: str
    document: Document
    files: tuple[StagedFile, ...]

    @property
    def id(self) -> str:
        return self.document.content["partition"]


def snapshot_compaction_config_id(table: SnapshotTable, settings: CompactionSettings) -> str:
    """Names the settings and the code that decide which files staged snapshots become."""
    chosen = table.settings
    return content_id(
        {
            "code_version": CODE_VERSION,
            "compression": settings.compression,
            "count_on": chosen.count_on,
            "descending": chosen.descending,
            "mode": chosen.mode,
            "rows_per_file": settings.rows_per_file,
            "sort_by": chosen.sort_by,
            "target_file_bytes": settings.target_file_bytes,
        }
    )


def plan_snapshots(
    root: Store,
    table: SnapshotTable,
    state: StagingState,
    settings: CompactionSettings,
    *,
    published: Mapping[str, pl.DataType],
) -> TablePlan:
    """The table that its staged snapshots describe; ``keep`` of its partitions is not resolved.

    Args:
        root: The lake's store.
        table: The table.
        state: What is staged.
        settings: Bounds of the work.
        published: The columns that the table has already.

    Raises:
        SchemaChangeError: Types that do not join, or that the published table does not hold.
        StorageError: A manifest cannot be read, or is not the one recorded.
    """
    staged = [_Staged(key, *read_snapshot(root, key)) for key in state.current]
    staged.sort(key=lambda item: (item.document.content["exported_at"], item.id))
    if table.settings.mode == "replace":
        staged = staged[-1:]
    schema = _lake_schema(table, staged, published)
    _check_columns(table, staged, schema)
    config = snapshot_compaction_config_id(table, settings)
    partitions = {
        plan.name: plan for item in staged for plan in _partitions(table, item, schema, config)
    }
    _check_rows(table, staged, partitions.values())
    ids = [item.id for item in staged]
    rows_read = sum(item.document.content["rows_in"] for item in staged)
    return TablePlan(
        generation=state.generation,
        inputs=state.digest,
        config_id=config,
        partition_by=table.partition_by,
        partitions=partitions,
        # A snapshot is one state of the database: it is there as a whole or not at all.
        linked=frozenset({frozenset(partitions)}),
        schema=schema,
        export_ids=frozenset(ids),
        n_files=sum(item.document.content["n_files"] for item in staged),
        forgets=table.settings.mode == "replace",
        facts={"lake.snapshot": ids[-1], "lake.rows_read": str(rows_read)} if ids else {},
    )


def resolve(
    root: Store,
    table: SnapshotTable,
    plans: Sequence[PartitionPlan],
    settings: CompactionSettings,
) -> dict[str, PartitionPlan]:
    """The partitions with their rows that count, by name; all partitions of a snapshot together.

    Args:
        root: The lake's store.
        table: The table.
        plans: All partitions of the snapshots that something is to be written of.
        settings: Bounds of the work.
    """
    resolved: dict[str, PartitionPlan] = {}
    for group in _by_snapshot(table, plans):
        files = [file for plan in group for file in plan.files]
        if not files or not files[0].index_path:
            for plan in group:
                keep = tuple(_all(file.rows) for file in plan.files)
                resolved[plan.name] = replace(plan, keep=keep)
            continue
        # In the order in which the rows were read: it decides between rows of one time.
        files.sort(key=lambda file: file.index_number)
        shared = {file.index_path: replace(file, rows=file.index_rows) for file in files}
        winners = resolve_winners(
            root,
            [OrderedFile(file, 0) for file in shared.values()],
            memory_bytes=settings.memory_bytes // _BESIDE,
            workers=settings.workers,
        )
        found = dict(zip(shared, winners.keep, strict=True))
        for plan in group:
            keep = tuple(found[f.index_path].slice(f.index_offset, f.rows) for f in plan.files)
            resolved[plan.name] = replace(plan, keep=keep)
    return resolved


@lru_cache(maxsize=256)
def polars_schema(schema: str) -> pl.Schema:
    """The columns of a staged file, from the Delta schema that its manifest records."""
    return pl.Schema(Schema.from_json(schema))


def _check_rows(
    table: SnapshotTable, staged: Iterable[_Staged], plans: Iterable[PartitionPlan]
) -> None:
    rows = sum(item.document.content["rows"] for item in staged)
    planned = sum(plan.rows_in for plan in plans)
    if planned != rows:
        raise ConservationError(
            f"{table.id}: {rows} rows are staged, the partitions have {planned}; nothing was"
            " planned"
        )


def _check_columns(table: SnapshotTable, staged: Iterable[_Staged], schema: pl.Schema) -> None:
    """What rows are sorted by and counted on is there, and of a type that has an order."""
    chosen = table.settings
    if not any(file.rows for item in staged for file in item.files):
        return
    for name in (*chosen.sort_by, *filter(None, [chosen.count_on])):
        if name not in schema:
            raise SettingsError(
                f"databases.{table.id} sorts by or counts on {name!r}, which no file has; there is"
                f" {', '.join(schema)}; correct the configuration"
            )
    for name in chosen.sort_by:
        if schema[name].is_nested():
            raise SettingsError(
                f"databases.{table.id} sorts by {name!r}, which is {schema[name]} and has no"
                " order; sort by another column"
            )


def _all(rows: int) -> pl.Series:
    return pl.Series([True], dtype=pl.Boolean).new_from_index(0, rows)


def _by_snapshot(
    table: SnapshotTable, plans: Iterable[PartitionPlan]
) -> Iterable[list[PartitionPlan]]:
    if table.settings.mode == "replace":
        return [list(plans)]
    groups: dict[str | None, list[PartitionPlan]] = {}
    for plan in plans:
        groups.setdefault(plan.values[0], []).append(plan)
    return groups.values()


def _lake_schema(
    table: SnapshotTable, staged: Sequence[_Staged], published: Mapping[str, pl.DataType]
) -> pl.Schema:
    keys = table.partition_by
    held = {name: dtype for name, dtype in published.items() if name not in keys}
    texts = dict.fromkeys(file.schema for item in staged for file in item.files)
    joined = join_schemas([polars_schema(text) for text in texts], table=table.id, published=held)
    empty = {name for item in staged for name in item.document.content["null_columns"]}
    declared = {name: found.dtype for name, found in table.columns.items()}
    derived = _derived(table, declared)
    columns = dict(joined)
    for name in sorted(empty - set(columns)):  # no file has a value: the column is there, as text
        columns[name] = held.get(name, declared.get(name, derived.get(name, pl.String())))
    if not columns:  # no file has a row: what is published, else what is declared
        columns = dict(held) or derived or {"record_id": pl.String()}
    columns.update(dict.fromkeys(keys, pl.String()))
    return pl.Schema(columns)


def _derived(table: SnapshotTable, columns: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The types that derived columns have by what they are made of, as far as that is known."""
    none = pl.DataFrame(schema=pl.Schema(columns))
    found = derive(none, table.settings, place=table.id).frame.schema
    return {name: dtype for name, dtype in found.items() if dtype != pl.Null}


def _partitions(
    table: SnapshotTable, item: _Staged, schema: pl.Schema, config: str
) -> Iterable[PartitionPlan]:
    grouped: dict[tuple[str | None, ...], list[StagedFile]] = {}
    first = (item.id,) if table.settings.mode == "history" else ()
    for file in item.files:
        if file.rows:
            grouped.setdefault((*first, *file.values), []).append(file)
    for values, files in sorted(grouped.items(), key=lambda pair: [v or "" for v in pair[0]]):
        name = partition_name(table.partition_by, values)
        texts = dict.fromkeys(file.schema for file in files)
        cast = {
            column: str(schema[column])
            for text in texts
            for column, dtype in polars_schema(text).items()
            if dtype != schema[column]
        }
        yield PartitionPlan(
            name=name,
            values=values,
            files=tuple(files),
            keep=(),
            plan_id=content_id(
                {
                    "asset": f"compacted/{table.path}",
                    "cast": cast,
                    "config_id": config,
                    "inputs": item.document.id,
                    "partition": name,
                }
            ),
        )
