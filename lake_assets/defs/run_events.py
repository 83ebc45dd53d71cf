"""A finished run's event log as plain values: what each step made, and what it was to make.

Only this reads Dagster's event log for the catalog; what becomes of it is ``recording``'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, EventLogEntry

__all__ = ["Made", "RunEvents", "StepRun", "run_events"]

_WANTED = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.LOGS_CAPTURED,
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.PIPELINE_FAILURE,
    DagsterEventType.PIPELINE_CANCELED,
}
_PAGE = 1000
#: Characters of an error that are kept.
_ERROR_CHARACTERS = 2000


@dataclass(slots=True)
class StepRun:
    """One step that began."""

    started_at: datetime
    finished_at: datetime
    error: str | None = None
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """One materialization."""

    step: str
    at: datetime
    event: dg.AssetMaterialization


@dataclass(slots=True)
class RunEvents:
    """What a run's log says."""

    steps: dict[str, StepRun] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)
    planned: dict[tuple[str, str | None], str] = field(default_factory=dict)
    """The step that was to make a partition of an asset."""
    checks: dict[tuple[str, str], list[dg.AssetCheckEvaluation]] = field(default_factory=dict)
    """By asset and step."""
    logs: dict[str, str] = field(default_factory=dict)
    """Name of the captured log, by step."""
    ended_at: datetime | None = None
    error: str | None = None


def run_events(instance: dg.DagsterInstance, run_id: str) -> RunEvents:
    """The log of one run, read page by page."""
    found = RunEvents()
    for entry in _entries(instance, run_id):
        event = entry.dagster_event
        if event is None:
            continue
        at = datetime.fromtimestamp(entry.timestamp, UTC)
        found.ended_at = at
        _take_up(found, event, at)
    return found


def _entries(instance: dg.DagsterInstance, run_id: str) -> Iterator[EventLogEntry]:
    cursor: str | None = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=_WANTED, limit=_PAGE)
        for record in page.records:
            yield record.event_log_entry
        if not page.has_more:
            return
        cursor = page.cursor


def _take_up(found: RunEvents, event: DagsterEvent, at: datetime) -> None:
    kind, step = event.event_type, event.step_key or ""
    if kind == DagsterEventType.ASSET_MATERIALIZATION:
        found.made.append(Made(step, at, event.step_materialization_data.materialization))
    elif kind == DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
        _plan(found, event, step)
    elif kind == DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        asset = check.asset_key.to_user_string()
        found.checks.setdefault((asset, step), []).append(check)
    elif kind == DagsterEventType.LOGS_CAPTURED:
        captured = event.logs_captured_data
        for key in captured.step_keys or ():
            found.logs[key] = captured.file_key
    elif kind == DagsterEventType.STEP_START:
        found.steps.setdefault(step, StepRun(at, at))
    elif kind in {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE}:
        _end_step(found, event, step, at)
    else:  # the run itself failed or was canceled
        found.error = event.message


def _plan(found: RunEvents, event: DagsterEvent, step: str) -> None:
    planned = event.asset_materialization_planned_data
    asset = planned.asset_key.to_user_string()
    subset = planned.partitions_subset
    keys = [planned.partition] if subset is None else list(subset.get_partition_keys())
    found.planned |= {(asset, key): step for key in keys}


def _end_step(found: RunEvents, event: DagsterEvent, step: str, at: datetime) -> None:
    run = found.steps.setdefault(step, StepRun(at, at))
    run.finished_at = at
    if event.event_type == DagsterEventType.STEP_FAILURE:
        run.has_failed = True
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        said = error.message.strip() if error is not None else event.message or "failed"
        run.error = said[:_ERROR_CHARACTERS]
