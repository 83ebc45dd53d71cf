"""What staging made of a database snapshot, as Dagster metadata."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lake_assets.compacted.partitions import partition_name
from lake_assets.compacted.snapshot_plan import polars_schema
from lake_assets.defs.column_metadata import column_facts
from lake_assets.defs.metadata import bullets, first_rows, preview, table_schema
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.source import SnapshotExport
from lake_assets.lake.databases import Databases, staged_snapshots
from lake_assets.lake.snapshot_run import StagedSnapshot
from lake_assets.s3 import Store, join_url
from lake_assets.staging.snapshot_manifest import read_snapshot

__all__ = ["refused_facts", "snapshot_facts"]

#: Groups that the metadata of an event names; more are only counted.
_NAMED = 100


def snapshot_facts(
    databases: Databases,
    table: SnapshotTable,
    key: str,
    *,
    is_new: bool = False,
    seconds: float = 0.0,
) -> dict[str, Any]:
    """What is staged of a snapshot, from its manifests; ``absent`` where nothing is."""
    staged = staged_snapshots(databases, table).exports.get(key)
    if staged is None or not staged.manifests:
        return {"status": "absent", "dagster/row_count": 0, "files": 0, "bytes": 0}
    return {
        "status": "staged" if is_new else "unchanged",
        "seconds": round(seconds, 3),
        **_recorded_facts(databases.root, table, staged.manifests[-1]),
    }


def refused_facts(
    reasons: Mapping[str, str],
    *,
    snapshot: SnapshotExport | None = None,
    outcome: StagedSnapshot | None = None,
    seconds: float = 0.0,
) -> dict[str, Any]:
    """Why a snapshot is not loaded, by group.

    Args:
        reasons: By the name of what is refused: ``group 3``.
        snapshot: What was read.
        outcome: How far its groups came.
        seconds: What it took.
    """
    files = snapshot.files if snapshot else ()
    return {
        "status": "quarantined",
        "dagster/row_count": 0,
        "files": len(files),
        "bytes": sum(file.size_bytes for file in files),
        "seconds": round(seconds, 3),
        "groups": outcome.tasks if outcome else 0,
        "groups_staged": outcome.done if outcome else 0,
        "reason": bullets([f"{name}: `{reason}`" for name, reason in reasons.items()]),
        "quarantined_groups": dg.MetadataValue.json(dict(list(reasons.items())[:_NAMED])),
    }


def _recorded_facts(root: Store, table: SnapshotTable, manifest: str) -> dict[str, Any]:
    document, files = read_snapshot(root, manifest)
    content = document.content
    columns = polars_schema(files[0].schema) if files else {}
    names = {partition_name(tuple(table.settings.partition_by), file.values) for file in files}
    return {
        "dagster/row_count": content["rows"],
        "rows_in": content["rows_in"],
        "rows_dropped": dg.MetadataValue.json(content["rows_dropped"]),
        "exported_at": content["exported_at"],
        "source": dg.MetadataValue.path(document.facts["source"]),
        "source_files": content["n_files"],
        "source_bytes": content["size_bytes"],
        "groups": len(content["groups"]),
        "files": len(files),
        "bytes": sum(file.size_bytes for file in files),
        "hive_partitions": len(names),
        "hive_partitions_named": bullets([f"`{name}`" for name in sorted(names)]),
        "rescued": dg.MetadataValue.json(content["rescued"]),
        "empty_partition_values": dg.MetadataValue.json(content["empty_keys"]),
        "dagster/uri": join_url(root.url, manifest.rpartition("/")[0]),
        "manifest": dg.MetadataValue.path(join_url(root.url, manifest)),
        "preview": preview(first_rows(root, files[0].path if files else None)),
        "dagster/column_schema": table_schema(columns),
        **column_facts(table, "staging", columns),
    }
