"""The database line end to end in this process: success, and the events, and the data."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from lake_assets.defs import sensors
from lake_assets.defs.io_managers import DeltaIOManager
from lake_assets.lake.read import scan_uri
from lake_assets.s3 import open_store
from lake_assets_tests.graph.line import NESTED_RESOURCE, Line, build_line, bytes_below, values
from lake_assets_tests.snapshots import (
    EXPORT_ID,
    listed_files,
    order_rows,
    orders,
    parquet,
    put_dynamodb_export,
    put_files,
    put_manifest_pair,
)

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
SENSORS = ("databases_exports", "databases_compaction")
SNAPSHOTS, PARTITIONS = "shop.orders_snapshots", "shop.orders_hive_partitions"
EVERYWHERE = {"status", "dagster/row_count", "files", "bytes", "seconds", "preview"} | {
    *("dagster/column_schema", "dagster/column_lineage", "column_origins"),
    "dagster/uri",
}
STATUSES = [f"status={name}" for name in ("__HIVE_DEFAULT_PARTITION__", "open", "paid", "sent")]
DECLARED = {"order_id": "string", "amount": "float", "items": "int"}


def tables(place) -> dict[str, object]:
    """Three tables: the newest snapshot by status, every snapshot, and one without partitions."""
    common = {"format": "parquet", "ready": "_DONE", "record_id": "order_id"}
    by_status = {"partition_by": ["status"], "group_size": "1B", "columns": DECLARED}
    return {
        "orders": {"source": f"{place}/orders/{{snapshot}}", **common, **by_status},
        "kept": {"source": f"{place}/kept/{{snapshot}}", **common, "mode": "history"},
        "whole": {"source": f"{place}/whole/{{snapshot}}", "format": "csv"},
    }


@pytest.fixture
def line(tmp_path):
    for name in ("orders", "kept", "whole"):
        (tmp_path / "source" / name).mkdir(parents=True)
    config = {"databases": {"shop": tables(tmp_path / "source")}}
    with dg.DagsterInstance.ephemeral() as instance:
        yield build_line(tmp_path, instance, config=config)


def give(line: Line, day: str, *parts: pl.DataFrame | bytes, table: str = "orders") -> None:
    """A finished snapshot of these parts."""
    files = {f"{number}.parquet": part for number, part in enumerate(parts)}
    put_files(line.exports.parent / "source" / table / day, {**files, "_DONE": b""})


def path(stage: str, table: str = "orders") -> list[str]:
    return [stage, "shop", table]


def rows_of(line: Line, table: str = "orders") -> pl.DataFrame:
    found = pl.read_delta(str(line.exports.parent / "lake" / "lake" / "shop" / table))
    return found.sort("order_id")


def events(line: Line, stage: str, table: str = "orders") -> list[dg.AssetMaterialization]:
    return line.events(stage, table, source="shop")


def told(line: Line, stage: str, table: str = "orders") -> list[tuple[str | None, str]]:
    """Partition and status of every event, oldest first; those of one run in any order."""
    return [(event.partition, values(event)["status"]) for event in events(line, stage, table)]


def checked(*results: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        evaluation.check_name: evaluation
        for result in results
        for evaluation in result.get_asset_check_evaluations()
    }


def test_a_ready_marker_brings_a_snapshot_to_the_table_and_unchanged_never_again(line):
    put_files(line.exports.parent / "source" / "orders" / DAYS[0], {"0.parquet": orders(6)})
    assert line.requested(SENSORS[0]) == [], "no marker yet"
    give(line, DAYS[0], orders(6), orders(6, start=6))
    results = line.follow(*SENSORS)
    assert [result.success for result in results] == [True, True]
    assert told(line, "staging") == [(DAYS[0], "staged")]
    assert sorted(told(line, "compacted"), key=str) == [(name, "compacted") for name in STATUSES]
    assert told(line, "lake") == [(None, "published")]
    assert rows_of(line)["order_id"].to_list() == orders(12)["order_id"].to_list()
    everything = [e for stage in ("staging", "compacted", "lake") for e in events(line, stage)]
    for event in everything:
        assert EVERYWHERE - set(event.metadata) == set(), event.asset_key
        assert values(event)["preview"].count("\n") >= 2
    (staged,) = (values(event) for event in events(line, "staging"))
    assert (staged["groups"], staged["source_files"], staged["dagster/row_count"]) == (2, 2, 12)
    assert {name: found.passed for name, found in checked(*results).items()} == {
        "nothing_quarantined": True,
        "nothing_rescued": True,
        "rows_conserved": True,
        "key_unique": True,
        "schema_as_declared": True,
    }
    assert line.follow(*SENSORS) == []
    observed = line.instance.fetch_observations(dg.AssetKey(path("export")), limit=9).records
    seen = [values(record.asset_observation) for record in observed if record.asset_observation]
    assert [(found["snapshots"], found["waiting"]) for found in seen] == [(1, 0)] * 2 + [(0, 1)]


def test_a_lake_and_its_exports_in_a_bucket_give_the_events_of_folders(tmp_path, bucket):
    there = f"s3://{bucket}/source"
    config = {"databases": {"shop": tables(there)}}
    with dg.DagsterInstance.ephemeral() as instance:
        line = build_line(tmp_path, instance, root=f"s3://{bucket}/lake", config=config)
        parts = {"0.parquet": orders(6), "1.parquet": orders(6, start=6), "_DONE": b""}
        put_files(f"{there}/orders/{DAYS[0]}", parts)
        results = line.follow(*SENSORS)
        assert [result.success for result in results] == [True, True]
        assert told(line, "staging") == [(DAYS[0], "staged")]
        assert sorted(told(line, "compacted"), key=str) == [(n, "compacted") for n in STATUSES]
        (published,) = (values(event) for event in events(line, "lake"))
        assert (published["status"], published["dagster/row_count"]) == ("published", 12)
        assert published["dagster/uri"] == f"s3://{bucket}/lake/lake/shop/orders"
        assert all(found.passed for found in checked(*results).values())
        listing = list(open_store(f"s3://{bucket}/lake").list())
        assert line.follow(*SENSORS) == []
        assert list(open_store(f"s3://{bucket}/lake").list()) == listing
        rows = scan_uri(published["dagster/uri"]).collect().sort("order_id")
    assert rows["order_id"].to_list() == orders(12)["order_id"].to_list()


def test_only_the_newest_snapshot_is_staged_and_what_vanished_is_told_so(line):
    give(line, DAYS[0], orders(12))
    line.follow(*SENSORS)
    give(line, DAYS[1], orders(12))
    give(line, DAYS[2], orders(12).filter(pl.col("status") == "paid"))
    (request,) = line.requested(SENSORS[0])
    first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    assert (first, last) == (DAYS[2], DAYS[2])
    line.follow(*SENSORS)
    assert line.instance.get_dynamic_partitions(SNAPSHOTS) == [DAYS[0], DAYS[2]]
    assert sorted(told(line, "compacted")[4:], key=str) == [
        (name, "compacted" if name == "status=paid" else "absent") for name in STATUSES
    ]
    assert rows_of(line)["status"].unique().to_list() == ["paid"]
    give(line, DAYS[2], orders(3))
    (changed,) = line.requested(SENSORS[0])
    assert changed.run_key != request.run_key
    assert line.requested(SENSORS[0])[0].run_key == changed.run_key


def test_bad_input_is_an_outcome_that_names_its_group_and_publishes_nothing(line):
    give(line, DAYS[0], orders(4))
    line.follow(*SENSORS)
    give(line, DAYS[1], orders(2), b"not parquet", orders(2, start=2))
    (staging,) = line.follow(*SENSORS)
    assert staging.success
    facts = values(events(line, "staging")[-1])
    assert (facts["status"], facts["groups"], facts["groups_staged"]) == ("quarantined", 3, 2)
    assert list(facts["quarantined_groups"]) == ["group 1"]
    assert "1.parquet" in facts["reason"]
    check = checked(staging)["nothing_quarantined"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert DAYS[1] in str(check.metadata["reasons"].value)
    assert line.follow(*SENSORS) == [], "refused as it is: not tried again"
    assert line.run(path("lake")).success
    assert told(line, "lake") == [(None, "published"), (None, "unchanged")]
    assert rows_of(line).height == 4
    give(line, DAYS[1], orders(2), orders(1, start=9), orders(2, start=2))
    assert all(result.success for result in line.follow(*SENSORS))
    assert rows_of(line).height == 5


def test_a_real_fault_fails_the_run_keeps_what_was_finished_and_the_rest_comes_next(line):
    for day in DAYS[:2]:
        give(line, day, orders(3), table="kept")
    blocked = line.exports.parent / "lake" / "staging" / "shop" / "kept" / DAYS[0] / "data"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder has to be: the store's refusal")
    (staging,) = line.follow(SENSORS[0])
    assert not staging.success
    assert told(line, "staging", "kept") == [(DAYS[1], "staged")]
    (failure,) = [event for event in staging.all_events if event.is_step_failure]
    assert DAYS[0] in str(failure.step_failure_data)
    blocked.unlink()
    assert all(result.success for result in line.follow(*SENSORS))
    assert rows_of(line, "kept").height == 6
    give(line, DAYS[2], orders(3), table="kept")
    line.follow(*SENSORS)
    names = [f"_snapshot={day}" for day in DAYS]
    compacted = [str(name) for name, _ in told(line, "compacted", "kept")]
    assert [*sorted(compacted[:2]), *compacted[2:]] == names, "each snapshot once"
    assert rows_of(line, "kept")["_snapshot"].unique().sort().to_list() == list(DAYS)


def test_by_hand_one_snapshot_a_range_of_partitions_and_the_table_alone(line):
    give(line, DAYS[0], orders(12))
    line.register(SNAPSHOTS, DAYS[0], "nobody exported this")
    assert line.run(path("lake")).success
    assert told(line, "lake") == [(None, "no export yet")]
    assert line.run(path("staging"), ends=(DAYS[0], "nobody exported this")).success
    assert dict(told(line, "staging")) == {DAYS[0]: "staged", "nobody exported this": "absent"}
    assert line.run(path("lake")).success
    assert told(line, "lake")[-1] == (None, "held back"), "nothing of it is compacted"
    line.register(PARTITIONS, *STATUSES)
    assert line.run(path("compacted"), ends=(STATUSES[0], STATUSES[1])).success
    (request,) = line.requested(SENSORS[1])
    assert [key.path[0] for key in request.asset_selection or ()] == ["compacted", "lake"]
    assert line.run(path("compacted"), ends=(STATUSES[0], STATUSES[-1])).success
    ranges = told(line, "compacted")
    assert dict(ranges[:2]) == dict.fromkeys(STATUSES[:2], "compacted")
    assert dict(ranges[2:]) == dict.fromkeys(STATUSES[:2], "unchanged") | dict.fromkeys(
        STATUSES[2:], "compacted"
    )
    assert line.job("databases_publish").success
    assert rows_of(line).height == 12


def test_an_empty_instance_on_a_full_lake_registers_and_loads_nothing_twice(line, tmp_path):
    give(line, DAYS[0], orders(12))
    put_files(line.exports.parent / "source" / "whole" / DAYS[0], {"a.csv": orders(2)})
    assert line.job("databases_catch_up").success
    assert rows_of(line).height == 12
    assert told(line, "compacted", "whole") == [("all", "compacted")]
    assert [len(events(line, stage)) for stage in ("staging", "compacted", "lake")] == [1, 4, 1]
    assert all(
        EVERYWHERE - {"seconds"} <= set(event.metadata)
        for stage in ("staging", "compacted", "lake")
        for event in events(line, stage)
    )
    assert line.job("databases_catch_up").success
    assert len(events(line, "lake")) == 1, "nothing new, nothing recorded"
    before = bytes_below(tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as empty:
        fresh = line.with_instance(empty)
        assert fresh.follow(*SENSORS) == []
        assert empty.get_dynamic_partitions(SNAPSHOTS) == [DAYS[0]]
        assert sorted(empty.get_dynamic_partitions(PARTITIONS)) == STATUSES
        assert fresh.run(path("staging"), ends=(DAYS[0], DAYS[0])).success
        assert told(fresh, "staging") == [(DAYS[0], "unchanged")]
    assert bytes_below(tmp_path / "lake") == before


def test_a_source_that_cannot_be_taken_stops_no_other_table(line):
    give(line, DAYS[0], orders(4))
    put_files(line.exports.parent / "source" / "whole" / "a", {"a.csv": orders(2)})
    (line.exports.parent / "source" / "kept").rmdir()
    (line.exports.parent / "source" / "kept").write_text("a file where a folder was")
    requested = [run.tags["lake/table"] for run in line.requested(SENSORS[0])]
    assert requested == ["shop.orders", "shop.whole"]


def test_an_asset_of_ones_own_reads_the_table_and_cannot_overwrite_it(line):
    give(line, DAYS[0], orders(5))
    line.follow(*SENSORS)
    table = dg.AssetSpec(path("lake"))

    @dg.asset(ins={"orders": dg.AssetIn(table.key)})
    def counted(orders: pl.LazyFrame) -> pl.DataFrame:
        return orders.select(pl.len()).collect()

    @dg.asset(key=["shop", "orders"])
    def mine() -> pl.DataFrame:
        return orders(1)

    def run(asset: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
        resources = {"io_manager": DeltaIOManager(lake=line.lake)}
        chosen = dg.AssetSelection.assets(asset)
        return dg.materialize(
            [table, asset], selection=chosen, resources=resources, raise_on_error=False
        )

    assert run(counted).output_for_node("counted").item() == 5
    refused = run(mine)
    assert not refused.success
    assert "would overwrite shop.orders" in str(refused.all_events)
    assert rows_of(line).height == 5


def test_groups_that_do_not_add_up_to_the_export_are_quarantined_as_a_whole(tmp_path, line):
    url = put_files(tmp_path / "files", {"a.parquet": parquet(orders(2), row_group_rows=1)})
    summary = put_manifest_pair(tmp_path / "pair", listed_files(url, {"a.parquet": 5}))
    table = {"source": summary, "format": "manifest", "group_size": "1B"}
    line = build_line(tmp_path, line.instance, config={"databases": {"shop": {"orders": table}}})
    (result,) = line.follow(*SENSORS)
    assert result.success
    assert [status for _, status in told(line, "staging")] == ["quarantined"]
    assert "5 rows" in values(events(line, "staging")[0])["quarantined_groups"]["snapshot"]
    check = checked(result)["nothing_quarantined"]
    assert not check.passed
    assert "not recorded" in str(check.metadata["reasons"].value)


def test_an_export_that_contradicts_itself_is_bad_input_before_it_is_planned(tmp_path, line):
    folder = put_dynamodb_export(tmp_path / "dynamodb", [order_rows(2)])
    (Path(folder) / "manifest-files.md5").write_text("AAAAAAAAAAAAAAAAAAAAAA==")
    table = {"source": str(tmp_path / "dynamodb" / "AWSDynamoDB"), "format": "dynamodb"}
    line = build_line(tmp_path, line.instance, config={"databases": {"shop": {"orders": table}}})
    assert line.requested(SENSORS[0]) == []
    (seen,) = line.instance.fetch_observations(dg.AssetKey(path("export")), limit=9).records
    assert seen.asset_observation is not None
    assert "manifest-files" in str(seen.asset_observation.metadata["refused_snapshots"].value)
    line.register(SNAPSHOTS, EXPORT_ID)
    result = line.run(path("staging"), ends=(EXPORT_ID, EXPORT_ID))
    assert result.success
    assert told(line, "staging") == [(EXPORT_ID, "quarantined")]
    [(key, reason)] = values(events(line, "staging")[0])["quarantined_groups"].items()
    assert key == table["source"]
    assert "manifest-files" in reason
    assert not checked(result)["nothing_quarantined"].passed


def test_tables_that_a_tick_has_no_time_for_are_the_first_of_the_next(line, monkeypatch):
    for table in ("orders", "kept"):
        give(line, DAYS[0], orders(2), table=table)
    monkeypatch.setattr(sensors, "_TICK_S", -1)
    requested, cursor = [], None
    for _ in range(4):
        result = line.tick(SENSORS[0], cursor)
        assert isinstance(result, dg.SensorResult)
        requested.append([run.tags["lake/table"] for run in result.run_requests or ()])
        cursor = result.cursor
    assert requested == [["shop.orders"], ["shop.kept"], [], ["shop.orders"]]
