"""What a datamart table has to become: for each hive partition the rows that count.

``plan_table`` reads manifests and index files and writes nothing.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import polars as pl

from lake_assets.catalog import Document, content_id
from lake_assets.compacted.partitions import (
    CODE_VERSION,
    CompactionSettings,
    PartitionPlan,
    TablePlan,
    partition_name,
)
from lake_assets.compacted.schema import lake_schema, spelled
from lake_assets.compacted.winners import OrderedFile, Winners, resolve_winners
from lake_assets.export.pega_tables import TableSpec
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile, StagingState, read_staged

__all__ = ["compaction_config_id", "month_partition", "partition_input", "plan_table"]

_PARTITION_BY = ("_month",)


def month_partition(month: str | None) -> str:
    """The name of the partition of a month: ``_month=2026-09``."""
    return partition_name(_PARTITION_BY, (month,))


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
        partition_by=_PARTITION_BY,
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
) -> dict[str, PartitionPlan]:
    grouped: dict[tuple[str | None, ...], list[tuple[StagedFile, pl.Series]]] = {}
    for item, keep in zip(ordered, winners.keep, strict=True):
        grouped.setdefault(item.file.values, []).append((item.file, keep))
    return {
        (name := partition_name(_PARTITION_BY, values)): PartitionPlan(
            name=name,
            values=values,
            files=tuple(file for file, _ in pairs),
            keep=tuple(keep for _, keep in pairs),
            plan_id=content_id(
                {
                    "asset": f"compacted/{spec.path}",
                    "partition": name,
                    "config_id": config,
                    "inputs": [partition_input(file, keep, schema) for file, keep in pairs],
                }
            ),
        )
        for values, pairs in sorted(grouped.items(), key=lambda item: item[0][0] or "")
    }


def partition_input(file: StagedFile, keep: pl.Series, schema: pl.Schema) -> dict[str, Any]:
    """What a ``plan_id`` is made of: the file, and which of its rows count."""
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
) -> frozenset[frozenset[str]]:
    groups = {
        frozenset(partition_name(_PARTITION_BY, values) for values in pair)
        for pair in winners.moved
    }
    for document, files in manifests:
        earlier = former.get(document.content["partition"])
        if earlier:  # corrected: what the export had before and what it has now belong together
            pieces = (*earlier, *files)
            groups.add(frozenset(partition_name(_PARTITION_BY, f.values) for f in pieces))
    return frozenset(group for group in groups if len(group) > 1)
