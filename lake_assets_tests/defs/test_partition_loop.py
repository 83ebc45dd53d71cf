"""The loop over a run's partitions: what it records when all is well, on failure, on cancel."""

import dagster as dg
import pytest

from lake_assets.defs.partition_loop import record_each

KEYS = ["a/b", "c d", "e=f", "ü", "g"]
DAYS = dg.DynamicPartitionsDefinition(name="days")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("days", KEYS)
        yield made


def run(instance, *, trouble: tuple[str, BaseException] | None = None, ends=(KEYS[0], KEYS[-1])):
    """Two assets in a row; the first meets trouble at a key."""

    def results(context):
        for key in context.partition_keys:
            if trouble and key == trouble[0]:
                raise trouble[1]
            yield key, {"key": key, "length": len(key)}

    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def parts(context: dg.AssetExecutionContext) -> None:
        record_each(context, results(context))

    @dg.asset(deps=[dg.AssetDep(parts, partition_mapping=dg.AllPartitionMapping())])
    def whole() -> None: ...

    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return dg.materialize(
        [parts, whole],
        instance=instance,
        tags=dict(zip(names, ends, strict=True)),
        raise_on_error=False,
    )


def recorded(instance, asset="parts"):
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=100, ascending=True).records
    return [record.asset_materialization for record in records]


def test_each_partition_has_one_event_with_its_own_facts_and_downstream_follows(instance):
    assert run(instance).success
    events = {event.partition: event.metadata for event in recorded(instance)}
    assert len(recorded(instance)) == len(events) == 5
    for key, facts in events.items():
        assert (facts["key"].value, facts["length"].value) == (key, len(key))
    assert len(recorded(instance, "whole")) == 1


@pytest.mark.parametrize("at", range(5))
def test_a_failing_partition_keeps_those_before_it_and_stops_downstream(instance, at):
    result = run(instance, trouble=(KEYS[at], OSError("the store is gone")))
    assert not result.success
    assert [event.partition for event in recorded(instance)] == KEYS[:at]
    assert all(event.metadata["key"].value == event.partition for event in recorded(instance))
    assert recorded(instance, "whole") == []


def test_a_cancelled_run_keeps_what_was_finished(instance):
    assert not run(instance, trouble=(KEYS[3], KeyboardInterrupt())).success
    assert [event.partition for event in recorded(instance)] == KEYS[:3]


def test_a_range_without_a_partition_fails_and_says_what_to_do(instance):
    result = run(instance, ends=(KEYS[2], KEYS[1]))
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "choose the partitions again" in str(failure.step_failure_data)
    assert recorded(instance) == []
