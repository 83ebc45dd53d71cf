"""What the library did, as Dagster events: for runs that were not Dagster's and the catch-up jobs.

A lake that was filled by ``lake run`` then looks in the UI as if Dagster had filled it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

import dagster as dg

from lake_assets import delta
from lake_assets.defs.keys import asset_key, exports_of, hive_partitions_of
from lake_assets.defs.lines import LineRun
from lake_assets.defs.metadata import compacted_facts, lake_facts, staging_facts
from lake_assets.defs.snapshot_metadata import snapshot_facts
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake import Datamart, RunReport, TableReport, scan_table
from lake_assets.lake.databases import Databases, compact_snapshots, plan_lake
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.snapshot_run import SnapshotReport
from lake_assets.s3 import storage_options

__all__ = ["datamart_run", "register", "report_run", "report_snapshot_run", "snapshot_run"]


def datamart_run(datamart: Datamart, report: RunReport) -> LineRun:
    """One event for each export staged, each hive partition compacted, each table published."""
    partitions: dict[str, list[str]] = {}
    events: list[dg.AssetMaterialization] = []
    for name, table in report.tables.items():
        spec = datamart.table(name)
        loaded = [outcome.export_id for outcome in table.staged if outcome.manifest]
        partitions[str(exports_of(spec).name)] = loaded
        partitions[str(hive_partitions_of(spec).name)] = [key for key, _ in table.compacted]
        events.extend(_datamart_events(datamart, name, table))
    return LineRun(
        partitions=partitions,
        events=tuple(events),
        refused=tuple(item.reason for item in report.quarantined),
        errors=report.errors,
        changed=report.changed,
    )


def snapshot_run(reports: Mapping[str, SnapshotReport], databases: Databases) -> LineRun:
    """One event for each snapshot staged, each hive partition published, each table published.

    A table with a refused snapshot is no error: it stays as it is until the export is corrected.
    """
    partitions: dict[str, list[str]] = {}
    events: list[dg.AssetMaterialization] = []
    refused: list[str] = []
    errors: list[str] = []
    for name, report in reports.items():
        table = databases.table(name)
        staged = [item.snapshot for item in report.snapshots if item.complete]
        partitions[str(exports_of(table).name)] = staged
        partitions[str(hive_partitions_of(table).name)] = _live_partitions(databases, table)
        events.extend(_snapshot_events(databases, table, report))
        is_refused = any(item.quarantined for item in report.snapshots)
        has_failed = any(item.failed for item in report.snapshots)
        if report.error is not None:
            said = refused if is_refused and not has_failed else errors
            said.append(f"{name}: {report.error}")
    return LineRun(
        partitions=partitions,
        events=tuple(events),
        refused=tuple(refused),
        errors=tuple(errors),
        changed=any(report.changed for report in reports.values()),
    )


def register(instance: dg.DagsterInstance, run: LineRun) -> None:
    """Make the partitions of a run known to the instance."""
    for name, keys in run.partitions.items():
        if keys:
            instance.add_dynamic_partitions(name, list(keys))


def report_run(datamart: Datamart, report: RunReport) -> None:
    """Tell the instance at DAGSTER_HOME what a run of the datamart did."""
    _report(datamart_run(datamart, report))


def report_snapshot_run(reports: Mapping[str, SnapshotReport], databases: Databases) -> None:
    """Tell the instance at DAGSTER_HOME what a run of database tables did."""
    _report(snapshot_run(reports, databases))


def _report(run: LineRun) -> None:
    with dg.DagsterInstance.get() as instance:
        register(instance, run)
        for event in run.events:
            instance.report_runless_asset_event(event)


def _datamart_events(
    datamart: Datamart, name: str, table: TableReport
) -> Iterator[dg.AssetMaterialization]:
    spec, root = datamart.table(name), datamart.root
    for outcome in table.staged:
        if outcome.status == "staged":
            yield dg.AssetMaterialization(
                asset_key("staging", spec),
                partition=outcome.export_id,
                metadata=staging_facts(root, spec, outcome),
            )
    for partition, done in table.compacted:
        if done.written:
            yield dg.AssetMaterialization(
                asset_key("compacted", spec),
                partition=partition,
                metadata=compacted_facts(root, spec, done),
            )
    if table.published is not None and table.published.committed:
        facts = lake_facts(
            root,
            spec,
            scan_table(root.url, spec),
            table.published,
            held_back=table.published.held_back,
        )
        yield dg.AssetMaterialization(asset_key("lake", spec), metadata=facts)


def _snapshot_events(
    databases: Databases, table: SnapshotTable, report: SnapshotReport
) -> Iterator[dg.AssetMaterialization]:
    root = databases.root
    for item in report.snapshots:
        if item.complete and item.written:
            yield dg.AssetMaterialization(
                asset_key("staging", table),
                partition=item.snapshot,
                metadata=snapshot_facts(databases, table, item.snapshot, is_new=True),
            )
    published = report.published
    if published is None or not published.committed:
        return
    plan = plan_lake(databases, table)
    there = set(published.partitions) & set(plan.partitions)
    for name, done in compact_snapshots(databases, table, plan, partitions=sorted(there)):
        facts = compacted_facts(root, table, done and replace(done, written=True))
        yield dg.AssetMaterialization(asset_key("compacted", table), partition=name, metadata=facts)
    rows = scan_uri(table_uri(root.url, table))
    yield dg.AssetMaterialization(
        asset_key("lake", table), metadata=lake_facts(root, table, rows, published)
    )


def _live_partitions(databases: Databases, table: SnapshotTable) -> list[str]:
    """The hive partitions of the table as published."""
    uri = table_uri(databases.root.url, table)
    proof = delta.last_proof(uri, storage_options(uri)) or {}
    return sorted(json.loads(proof.get("lake.partitions", "{}")))
