"""Stage 4 in the graph: the Delta tables."""

import time

import dagster as dg

from lake_assets.defs.keys import asset_key, pool_of, tags_of
from lake_assets.defs.metadata import lake_facts
from lake_assets.defs.resources import LakeResource
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import publish_current

__all__ = ["lake_asset"]


def lake_asset(spec: TableSpec) -> dg.AssetsDefinition:
    """The Delta table of one exported table."""

    @dg.asset(
        key=asset_key("lake", spec),
        deps=[
            dg.AssetDep(asset_key("compacted", spec), partition_mapping=dg.AllPartitionMapping())
        ],
        group_name="lake",
        kinds={"deltalake", "polars"},
        tags=tags_of(spec),
        pool=pool_of(spec),
        io_manager_key="io_manager",
        description=(
            f"The Delta table `{spec.id}`.\n\n*Grain*: one record, keyed by {_key_text(spec)}."
            f" *Stored at*: `lake/{spec.path}/`. *Fresh when*: every compacted partition is"
            " published; one commit publishes them all, with the proof that rows in = rows out +"
            " rows dropped in its metadata."
        ),
    )
    def lake_table(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        datamart, started = lake.open(), time.monotonic()
        published = publish_current(datamart, spec)
        facts = lake_facts(datamart, spec, published, seconds=time.monotonic() - started)
        context.log.info("%s: %s", spec.id, facts["status"])
        version = None if published is None else dg.DataVersion(f"delta-{published.version}")
        return dg.MaterializeResult(metadata=facts, data_version=version)

    return lake_table


def _key_text(spec: TableSpec) -> str:
    return " or else by ".join(
        " + ".join(f"`{name.rstrip('?')}`" for name in names) for names in spec.keys
    )
