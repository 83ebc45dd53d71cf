"""What the library did, as Dagster events: for runs that were not Dagster's and the catch-up job.

A lake that was filled by ``lake run`` then looks in the UI as if Dagster had filled it.
"""

from collections.abc import Iterator

import dagster as dg

from lake_assets.defs.keys import asset_key, exports_of, hive_partitions_of
from lake_assets.defs.metadata import compacted_facts, lake_facts, staging_facts
from lake_assets.lake import Datamart, RunReport, TableReport

__all__ = ["materializations", "register_partitions", "report_run"]


def materializations(datamart: Datamart, report: RunReport) -> Iterator[dg.AssetMaterialization]:
    """One event for each export staged, each hive partition compacted, each table published."""
    for name, table in report.tables.items():
        spec = datamart.table(name)
        for outcome in table.staged:
            if outcome.status == "staged":
                yield dg.AssetMaterialization(
                    asset_key("staging", spec),
                    partition=outcome.export_id,
                    metadata=staging_facts(datamart.root, outcome),
                )
        for partition, done in table.compacted:
            if done.written:
                yield dg.AssetMaterialization(
                    asset_key("compacted", spec),
                    partition=partition,
                    metadata=compacted_facts(datamart, spec, done),
                )
        if table.published is not None and table.published.committed:
            yield dg.AssetMaterialization(
                asset_key("lake", spec), metadata=lake_facts(datamart, spec, table.published)
            )


def register_partitions(
    instance: dg.DagsterInstance, datamart: Datamart, report: RunReport
) -> None:
    """Make the partitions of a report known to the instance."""
    for name, table in report.tables.items():
        spec = datamart.table(name)
        for definition, keys in (
            (exports_of(spec), _loaded(table)),
            (hive_partitions_of(spec), [partition for partition, _ in table.compacted]),
        ):
            if keys:
                instance.add_dynamic_partitions(str(definition.name), keys)


def report_run(datamart: Datamart, report: RunReport) -> None:
    """Tell the instance at DAGSTER_HOME what a run of the library did."""
    with dg.DagsterInstance.get() as instance:
        register_partitions(instance, datamart, report)
        for event in materializations(datamart, report):
            instance.report_runless_asset_event(event)


def _loaded(table: TableReport) -> list[str]:
    return [outcome.export_id for outcome in table.staged if outcome.manifest]
