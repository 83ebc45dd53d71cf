"""The graph end to end in this process: success, and the events, and the data."""

import shutil
from datetime import date

import dagster as dg
import pytest

from lake_assets.demo.exports import export_objects
from lake_assets.lake import scan_table
from lake_assets_tests.factories import export_files, put_folder, table_rows, truncated_gzip
from lake_assets_tests.graph.line import (
    NESTED_RESOURCE,
    Line,
    build_line,
    bytes_below,
    path,
    values,
)

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)
IDS = [f"202609{day}T020000.041" for day in (21, 22, 23, 24, 25)]
EXPORTS, MONTHS = "datamart_model_snapshot_exports", "datamart_model_snapshot_hive_partitions"
EVERYWHERE = {"status", "dagster/row_count", "files", "bytes", "seconds", "preview"} | {
    "dagster/column_schema",
    "dagster/uri",
}


@pytest.fixture
def line(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield build_line(tmp_path, instance)


def give(line: Line, *ids: str, table: str = "model_snapshot", month: int = 9, n: int = 4) -> None:
    for number, export_id in enumerate(ids):
        rows = table_rows(table, n, day=date(2026, month, 1 + number))
        put_folder(line.exports, export_objects(table, export_id, rows))


def rows_of(line: Line, table: str = "model_snapshot") -> int:
    spec = line.datamart.table(table)
    return scan_table(line.datamart.root.url, spec).collect().height


def spoil(line: Line, export_id: str) -> None:
    """Cut the only file of an export."""
    victim = next(
        item
        for item in (line.exports / "datamart").iterdir()
        if export_id in item.name and not item.name.startswith(".")
    )
    victim.write_bytes(truncated_gzip(table_rows("model_snapshot", 40)))


def test_exports_become_rows_through_both_sensors(line):
    give(line, *IDS)
    results = line.follow("datamart_exports", "datamart_compaction")
    assert [result.success for result in results] == [True, True]
    assert sorted(str(event.partition) for event in line.events("staging")) == IDS
    assert [event.partition for event in line.events("compacted")] == ["_month=2026-09"]
    assert len(line.events("lake")) == len(line.events("lake", "model_performance")) == 1
    assert rows_of(line) == 20


def test_every_event_of_every_stage_says_all_facts(line):
    give(line, *IDS)
    line.follow("datamart_exports", "datamart_compaction")
    line.run(path("staging"), ends=(IDS[0], IDS[-1]))  # nothing is new
    line.run(path("compacted"), path("lake"), ends=("_month=2026-09", "_month=2026-09"))
    events = [
        *line.events("staging"),
        *line.events("compacted"),
        *line.events("lake"),
        *line.events("lake", "model_performance"),
    ]
    assert [values(event)["status"] for event in events] == [
        *["staged"] * 5,
        *["unchanged"] * 5,
        *["compacted", "unchanged"],
        *["published", "unchanged"],
        "published",
    ]
    for event in events:
        assert EVERYWHERE - set(event.metadata) == set(), event.asset_key
        facts = values(event)
        assert facts["files"] >= 1
        assert facts["bytes"] > 100
        assert len(facts["dagster/column_schema"].columns) > 10
        assert facts["preview"].count("\n") >= 3, facts["preview"]
    assert [values(event)["dagster/row_count"] for event in events[:5]] == [4] * 5


def test_a_quarantined_export_is_an_outcome_and_its_neighbours_load(line):
    give(line, *IDS)
    spoil(line, IDS[2])
    staging, compaction = line.follow("datamart_exports", "datamart_compaction")
    assert staging.success
    assert compaction.success
    assert rows_of(line) == 16
    facts = {event.partition: values(event) for event in line.events("staging")}
    assert [facts[key]["status"] for key in IDS] == ["staged"] * 2 + ["quarantined"] + [
        "staged"
    ] * 2
    assert "gzip" in facts[IDS[2]]["reason"]
    check = next(
        evaluation
        for evaluation in staging.get_asset_check_evaluations()
        if evaluation.check_name == "nothing_quarantined"
    )
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert IDS[2] in str(check.metadata["reasons"].value)
    assert line.requested("datamart_exports") == [], "a refused export is not tried again"


def test_all_checks_run_and_pass(line):
    give(line, *IDS)
    evaluations = [
        (evaluation.asset_key.path[0], evaluation.check_name, evaluation.passed)
        for result in line.follow("datamart_exports", "datamart_compaction")
        for evaluation in result.get_asset_check_evaluations()
    ]
    assert sorted(evaluations) == [
        ("lake", "key_unique", True),
        ("lake", "rows_conserved", True),
        ("lake", "schema_as_declared", True),
        ("staging", "no_drift", True),
        ("staging", "nothing_quarantined", True),
        ("staging", "nothing_rescued", True),
    ]


def test_a_real_fault_fails_the_run_and_keeps_what_was_finished(line):
    give(line, *IDS)
    line.register(EXPORTS, *IDS)
    blocked = line.exports.parent / "lake" / "staging" / "datamart" / "model_snapshot" / IDS[-1]
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the export's folder has to be")
    result = line.run(path("staging"), ends=(IDS[0], IDS[-1]))
    assert not result.success
    finished = line.events("staging")
    assert {event.partition for event in finished} == set(IDS[:-1])
    assert all(set(event.metadata) >= EVERYWHERE for event in finished)
    blocked.unlink()
    (again,) = line.follow("datamart_exports")
    assert again.success
    assert [values(event)["status"] for event in line.events("staging")[4:]] == ["staged"]


def test_exports_that_are_not_there_fail_a_run(line):
    line.register(EXPORTS, IDS[0])
    shutil.rmtree(line.exports)
    result = line.run(path("staging"), ends=(IDS[0], IDS[0]))
    assert not result.success
    assert line.events("staging") == []
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert str(line.exports) in str(failure.step_failure_data.error)


def test_a_swapped_range_is_a_failure_not_an_empty_success(line):
    give(line, *IDS)
    line.register(EXPORTS, *IDS)
    result = line.run(path("staging"), ends=(IDS[1], IDS[0]))
    assert not result.success
    assert line.events("staging") == []


def test_an_empty_instance_on_a_full_lake_registers_and_loads_nothing_twice(line, tmp_path):
    give(line, *IDS)
    line.follow("datamart_exports", "datamart_compaction")
    before = bytes_below(tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as empty:
        fresh = line.with_instance(empty)
        assert fresh.follow("datamart_exports", "datamart_compaction") == []
        assert empty.get_dynamic_partitions(EXPORTS) == IDS
        assert empty.get_dynamic_partitions(MONTHS) == ["_month=2026-09"]
        everything = fresh.run(path("staging"), ends=(IDS[0], IDS[-1]))
        assert everything.success
        assert {values(event)["status"] for event in fresh.events("staging")} == {"unchanged"}
    assert bytes_below(tmp_path / "lake") == before


def test_months_that_another_process_loaded_are_registered(line):
    give(line, *IDS[:2])
    line.follow("datamart_exports", "datamart_compaction")
    give(line, "20261101T020000.041", month=10)
    with dg.DagsterInstance.ephemeral() as other:
        line.with_instance(other).follow("datamart_exports", "datamart_compaction")
    assert line.follow("datamart_exports", "datamart_compaction") == []
    assert line.instance.get_dynamic_partitions(MONTHS) == ["_month=2026-09", "_month=2026-10"]


def test_a_lake_asset_without_exports_is_a_typed_empty_table(line):
    result = line.run(path("lake"), path("lake", "model_performance"))
    assert result.success
    (event,) = line.events("lake")
    assert values(event)["status"] == "no export yet"
    assert set(event.metadata) >= EVERYWHERE
    assert rows_of(line) == 0
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def test_compacted_before_staging_says_absent_and_succeeds(line):
    line.register(MONTHS, "_month=2026-09")
    result = line.run(path("compacted"), path("lake"), ends=("_month=2026-09", "_month=2026-09"))
    assert result.success
    assert [values(event)["status"] for event in line.events("compacted")] == ["absent"]
    assert rows_of(line) == 0


def test_a_partition_that_is_not_exported_says_absent(line):
    line.register(EXPORTS, "somebody typed this")
    result = line.run(path("staging"), ends=("somebody typed this", "somebody typed this"))
    assert result.success
    assert [values(event)["status"] for event in line.events("staging")] == ["absent"]


def test_the_nightly_job_brings_everything_and_records_it(line):
    give(line, *IDS[:2])
    give(line, IDS[0], table="notification")
    result = line.job("datamart_catch_up")
    assert result.success
    assert line.instance.get_dynamic_partitions(EXPORTS) == IDS[:2]
    assert line.instance.get_dynamic_partitions(MONTHS) == ["_month=2026-09"]
    for stage, n in (("staging", 2), ("compacted", 1), ("lake", 1)):
        events = line.events(stage)
        assert len(events) == n
        assert all(EVERYWHERE - {"seconds"} <= set(event.metadata) for event in events)
    assert (rows_of(line), rows_of(line, "notification")) == (8, 4)
    # What is made from the table follows it; then nothing is due.
    assert len(line.follow("datamart_exports", "datamart_compaction")) == 1
    assert len(line.events("lake", "model_performance")) == 1
    assert line.follow("datamart_exports", "datamart_compaction") == []
    assert line.job("datamart_catch_up").success
    assert len(line.events("lake")) == 1, "nothing new, nothing recorded"


def test_the_publish_job_publishes_what_is_compacted(line):
    give(line, *IDS[:2])
    line.follow("datamart_exports")
    line.register(MONTHS, "_month=2026-09")
    line.run(path("compacted"), ends=("_month=2026-09", "_month=2026-09"))
    assert rows_of(line) == 0
    assert line.job("datamart_publish").success
    assert rows_of(line) == 8
    assert len(line.events("lake", "model_performance")) == 1


def test_a_late_sentinel_runs_just_its_export_again(line):
    give(line, IDS[0], IDS[2])
    *there, late = export_files("model_snapshot", 9, files=2, export_id=IDS[1])
    assert late.is_sentinel
    put_folder(line.exports, there)
    line.follow("datamart_exports", "datamart_compaction")
    put_folder(line.exports, [late])
    (request,) = line.requested("datamart_exports")
    tags = request.tags
    assert tags["dagster/asset_partition_range_start"] == IDS[1]
    assert tags["dagster/asset_partition_range_end"] == IDS[1]
