"""The graph under a real daemon, launched as the UI launches it: what in-process runs cannot show.

All tests share one Dagster. Each has tables of its own, so that they hold in any order and at once.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date

import polars as pl
import pytest
from deltalake import DeltaTable

from lake_assets.defs.resources import LakeResource
from lake_assets.demo.exports import export_objects
from lake_assets.lake import query, run_datamart, scan_table
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.s3 import open_store
from lake_assets_tests.factories import export_files, put_folder, table_rows, truncated_gzip
from lake_assets_tests.graph.daemon import Running, running, until
from lake_assets_tests.graph.schedules import fired, started
from lake_assets_tests.snapshots import orders, put_files

pytestmark = [pytest.mark.daemon, pytest.mark.xdist_group("daemon")]

IDS = [f"202609{day}T020000.041" for day in (21, 22, 23, 24, 25)]
EVERYWHERE = {"status", "dagster/row_count", "files", "bytes", "seconds", "preview"} | {
    "dagster/column_schema",
    "dagster/uri",
}
SENSORS = ("datamart_exports", "datamart_compaction", "databases_exports", "databases_compaction")
WEEKLY = ("lake_maintenance_weekly", "lake_verification_weekly")
DAY = "2024-01-01"
STATUSES = [f"status={name}" for name in ("__HIVE_DEFAULT_PARTITION__", "open", "paid", "sent")]


@pytest.fixture(scope="module")
def dagster(tmp_path_factory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("daemon")
    tables: dict[str, object] = {}
    for name in ("orders", "by_hand"):
        (folder / "source" / name).mkdir(parents=True)
        tables[name] = {
            "source": f"{folder}/source/{name}/{{snapshot}}",
            "format": "parquet",
            "ready": "_DONE",
            "record_id": "order_id",
            "partition_by": ["status"],
        }
    weekly = {"maintenance": "* * * * *", "verification": "* * * * *"}  # weeks of a minute
    with running(folder, {"databases": {"shop": tables}, "schedules": weekly}) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def weekly(dagster) -> Iterator[Future[dict[str, str]]]:
    """The first runs of the weekly schedules; while they are waited for the tests go on."""

    def first_runs() -> dict[str, str]:
        with started(dagster, *WEEKLY):
            return {name: fired(dagster, name) for name in WEEKLY}

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(first_runs)


def give_snapshot(dagster: Running, table: str) -> None:
    folder = dagster.root.parent / "source" / table / DAY
    put_files(folder, {"0.parquet": orders(6), "1.parquet": orders(6, start=6), "_DONE": b""})


def rows_of_snapshots(dagster: Running, table: str) -> int:
    uri = str(dagster.root / "lake" / "shop" / table)
    return pl.read_delta(uri).height if DeltaTable.is_deltatable(uri) else 0


def stages(table: str, source: str = "datamart") -> list[list[str]]:
    return [[stage, source, table] for stage in ("staging", "compacted", "lake")]


def give(dagster: Running, table: str, *ids: str, month: int = 9, n: int = 2) -> None:
    for number, export_id in enumerate(ids):
        rows = table_rows(table, n, day=date(2026, month, 1 + number))
        put_folder(dagster.exports, export_objects(table, export_id, rows))


def register(
    dagster: Running, table: str, *, exports: Sequence[str] = (), months: Sequence[str] = ()
):
    dagster.register(f"datamart_{table}_exports", *exports)
    dagster.register(f"datamart_{table}_hive_partitions", *months)


def rows_of(dagster: Running, table: str) -> int:
    datamart = LakeResource(root=str(dagster.root)).open()
    return scan_table(datamart.root.url, datamart.table(table)).collect().height


def partitions(run: dict, stage: str) -> list[str]:
    """Partitions that a run materialized at a stage, and that each event says all facts."""
    found = [
        event for event in run["assetMaterializations"] if event["assetKey"]["path"][0] == stage
    ]
    for event in found:
        missing = EVERYWHERE - {entry["label"] for entry in event["metadataEntries"]}
        assert not missing, (stage, event["partition"], missing)
    return sorted(str(event["partition"]) for event in found)


def figures(event: dict) -> dict:
    return {
        entry["label"]: entry.get("intValue", entry.get("text"))
        for entry in event["metadataEntries"]
    }


def newest_status(dagster: Running, path: list[str]) -> dict[str, str]:
    """What the newest event of each partition says came of it."""
    events = reversed(dagster.asset(path)["assetMaterializations"])
    return {event["partition"]: figures(event)["status"] for event in events}


def checks(dagster: Running, path: list[str]) -> dict[str, dict]:
    found = dagster.asset(path)["assetChecksOrError"]["checks"]
    return {check["name"]: check["executionForLatestMaterialization"] for check in found}


def test_new_exports_become_rows_and_a_late_sentinel_runs_just_its_export(dagster):
    staging, compacted, lake = stages("model_snapshot")
    *there, late = export_files("model_snapshot", 9, files=2, export_id=IDS[1])
    give(dagster, "histogram", *IDS[:2])
    lake_of = LakeResource(root=str(dagster.root), exports=str(dagster.exports)).open()
    run_datamart(lake_of, tables=["histogram"])  # by a process that tells this instance nothing
    with dagster.switched_on(*SENSORS):
        give_snapshot(dagster, "orders")
        give(dagster, "model_snapshot", IDS[0])
        put_folder(dagster.exports, there)
        until(lambda: rows_of(dagster, "model_snapshot") == 6, "the first rows in the lake")
        put_folder(dagster.exports, [late])
        until(lambda: rows_of(dagster, "model_snapshot") == 11, "the late file's rows in the lake")
        until(lambda: ended_well(dagster, "datamart.model_snapshot"), "the runs to end")
        until(lambda: rows_of_snapshots(dagster, "orders") == 12, "the snapshot in the lake")
        until(lambda: ended_well(dagster, "shop.orders"), "its runs to end")
        now = time.time()
        for sensor in SENSORS:
            until(lambda s=sensor: skipped_since(dagster, s, now, times=2), f"{sensor} to skip")
        assert len(dagster.runs(lake__table="datamart.model_snapshot")) == 4
        assert len(dagster.runs(lake__table="shop.orders")) == 2
    assert_the_snapshot_came_through(dagster)
    for path, keys in zip(stages("histogram"), (IDS[:2], ["_month=2026-09"]), strict=False):
        assert dagster.asset(path)["partitionKeys"] == keys
    assert dagster.runs(lake__table="datamart.histogram") == [], "it is loaded: nothing to do"
    events = dagster.asset(staging)["assetMaterializations"]
    assert [(event["partition"], figures(event)["status"]) for event in events[:1]] == [
        (IDS[1], "staged")
    ]
    assert sorted(event["partition"] for event in events) == [IDS[0], IDS[1], IDS[1]]
    assert dagster.asset(staging)["partitionKeys"] == IDS[:2]
    assert dagster.asset(compacted)["partitionKeys"] == ["_month=2026-09"]
    assert figures(dagster.asset(lake)["assetMaterializations"][0])["dagster/row_count"] == 11
    assert (
        len(dagster.asset(["lake", "datamart", "model_performance"])["assetMaterializations"]) == 2
    )
    export = dagster.asset(["export", "datamart", "model_snapshot"])["assetObservations"]
    assert figures(export[0])["files"] == 3
    results = checks(dagster, staging) | checks(dagster, lake)
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(
        [
            "no_drift",
            "nothing_quarantined",
            "nothing_rescued",
            "rows_conserved",
            "key_unique",
            "schema_as_declared",
        ],
        "SUCCEEDED",
    )


def assert_the_snapshot_came_through(dagster: Running) -> None:
    staging, compacted, lake = stages("orders", "shop")
    assert newest_status(dagster, staging) == {DAY: "staged"}
    assert newest_status(dagster, compacted) == dict.fromkeys(STATUSES, "compacted")
    assert figures(dagster.asset(lake)["assetMaterializations"][0])["dagster/row_count"] == 12
    seen = dagster.asset(["export", "shop", "orders"])["assetObservations"]
    assert figures(seen[0])["snapshots"] == 1
    results = checks(dagster, staging) | checks(dagster, lake)
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(
        ["nothing_quarantined", "nothing_rescued", "rows_conserved", "key_unique"], "SUCCEEDED"
    )


def ended_well(dagster: Running, table: str) -> bool:
    runs = dagster.runs(lake__table=table)
    return all(run["status"] == "SUCCESS" for run in runs)


def skipped_since(dagster: Running, sensor: str, since: float, *, times: int) -> bool:
    ticks = [tick for tick in dagster.sensor(sensor)["ticks"] if tick["timestamp"] > since]
    assert not [tick for tick in ticks if tick["status"] in ("FAILURE", "SUCCESS")], ticks
    return len([tick for tick in ticks if tick["status"] == "SKIPPED"]) >= times


def one_partition_many_in_one_run_and_lake_alone(dagster: Running) -> None:
    staging, compacted, lake = stages("predictor_snapshot")
    give(dagster, "predictor_snapshot", *IDS)
    register(dagster, "predictor_snapshot", exports=IDS, months=["_month=2026-09"])
    one = dagster.launch([staging], tags={"dagster/partition": IDS[2]})
    assert partitions(dagster.succeeded(one), "staging") == [IDS[2]]
    many = dagster.launch_range([staging], IDS[0], IDS[4])
    assert partitions(dagster.succeeded(many), "staging") == IDS
    told = {
        e["partition"]: figures(e)["status"]
        for e in dagster.asset(staging)["assetMaterializations"][:5]
    }
    assert told == dict.fromkeys(IDS, "staged") | {IDS[2]: "unchanged"}
    month = dagster.launch([compacted], tags={"dagster/partition": "_month=2026-09"})
    assert partitions(dagster.succeeded(month), "compacted") == ["_month=2026-09"]
    assert rows_of(dagster, "predictor_snapshot") == 0, "compacted, not published"
    assert partitions(dagster.succeeded(dagster.launch([lake])), "lake") == ["None"]
    assert rows_of(dagster, "predictor_snapshot") == 10


def backfills_of_single_keys_of_all_keys_and_of_the_month(dagster: Running) -> None:
    staging, compacted, lake = stages("binary_distribution")
    odd = ["a/b c=d,e", "ü%20 +"]
    ids = [*IDS, *odd]
    give(dagster, "binary_distribution", *IDS)
    register(dagster, "binary_distribution", exports=ids)
    apart = dagster.backfill([staging], [IDS[0], IDS[2], odd[0]])
    runs = dagster.backfilled(apart)
    found = sorted(key for run in runs for key in partitions_of_any(run, "staging"))
    assert found == sorted([IDS[0], IDS[2], odd[0]])
    assert len(runs) == 3, "one run for each contiguous stretch"
    (run,) = dagster.backfilled(dagster.backfill([staging], allPartitions=True))
    assert partitions_of_any(run, "staging") == sorted(ids)
    status = {
        e["partition"]: figures(e)["status"]
        for e in dagster.asset(staging)["assetMaterializations"][:7]
    }
    assert status == {
        **dict.fromkeys(IDS, "staged"),
        **dict.fromkeys([IDS[0], IDS[2]], "unchanged"),
        **dict.fromkeys(odd, "absent"),
    }
    register(dagster, "binary_distribution", months=["_month=2026-09"])
    (run,) = dagster.backfilled(dagster.backfill([compacted], allPartitions=True))
    assert partitions(run, "compacted") == ["_month=2026-09"]
    assert partitions(dagster.succeeded(dagster.launch([lake])), "lake") == ["None"]
    assert rows_of(dagster, "binary_distribution") == 10


def partitions_of_any(run: dict, stage: str) -> list[str]:
    events = [e for e in run["assetMaterializations"] if e["assetKey"]["path"][0] == stage]
    return sorted(str(event["partition"]) for event in events)


def a_whole_table_from_an_instance_that_knows_nothing(dagster: Running) -> None:
    table = "contingency_table"
    nothing = dagster.backfilled(dagster.backfill(stages(table), allPartitions=True))
    assert [partitions(run, "lake") for run in nothing] == [["None"]], "an empty, typed table"
    assert rows_of(dagster, table) == 0
    give(dagster, table, *IDS[:3])
    register(dagster, table, exports=IDS[:3], months=["_month=2026-09"])
    dagster.backfilled(dagster.backfill(stages(table), allPartitions=True))
    compacted, lake = (dagster.asset(path) for path in stages(table)[1:])
    assert newest_status(dagster, stages(table)[0]) == dict.fromkeys(IDS[:3], "staged")
    assert figures(compacted["assetMaterializations"][0])["status"] == "compacted"
    assert figures(lake["assetMaterializations"][0])["status"] == "published"
    assert rows_of(dagster, table) == 6


def a_quarantined_export_and_a_real_fault(dagster: Running) -> None:
    staging, _, _ = stages("snapshot")
    give(dagster, "snapshot", *IDS[:3])
    data, sentinel = export_files("snapshot", 30, export_id=IDS[3])
    put_folder(
        dagster.exports,
        [type(data)(data.key, truncated_gzip(table_rows("snapshot", 30))), sentinel],
    )
    blocked = dagster.root / "staging" / "datamart" / "snapshot" / IDS[2]
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder has to be: the store's refusal")
    register(dagster, "snapshot", exports=[*IDS[:2], IDS[3], IDS[2]])
    broken = dagster.launch_range([staging], IDS[0], IDS[2])
    assert dagster.finished(broken)["status"] == "FAILURE"
    events = dagster.asset(staging)["assetMaterializations"]
    assert sorted(event["partition"] for event in events) == [*IDS[:2], IDS[3]]
    assert any("StorageError" in text for text in dagster.errors(broken))
    blocked.unlink()
    mended = dagster.succeeded(dagster.launch_range([staging], IDS[0], IDS[2]))
    assert partitions_of_any(mended, "staging") == IDS[:4]
    result = checks(dagster, staging)["nothing_quarantined"]
    assert (result["status"], result["evaluation"]["severity"]) == ("FAILED", "WARN")
    reasons = [entry.get("mdStr") or "" for entry in result["evaluation"]["metadataEntries"]]
    assert any(IDS[3] in text and "gzip" in text for text in reasons)


def test_the_nightly_job_and_two_requests_for_one_table_in_turn(dagster):
    table = "notification"
    give(dagster, table, *IDS[:2])
    nightly = dagster.launch(job="datamart_catch_up")
    assert {
        stage: partitions_of_table(dagster, nightly, stage, table) for stage in ("staging", "lake")
    } == {
        "staging": IDS[:2],
        "lake": ["None"],
    }
    assert rows_of(dagster, table) == 4
    assert dagster.asset(stages(table)[0])["partitionKeys"] == IDS[:2]
    same = {"lake/table": "datamart.notification"}
    ends = {"dagster/partition": IDS[0]}
    runs = [dagster.launch([stages(table)[0]], tags=same | ends) for _ in range(2)]
    first, second = sorted(
        (dagster.succeeded(run) for run in runs), key=lambda run: run["startTime"]
    )
    assert first["endTime"] <= second["startTime"]


def partitions_of_table(dagster: Running, run_id: str, stage: str, table: str) -> list[str]:
    events = dagster.succeeded(run_id)["assetMaterializations"]
    return sorted(
        str(event["partition"])
        for event in events
        if event["assetKey"]["path"] == [stage, "datamart", table]
    )


def a_snapshot_by_hand_and_its_partitions_as_a_backfill(dagster: Running) -> None:
    staging, compacted, lake = stages("by_hand", "shop")
    give_snapshot(dagster, "by_hand")
    dagster.register("shop.by_hand_snapshots", DAY)
    one = dagster.launch([staging], tags={"dagster/partition": DAY})
    assert partitions(dagster.succeeded(one), "staging") == [DAY]
    dagster.register("shop.by_hand_hive_partitions", *STATUSES)
    (run,) = dagster.backfilled(dagster.backfill([compacted], allPartitions=True))
    assert partitions(run, "compacted") == STATUSES
    assert rows_of_snapshots(dagster, "by_hand") == 0, "compacted, not published"
    assert partitions(dagster.succeeded(dagster.launch([lake])), "lake") == ["None"]
    assert rows_of_snapshots(dagster, "by_hand") == 12


#: Runs of different tables that wait for each other's processes most of the time.
STORIES = (
    one_partition_many_in_one_run_and_lake_alone,
    backfills_of_single_keys_of_all_keys_and_of_the_month,
    a_whole_table_from_an_instance_that_knows_nothing,
    a_quarantined_export_and_a_real_fault,
    a_snapshot_by_hand_and_its_partitions_as_a_backfill,
)


@pytest.fixture(scope="module")
def told(dagster) -> dict[str, Future[None]]:
    """All stories, at the same time and with the sensors off, to their ends."""
    with ThreadPoolExecutor(len(STORIES)) as pool:
        return {story.__name__: pool.submit(story, dagster) for story in STORIES}


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
def test_what_the_ui_launches(told, story):
    told[story].result()


def test_the_weekly_schedules_fire_and_their_runs_leave_a_verified_and_indexed_lake(
    dagster, weekly
):
    runs = {name: dagster.succeeded(run_id) for name, run_id in weekly.result().items()}
    told = {tag["key"]: tag["value"] for run in runs.values() for tag in run["tags"]}
    assert told["dagster/schedule_name"] in WEEKLY
    verified = runs["lake_verification_weekly"]
    catalog = ["lake", "catalog", "tables"]
    assert [event["assetKey"]["path"] for event in verified["assetMaterializations"]] == [catalog]
    result = checks(dagster, catalog)["lake_is_whole"]
    assert (result["status"], result["evaluation"]["success"]) == ("SUCCEEDED", True), result
    root = str(dagster.root)
    index_catalog(open_store(root))  # what the run found is a document, which the next one indexes
    found = query(
        root,
        "SELECT run_id, status FROM catalog.materializations WHERE kind = 'verification'",
    )
    assert (verified["runId"], "whole") in found.rows()
