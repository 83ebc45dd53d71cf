"""One table that fails leaves the others alone, and the run says which and why."""

import json

from lake_assets.demo.exports import export_objects
from lake_assets.lake import run_datamart
from lake_assets_tests.lake.line import MODELS, NIGHTS, model, models, opened, put, run_models


def test_a_table_whose_staging_is_damaged_fails_alone_and_keeps_its_figures(exports, root):
    put(exports, *models(model("a"), model("b")))
    assert run_models(exports, root).rows == 2
    for index in (root / "staging" / "datamart" / MODELS).rglob("*.index.parquet"):
        index.write_bytes(b"damaged")
    put(exports, *models(model("c"), night=NIGHTS[1]))
    put(exports, *export_objects("snapshot", NIGHTS[0], [{"pzInsKey": "s"}]))
    report = run_datamart(opened(exports, root))
    assert report.tables["snapshot"].rows == 1
    assert len(report.errors) == 1
    assert report.errors[0].startswith("datamart.model_snapshot: ")
    failed = report.tables[MODELS]
    assert (failed.rows, failed.version, failed.changed) == (2, 0, True)
    assert "error" in json.dumps(report.as_dict()["tables"][MODELS])
