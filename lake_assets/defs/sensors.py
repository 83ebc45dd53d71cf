"""Sensors: one that sees finished exports, one that sees tables lagging behind their staging."""

from collections.abc import Mapping, Sequence

import dagster as dg

from lake_assets.catalog import content_id
from lake_assets.defs.keys import asset_key
from lake_assets.defs.requests import Due, compaction_due, staging_due, under_way
from lake_assets.defs.resources import LakeResource
from lake_assets.errors import StorageError
from lake_assets.export.find import Found
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import find

__all__ = ["compaction_sensor", "exports_sensor"]

_EXPORTS_INTERVAL_S = 30
_COMPACTION_INTERVAL_S = 30
_WAITING_NAMED = 10


def exports_sensor(tables: Sequence[TableSpec]) -> dg.SensorDefinition:
    """The sensor that fires when ``.meta`` files appear."""

    @dg.sensor(
        name="datamart_exports",
        asset_selection=dg.AssetSelection.assets(*(asset_key("staging", spec) for spec in tables)),
        minimum_interval_seconds=_EXPORTS_INTERVAL_S,
        tags={"lake/source": "datamart"},
        description=(
            "Lists the exports, registers every export run whose `.meta` sentinels have come, and"
            " requests one staging run a table for what is new, late or replaced. Also observes"
            " the export assets."
        ),
    )
    def datamart_exports(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        datamart = lake.open()
        try:
            found = find(datamart)
        except StorageError as error:
            return dg.SkipReason(str(error))
        due = [
            Due()
            if under_way(context.instance, spec, "staging")
            else staging_due(context.instance, datamart, spec, found)
            for spec in tables
        ]
        seen = _seen(tables, found)
        events = [] if context.cursor == seen else [_observation(spec, found) for spec in tables]
        return _result(due, seen, events)

    return datamart_exports


def compaction_sensor(
    tables: Sequence[TableSpec], downstream: Mapping[str, Sequence[dg.AssetKey]]
) -> dg.SensorDefinition:
    """The sensor that brings what is staged to the Delta tables.

    Args:
        tables: The tables to look after.
        downstream: Lake assets that are made from a table, by its name: they run after it.
    """
    keys = [asset_key(stage, spec) for spec in tables for stage in ("compacted", "lake")]
    keys += [key for following in downstream.values() for key in following]

    @dg.sensor(
        name="datamart_compaction",
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=_COMPACTION_INTERVAL_S,
        tags={"lake/source": "datamart"},
        description=(
            "Compares what is staged with what is published and requests one run of compacted and"
            " lake for each table that lags; the tables made from it follow in the same run."
        ),
    )
    def datamart_compaction(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult:
        datamart = lake.open()
        due = [
            Due()
            if under_way(context.instance, spec, "staging", "compacted")
            else compaction_due(context.instance, datamart, spec, downstream.get(spec.name, ()))
            for spec in tables
        ]
        return _result(due, None, [])

    return datamart_compaction


def _result(
    due: Sequence[Due], cursor: str | None, events: list[dg.AssetObservation]
) -> dg.SensorResult:
    runs = [run for item in due for run in item.runs]
    return dg.SensorResult(
        run_requests=runs,
        dynamic_partitions_requests=[request for item in due for request in item.register],
        asset_events=events,
        cursor=cursor,
        skip_reason=None if runs else dg.SkipReason("nothing is new"),
    )


def _seen(tables: Sequence[TableSpec], found: Found) -> str:
    """A digest: what the last observation reported. Nothing is decided by it."""
    return content_id(
        [
            [
                spec.name,
                [e.digest for e in found.exports[spec.name]],
                [w.key for w in found.waiting[spec.name]],
            ]
            for spec in tables
        ]
    )


def _observation(spec: TableSpec, found: Found) -> dg.AssetObservation:
    exports, waiting = found.exports[spec.name], found.waiting[spec.name]
    files = [file for export in exports for file in export.files]
    lines = [f"- `{wait.key}`: {wait.reason}" for wait in waiting[:_WAITING_NAMED]]
    return dg.AssetObservation(
        asset_key=asset_key("export", spec),
        metadata={
            "export_runs": len(exports),
            "files": len(files),
            "bytes": sum(file.data.size_bytes for file in files),
            "newest_export": exports[-1].id if exports else "none",
            "waiting": len(waiting),
            "waiting_files": dg.MetadataValue.md("\n".join(lines) or "none"),
        },
    )
