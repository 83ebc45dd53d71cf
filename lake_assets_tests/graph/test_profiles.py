"""Profiles in the graph: what an event shows, and a drift check that fires and that does not."""

import base64
from datetime import date

import dagster as dg
import pytest

from lake_assets.demo.exports import export_objects
from lake_assets_tests.factories import put_folder, table_rows
from lake_assets_tests.graph.line import NESTED_RESOURCE, build_line, path, values
from lake_assets_tests.snapshots import orders, put_files

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)
IDS = [f"202609{day}T020000.041" for day in (21, 22, 23)]
EXPORTS, MONTHS = "datamart_model_snapshot_exports", "datamart_model_snapshot_hive_partitions"


@pytest.fixture
def line(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield build_line(
            tmp_path, instance, config={"datamart": {"drift": {"rows": 0.5, "least_rows": 20}}}
        )


def give(line, export_id: str, n: int, **changes: object) -> None:
    rows = [row | changes for row in table_rows("model_snapshot", n, day=date(2026, 9, 1))]
    put_folder(line.exports, export_objects("model_snapshot", export_id, rows))


def drift(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [e for e in result.get_asset_check_evaluations() if e.check_name == "no_drift"]
    return found


def test_exports_alike_pass_and_one_that_differs_warns_with_column_measure_and_threshold(line):
    for export_id in IDS[:2]:
        give(line, export_id, 60)
    line.register(EXPORTS, *IDS)
    calm = line.run(path("staging"), ends=(IDS[0], IDS[1]))
    assert calm.success
    assert drift(calm).passed
    assert drift(calm).metadata["judged"].value == 2
    give(line, IDS[2], 20, pyChannel="Fax")
    drifted = line.run(path("staging"), ends=(IDS[2], IDS[2]))
    assert drifted.success
    found = drift(drifted)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    reasons = "\n".join(found.metadata["findings"].value[IDS[2]])
    assert "20 rows, 60 in the median before (allowed: ± 50%)" in reasons
    assert "pyChannel: PSI" in reasons
    assert "(allowed: " in reasons
    assert f"`{IDS[2]}` against `{IDS[0]}`, `{IDS[1]}`" in found.metadata["drift"].value
    assert found.description.startswith(f"{IDS[2]}: 20 rows")


def test_events_of_all_stages_show_a_table_and_a_picture(line):
    give(line, IDS[0], 30)
    line.register(EXPORTS, IDS[0])
    line.register(MONTHS, "_month=2026-09")
    assert line.run(path("staging"), ends=(IDS[0], IDS[0])).success
    ends = ("_month=2026-09", "_month=2026-09")
    assert line.run(path("compacted"), path("lake"), ends=ends).success
    for stage in ("staging", "compacted", "lake"):
        [event] = line.events(stage)
        shown = values(event)
        assert shown["profile"].startswith("30 rows")
        assert "| pyChannel | String |" in shown["profile"]
        kind, _, body = shown["histograms"].removesuffix(")").partition(";base64,")
        assert kind == "![histograms](data:image/svg+xml"
        assert base64.b64decode(body).startswith(b"<svg xmlns=")


def test_a_snapshot_of_a_database_is_held_against_the_one_published_before(tmp_path):
    table = {
        "source": f"{tmp_path}/source/{{snapshot}}", "format": "parquet", "profile": True,
        "ready": "_DONE", "drift": {"least_rows": 50, "ignored": ["order_id"]},
    }  # fmt: skip
    config = {"databases": {"shop": {"orders": table}}}
    frames = {"2026-09-01": orders(90), "2026-09-02": orders(90).head(30)}
    with dg.DagsterInstance.ephemeral() as instance:
        line = build_line(tmp_path, instance, config=config)
        found = []
        for day, frame in frames.items():
            put_files(tmp_path / "source" / day, {"a.parquet": frame, "_DONE": b""})
            results = line.follow("databases_exports", "databases_compaction")
            assert [result.success for result in results] == [True, True]
            found.append(drift(results[-1]))
    assert (found[0].passed, found[0].description) == (True, "no drift")
    assert (found[1].passed, found[1].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found[1].asset_key == dg.AssetKey(["lake", "shop", "orders"])
    said = "2026-09-02@1: 30 rows, 90 in the median before (allowed: ± 50%)"
    assert said in found[1].description
