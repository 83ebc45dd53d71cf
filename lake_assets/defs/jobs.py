"""Jobs: publish what is compacted; catch up with everything, as the nightly schedule does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from lake_assets.defs.keys import STAGE_TAG, asset_key
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.runless import materializations, register_partitions
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import run_datamart

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

__all__ = ["catch_up_job", "publish_job"]


def publish_job(
    tables: Sequence[TableSpec], downstream: Sequence[dg.AssetKey]
) -> "UnresolvedAssetJobDefinition":
    """Publish all tables, and what is made from them."""
    keys = [*(asset_key("lake", spec) for spec in tables), *downstream]
    return dg.define_asset_job(
        name="datamart_publish",
        selection=dg.AssetSelection.assets(*keys),
        tags={STAGE_TAG: "lake"},
        description="Publishes what is compacted and not live yet, all tables. Free when none is.",
    )


def catch_up_job() -> dg.JobDefinition:
    """The whole line in one step: what ``lake run datamart`` does, recorded asset by asset."""

    @dg.op(
        description="Stages, compacts, publishes whatever is open and records each materialization."
    )
    def catch_up(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        datamart = lake.open()
        report = run_datamart(datamart, run_id=context.run.run_id)
        register_partitions(context.instance, datamart, report)
        for event in materializations(datamart, report):
            context.log_event(event)
        for refused in report.quarantined:
            context.log.warning("quarantined: %s", refused.reason)
        if report.errors:
            raise dg.Failure("\n".join(report.errors))
        context.log.info("changed" if report.changed else "everything was staged and published")

    @dg.job(
        name="datamart_catch_up",
        tags={STAGE_TAG: "catch_up"},
        description=(
            "Brings everything that is open to the Delta tables in one run, whatever became of"
            " earlier runs: exports not staged, tables behind their staging. Writes nothing when"
            " nothing is open."
        ),
    )
    def datamart_catch_up() -> None:
        catch_up()

    return datamart_catch_up
