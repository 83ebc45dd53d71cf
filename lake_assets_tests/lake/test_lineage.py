"""Lineage of both lines, from export files to versions and back, of columns, and as OpenLineage."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import find_table
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake.column_lineage import (
    column_lineage,
    column_parents,
    with_partition_columns,
)
from lake_assets.lake.lineage import lineage
from lake_assets.lake.openlineage import run_events
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.s3 import open_store
from lake_assets_tests.lake.line import NIGHTS, model, models, put, run_models, wrapped
from lake_assets_tests.lake.openlineage_schema import VALIDATOR
from lake_assets_tests.snapshot_line.shop import Shop, rows

MODELS = "datamart.model_snapshot"
EARLIER, LATER = "20260801T000000.000 GMT", "20260901T000000.000 GMT"


@pytest.fixture(scope="module")
def datamart(tmp_path_factory):
    """Two nights of models; the second replaces a row of the first's, a third night is refused."""
    place = tmp_path_factory.mktemp("datamart")
    exports, root = place / "exports", place / "lake"
    first = models(model("a", LATER), model("b", EARLIER), night=NIGHTS[0])
    second = models(model("a", LATER, pyPositives=2), night=NIGHTS[1])
    put(exports, *first)
    run_models(exports, root)
    third = wrapped(b"no zip", NIGHTS[2])
    put(exports, *second, *third)
    run_models(exports, root)
    return str(root), [str(exports / night[0].key) for night in (first, second, third)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Two snapshots of two files each in two months; the second has one row more."""
    place = tmp_path_factory.mktemp("shop")
    shop = Shop(f"{place}/source/{{snapshot}}", f"{place}/lake")
    at = Shop(f"{place}/source", shop.root)
    at.put(**{"2024-01-01/a": rows("1", "2"), "2024-01-01/b": rows("3", month="02")})
    shop.run()
    at.put(**{"2024-01-02/a": rows("1", "2"), "2024-01-02/b": rows("3", "4", month="02")})
    shop.run()
    return shop


def sha256_of(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_table_leads_back_to_the_files_whose_rows_it_has_with_true_hashes(datamart):
    root, (first, second, _) = datamart
    found = lineage(root, MODELS)
    assert [node.id for node in found.of_kind("export")] == [first, second]
    assert [node.rows for node in found.of_kind("table")] == [2]
    for node in found.nodes:
        if node.kind in {"export", "staging", "lake"}:
            assert node.sha256 == sha256_of(node.id)
            assert node.size_bytes == Path(node.id).stat().st_size
    into_table = [edge for edge in found.edges if edge.target == f"{MODELS}@1"]
    assert sum(edge.rows or 0 for edge in into_table) == 2
    assert {edge.source for edge in into_table} == {node.id for node in found.of_kind("lake")}
    assert (found.gaps, json.loads(json.dumps(found.as_dict()))["asked"]) == ((), [f"{MODELS}@1"])


def test_an_earlier_version_is_made_of_the_earlier_files_only(datamart, shop):
    root, (first, *_) = datamart
    assert [node.id for node in lineage(root, f"{MODELS}@0").of_kind("export")] == [first]
    old, new = (lineage(shop.root, f"shop.orders@{v}").of_kind("export") for v in (0, 1))
    assert {node.about for node in old} == {"2024-01-01"}
    assert {node.about for node in new} == {"2024-01-02"}


def test_the_rows_of_an_export_file_are_followed_to_the_table_or_to_where_they_end(datamart):
    root, (first, second, _) = datamart
    found = lineage(root, first)
    kept = {e.rows for e in found.edges if "/compacted/" in e.target}
    assert kept == {0, 1}
    # Its row of September was superseded: nothing after that edge is its own.
    assert [node.about for node in found.of_kind("lake")] == ["_month=2026-08"]
    assert second not in {node.id for node in found.nodes}


@pytest.mark.parametrize("by", ["uri", "key", "name", "sha256"])
def test_a_lake_file_leads_back_to_its_export_files(shop, by):
    files = {node.about: node for node in lineage(shop.root, "shop.orders").of_kind("lake")}
    file = files["month=02"]
    key = file.id.removeprefix(f"{shop.root}/")
    asked = {
        "uri": file.id,
        "key": key,
        "name": key.rpartition("/")[2],
        "sha256": str(file.sha256)[:10],
    }
    found = lineage(shop.root, asked[by])
    assert found.asked == (file.id,)
    assert [Path(n.id).name for n in found.of_kind("export")] == ["b.parquet"]
    read = pl.read_parquet(file.id)
    assert [edge.rows for edge in found.edges if edge.target == file.id] == [read.height]


def test_a_file_that_no_version_has_any_more_is_still_explained(shop):
    old = lineage(shop.root, "shop.orders@0")
    gone = next(node for node in old.of_kind("lake") if node.about == "month=02")
    found = lineage(shop.root, gone.id)
    assert {node.about for node in found.of_kind("export")} == {"2024-01-01"}
    assert not found.of_kind("table")


def test_a_refused_file_leads_to_the_reason(datamart):
    root, (*_, third) = datamart
    [refused] = lineage(root, third.rpartition("/")[2]).of_kind("quarantine")
    assert f"{third.rpartition('/')[2]}: expected" in refused.about


def test_what_nobody_recorded_is_an_error_that_says_what_can_be_given(shop):
    with pytest.raises(SettingsError, match=r"names a table or a file 'nothing\.parquet'"):
        lineage(shop.root, "nothing.parquet")
    with pytest.raises(SettingsError, match="no version 7; its newest is 1"):
        lineage(shop.root, "shop.orders@7")


def test_derived_columns_lead_back_through_each_other_to_those_of_the_export():
    settings = Shop("s", "r").having(
        record_id={"sql": "a || b"},
        create_time="made",
        update_time={"sql": "COALESCE(changed, create_time)"},
        partition_by={"year": {"sql": "STRFTIME(update_time, '%Y')"}, "made": "made"},
        mode="history",
    )
    table = SnapshotTable("shop", "orders", settings.settings.databases["shop"]["orders"])
    names = ["a", "record_id", "create_time", "update_time", "year", "made", "_snapshot"]
    found = {o.column: (o.kind, set(o.inputs)) for o in column_lineage(table, names)}
    assert found == {
        "a": ("identity", {"a"}),
        "record_id": ("derived", {"a", "b"}),
        "create_time": ("derived", {"made"}),
        "update_time": ("derived", {"changed", "made"}),
        "year": ("derived", {"changed", "made"}),
        "made": ("identity", {"made"}),
        "_snapshot": ("export", set()),
    }


def test_internal_columns_of_the_datamart_have_an_origin(datamart):
    columns = scan_uri(table_uri(datamart[0], MODELS)).collect_schema().names()
    found = {o.column: o for o in column_lineage(find_table("model_snapshot"), columns)}
    assert found["_month"].inputs == ("pySnapshotTime",)
    assert (found["_export_id"].kind, found["_source_key"].inputs) == ("export", ())
    assert "pyModelID" in found["_rescued_data"].inputs
    assert found["pyModelID"].kind == "identity"


def test_staging_derives_from_the_export_and_later_stages_take_columns_as_they_are():
    settings = Shop("s", "r").having(record_id={"sql": "a || b"}, partition_by={"year": "made"})
    table = SnapshotTable("shop", "orders", settings.settings.databases["shop"]["orders"])
    columns = with_partition_columns(table, ["a", "record_id"])
    assert columns == ("a", "record_id", "year")
    staged = column_parents(table, "staging", columns)
    assert staged["record_id"] == (("export/shop/orders", "a"), ("export/shop/orders", "b"))
    assert staged["year"] == (("export/shop/orders", "made"),)
    for stage, before in (("compacted", "staging"), ("lake", "compacted")):
        parents = column_parents(table, stage, columns)
        assert parents == {name: ((f"{before}/shop/orders", name),) for name in columns}
    assert with_partition_columns(find_table("model_snapshot"), ["a"]) == ("a", "_month")


def wrong(event) -> list[str]:
    """What of an event is not as OpenLineage has it."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(event)]


def test_each_publish_is_a_run_of_two_events_in_the_form_of_openlineage(shop, datamart):
    databases, table = shop.opened
    events = list(run_events(databases.root, table))
    others = list(run_events(open_store(datamart[0]), find_table("model_snapshot")))
    assert [wrong(event) for event in (*events, *others)] == [[]] * 8
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    assert len({event["run"]["runId"] for event in events}) == 2
    assert events == list(run_events(databases.root, table))  # told again, it is the same run
    start, complete = events[2:]
    assert start["eventTime"] <= complete["eventTime"]
    folder, *files = complete["inputs"]
    assert [Path(file["name"]).name for file in files] == ["a.parquet", "b.parquet"]
    assert folder["name"] == str(Path(files[0]["name"]).parent)
    [output] = complete["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (4, 2)
    columns = output["facets"]["columnLineage"]["fields"]
    assert [each["field"] for each in columns["update_time"]["inputFields"]] == ["at"]
    assert {each["name"] for each in output["facets"]["schema"]["fields"]} >= set(columns)
    # The second publish brought one row, of the second export: the first was not read for it.
    brought = [[each["name"] for each in event["inputs"][1:]] for event in others]
    assert brought == [[datamart[1][0]]] * 2 + [[datamart[1][1]]] * 2


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        pytest.param(lambda e: e["run"].update(runId="7"), "$.run.runId", id="no uuid"),
        pytest.param(lambda e: e.update(eventTime="yesterday"), "$.eventTime", id="no time"),
        pytest.param(lambda e: e.pop("job"), "$", id="no job"),
        pytest.param(lambda e: e.update(eventType="ENDED"), "$.eventType", id="no such type"),
        pytest.param(lambda e: e["outputs"][0].pop("name"), "$.outputs[0]", id="no name"),
        pytest.param(
            lambda e: e["outputs"][0]["facets"]["version"].update(datasetVersion=1),
            "$.outputs[0].facets.version.datasetVersion",
            id="a number for a text",
        ),
        pytest.param(
            lambda e: e["outputs"][0]["facets"].update(columnlineage={}),
            "$.outputs[0].facets",
            id="misspelt",
        ),
    ],
)
def test_the_schema_refuses_what_openlineage_does_not_know(shop, spoil, where):
    databases, table = shop.opened
    *_, event = run_events(databases.root, table)
    assert wrong(event) == []
    spoil(event)
    assert [text.partition(": ")[0] for text in wrong(event)] == [where]
