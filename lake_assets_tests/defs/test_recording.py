"""Finished runs in the catalog: every asset of the graph, users' own, failed and canceled ones."""

import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from lake_assets.catalog import Objects, read_document
from lake_assets.catalog.materialization import LOG_FOLDER
from lake_assets.defs.io_managers import DeltaIOManager
from lake_assets.defs.recording import RECORDED_TAG, record_run, recording_sensor
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import query
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.s3 import open_store
from lake_assets_tests.factories import EXPORT_ID, export_files, put_folder
from lake_assets_tests.graph.line import NESTED_RESOURCE, QUIET, build_line

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(["eu", "us/west"]),
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="7",
)
def files_of_ones_own(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
    print("said by the asset")  # noqa: T201 (what is captured)
    for key in context.partition_keys:
        out = Path(lake.open().root.url) / f"own-{key.replace('/', '-')}.csv"
        out.write_text(f"a\n{key}\n")
        facts = {
            "dagster/row_count": 1,
            "dagster/column_schema": dg.TableSchema([dg.TableColumn("a", "string")]),
            "lake/inputs": [{"uri": "s3://there/in.csv", "sha256": "a" * 64, "size_bytes": 9}],
            "lake/outputs": [str(out)],
        }
        context.add_asset_metadata(facts, partition_key=key)


@dg.asset(key=["lake", "own", "table"], io_manager_key="io_manager", deps=[files_of_ones_own])
def table_of_ones_own() -> pl.DataFrame:
    return pl.DataFrame({"a": [1, 2]})


@dg.asset(deps=[table_of_ones_own])
def that_fails() -> None:
    raise ValueError("the source said no")


@dg.asset(deps=[that_fails])
def never_begun() -> None: ...


@dg.asset_check(asset=table_of_ones_own)
def is_full() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


RANGE = {
    "dagster/asset_partition_range_start": "eu",
    "dagster/asset_partition_range_end": "us/west",
}


@pytest.fixture
def lake(tmp_path):
    (tmp_path / "lake").mkdir()
    return LakeResource(root=str(tmp_path / "lake"), exports=str(tmp_path))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def instance_on_disk(tmp_path):
    """One that captures logs, as users have it."""
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield instance


def run_own(lake: LakeResource, instance: dg.DagsterInstance) -> str:
    graph = dg.Definitions(
        assets=[files_of_ones_own, table_of_ones_own, that_fails, never_begun],
        asset_checks=[is_full],
        resources={"lake": lake, "io_manager": DeltaIOManager(lake=lake)},
        executor=dg.in_process_executor,
    )
    job = graph.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance, tags=RANGE, raise_on_error=False, run_config=QUIET
    )
    assert not done.success
    return done.run_id


def documents(lake: LakeResource) -> dict[tuple[str, str | None], dict]:
    """Content of all documents by asset and partition; those of checks by step and check."""
    root = open_store(lake.settings().root)
    found = [read_document(root, info.key).content for info in root.list(LOG_FOLDER)]
    by_name = {
        (item["step"], item["checks"][0]["name"])
        if item["status"] == "checked"
        else (item["asset"], item["partition"]): item
        for item in found
    }
    assert len(by_name) == len(found)
    return by_name


def test_every_asset_of_a_run_is_recorded_failed_ones_as_well(lake, instance_on_disk):
    run_id = run_own(lake, instance_on_disk)
    root = open_store(lake.settings().root)
    done = record_run(instance_on_disk, root, run_id)
    found = documents(lake)
    assert {name: item["status"] for name, item in found.items()} == {
        ("files_of_ones_own", "eu"): "materialized",
        ("files_of_ones_own", "us/west"): "materialized",
        ("lake/own/table", None): "published",
        ("that_fails", None): "failed",
        ("lake__own__table_is_full", "is_full"): "checked",
    }
    assert done.new == len(done.documents)
    own, objects = found["files_of_ones_own", "us/west"], Objects(root)
    assert (own["run_id"], own["code_version"], own["row_count"]) == (run_id, "7", 1)
    assert [file["sha256"] for file in own["inputs"]] == ["a" * 64]
    assert [file["size_bytes"] for file in own["outputs"]] == [10]
    assert json.loads(objects.get(own["schema_id"]))[0]["name"] == "a"
    assert json.loads(objects.get(own["config_id"])) == QUIET
    assert b"said by the asset" in objects.get(own["log_id"])
    steps = {item["step"]: item for item in json.loads(objects.get(own["graph_id"]))["steps"]}
    assert steps["lake__own__table"] == {
        "step": "lake__own__table", "assets": ["lake/own/table"], "after": ["files_of_ones_own"],
    }  # fmt: skip
    table = found["lake/own/table", None]
    assert [(file["rows"], len(file["sha256"])) for file in table["outputs"]] == [(2, 64)]
    assert table["code_version"] is None  # it tells none
    check = found["lake__own__table_is_full", "is_full"]
    assert check["asset"] == "lake/own/table"
    assert check["checks"] == [{"name": "is_full", "passed": False, "severity": "WARN"}]
    assert found["that_fails", None]["error"] == "ValueError: the source said no"
    before = [(info.key, info.modified_at) for info in root.list("catalog/")]
    again = record_run(instance_on_disk, root, run_id)
    assert (again.documents, again.new) == (done.documents, 0)
    assert [(info.key, info.modified_at) for info in root.list("catalog/")] == before


def test_the_sensor_records_each_finished_run_once_and_a_refused_one_later(lake, instance):
    run_id = run_own(lake, instance)

    def tick(cursor=None):
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"lake": lake}
        ) as context:
            return recording_sensor().evaluate_tick(context)

    log = Path(lake.settings().root) / "catalog" / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("in the way of the documents")
    refused = tick("2026-01-01T00:00:00+00:00")
    assert "is not recorded yet" in refused.skip_message
    assert refused.cursor == "2026-01-01T00:00:00+00:00"
    log.unlink()
    done = tick(refused.cursor)
    assert done.skip_message == "recorded 1 runs"
    assert int(instance.get_run_by_id(run_id).tags[RECORDED_TAG]) == len(documents(lake))
    assert tick(done.cursor).skip_message == tick("lost").skip_message == "no run ended"


def test_a_canceled_run_leaves_what_it_was_at_as_canceled(lake, instance):
    @dg.asset
    def killed() -> None:
        raise dg.DagsterExecutionInterruptedError

    graph = dg.Definitions(assets=[killed], executor=dg.in_process_executor)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        graph.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_config=QUIET
        )
    (record,) = instance.get_run_records()
    run = record.dagster_run
    instance.report_run_canceled(run)  # as the daemon does once the process is gone
    record_run(instance, open_store(lake.settings().root), run.run_id)
    assert documents(lake)["killed", None]["status"] == "canceled"


def test_what_an_op_logs_is_recorded_and_that_it_failed(lake, instance):
    @dg.op
    def catches_up(context: dg.OpExecutionContext) -> None:
        metadata = {"status": "staged", "bytes": 12}
        context.log_event(dg.AssetMaterialization("brought", partition="p1", metadata=metadata))
        raise dg.Failure("one table failed")

    @dg.job
    def own_line() -> None:
        catches_up()

    run = own_line.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    record_run(instance, open_store(lake.settings().root), run.run_id)
    found = documents(lake)
    assert {name: (item["status"], item["size_bytes"]) for name, item in found.items()} == {
        ("brought", "p1"): ("staged", 12),
        ("job/own_line", None): ("failed", None),
    }
    assert "one table failed" in found["job/own_line", None]["error"]


def test_a_run_that_is_not_finished_is_refused(lake, instance):
    root = open_store(lake.settings().root)
    with pytest.raises(dg.DagsterInvariantViolationError, match="there is none"):
        record_run(instance, root, "nobody")


def test_the_lines_assets_refer_to_the_manifests_of_their_stages(tmp_path, instance):
    put_folder(tmp_path / "exports", export_files("snapshot", 5))
    line = build_line(tmp_path, instance)
    line.register("datamart_snapshot_exports", EXPORT_ID)
    line.register("datamart_snapshot_hive_partitions", "_month=2026-09")
    root = line.datamart.root
    for stage, key in (
        ("staging", EXPORT_ID),
        ("compacted", "_month=2026-09"),
        ("lake", None),
    ):
        run = line.run([stage, "datamart", "snapshot"], ends=key and (key, key))
        assert run.success
        record_run(instance, root, run.run_id)
    assert index_catalog(root).damaged == ()
    made = query(
        root.url,
        "SELECT r.asset_key, r.status, s.kind, count(f.file_id) FILTER (f.role = 'output')"
        " FROM catalog.materializations r"
        " LEFT JOIN catalog.materializations s ON s.manifest_id = r.result_id"
        " LEFT JOIN catalog.files f ON f.manifest_id = r.result_id"
        " WHERE r.kind = 'materialization' AND r.status <> 'checked' GROUP BY ALL ORDER BY 1",
    )
    assert made.rows() == [
        ("compacted/datamart/snapshot", "compacted", "compacted", 1),
        ("lake/datamart/snapshot", "published", None, 0),
        ("staging/datamart/snapshot", "staged", "staging", 2),
    ]
    of_version = query(
        root.url,
        "SELECT s.kind FROM catalog.lineage l"
        " JOIN catalog.materializations s ON s.manifest_id = l.in_manifest_id"
        " WHERE l.asset_key = 'lake/datamart/snapshot'",
    )
    assert of_version.rows() == [("compacted",)]
