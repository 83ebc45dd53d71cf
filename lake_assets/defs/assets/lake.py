"""Stage 4 in the graph: the Delta tables."""

import time

import dagster as dg

from lake_assets.defs.keys import asset_key, pool_of, tags_of
from lake_assets.defs.lines import Line, LineTable
from lake_assets.defs.metadata import lake_facts
from lake_assets.defs.resources import LakeResource

__all__ = ["lake_asset"]


def lake_asset(line: Line, item: LineTable) -> dg.AssetsDefinition:
    """The Delta table of one exported table."""
    table, compacted = item.table, asset_key("compacted", item.table)

    @dg.asset(
        key=asset_key("lake", table),
        deps=[dg.AssetDep(compacted, partition_mapping=dg.AllPartitionMapping())],
        group_name="lake",
        kinds={"deltalake", "polars"},
        tags=tags_of(table),
        pool=pool_of(table),
        io_manager_key="io_manager",
        description=item.descriptions["lake"],
    )
    def lake_table(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        opened, started = line.open(lake)(table), time.monotonic()
        published, held_back = opened.publish()
        seconds = time.monotonic() - started
        rows = opened.scan()
        facts = lake_facts(
            opened.root, table, rows, published, held_back=held_back, seconds=seconds
        )
        context.log.info("%s: %s", table.id, facts["status"])
        version = None if published is None else dg.DataVersion(f"delta-{published.version}")
        return dg.MaterializeResult(metadata=facts, data_version=version)

    return lake_table
