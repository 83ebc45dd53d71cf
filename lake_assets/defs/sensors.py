"""Sensors: one that sees finished exports, one that sees tables lagging behind their staging.

Each line has both. A table that cannot be looked at stops no other; the tick names it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from lake_assets.defs.keys import asset_key
from lake_assets.defs.lines import Line, LineTable, OpenTable
from lake_assets.defs.requests import Due, compaction_due, staging_due, under_way
from lake_assets.defs.resources import LakeResource
from lake_assets.errors import LakeError

__all__ = ["compaction_sensor", "exports_sensor"]

_EXPORTS_INTERVAL_S = 30
_COMPACTION_INTERVAL_S = 30
#: Dagster ends a tick after 60 s. Tables that are left then have their turn in the next one.
_TICK_S = 30


@dataclass(slots=True)
class _Tick:
    """What one tick has found so far."""

    seen: dict[str, str] = field(default_factory=dict)
    """Digest of the last observation, by table. Nothing is decided by it."""
    first: str | None = None
    """The table to begin with: the one that the tick before had no time for."""
    due: list[Due] = field(default_factory=list)
    events: list[dg.AssetObservation] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def result(self) -> dg.SensorResult | dg.SkipReason:
        """What the daemon is told."""
        runs = [run for item in self.due for run in item.runs]
        said = "; ".join(dict.fromkeys(self.troubles)) or "nothing is new"
        if self.troubles and not self.due:
            return dg.SkipReason(said)
        return dg.SensorResult(
            run_requests=runs,
            dynamic_partitions_requests=[request for item in self.due for request in item.register],
            asset_events=self.events,
            cursor=json.dumps({"seen": self.seen, "first": self.first}),
            skip_reason=None if runs else dg.SkipReason(said),
        )


def exports_sensor(line: Line) -> dg.SensorDefinition:
    """The sensor that fires when exports are finished."""
    staging = [asset_key("staging", item.table) for item in line.tables]

    @dg.sensor(
        name=f"{line.name}_exports",
        asset_selection=dg.AssetSelection.assets(*staging),
        minimum_interval_seconds=_EXPORTS_INTERVAL_S,
        tags={"lake/source": line.name},
        description=line.sensor_description,
    )
    def exports(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        tick, open_table = _begun(context.cursor), line.open(lake)
        for item in _in_time(line.tables, tick):
            opened = open_table(item.table)
            try:
                _observe(tick, opened)
                busy = under_way(context.instance, item.table, "staging")
                tick.due.append(Due() if busy else staging_due(context.instance, opened))
            except LakeError as error:
                tick.troubles.append(str(error))
        _log(context, tick)
        return tick.result()

    return exports


def compaction_sensor(line: Line) -> dg.SensorDefinition:
    """The sensor that brings what is staged to the Delta tables, and what is made from these."""
    keys = [asset_key(stage, item.table) for item in line.tables for stage in ("compacted", "lake")]
    keys += [key for following in line.downstream.values() for key in following]

    @dg.sensor(
        name=f"{line.name}_compaction",
        asset_selection=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=_COMPACTION_INTERVAL_S,
        tags={"lake/source": line.name},
        description=(
            "Compares what is staged with what is published and requests one run of compacted and"
            " lake for each table that lags; the tables made from it follow in the same run."
        ),
    )
    def compaction(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        tick, open_table = _begun(context.cursor), line.open(lake)
        for item in _in_time(line.tables, tick):
            following = line.downstream.get(item.table.id, ())
            try:
                busy = under_way(context.instance, item.table, "staging", "compacted")
                opened = open_table(item.table)
                due = Due() if busy else compaction_due(context.instance, opened, following)
                tick.due.append(due)
            except LakeError as error:
                tick.troubles.append(str(error))
        _log(context, tick)
        return tick.result()

    return compaction


def _begun(cursor: str | None) -> _Tick:
    """A tick that goes on where the one before stopped; a cursor that is lost costs nothing."""
    try:
        held = json.loads(cursor or "{}")
        return _Tick(seen=dict(held["seen"]), first=held["first"])
    except (ValueError, TypeError, KeyError):
        return _Tick()


def _in_time(tables: Sequence[LineTable], tick: _Tick) -> Iterator[LineTable]:
    """All tables, or as many as a tick has time for, beginning where the last one stopped."""
    names = [item.table.id for item in tables]
    start = names.index(tick.first) if tick.first in names else 0
    tick.first, ends = None, time.monotonic() + _TICK_S
    for number, item in enumerate([*tables[start:], *tables[:start]]):
        if number and time.monotonic() > ends:
            tick.first = item.table.id
            return
        yield item


def _observe(tick: _Tick, opened: OpenTable) -> None:
    """An observation of the export asset, where its source is not as it was the last time."""
    view, name = opened.source_view(), opened.table.id
    if tick.seen.get(name) != view.digest:
        key = asset_key("export", opened.table)
        tick.events.append(dg.AssetObservation(asset_key=key, metadata=view.facts))
        tick.seen[name] = view.digest


def _log(context: dg.SensorEvaluationContext, tick: _Tick) -> None:
    for trouble in dict.fromkeys(tick.troubles):
        context.log.warning("%s", trouble)
