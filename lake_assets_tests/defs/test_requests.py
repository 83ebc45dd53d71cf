"""Which runs are due: from the exports, from what is recorded, and from the runs before."""

import time
from datetime import date

import dagster as dg
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG

from lake_assets.defs import requests
from lake_assets.defs.datamart_line import DatamartTable
from lake_assets.defs.keys import STAGE_TAG, TABLE_TAG
from lake_assets.defs.runless import datamart_run, register
from lake_assets.demo.exports import export_objects
from lake_assets.lake import run_datamart
from lake_assets_tests.factories import put_folder, table_rows
from lake_assets_tests.graph.line import NESTED_RESOURCE, Line, build_line

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
EXPORTS, MONTHS = "datamart_snapshot_exports", "datamart_snapshot_hive_partitions"


@pytest.fixture
def line(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield build_line(tmp_path, instance)


def ids(n: int) -> list[str]:
    return [f"2026{1 + i // 28:02}{1 + i % 28:02}T020000.041" for i in range(n)]


def give(line: Line, *export_ids: str, month: int = 9, n: int = 2) -> None:
    for export_id in export_ids:
        rows = table_rows("snapshot", n, day=date(2026, month, 3))
        put_folder(line.exports, export_objects("snapshot", export_id, rows))


def staging(line: Line) -> requests.Due:
    due = requests.staging_due(line.instance, DatamartTable.of(line.datamart, "snapshot"))
    for item in due.register:
        line.register(item.partitions_def_name, *item.partition_keys)
    return due


def compaction(line: Line) -> requests.Due:
    due = requests.compaction_due(line.instance, DatamartTable.of(line.datamart, "snapshot"))
    for item in due.register:
        line.register(item.partitions_def_name, *item.partition_keys)
    return due


def keys_of(due: requests.Due) -> list[str]:
    return [key for item in due.register for key in item.partition_keys]


def ranges(due: requests.Due) -> list[tuple[str, str]]:
    return [(run.tags[START], run.tags[END]) for run in due.runs]


def ended(
    line: Line, request: dg.RunRequest, status: dg.DagsterRunStatus, *, ago: float = 0
) -> None:
    """Record a run of the request that ended so many seconds ago."""
    tags = {**request.tags, "dagster/run_key": str(request.run_key)}
    run = dg.DagsterRun(job_name="__ASSET_JOB", tags=tags, status=dg.DagsterRunStatus.STARTED)
    line.instance.add_run(run)
    kinds = {
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.RUN_CANCELED,
    }
    line.instance.report_dagster_event(
        dg.DagsterEvent(kinds[status].value, job_name="__ASSET_JOB"),
        run_id=run.run_id,
        timestamp=time.time() - ago,
    )


def test_new_exports_are_registered_and_requested_once_as_one_range(line):
    give(line, *ids(3))
    due = staging(line)
    assert keys_of(due) == ids(3)
    assert ranges(due) == [(ids(3)[0], ids(3)[2])]
    assert due.runs[0].tags[TABLE_TAG] == "datamart.snapshot"
    assert due.runs[0].tags[STAGE_TAG] == "staging"
    assert PARTITION_NAME_TAG not in due.runs[0].tags


def test_the_run_key_is_the_same_until_a_file_changes(line):
    give(line, *ids(2))
    first, second = staging(line).runs[0], staging(line).runs[0]
    assert first.run_key == second.run_key
    give(line, ids(2)[1], n=3)
    assert staging(line).runs[0].run_key != first.run_key


def test_what_is_staged_is_not_due(line):
    give(line, *ids(2))
    run_datamart(line.datamart)
    due = staging(line)
    assert keys_of(due) == ids(2), "but an empty instance learns of it"
    assert due.runs == ()


def test_what_was_staged_is_registered_though_its_exports_are_gone(line):
    give(line, *ids(2))
    run_datamart(line.datamart)
    for item in (line.exports / "datamart").iterdir():
        item.unlink()
    assert keys_of(staging(line)) == ids(2)


def test_late_exports_far_apart_are_runs_of_their_own_and_near_ones_share_a_run(line):
    all_ids = ids(60)
    give(line, *all_ids)
    run_datamart(line.datamart)
    assert ranges(staging(line)) == []
    give(line, all_ids[1], all_ids[5], all_ids[50], n=3)
    assert ranges(staging(line)) == [(all_ids[1], all_ids[5]), (all_ids[50], all_ids[50])]


def test_a_range_follows_the_order_of_registration(line):
    late, early = ids(2)[1], ids(2)[0]
    give(line, late)
    staging(line)
    give(line, early)
    assert ranges(staging(line)) == [(late, early)]


def test_compaction_is_due_for_all_months_and_then_not_any_more(line):
    give(line, ids(1)[0])
    run_datamart(line.datamart, tables=["snapshot"])
    due = compaction(line)
    assert keys_of(due) == ["_month=2026-09"]
    assert due.runs == (), "published already"
    give(line, ids(2)[1], month=10)
    due = staging(line)
    assert line.run(["staging", "datamart", "snapshot"], tags=due.runs[0].tags).success
    due = compaction(line)
    assert keys_of(due) == ["_month=2026-10"]
    assert ranges(due) == [("_month=2026-09", "_month=2026-10")]
    stages = [key.path[0] for key in due.runs[0].asset_selection or ()]
    assert stages == ["compacted", "lake"]


def test_nothing_staged_is_nothing_due(line):
    assert compaction(line) == requests.Due()


def test_a_run_under_way_is_seen_and_an_ended_one_is_not(line):
    give(line, *ids(2))
    spec = line.datamart.table("snapshot")
    (request,) = staging(line).runs
    assert not requests.under_way(line.instance, spec, "staging")
    works = dg.DagsterRun(
        job_name="__ASSET_JOB", tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
    )
    line.instance.add_run(works)
    assert requests.under_way(line.instance, spec, "staging")
    assert not requests.under_way(line.instance, spec, "compacted")
    other = line.datamart.table("notification")
    assert not requests.under_way(line.instance, other, "staging")
    line.instance.report_run_canceled(works)
    assert not requests.under_way(line.instance, spec, "staging")


def test_a_failed_run_is_requested_again_after_a_pause_under_another_run_key(line):
    give(line, *ids(2))
    (request,) = staging(line).runs
    ended(line, request, dg.DagsterRunStatus.FAILURE)
    assert staging(line).runs == (), "the pause lasts"


@pytest.mark.parametrize(
    ("failures", "ago", "is_due"),
    [
        (1, 50, False),
        (1, 70, True),
        (2, 70, False),
        (2, 310, True),
        (9, 3000, False),
        (9, 3700, True),
    ],
)
def test_the_pause_grows_with_the_failures_up_to_an_hour(line, failures, ago, is_due):
    give(line, *ids(2))
    (request,) = staging(line).runs
    for _ in range(failures):
        ended(line, request, dg.DagsterRunStatus.FAILURE, ago=ago)
    again = staging(line).runs
    assert [run.run_key for run in again] == ([f"{request.run_key}-{failures}"] if is_due else [])


def test_a_run_that_somebody_cancelled_is_not_requested_under_another_run_key(line):
    give(line, *ids(2))
    (request,) = staging(line).runs
    ended(line, request, dg.DagsterRunStatus.CANCELED)
    (again,) = staging(line).runs
    assert again.run_key == request.run_key, "the daemon knows this run key and leaves it"


def test_what_is_made_from_a_table_is_due_when_something_else_published_the_table(line):
    rows = table_rows("model_snapshot", 3)
    put_folder(line.exports, export_objects("model_snapshot", ids(1)[0], rows))
    datamart, made = line.datamart, dg.AssetKey(["lake", "datamart", "model_performance"])
    opened = DatamartTable.of(datamart, "model_snapshot")
    run = datamart_run(datamart, run_datamart(datamart, tables=["model_snapshot"]))
    register(line.instance, run)

    def due() -> tuple[dg.RunRequest, ...]:
        return requests.compaction_due(line.instance, opened, [made]).runs

    assert due() == ()  # this instance has not heard of any publish
    for event in run.events:
        line.instance.report_runless_asset_event(event)
    assert [run.asset_selection for run in due()] == [[made]]
    assert due()[0].run_key == due()[0].run_key
    line.instance.report_runless_asset_event(dg.AssetMaterialization(made))
    assert due() == ()
