"""pdstools on a lake: it gets what it needs, once, in one spelling."""

import polars as pl
import pytest

from lake_assets.demo.exports import demo_objects, expected, export_objects
from lake_assets.lake import adm_datamart
from lake_assets_tests.lake.line import MODELS, NIGHTS, model, models, put, run

pytestmark = pytest.mark.filterwarnings("ignore")  # pdstools' own


def height(frame):
    return frame.select(pl.len()).collect().item()


def test_demo_can_be_analysed(exports, root):
    put(exports, *demo_objects(days=2, models=8))
    run(exports, root, MODELS, "predictor_snapshot")
    datamart, story = adm_datamart(str(root)), expected(days=2, models=8)
    assert height(datamart.model_data) == story[MODELS].rows
    assert height(datamart.predictor_data) == story["predictor_snapshot"].rows
    assert datamart.aggregates.last().collect()["ModelID"].n_unique() == 8
    assert height(datamart.aggregates.predictors_overview()) > 0


def analysed(root):
    models_ = adm_datamart(str(root)).model_data
    assert models_ is not None
    return models_


def row(name, **more):
    return model(
        name,
        pyPositives=1,
        pyResponseCount=2,
        pyPerformance=0.6,
        pyName=name,
        pyConfigurationName="c",
        **more,
    )


def test_lake_without_predictors_gives_a_datamart_of_models(exports, root):
    put(exports, *models(row("a"), row("b")))
    run(exports, root, MODELS)
    datamart = adm_datamart(str(root))
    assert height(datamart.model_data) == 2
    assert datamart.predictor_data is None


def test_columns_of_ours_are_not_handed_over(exports, root):
    put(exports, *models(row("a")))
    run(exports, root, MODELS)
    names = analysed(root).collect_schema().names()
    assert not [name for name in names if name.startswith("_") or "export" in name.lower()]


def test_table_that_was_fed_under_two_spellings_is_read_as_one(exports, root):
    plain = {key.removeprefix("py"): value for key, value in row("b").items()}
    put(exports, *models(row("a")), *export_objects(MODELS, NIGHTS[1], [plain]))
    run(exports, root, MODELS)
    found = analysed(root).collect()
    assert sorted(found["ModelID"].cast(pl.String)) == ["a", "b"]
    assert found["Positives"].to_list() == [1.0, 1.0]
    assert not [name for name in found.columns if name.endswith("_2")]


def test_earlier_version_can_be_analysed(exports, root):
    put(exports, *models(row("a")))
    run(exports, root, MODELS)
    put(exports, *models(row("b"), night=NIGHTS[1]))
    run(exports, root, MODELS)
    assert height(adm_datamart(str(root)).model_data) == 2
    assert height(adm_datamart(str(root), model_version=0).model_data) == 1
