"""THE graph, whole, in the order in which data flows through it."""

import warnings

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning

from lake_assets.defs.assets.compacted import compacted_asset
from lake_assets.defs.assets.export import export_spec
from lake_assets.defs.assets.lake import lake_asset
from lake_assets.defs.assets.model_performance import model_performance
from lake_assets.defs.assets.staging import staging_asset
from lake_assets.defs.checks import table_checks
from lake_assets.defs.io_managers import DeltaIOManager
from lake_assets.defs.jobs import catch_up_job, publish_job
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.schedules import nightly_schedule
from lake_assets.defs.sensors import compaction_sensor, exports_sensor
from lake_assets.export.pega_tables import configured_tables

__all__ = ["build_definitions", "defs"]


def build_definitions(lake: LakeResource | None = None) -> dg.Definitions:
    """The graph over one lake.

    Args:
        lake: Where it is; by default what LAKE_ROOT, LAKE_EXPORTS and LAKE_CONFIG say.
    """
    lake = lake or LakeResource()
    settings = lake.settings()
    tables = configured_tables(settings.datamart.tables)
    downstream = {"model_snapshot": [model_performance.key]}
    catch_up = catch_up_job()
    with warnings.catch_warnings():
        # One run over many partitions hangs on it; every start would print a page of these
        # otherwise.
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)
        partitioned = [make(spec) for make in (staging_asset, compacted_asset) for spec in tables]
    return dg.Definitions(
        assets=[
            *(export_spec(spec) for spec in tables),
            *partitioned,
            *(lake_asset(spec) for spec in tables),
            model_performance,
        ],
        asset_checks=[check for spec in tables for check in table_checks(spec)],
        jobs=[publish_job(tables, [model_performance.key]), catch_up],
        sensors=[exports_sensor(tables), compaction_sensor(tables, downstream)],
        schedules=[nightly_schedule(catch_up)],
        resources={"lake": lake, "io_manager": DeltaIOManager(lake=lake)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dagster dev`` loads; nothing is read before it asks."""
    return build_definitions()
