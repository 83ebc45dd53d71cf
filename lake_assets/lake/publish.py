"""Publish a table: one Delta commit for every compacted partition that is not live yet.

Partitions between which a record moved are published together or not at all; a partition whose
compacted files are missing holds back only those it is linked with.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.compacted.compact import CompactedPartition
from lake_assets.compacted.partitions import WHOLE_TABLE, Table, TablePlan
from lake_assets.errors import ConservationError, StalePlanError, StorageError
from lake_assets.lake.read import table_uri
from lake_assets.s3 import Store, storage_options, unquote_segment
from lake_assets.staging.manifests import staging_state

__all__ = ["Published", "publish_plan"]

#: Exports that an error names; more are only counted.
_NAMED = 5


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
    """Partitions that wait for their compaction, or for that of one they are linked with."""


def publish_plan(
    root: Store, table: Table, plan: TablePlan, *, ready: Mapping[str, CompactedPartition]
) -> Published:
    """Make the table what ``plan`` says, as far as its partitions are compacted.

    Args:
        root: The lake's store.
        table: The table.
        plan: What it shall become.
        ready: What ``compacted_now`` found just now.

    Raises:
        StalePlanError: The table holds a later state; plan again.
        SchemaChangeError: A column would change its type.
        StorageError: What is staged no longer has an export whose rows are in the table.
        ConservationError: The live rows are not those of the plan.
        PublishConflictError: Other writers kept winning.
    """
    held_back = _closure(set(plan.partitions) - set(ready), plan.linked)
    compacted = [item for name, item in ready.items() if name not in held_back]
    uri, options = table_uri(root.url, table), storage_options(root.url)
    before = delta.standing(uri, options)
    known = before.proof if before else None
    if not plan.forgets:
        _refuse_forgotten(root, table, plan, known)
    replace: dict[tuple[str | None, ...], tuple[delta.DataFile, ...]] = {
        item.values: item.files for item in compacted
    }
    if not held_back:  # what no export has rows for any more leaves with the same commit
        for file in before.files if before else ():
            replace.setdefault(file.partition, ())
    proof = _proof(plan, compacted, complete=not held_back)
    publication = delta.Publication(
        schema=plan.schema,
        partition_by=plan.partition_by,
        replace=replace,
        transaction=(f"lake_assets/{table.path}", plan.generation),
        proof=proof,
        # Other inputs or settings that gave the same rows: said once, else each run plans again.
        restate=not held_back and known is not None and not _same_state(known, proof),
    )
    commit = delta.publish(uri, publication, options)
    live = delta.live_files(uri, options, commit.version)
    rows = sum(file.rows for file in live)
    # A partition's manifest is written only when its rows are those of its plan.
    planned = plan.rows if held_back else sum(item.rows for item in compacted)
    if not held_back and rows != planned:
        raise ConservationError(
            f"{table.id} version {commit.version} has {rows} rows, its plan {planned}: something"
            f" else wrote to {uri}; restore the version before and look into `lake query`"
        )
    changed = {path.rpartition("/")[0] or WHOLE_TABLE for path in (*commit.added, *commit.removed)}
    return Published(
        version=commit.version,
        committed=commit.committed,
        rows=rows,
        rows_in=plan.rows_in,
        rows_dropped={"superseded": plan.rows_in - planned} if plan.rows_in > planned else {},
        files=len(live),
        size_bytes=sum(file.size_bytes for file in live),
        partitions=tuple(sorted(changed)),
        held_back=tuple(sorted(held_back)),
    )


def _refuse_forgotten(
    root: Store, table: Table, plan: TablePlan, proof: Mapping[str, str] | None
) -> None:
    """An export whose rows are live must still be staged: the plan would drop its rows."""
    prefix = f"staging/{table.path}/"
    for name, entry in json.loads((proof or {}).get("lake.partitions", "{}")).items():
        planned = plan.partitions.get(name)
        if planned is not None and planned.plan_id == entry["manifest"]:
            continue
        key = f"compacted/{table.path}/{name}/{entry['manifest']}.json"
        if root.head(key) is None:
            continue
        inputs = read_document(root, key).facts["inputs"]
        exports = {unquote_segment(path[len(prefix) :].partition("/")[0]) for path in inputs}
        if forgotten := sorted(exports - plan.export_ids):
            if set(forgotten) <= set(staging_state(root, table).exports):
                raise StalePlanError(
                    f"{table.id} holds the export {forgotten[0]}, this plan does not;"
                    " plan again from the present state"
                )
            raise StorageError(
                f"{table.id} has rows of the exports {', '.join(forgotten[:_NAMED])}"
                f" ({len(forgotten)} in all) of which nothing is staged any more; restore"
                f" {root.url}/{prefix}, or remove the table's folder lake/{table.path} to build it"
                " anew from what is staged"
            )


def _closure(missing: set[str], linked: Iterable[frozenset[str]]) -> frozenset[str]:
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


def _same_state(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name) == other[name] for name in ("lake.inputs", "lake.config"))


def _proof(
    plan: TablePlan, compacted: list[CompactedPartition], *, complete: bool
) -> dict[str, str]:
    partitions = {
        item.name: {
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
        **plan.facts,
    }
