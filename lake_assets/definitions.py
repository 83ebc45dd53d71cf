"""THE graph, whole, in the order in which data flows through it."""

import warnings
from collections.abc import Iterator

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning

from lake_assets.defs.arrays import array_definitions
from lake_assets.defs.assets.catalog import catalog_schedule, catalog_tables
from lake_assets.defs.assets.compacted import compacted_asset
from lake_assets.defs.assets.export import export_spec
from lake_assets.defs.assets.lake import lake_asset
from lake_assets.defs.assets.model_performance import model_performance
from lake_assets.defs.assets.staging import staging_asset
from lake_assets.defs.checks import table_checks
from lake_assets.defs.database_line import database_line
from lake_assets.defs.datamart_line import datamart_line
from lake_assets.defs.io_managers import DeltaIOManager
from lake_assets.defs.jobs import catch_up_job, publish_job
from lake_assets.defs.lines import Line
from lake_assets.defs.recording import recording_sensor
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.schedules import nightly_schedule
from lake_assets.defs.sensors import compaction_sensor, exports_sensor
from lake_assets.defs.upkeep import lake_is_whole, lake_maintenance, upkeep_schedules
from lake_assets.export.pega_tables import configured_tables

__all__ = ["build_definitions", "defs"]


def build_definitions(lake: LakeResource | None = None) -> dg.Definitions:
    """The graph over one lake.

    Args:
        lake: Where it is; by default what LAKE_ROOT, LAKE_EXPORTS and LAKE_CONFIG say.
    """
    lake = lake or LakeResource()
    lines, schedules = list(_lines(lake)), lake.settings().schedules
    crons = schedules.model_dump()
    tables = [(line, item) for line in lines for item in line.tables]
    jobs = [(line, catch_up_job(line)) for line in lines]
    with warnings.catch_warnings():
        # One run over many partitions hangs on it; every start would print a page of these
        # otherwise.
        warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)
        stages = (staging_asset, compacted_asset, lake_asset)
        assets = [make(line, item) for make in stages for line, item in tables]
    checks = [check for line, item in tables for check in table_checks(line, item)]
    exports = [export_spec(item) for _, item in tables]
    sensors = [make(line) for line in lines for make in (exports_sensor, compaction_sensor)]
    tables_and_lines = dg.Definitions(
        assets=[*exports, *assets, model_performance, catalog_tables],
        asset_checks=[*checks, lake_is_whole],
        jobs=[*(publish_job(line) for line in lines), *(job for _, job in jobs), lake_maintenance],
        sensors=[*sensors, recording_sensor()],
        schedules=[
            *(nightly_schedule(line, job, crons[line.name]) for line, job in jobs),
            catalog_schedule(schedules.catalog),
            *upkeep_schedules(schedules),
        ],
        resources={"lake": lake, "io_manager": DeltaIOManager(lake=lake)},
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(tables_and_lines, array_definitions(lake))


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dagster dev`` loads; nothing is read before it asks."""
    return build_definitions()


def _lines(lake: LakeResource) -> Iterator[Line]:
    settings = lake.settings()
    made_from = {"datamart.model_snapshot": [model_performance.key]}
    yield datamart_line(
        configured_tables(settings.datamart.tables),
        downstream=made_from,
        profiled=settings.datamart.profile,
    )
    if settings.databases:
        yield database_line(settings.databases)
