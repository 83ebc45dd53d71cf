"""What the table has to become: for each hive partition the rows that count, and a name for it.

``plan_table`` reads manifests and index files and writes nothing. A partition's ``plan_id`` is made
of its inputs only, so work that was done once is recognised whoever did it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake_assets.catalog import Document, content_id
from lake_assets.compacted.schema import lake_schema, spelled
from lake_assets.compacted.winners import OrderedFile, Winners, resolve_winners
from lake_assets.export.pega_tables import TableSpec
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store, quote_segment
from lake_assets.staging.manifests import StagedFile, StagingState, read_staged

__all__ = [
    "CODE_VERSION",
    "NULL_PARTITION",
    "CompactionSettings",
    "PartitionPlan",
    "TablePlan",
    "compaction_config_id",
    "partition_name",
    "partition_value",
    "plan_table",
]

#: Changes when the same staged rows would give other files; every partition is then written again.
CODE_VERSION = "compacted/1"

#: Hive's name of the partition whose value is null.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class CompactionSettings:
    """Bounds of one compaction, in bytes."""

    memory_bytes: int
    target_file_bytes: int
    workers: int = 4


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One hive partition as it has to become."""

    month: str | None
    files: tuple[StagedFile, ...]
    keep: tuple[pl.Series, ...]
    """Which rows of each file count (Boolean Series)."""
    plan_id: str

    @property
    def rows_in(self) -> int:
        """Staged rows of this partition."""
        return sum(file.rows for file in self.files)

    @property
    def rows(self) -> int:
        """Rows that count; the others have a newer row of the same key somewhere in the table."""
        return sum(int(keep.sum()) for keep in self.keep)


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A whole table as its staging manifests want it."""

    generation: int
    inputs: str
    """Names the set of staging manifests."""
    config_id: str
    partitions: Mapping[str | None, PartitionPlan]
    linked: frozenset[frozenset[str | None]]
    """Partitions that must be published together: a record moved, or an export was corrected."""
    schema: pl.Schema
    export_ids: frozenset[str]
    n_files: int

    @property
    def n_exports(self) -> int:
        """Exports that the table is made of."""
        return len(self.export_ids)

    @property
    def rows_in(self) -> int:
        """Rows of all exports that count."""
        return sum(partition.rows_in for partition in self.partitions.values())

    @property
    def rows(self) -> int:
        """Rows that the table will have."""
        return sum(partition.rows for partition in self.partitions.values())


def partition_name(month: str | None) -> str:
    """The hive path of a partition, also its Dagster partition key: ``_month=2026-09``."""
    return f"_month={quote_segment(month) if month else NULL_PARTITION}"


def partition_value(name: str) -> str | None:
    """The value in a name that ``partition_name`` made."""
    value = name.removeprefix("_month=")
    return None if value == NULL_PARTITION else value


def compaction_config_id(spec: TableSpec, settings: CompactionSettings) -> str:
    """Names the settings and the code that decide which files a set of staged rows becomes."""
    return content_id(
        {
            "code_version": CODE_VERSION,
            "keys": spec.keys,
            "known": spec.known,
            "target_file_bytes": settings.target_file_bytes,
        }
    )


def plan_table(
    root: Store,
    spec: TableSpec,
    state: StagingState,
    settings: CompactionSettings,
    *,
    published: Iterable[str] = (),
) -> TablePlan:
    """The table that the staging manifests of ``state`` describe.

    Args:
        root: The lake's store.
        spec: The table.
        state: What is staged.
        settings: Bounds of the work.
        published: The columns that the table has already, whose spelling is kept.

    Raises:
        SchemaChangeError: Two exports give one column different types.
        StorageError: A manifest or an index file cannot be read, or is not the one recorded.
    """
    manifests = list(
        fan_out(lambda key: read_staged(root, key), state.current, workers=settings.workers)
    )
    manifests.sort(key=lambda m: (m[0].content["exported_at"], m[0].content["partition"]))
    ordered = [
        OrderedFile(file, rank) for rank, (_, files) in enumerate(manifests) for file in files
    ]
    former = _former_files(root, state, {item.file.path for item in ordered})
    winners = resolve_winners(
        root,
        ordered,
        memory_bytes=settings.memory_bytes,
        workers=settings.workers,
        former=[file for files in former.values() for file in files],
    )
    config = compaction_config_id(spec, settings)
    documents = [document.content for document, _ in manifests]
    columns = [output["columns"] for document in documents for output in document["outputs"]]
    schema = lake_schema(spec, columns, published=published)
    return TablePlan(
        generation=state.generation,
        inputs=state.digest,
        config_id=config,
        partitions=_partitions(spec, ordered, winners, config, schema),
        linked=_linked(former, manifests, winners),
        schema=schema,
        export_ids=frozenset(document["partition"] for document in documents),
        n_files=sum(len(document["inputs"]) for document in documents),
    )


def _partitions(
    spec: TableSpec,
    ordered: Iterable[OrderedFile],
    winners: Winners,
    config: str,
    schema: pl.Schema,
) -> dict[str | None, PartitionPlan]:
    grouped: dict[str | None, list[tuple[StagedFile, pl.Series]]] = {}
    for item, keep in zip(ordered, winners.keep, strict=True):
        grouped.setdefault(item.file.month, []).append((item.file, keep))
    return {
        month: PartitionPlan(
            month=month,
            files=tuple(file for file, _ in pairs),
            keep=tuple(keep for _, keep in pairs),
            plan_id=content_id(
                {
                    "asset": f"compacted/{spec.path}",
                    "partition": partition_name(month),
                    "config_id": config,
                    "inputs": [_input(file, keep, schema) for file, keep in pairs],
                }
            ),
        )
        for month, pairs in sorted(grouped.items(), key=lambda item: item[0] or "")
    }


def _input(file: StagedFile, keep: pl.Series, schema: pl.Schema) -> dict[str, Any]:
    kept = int(keep.sum())
    described: dict[str, Any] = {"sha256": file.sha256, "rows": file.rows, "kept": kept}
    if 0 < kept < file.rows:
        lines = ",".join(map(str, (~keep).arg_true().to_list()))
        described["dropped"] = hashlib.sha256(lines.encode()).hexdigest()
    if renamed := spelled(file.columns, schema):
        described["renamed"] = renamed
    return described


def _former_files(
    root: Store, state: StagingState, current: Collection[str]
) -> dict[str, list[StagedFile]]:
    """Of each corrected export the files that only its earlier manifests have."""
    return {
        export.export_id: [
            file
            for key in export.manifests[:-1]
            for file in read_staged(root, key)[1]
            if file.path not in current
        ]
        for export in state.exports.values()
        if len(export.manifests) > 1
    }


def _linked(
    former: Mapping[str, list[StagedFile]],
    manifests: Iterable[tuple[Document, tuple[StagedFile, ...]]],
    winners: Winners,
) -> frozenset[frozenset[str | None]]:
    groups = {frozenset(pair) for pair in winners.moved}
    for document, files in manifests:
        earlier = former.get(document.content["partition"])
        if earlier:  # corrected: what the export had before and what it has now belong together
            groups.add(frozenset(file.month for file in (*earlier, *files)))
    return frozenset(group for group in groups if len(group) > 1)
