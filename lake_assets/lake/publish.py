"""Publish a table: one Delta commit for every compacted partition that is not live yet, with its proof.

Partitions between which a record moved are published together or not at all; a partition whose
compacted files are missing holds back only those it is linked with.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from lake_assets import delta
from lake_assets.compacted.compact import (
    CompactedPartition,
    compacted_manifests,
    manifest_key,
    read_compacted,
)
from lake_assets.compacted.plan import TablePlan, partition_name
from lake_assets.errors import ConservationError
from lake_assets.export.pega_tables import TableSpec
from lake_assets.fanout import fan_out
from lake_assets.lake.read import table_uri
from lake_assets.s3 import Store, storage_options

__all__ = ["Published", "publish_plan"]


@dataclass(frozen=True, slots=True)
class Published:
    """What one publish made of a table."""

    version: int
    committed: bool
    rows: int
    rows_in: int
    rows_dropped: dict[str, int]
    files: int
    size_bytes: int
    partitions: tuple[str, ...] = ()
    """Partitions that this commit changed."""
    held_back: tuple[str, ...] = field(default=())
    """Partitions that wait for their compaction, or for that of a partition they are linked with."""


def publish_plan(root: Store, spec: TableSpec, plan: TablePlan, *, workers: int) -> Published:
    """Make the table what ``plan`` says, as far as its partitions are compacted.

    Raises:
        StalePlanError: The table holds a later state; plan again.
        SchemaChangeError: A column would change its type.
        ConservationError: The live rows are not those of the plan.
        PublishConflictError: Other writers kept winning.
    """
    done = compacted_manifests(root, spec)
    ready = {m for m, p in plan.partitions.items() if manifest_key(spec, p) in done}
    held_back = _closure(set(plan.partitions) - ready, plan.linked)
    compacted = list(
        fan_out(
            lambda month: read_compacted(root, spec, plan.partitions[month]),
            [month for month in plan.partitions if month not in held_back],
            workers=workers,
        )
    )
    uri, options = table_uri(root.url, spec), storage_options(root.url)
    replace: dict[tuple[str | None, ...], tuple[delta.DataFile, ...]] = {
        (item.month,): item.files for item in compacted
    }
    if not held_back:  # what no export has rows for any more leaves with the same commit
        for file in delta.live_files(uri, options):
            replace.setdefault(file.partition, ())
    commit = delta.publish(
        uri,
        delta.Publication(
            schema=plan.schema,
            partition_by=["_month"],
            replace=replace,
            transaction=(f"lake_assets/{spec.path}", plan.generation),
            proof=_proof(plan, compacted, complete=not held_back),
        ),
        options,
    )
    live = delta.live_files(uri, options, commit.version)
    rows = sum(file.rows for file in live)
    if not held_back and rows != plan.rows:
        raise ConservationError(
            f"{spec.id} version {commit.version} has {rows} rows, its plan {plan.rows}: something else"
            f" wrote to {uri}; restore the version before and look into `lake query`"
        )
    changed = {path.partition("/")[0] for path in (*commit.added, *commit.removed)}
    return Published(
        version=commit.version,
        committed=commit.committed,
        rows=rows,
        rows_in=plan.rows_in,
        rows_dropped={"superseded": plan.rows_in - plan.rows} if plan.rows_in > plan.rows else {},
        files=len(live),
        size_bytes=sum(file.size_bytes for file in live),
        partitions=tuple(sorted(changed)),
        held_back=tuple(partition_name(month) for month in sorted(held_back, key=str)),
    )


def _closure(
    missing: set[str | None], linked: Iterable[frozenset[str | None]]
) -> frozenset[str | None]:
    """All partitions that cannot be published while ``missing`` are not there."""
    held = set(missing)
    groups = list(linked)
    grew = True
    while grew:
        before = len(held)
        for group in groups:
            if held & group:
                held |= group
        grew = len(held) > before
    return frozenset(held)


def _proof(
    plan: TablePlan, compacted: list[CompactedPartition], *, complete: bool
) -> dict[str, str]:
    partitions = {
        partition_name(item.month): {
            "manifest": item.manifest.rpartition("/")[2].removesuffix(".json"),
            "rows_in": item.rows_in,
            "rows_dropped": item.rows_in - item.rows,
            "rows": item.rows,
        }
        for item in compacted
    }
    return {
        "lake.generation": str(plan.generation),
        "lake.inputs": plan.inputs if complete else "",
        "lake.config": plan.config_id,
        "lake.exports": str(plan.n_exports),
        "lake.files": str(plan.n_files),
        "lake.rows_in": str(sum(item.rows_in for item in compacted)),
        "lake.rows_dropped": str(sum(item.rows_in - item.rows for item in compacted)),
        "lake.rows": str(sum(item.rows for item in compacted)),
        "lake.partitions": json.dumps(partitions, sort_keys=True),
    }
