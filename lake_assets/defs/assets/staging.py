"""Stage 2 in the graph: one asset a table, one partition an export run."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from lake_assets.defs.keys import asset_key, exports_of, pool_of, tags_of
from lake_assets.defs.metadata import staging_facts
from lake_assets.defs.partition_loop import record_each
from lake_assets.defs.resources import LakeResource
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import find, stage
from lake_assets.staging.manifests import CODE_VERSION

__all__ = ["staging_asset"]


def staging_asset(spec: TableSpec) -> dg.AssetsDefinition:
    """The staging asset of one table."""

    @dg.asset(
        key=asset_key("staging", spec),
        deps=[asset_key("export", spec)],
        partitions_def=exports_of(spec),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="staging",
        kinds={"polars", "parquet"},
        tags=tags_of(spec),
        code_version=CODE_VERSION,
        pool=pool_of(spec),
        description=(
            f"Rows of `{spec.class_name}` as they were exported, typed by contract; values that"
            " do not fit are kept in `_rescued_data`.\n\n*Grain*: one exported row. *Partitions*:"
            f" one export run. *Stored at*: `staging/{spec.path}/<export id>/`, the manifest"
            " last. *Fresh when*: every finished file of the run is in it. A run with a bad file"
            " is quarantined: nothing of it is loaded."
        ),
    )
    def staging(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
        datamart = lake.open()

        def results() -> Iterator[tuple[str, dict[str, Any]]]:
            found = find(datamart)
            keys = context.partition_keys
            for outcome in stage(datamart, spec, found, export_ids=keys, run_id=context.run.run_id):
                if outcome.quarantine:
                    context.log.warning("quarantined: %s", outcome.quarantine.reason)
                if outcome.rescued:
                    context.log.warning("rescued in %s: %s", outcome.export_id, outcome.rescued)
                yield outcome.export_id, staging_facts(datamart.root, outcome)

        record_each(context, results())

    return staging
