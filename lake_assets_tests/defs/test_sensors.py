"""The sensors themselves: what one tick registers, requests, observes and skips."""

import shutil

import dagster as dg
import pytest

from lake_assets_tests.factories import export_files, put_folder
from lake_assets_tests.graph.line import NESTED_RESOURCE, build_line

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)


@pytest.fixture
def line(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield build_line(tmp_path, instance)


def observations(line, table="snapshot"):
    key = dg.AssetKey(["export", "datamart", table])
    records = line.instance.fetch_observations(key, limit=50).records
    return [record.asset_observation for record in records]


def test_a_tick_requests_one_run_for_each_table_with_new_exports(line):
    put_folder(line.exports, export_files("snapshot"))
    put_folder(line.exports, export_files("notification"))
    runs = line.requested("datamart_exports")
    assert sorted(run.tags["lake/table"] for run in runs) == [
        "datamart.notification",
        "datamart.snapshot",
    ]


def test_exports_are_observed_once_as_long_as_they_do_not_change(line):
    data, sentinel = export_files("snapshot")
    put_folder(line.exports, [data])
    first = line.tick("datamart_exports")
    assert isinstance(first, dg.SensorResult)
    (seen,) = observations(line)
    assert seen.metadata["waiting"].value == 1
    assert data.key in str(seen.metadata["waiting_files"].value)
    line.tick("datamart_exports", first.cursor)
    assert len(observations(line)) == 1
    put_folder(line.exports, [sentinel])
    line.tick("datamart_exports", first.cursor)
    newest = observations(line)[0].metadata
    assert (newest["export_runs"].value, newest["files"].value, newest["waiting"].value) == (
        1,
        1,
        0,
    )
    assert newest["bytes"].value == len(data.body)


def test_a_data_file_without_its_sentinel_requests_nothing(line):
    put_folder(line.exports, export_files("snapshot")[:1])
    result = line.tick("datamart_exports")
    assert isinstance(result, dg.SensorResult)
    assert not result.run_requests
    assert result.skip_reason is not None


def test_a_lost_cursor_changes_no_decision(line):
    put_folder(line.exports, export_files("snapshot"))
    line.follow("datamart_exports", "datamart_compaction")
    for cursor in (None, "", "rubbish"):
        result = line.tick("datamart_exports", cursor)
        assert isinstance(result, dg.SensorResult)
        assert not result.run_requests


def test_exports_that_cannot_be_reached_are_a_skipped_tick_that_says_so(line):
    shutil.rmtree(line.exports)
    result = line.tick("datamart_exports")
    assert isinstance(result, dg.SkipReason)
    assert str(line.exports) in str(result.skip_message)


def test_while_a_run_of_the_table_works_nothing_more_is_requested_for_it(line):
    put_folder(line.exports, export_files("snapshot"))
    (request,) = line.requested("datamart_exports")
    run = dg.DagsterRun(
        job_name="__ASSET_JOB", tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
    )
    line.instance.add_run(run)
    put_folder(line.exports, export_files("notification"))
    tables = [again.tags["lake/table"] for again in line.requested("datamart_exports")]
    assert tables == ["datamart.notification"]
    assert line.requested("datamart_compaction") == []


def test_the_table_made_from_model_snapshot_follows_in_the_same_run(line):
    put_folder(line.exports, export_files("model_snapshot"))
    line.follow("datamart_exports")
    (request,) = line.requested("datamart_compaction")
    assert [key.to_user_string() for key in request.asset_selection or ()] == [
        "compacted/datamart/model_snapshot",
        "lake/datamart/model_snapshot",
        "lake/datamart/model_performance",
    ]


def test_an_export_without_rows_becomes_an_empty_table_without_months(line):
    put_folder(line.exports, export_files("histogram", 0))
    line.follow("datamart_exports")
    (request,) = line.requested("datamart_compaction")
    assert [key.path[0] for key in request.asset_selection or ()] == ["lake"]
    (result,) = line.follow("datamart_compaction")
    assert result.success
    assert line.requested("datamart_compaction") == []
