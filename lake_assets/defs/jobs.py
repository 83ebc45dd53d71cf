"""Jobs of a line: publish what is compacted; catch up with everything, as the schedule does."""

from typing import TYPE_CHECKING

import dagster as dg

from lake_assets.defs.keys import STAGE_TAG, asset_key
from lake_assets.defs.lines import Line
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.runless import register

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

__all__ = ["catch_up_job", "publish_job"]


def publish_job(line: Line) -> "UnresolvedAssetJobDefinition":
    """Publish all tables, and what is made from them."""
    keys = [asset_key("lake", item.table) for item in line.tables]
    keys += [key for following in line.downstream.values() for key in following]
    return dg.define_asset_job(
        name=f"{line.name}_publish",
        selection=dg.AssetSelection.assets(*keys),
        tags={STAGE_TAG: "lake"},
        description="Publishes what is compacted and not live yet, all tables. Free when none is.",
    )


def catch_up_job(line: Line) -> dg.JobDefinition:
    """The whole line in one step: what ``lake run`` does, recorded asset by asset."""

    @dg.op(
        name=f"catch_up_{line.name}",
        description="Stages, compacts, publishes whatever is open, records each materialization.",
    )
    def catch_up(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        done = line.catch_up(lake, context.run.run_id)
        register(context.instance, done)
        for event in done.events:
            context.log_event(event)
        for refused in done.refused:
            context.log.warning("quarantined: %s", refused)
        if done.errors:
            raise dg.Failure("\n".join(done.errors))
        context.log.info("changed" if done.changed else "everything was staged and published")

    @dg.job(
        name=f"{line.name}_catch_up",
        tags={STAGE_TAG: "catch_up"},
        description=(
            "Brings everything that is open to the Delta tables in one run, whatever became of"
            " earlier runs: exports not staged, tables behind their staging. Writes nothing when"
            " nothing is open."
        ),
    )
    def whole_line() -> None:
        catch_up()

    return whole_line
