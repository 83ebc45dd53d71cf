"""Which runs are due: the decisions of the sensors as functions, one place for all of them.

Level-triggered: what is due is derived from the exports and from what is recorded in the lake,
never from a list of what was seen, so a lost tick, a killed run or an empty Dagster instance loses
nothing.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from lake_assets.catalog import content_id
from lake_assets.compacted.partitions import Table
from lake_assets.defs.keys import STAGE_TAG, TABLE_TAG, asset_key, exports_of, hive_partitions_of
from lake_assets.defs.lines import OpenTable

__all__ = ["Due", "compaction_due", "staging_due", "under_way"]

#: Registered keys between two due ones that a range may cover: each costs some ms, a run some
#: seconds.
_GAP = 20
#: Runs that still work, or will.
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_RANGE_START, _RANGE_END = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
#: Names the work of a run, in all its tries: the daemon never repeats a run key, not even that of a
#: failed run.
_WORK_TAG = "lake/work"
_WORK_DIGITS = 32
#: Seconds after a failed run (storage down; bad input does not fail one) until its work is
#: requested again.
_PAUSES_S = (60, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class Due:
    """What one table needs: partitions to register, runs to request."""

    register: tuple[dg.AddDynamicPartitionsRequest, ...] = ()
    runs: tuple[dg.RunRequest, ...] = field(default=())


def staging_due(instance: dg.DagsterInstance, opened: OpenTable) -> Due:
    """Runs for the exports that staging has not seen as they are now.

    New export ids are registered, those that an earlier instance staged as well. One run takes a
    stretch of partitions; its run key names the files in it, so an unchanged export never runs
    twice.
    """
    table, needs = opened.table, opened.staging_needs()
    definition = exports_of(table)
    known = list(instance.get_dynamic_partitions(str(definition.name)))
    new = [key for key in dict.fromkeys(needs.exports) if key not in set(known)]
    register = (definition.build_add_request(new),) if new else ()
    requests = (
        _range_request(
            instance,
            [asset_key("staging", table)],
            keys,
            work=content_id(["staging", table.id, [[key, needs.work.get(key)] for key in keys]]),
            tags={TABLE_TAG: table.id, STAGE_TAG: "staging"},
        )
        for keys in _stretches([*known, *new], needs.work)
    )
    return Due(register, tuple(request for request in requests if request))


def compaction_due(
    instance: dg.DagsterInstance, opened: OpenTable, downstream: Sequence[dg.AssetKey] = ()
) -> Due:
    """One run of the hive partitions and the Delta table, where it lags behind its staging.

    Or of the tables made from it alone, where these lag behind it. Partitions with nothing to do
    are told so and write nothing.
    """
    table, needs = opened.table, opened.table_needs()
    if needs is None:
        return Due()
    definition = hive_partitions_of(table)
    known = list(instance.get_dynamic_partitions(str(definition.name)))
    new = [name for name in needs.partitions if name not in set(known)]
    register = (definition.build_add_request(new),) if new else ()
    if needs.work is None:
        return Due(register, _downstream_due(instance, table, downstream))
    keys = _span([*known, *new], needs.to_compact)
    selection = [asset_key("lake", table), *downstream]
    request = _range_request(
        instance,
        [asset_key("compacted", table), *selection] if keys else selection,
        keys,
        work=content_id(["compaction", table.id, *needs.work, keys]),
        tags={TABLE_TAG: table.id, STAGE_TAG: "compacted"},
    )
    return Due(register, (request,) if request else ())


def _downstream_due(
    instance: dg.DagsterInstance, table: Table, downstream: Sequence[dg.AssetKey]
) -> tuple[dg.RunRequest, ...]:
    """A run of what is made from the table, where something else than a sensor's run published it.

    That is the nightly catch-up, or ``lake run`` telling this instance.
    """
    published = instance.get_latest_materialization_event(asset_key("lake", table))
    if published is None:
        return ()
    made = [instance.get_latest_materialization_event(key) for key in downstream]
    late = [
        key
        for key, event in zip(downstream, made, strict=True)
        if event is None or event.timestamp < published.timestamp
    ]
    if not late:
        return ()
    work = content_id(
        ["downstream", [key.to_user_string() for key in late], str(published.timestamp)]
    )
    tags = {TABLE_TAG: table.id, STAGE_TAG: "compacted"}
    request = _range_request(instance, late, (), work=work, tags=tags)
    return (request,) if request else ()


def under_way(instance: dg.DagsterInstance, table: Table, *stages: str) -> bool:
    """Whether a requested run of one of these stages of the table has not ended yet."""
    return any(
        instance.get_runs_count(
            dg.RunsFilter(tags={TABLE_TAG: table.id, STAGE_TAG: stage}, statuses=_UNFINISHED)
        )
        for stage in stages
    )


def _stretches(ordered: Sequence[str], wanted: Mapping[str, str]) -> Iterator[list[str]]:
    """The wanted keys as stretches of the registration order, which is what a range follows."""
    stretch: list[str] = []
    gap: list[str] = []
    for key in ordered:
        if key not in wanted:
            gap.append(key)
            continue
        if stretch and len(gap) > _GAP:
            yield stretch
            stretch = []
        stretch += [*gap, key] if stretch else [key]
        gap = []
    if stretch:
        yield stretch


def _span(ordered: Sequence[str], wanted: Collection[str] | None) -> Sequence[str]:
    """From the first to the last wanted key: one range, so that the table follows in the run."""
    if wanted is None:
        return ordered
    places = [place for place, key in enumerate(ordered) if key in wanted]
    return ordered[places[0] : places[-1] + 1] if places else ()


def _range_request(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetKey],
    keys: Sequence[str],
    *,
    work: str,
    tags: dict[str, str],
) -> dg.RunRequest | None:
    """A run over the keys; None while the pause after its last failure lasts."""
    work = work[:_WORK_DIGITS]
    failures = instance.get_run_records(
        dg.RunsFilter(tags={_WORK_TAG: work}, statuses=[dg.DagsterRunStatus.FAILURE])
    )
    if failures:
        pause = _PAUSES_S[min(len(failures), len(_PAUSES_S)) - 1]
        if time.time() < max(record.end_time or 0 for record in failures) + pause:
            return None
    ends = {_RANGE_START: keys[0], _RANGE_END: keys[-1]} if keys else {}
    return dg.RunRequest(
        run_key=f"{work}-{len(failures)}" if failures else work,
        asset_selection=list(assets),
        tags={**ends, **tags, _WORK_TAG: work},
    )
