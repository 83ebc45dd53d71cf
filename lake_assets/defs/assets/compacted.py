"""Stage 3 in the graph: one asset a table, one partition a hive partition."""

import dagster as dg

from lake_assets.compacted.partitions import CODE_VERSION
from lake_assets.defs.keys import asset_key, hive_partitions_of, pool_of, tags_of
from lake_assets.defs.lines import Line, LineTable
from lake_assets.defs.metadata import compacted_facts
from lake_assets.defs.partition_loop import record_each
from lake_assets.defs.resources import LakeResource

__all__ = ["compacted_asset"]


def compacted_asset(line: Line, item: LineTable) -> dg.AssetsDefinition:
    """The compacted asset of one table."""
    staging = asset_key("staging", item.table)

    @dg.asset(
        key=asset_key("compacted", item.table),
        # Without a mapping Dagster pairs the two dynamic sets by name, and "materialize all" fails.
        deps=[dg.AssetDep(staging, partition_mapping=dg.AllPartitionMapping())],
        partitions_def=hive_partitions_of(item.table),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="compacted",
        kinds={"polars", "parquet"},
        tags=tags_of(item.table),
        code_version=CODE_VERSION,
        pool=pool_of(item.table),
        description=item.descriptions["compacted"],
    )
    def compacted(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
        opened = line.open(lake)(item.table)
        done = opened.compact(context.partition_keys)
        facts = ((key, compacted_facts(opened.root, item.table, part)) for key, part in done)
        record_each(context, facts)

    return compacted
