"""Stage 2 in the graph: one asset a table, one partition an export run or a snapshot."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from lake_assets.defs.keys import asset_key, exports_of, pool_of, tags_of
from lake_assets.defs.lines import Line, LineTable
from lake_assets.defs.partition_loop import record_each
from lake_assets.defs.resources import LakeResource

__all__ = ["staging_asset"]


def staging_asset(line: Line, item: LineTable) -> dg.AssetsDefinition:
    """The staging asset of one table."""

    @dg.asset(
        key=asset_key("staging", item.table),
        deps=[asset_key("export", item.table)],
        partitions_def=exports_of(item.table),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="staging",
        kinds={"polars", "parquet"},
        tags=tags_of(item.table),
        code_version=item.code_version,
        pool=pool_of(item.table),
        description=item.descriptions["staging"],
    )
    def staging(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
        opened = line.open(lake)(item.table)

        def results() -> Iterator[tuple[str, Any]]:
            failed: dict[str, str] = {}
            keys, run_id = context.partition_keys, context.run.run_id
            for staged in opened.stage(keys, run_id=run_id, tell=context.log.info):
                for warning in staged.warnings:
                    context.log.warning("%s", warning)
                if staged.failed is None:
                    yield staged.key, staged.facts
                else:
                    failed[staged.key] = staged.failed
            if failed:
                metadata = {"failed": dg.MetadataValue.json(failed)}
                raise dg.Failure(
                    f"{len(failed)} of {len(keys)} partitions failed: {failed}", metadata=metadata
                )

        record_each(context, results())

    return staging
