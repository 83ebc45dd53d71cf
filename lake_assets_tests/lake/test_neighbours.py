"""One table that fails leaves the others alone, and the run says which and why."""

import json

from lake_assets.demo.exports import export_objects
from lake_assets.lake import run_datamart
from lake_assets.settings import DatamartSettings, TableSettings
from lake_assets_tests.lake.line import MODELS, NIGHTS, model, models, opened, put, run, run_models


def retyped(exports, root):
    """The lake with the type of one published column changed in the configuration."""
    tables = {MODELS: TableSettings(types={"pyPositives": "string"})}
    return opened(exports, root, datamart=DatamartSettings(tables=tables))


def test_a_table_whose_column_would_change_type_fails_alone(exports, root):
    put(exports, *models(model("a")))
    assert run_models(exports, root).rows == 1
    put(exports, *export_objects("snapshot", NIGHTS[0], [{"pzInsKey": "s"}]))
    report = run_datamart(retyped(exports, root))
    assert report.tables["snapshot"].rows == 1
    assert len(report.errors) == 1
    assert report.errors[0].startswith("datamart.model_snapshot: ")
    assert "pyPositives" in report.errors[0]
    assert "error" in json.dumps(report.as_dict()["tables"][MODELS])
    assert run(exports, root, MODELS).tables[MODELS].rows == 1
