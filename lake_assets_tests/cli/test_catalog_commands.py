"""``lake lineage``, ``verify``, ``gc``, ``why-stale`` and ``catalog export-openlineage``."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from lake_assets.catalog import Objects
from lake_assets.lake import query
from lake_assets.s3 import open_store
from lake_assets_tests.cli.shop import NIGHTS, publish_two_nights, put_night


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a table of two versions, 6 orders, then 9."""
    folder = tmp_path_factory.mktemp("shop")
    publish_two_nights(folder)
    return folder


@pytest.fixture
def two(lake, published, tmp_path, monkeypatch):
    """The command in a copy of this folder."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lake


def age(folder, days):
    for path in Path(folder).rglob("*"):
        os.utime(path, (time.time() - days * 86_400,) * 2)


def test_lineage_is_a_graph_for_scripts_and_a_list_for_people(two):
    told = two("lineage", "shop.orders", "--json").json
    exports = [node["id"] for node in told["nodes"] if node["kind"] == "export"]
    assert [f"/{NIGHTS[1]}/part-{i}.parquet" in export for i, export in enumerate(exports)] == [
        True
    ] * 3
    ran = two("lineage", f"{NIGHTS[1]}/part-0.parquet")
    assert (ran.code, "table (1)" in ran.out, f" * {exports[0]}" in ran.out) == (0, True, True)
    missing = two("lineage", "nothing.parquet")
    assert (missing.code, "'nothing.parquet'" in missing.err) == (2, True)


def test_verify_fails_on_damage_and_names_it(two, tmp_path):
    ran = two("verify", "--level", "bytes")
    assert (ran.code, ran.out.splitlines()[-1][-7:]) == (0, ": whole")
    broken = next(tmp_path.glob("lake/staging/**/*.parquet"))
    broken.write_bytes(broken.read_bytes()[:-1])
    ran = two("verify")
    assert ran.code == 1
    assert f"truncated  shop.orders: {broken} has" in ran.out
    told = two("verify", "--table", "shop.orders", "--json")
    assert (told.code, [f["uri"] for f in told.json["findings"]]) == (1, [str(broken)])
    assert two("verify", "--sample", "2").code == 2


def test_gc_says_what_would_go_asks_and_then_removes_it_once(two, tmp_path):
    age(tmp_path / "lake", 10)
    kept = sorted(tmp_path.glob("lake/**/*"))
    planned = two("gc", "--dry-run", "--json").json
    assert {item["kind"] for item in planned["removed"]} == {"compacted"}
    unasked = two("gc")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    assert "nothing to remove" in two("gc", "--retention", "30d").out
    assert sorted(tmp_path.glob("lake/**/*")) == kept
    done = two("gc", "--yes", "--json").json
    assert done["removed"] == planned["removed"]
    assert not [item for item in done["removed"] if (tmp_path / "lake" / item["key"]).exists()]
    assert "nothing to remove" in two("gc", "--yes").out
    assert "nothing was changed" in two("run", "snapshot").out


def test_why_stale_names_what_changed(two, tmp_path):
    assert "is not stale" in two("why-stale", "shop.orders").out
    put_night(tmp_path / "exports", "2025-01-01")
    ran = two("why-stale", "shop.orders")
    assert (ran.code, "input  2025-01-01: this export was never staged" in ran.out) == (0, True)
    assert "part-1.parquet" in ran.out
    [reason] = two("why-stale", "shop.orders", "--json").json["reasons"]
    assert len(reason["files"]) == 2
    assert "there is: shop.orders, datamart." in two("why-stale", "shop.order").err


def test_openlineage_is_one_event_in_a_line(two, tmp_path):
    events = [
        json.loads(line) for line in two("catalog", "export-openlineage").out.splitlines() if line
    ]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    ran = two("catalog", "export-openlineage", "--table", "shop.orders", "--out", "events.ndjson")
    assert "4 events of 1 tables" in ran.out
    lines = (tmp_path / "events.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == events


def test_a_run_without_dagster_is_indexed_with_its_settings_graph_columns_and_log(shop, tmp_path):
    assert shop("run", "snapshot").code == 0
    told = shop("catalog", "index", "--json").json
    assert (told["runs_recorded"], told["damaged"], told["rows"]["materializations"]) == (0, [], 6)
    root = str(tmp_path / "lake")
    ids = ("run_id", "config_id", "graph_id", "schema_id", "log_id")
    ((run_id, *blobs),) = query(
        root,
        f"SELECT {', '.join(ids)} FROM catalog.materializations WHERE status = 'published'",  # noqa: S608 (names of ours)
    ).rows()
    config, graph, schema, log = map(Objects(open_store(root)).get, blobs)
    assert "shop" in json.loads(config)["databases"]
    assert [step["after"] for step in json.loads(graph)["steps"]] == [
        [],
        ["export/shop/orders"],
        ["staging/shop/orders"],
        ["compacted/shop/orders"],
    ]
    assert {"order_id", "half"} <= {column["name"] for column in json.loads(schema)}
    assert b"compacted shop.orders half=AM: " in log
    staged = query(
        root, "SELECT DISTINCT run_id FROM catalog.materializations WHERE kind = 'staging'"
    )
    assert staged.rows() == [(run_id,)]
    again = shop("catalog", "index", "--all")
    assert again.out == "0 new documents\n"


def test_an_instance_that_cannot_be_opened_is_told_of_and_the_tables_are_built(
    shop, tmp_path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    ran = shop("catalog", "index")
    assert (ran.code, ran.out) == (0, "0 new documents\n")
    assert "lake: warning: no run of Dagster was recorded: " in ran.err
