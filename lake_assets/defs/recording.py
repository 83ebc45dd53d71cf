"""Every finished run as catalog documents: one place for all assets of the graph, users' included.

Outside the steps: the event log of finished runs is read, so recording costs a step nothing and
cannot fail one, and a run that was killed is recorded too. The sensor does it within seconds; with
the sensor off, or no daemon, the next indexing of the catalog does (``lake/catalog/tables``), or
``lake catalog index``: all of them take what is not recorded yet, whoever left it.

An asset of one's own is recorded as it is. It tells more by metadata: ``dagster/row_count``,
``dagster/column_schema``, ``dagster/column_lineage``, ``status``, ``bytes``, ``lake/profile`` (id
of an object), and the files it read and wrote under ``lake/inputs`` and ``lake/outputs``: a list
of addresses, or of objects with ``uri``, ``sha256``, ``size_bytes``, ``rows``, ``format``. Files
without a hash are hashed when the run is recorded. Tables that the IO manager wrote need none of
this.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import dagster as dg
from dagster_shared.serdes import serialize_value

from lake_assets.catalog import Objects, canonical_json
from lake_assets.catalog.materialization import (
    CheckResult,
    Materialization,
    Upstream,
    record_materialization,
)
from lake_assets.defs.event_facts import event_facts
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.run_events import Made, RunEvents, run_events
from lake_assets.errors import LakeError
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store

__all__ = [
    "FINISHED",
    "RECORDED_TAG",
    "RecordedRun",
    "record_open_runs",
    "record_run",
    "recording_sensor",
]

FINISHED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
#: Run tag of a run that is in the catalog: how many documents it has.
RECORDED_TAG = "lake/recorded"

#: Documents written at once: small objects, so only their latency counts.
_WRITERS = 8
#: Of a captured log so much is kept, of each of its two streams.
_LOG_BYTES = 4 * 1024**2
_INTERVAL_S = 30
#: Dagster ends a tick after 60 s. Runs that are left then have their turn in the next one.
_TICK_S = 30
#: How far back runs are looked for that are not recorded: at first, and behind the last tick that
#: left none. A run is found by its tag; the time only bounds what is looked through.
_FIRST_LOOK, _LOOK_BACK = timedelta(days=30), timedelta(hours=1)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What recording a run wrote."""

    documents: tuple[str, ...]
    """Ids of the run's documents, new or not."""
    new: int
    """How many of them were not there yet."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What all documents of a run have in common."""

    instance: dg.DagsterInstance
    root: Store
    run: dg.DagsterRun
    events: RunEvents
    put: Callable[[bytes], str]
    """Keeps an object, each once; gives its id."""
    config_id: str
    graph_id: str | None


def record_run(instance: dg.DagsterInstance, root: Store, run_id: str) -> RecordedRun:
    """Write the documents of a finished run: what it made, what failed, what its checks said.

    Twice, or in two processes at once, writes nothing new. The run is tagged when all is written.

    Args:
        instance: Whose run it is.
        root: The lake's store.
        run_id: A run that succeeded, failed or was canceled.

    Raises:
        dagster.DagsterInvariantViolationError: There is no such run, or it is not finished.
        StorageError: A store refused. (A file that an asset named and that is gone is recorded
            without hash.)
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in FINISHED:
        found = "there is none" if run is None else f"it is {run.status.value}"
        raise dg.DagsterInvariantViolationError(
            f"run {run_id} cannot be recorded: {found}; give a finished run"
        )
    objects = Objects(root)
    put = cache(lambda body: objects.put(body).id)
    this = _Run(
        instance, root, run, run_events(instance, run_id), put,
        config_id=put(canonical_json(run.run_config)),
        graph_id=_graph_id(instance, put, run),
    )  # fmt: skip
    logs = {key: _log_id(this, key) for key in set(this.events.logs.values())}

    def write(make: Callable[[], Materialization]) -> tuple[str, bool]:
        item = make()  # reads what the event refers to
        log = logs.get(this.events.logs.get(item.step, ""))
        return record_materialization(root, replace(item, log_id=log))

    written = list(fan_out(write, _materializations(this), workers=_WRITERS))
    instance.add_run_tags(run_id, {RECORDED_TAG: str(len(written))})
    return RecordedRun(tuple(id_ for id_, _ in written), sum(new for _, new in written))


def recording_sensor() -> dg.SensorDefinition:
    """The sensor that records finished runs; on from the start, for it changes no data."""

    @dg.sensor(
        name="catalog_recording",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Records every finished run in the catalog, asset by asset, failed steps as well:"
            " what was made from what, with which configuration, graph, code, schema and log."
            f" A recorded run has the tag {RECORDED_TAG}."
        ),
    )
    def catalog_recording(
        context: dg.SensorEvaluationContext, lake: LakeResource
    ) -> dg.SensorResult | dg.SkipReason:
        began, root = datetime.now(UTC), lake.open().root
        recorded, troubles = record_open_runs(
            context.instance, root, since=_since(context.cursor), seconds=_TICK_S
        )
        for trouble in troubles:
            context.log.warning("%s", trouble)
        said = f"recorded {recorded} runs" if recorded else "no run ended"
        # Where a run is left, the next tick looks as far back as this one.
        cursor = context.cursor if troubles else began.isoformat()
        return dg.SensorResult(skip_reason="; ".join([said, *troubles]), cursor=cursor)

    return catalog_recording


def record_open_runs(
    instance: dg.DagsterInstance,
    root: Store,
    *,
    since: datetime | None = None,
    seconds: float | None = None,
) -> tuple[int, list[str]]:
    """Record the finished runs that are not recorded yet, oldest first.

    Args:
        instance: Whose runs they are.
        root: The lake's store.
        since: Runs that were last heard of before it (UTC) are left out; by default none is.
        seconds: After so long the rest is left for the next time.

    Returns:
        How many runs were recorded, and why others are left.
    """
    troubles: list[str] = []
    recorded, began = 0, time.monotonic()
    for run_id in _open_runs(instance, since):
        if seconds is not None and recorded and time.monotonic() - began > seconds:
            troubles.append("the others have their turn in the next tick")
            break
        try:
            record_run(instance, root, run_id)
            recorded += 1
        except Exception as error:  # noqa: BLE001 (one run, whatever is wrong with it, stops no other)
            said = (
                str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
            )
            troubles.append(f"run {run_id} is not recorded yet: {said}")
    return recorded, troubles


def _since(cursor: str | None) -> datetime:
    try:
        return datetime.fromisoformat(cursor or "") - _LOOK_BACK
    except ValueError:  # the first tick, or a cursor that is lost: it costs a longer look
        return datetime.now(UTC) - _FIRST_LOOK


def _open_runs(instance: dg.DagsterInstance, since: datetime | None) -> Iterator[str]:
    """Finished runs without the tag, oldest first."""
    wanted = dg.RunsFilter(statuses=list(FINISHED), updated_after=since)
    after: str | None = None
    while page := instance.get_run_records(wanted, limit=_PAGE, ascending=True, cursor=after):
        for record in page:
            if RECORDED_TAG not in record.dagster_run.tags:
                yield record.dagster_run.run_id
        after = page[-1].dagster_run.run_id


def _materializations(this: _Run) -> Iterator[Callable[[], Materialization]]:
    """All that a run has to tell, one by one, to be made by whoever writes it."""
    events = this.events
    open_checks = dict(events.checks)
    for made in events.made:
        key = made.event.asset_key.to_user_string()
        checks = open_checks.pop((key, made.step), [])
        yield partial(_made, this, made, checks)
    yield from _not_made(this)
    for (asset, step), checks in open_checks.items():
        yield partial(_plain, this, asset, None, step, "checked", checks=_checks(checks))


def _made(this: _Run, made: Made, checks: list[dg.AssetCheckEvaluation]) -> Materialization:
    event, tags = made.event, made.event.tags or {}
    prefix = "dagster/input_data_version/"
    versions = [
        Upstream(name[len(prefix) :], version)
        for name, version in sorted(tags.items())
        if name.startswith(prefix)
    ]
    facts, code = event_facts(this.root, event), tags.get("dagster/code_version")
    base = _plain(
        this, event.asset_key.to_user_string(), event.partition, made.step, facts.status,
        checks=_checks(checks),
    )  # fmt: skip
    return replace(
        base,
        finished_at=made.at,
        # Dagster puts the run's id where an asset tells no version of its code.
        code_version=None if code == this.run.run_id else code,
        data_version=tags.get("dagster/data_version"),
        schema_id=None if facts.schema is None else this.put(facts.schema),
        manifest_id=facts.manifest_id,
        inputs=facts.inputs,
        outputs=facts.outputs,
        # Which manifests a version is made of says more than which version of compacted it was.
        upstream=facts.upstream or tuple(versions),
        row_count=facts.row_count,
        size_bytes=facts.size_bytes,
        column_lineage=facts.column_lineage,
        profile_id=facts.profile_id,
    )


def _not_made(this: _Run) -> Iterator[Callable[[], Materialization]]:
    """What was to be made by steps that began, and was not; steps that failed without an asset."""
    run, events = this.run, this.events
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return
    status = "canceled" if run.status == dg.DagsterRunStatus.CANCELED else "failed"
    made = {(item.event.asset_key.to_user_string(), item.event.partition) for item in events.made}
    for (asset, partition), step in events.planned.items():
        # A run that ended before any step began failed with all that it was for.
        if (asset, partition) not in made and (step in events.steps or not events.steps):
            yield partial(_plain, this, asset, partition, step, status)
    with_assets = set(events.planned.values())
    for step, ran in events.steps.items():
        if ran.has_failed and step not in with_assets:
            yield partial(_plain, this, f"job/{run.job_name}", None, step, status)


def _plain(
    this: _Run,
    asset: str,
    partition: str | None,
    step: str,
    status: str,
    *,
    checks: tuple[CheckResult, ...] = (),
) -> Materialization:
    ran, ended = this.events.steps.get(step), this.events.ended_at or datetime.now(UTC)
    is_over = ran is not None and ran.finished_at != ran.started_at
    lacking = status in {"failed", "canceled"}
    return Materialization(
        asset=asset,
        partition=partition,
        run_id=this.run.run_id,
        step=step,
        status=status,
        started_at=ended if ran is None else ran.started_at,
        finished_at=ran.finished_at if ran is not None and is_over else ended,
        config_id=this.config_id,
        graph_id=this.graph_id,
        checks=checks,
        error=((ran and ran.error) or this.events.error) if lacking else None,
    )


def _checks(evaluations: list[dg.AssetCheckEvaluation]) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(item.check_name, item.passed, item.severity.value) for item in evaluations
    )


def _graph_id(
    instance: dg.DagsterInstance, put: Callable[[bytes], str], run: dg.DagsterRun
) -> str | None:
    """The object with the graph as it ran: the job's snapshot, and which step made which asset."""
    if run.job_snapshot_id is None or run.execution_plan_snapshot_id is None:
        return None
    return put(_graph(instance, run.job_snapshot_id, run.execution_plan_snapshot_id))


def _graph(instance: dg.DagsterInstance, job_id: str, plan_id: str) -> bytes:
    plan = instance.get_execution_plan_snapshot(plan_id)
    steps: list[dict[str, Any]] = [
        {
            "step": step.key,
            "assets": sorted(
                output.properties.asset_key.to_user_string()
                for output in step.outputs
                if output.properties is not None and output.properties.asset_key is not None
            ),
            "after": sorted({h.step_key for i in step.inputs for h in i.upstream_output_handles}),
        }
        for step in sorted(plan.steps, key=lambda step: step.key)
    ]
    job = json.loads(serialize_value(instance.get_job_snapshot(job_id)))
    return canonical_json({"job": job, "steps": steps})


def _log_id(this: _Run, file_key: str) -> str | None:
    """The object with a captured log, both streams; None where nothing was captured."""
    log_key = [this.run.run_id, "compute_logs", file_key]
    found = this.instance.compute_log_manager.get_log_data(log_key, max_bytes=_LOG_BYTES)
    streams = {"stdout": found.stdout, "stderr": found.stderr}
    parts = [f"--- {name} ---\n".encode() + body for name, body in streams.items() if body]
    return this.put(b"\n".join(parts)) if parts else None
