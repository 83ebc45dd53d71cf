"""Maintenance and verification in the graph: real runs over a folder, asked for in SQL after."""

import dagster as dg
import pytest

from lake_assets.defs.recording import RECORDED_TAG
from lake_assets.lake import query
from lake_assets_tests.factories import export_files, put_folder
from lake_assets_tests.graph.line import NESTED_RESOURCE, build_line, values

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)


@pytest.fixture
def line(tmp_path):
    put_folder(tmp_path / "exports", export_files("snapshot", 5))
    with dg.DagsterInstance.ephemeral() as instance:
        made = build_line(tmp_path, instance)
        assert made.job("datamart_catch_up").success
        yield made


def ask(line, sql: str) -> list[tuple]:
    return query(line.datamart.root.url, sql).rows()


def check_of(run: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    assert run.success  # a damaged lake is an outcome, no crash
    (found,) = run.get_asset_check_evaluations()
    assert found.check_name == "lake_is_whole"
    return found


def test_the_weekly_run_verifies_the_lake_and_what_it_found_can_be_asked(line):
    whole = check_of(line.job("lake_verification"))
    assert (whole.passed, whole.metadata["level"].value) == (True, "head")
    folder = line.exports.parent / "lake"
    (lost,) = folder.glob("lake/datamart/snapshot/**/*.parquet")
    lost.unlink()
    damaged = check_of(line.job("lake_verification"))
    assert (damaged.passed, damaged.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"`{lost}` missing" in damaged.metadata["damage"].value
    # The sensor never ran: the catalog's own run recorded all that had ended before it.
    nightly = line.run(["lake", "catalog", "tables"])
    assert values(line.events("lake", "tables", source="catalog")[-1])["runs_recorded"] == 1
    runs = line.instance.get_runs()
    assert [RECORDED_TAG in run.tags for run in runs] == [False, True, True, True]
    assert nightly.success
    rows = ask(
        line,
        "SELECT fsck_run_id, passed, result, level, uri, file_id FROM catalog.checks"
        " WHERE asset_key = 'lake/datamart/snapshot' AND check_name = 'lake_is_whole'"
        " ORDER BY checked_at",
    )
    newest = runs[1].run_id
    assert [row[1:] for row in rows] == [
        (True, "ok", "head", None, None),
        (False, "missing", "head", str(lost), lost.stem),
    ]
    assert rows[1][0] == newest
    assert ask(
        line,
        "SELECT passed FROM catalog.checks WHERE asset_key = 'lake/catalog/tables'"
        " AND fsck_run_id IS NULL ORDER BY checked_at",
    ) == [(True,), (False,)]


def test_derived_columns_of_every_stage_are_rows_of_the_catalog(line):
    assert line.run(["lake", "catalog", "tables"]).success
    rows = ask(
        line,
        'SELECT m.asset_key, c."column", c.from_asset, c.from_column FROM catalog.column_lineage c'
        " JOIN catalog.materializations m USING (manifest_id) WHERE c.\"column\" = '_month'"
        " ORDER BY 1",
    )
    assert rows == [
        ("compacted/datamart/snapshot", "_month", "staging/datamart/snapshot", "_month"),
        ("lake/datamart/snapshot", "_month", "compacted/datamart/snapshot", "_month"),
        ("staging/datamart/snapshot", "_month", "export/datamart/snapshot", "pySnapShotTime"),
    ]
    shown = values(line.events("staging", "snapshot")[0])["column_origins"]
    assert "| `_month` | `pySnapShotTime` | `month (%Y-%m)" in shown


def test_the_weekly_maintenance_writes_nothing_where_nothing_is_to_do_and_names_what_failed(line):
    folder = line.exports.parent / "lake"

    def listing() -> dict[str, int]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path): path.stat().st_mtime_ns for path in files}

    before = listing()
    assert line.job("lake_maintenance").success
    assert listing() == before
    (manifest,) = folder.glob("staging/datamart/snapshot/*/manifest-*.json")
    manifest.write_text("{}")
    config = {"ops": {"maintain_lake": {"config": {"grace_days": 0, "retention_days": 0}}}}
    job = line.graph.resolve_job_def("lake_maintenance")
    run = job.execute_in_process(instance=line.instance, run_config=config, raise_on_error=False)
    assert not run.success
    (failed,) = run.get_step_failure_events()
    said = failed.step_failure_data.error.to_string()
    assert "datamart.snapshot: " in said
    assert "is no catalog document" in said
