"""What the library did, told to the instance at DAGSTER_HOME by ``lake run``."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.defs.instance import instance_home
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.runless import (
    datamart_run,
    register,
    report_snapshot_run,
    snapshot_run,
)
from lake_assets.lake import run_datamart
from lake_assets.lake.databases import open_databases
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.settings import LakeSettings
from lake_assets_tests.factories import EXPORT_ID, export_files, put_folder
from lake_assets_tests.snapshots import orders, put_files

REPOSITORY = Path(__file__).parents[2]
LAKE = "from lake_assets.cli import main; main()"


@pytest.fixture
def lake(tmp_path):
    exports = put_folder(tmp_path / "exports", export_files("snapshot", 5))
    return LakeResource(root=str(tmp_path / "lake"), exports=str(exports))


def test_one_event_for_each_export_each_month_and_each_table(lake):
    datamart = lake.open()
    events = datamart_run(datamart, run_datamart(datamart)).events
    assert [(event.asset_key.to_user_string(), event.partition) for event in events] == [
        ("staging/datamart/snapshot", EXPORT_ID),
        ("compacted/datamart/snapshot", "_month=2026-09"),
        ("lake/datamart/snapshot", None),
    ]
    assert [event.metadata["dagster/row_count"].value for event in events] == [5, 5, 5]


def test_a_run_that_changed_nothing_is_no_event_but_registers_what_is_there(lake):
    datamart = lake.open()
    run_datamart(datamart)
    run = datamart_run(datamart, run_datamart(datamart))
    assert run.events == ()
    with dg.DagsterInstance.ephemeral() as instance:
        register(instance, run)
        assert instance.get_dynamic_partitions("datamart_snapshot_exports") == [EXPORT_ID]


def lake_run(tmp_path, home):
    return subprocess.run(
        [
            *(sys.executable, "-c", LAKE, "run", "datamart"),
            *("--root", str(tmp_path / "lake"), "--exports", str(tmp_path / "exports")),
        ],
        cwd=tmp_path,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.usefixtures("lake")
def test_lake_run_reports_to_the_instance_at_dagster_home(tmp_path):
    home = instance_home(str(tmp_path / "lake"))
    for expected in (1, 1):  # the second run has nothing to tell
        done = lake_run(tmp_path, home)
        assert done.returncode == 0, done.stderr
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert instance.get_dynamic_partitions("datamart_snapshot_exports") == [EXPORT_ID]
            months = instance.get_dynamic_partitions("datamart_snapshot_hive_partitions")
            assert months == ["_month=2026-09"]
            for stage in ("staging", "compacted", "lake"):
                key = dg.AssetKey([stage, "datamart", "snapshot"])
                records = instance.fetch_materializations(key, limit=10).records
                assert len(records) == expected
            assert instance.get_runs_count() == 0


def test_a_run_of_databases_is_told_in_the_same_way(tmp_path, monkeypatch):
    put_files(tmp_path / "source" / "2024-01-01", {"a.parquet": orders(4)})
    table = {"source": f"{tmp_path}/source/{{snapshot}}", "format": "parquet"}
    settings = LakeSettings.model_validate(
        {"root": f"{tmp_path}/lake", "databases": {"shop": {"orders": table}}}
    )
    databases = open_databases(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(instance_home(f"{tmp_path}/lake")))
    for _ in range(2):  # the second run has nothing to tell
        report_snapshot_run(run_databases(databases), databases)
    put_files(tmp_path / "source" / "2024-01-02", {"a.parquet": b"not parquet"})
    refused = snapshot_run(run_databases(databases), databases)
    assert (refused.events, refused.errors, len(refused.refused)) == ((), (), 1)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions("shop.orders_snapshots") == ["2024-01-01"]
        assert instance.get_dynamic_partitions("shop.orders_hive_partitions") == ["all"]
        for stage, status in (("staging", "staged"), ("compacted", "compacted")):
            (event,) = told(instance, stage)
            assert event.metadata["status"].value == status
        (event,) = told(instance, "lake")
        assert event.metadata["dagster/row_count"].value == 4


def told(instance, stage) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(dg.AssetKey([stage, "shop", "orders"]), limit=9)
    return [record.asset_materialization for record in records.records]
