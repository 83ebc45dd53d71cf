"""Stage 3 in the graph: one asset a table, one partition a hive partition."""

import dagster as dg

from lake_assets.compacted.partitions import CODE_VERSION
from lake_assets.defs.keys import asset_key, hive_partitions_of, pool_of, tags_of
from lake_assets.defs.metadata import compacted_facts
from lake_assets.defs.partition_loop import record_each
from lake_assets.defs.resources import LakeResource
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import compact, plan

__all__ = ["compacted_asset"]


def compacted_asset(spec: TableSpec) -> dg.AssetsDefinition:
    """The compacted asset of one table."""

    @dg.asset(
        key=asset_key("compacted", spec),
        # Without a mapping Dagster pairs the two dynamic sets by name, and "materialize all" fails.
        deps=[dg.AssetDep(asset_key("staging", spec), partition_mapping=dg.AllPartitionMapping())],
        partitions_def=hive_partitions_of(spec),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="compacted",
        kinds={"polars", "parquet"},
        tags=tags_of(spec),
        code_version=CODE_VERSION,
        pool=pool_of(spec),
        description=(
            f"Rows of `{spec.id}`, one for each key over the whole table (the newest export"
            " wins), sorted by time.\n\n*Grain*: one record. *Partitions*: `_month`, the month of"
            f" `{spec.time}`. *Stored at*: `lake/{spec.path}/_month=…/`, invisible until"
            f" published; manifests under `compacted/{spec.path}/`. *Fresh when*: every staged"
            " row of the month is in it or has a newer one."
        ),
    )
    def compacted(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
        datamart = lake.open()
        table = plan(datamart, spec)
        done = compact(datamart, spec, table, partitions=context.partition_keys)
        record_each(context, ((key, compacted_facts(datamart, spec, part)) for key, part in done))

    return compacted
