"""The real rows of Pega's sample: every figure that is known of them, in every packing."""

import json

import polars as pl
import pytest

from lake_assets.export.pega_tables import canonical, find_table
from lake_assets.lake import adm_datamart, scan_table
from lake_assets_tests.conftest import SHARED_DATA
from lake_assets_tests.lake.line import adds_up, listing, run

PACK = SHARED_DATA / "pega_exports"
pytestmark = [
    pytest.mark.skipif(not PACK.is_dir(), reason=f"the real pack is not at {PACK}"),
    pytest.mark.filterwarnings("ignore"),  # pdstools' own
]

EXPECTED = json.loads((PACK / "EXPECTED.json").read_text()) if PACK.is_dir() else {}
VARIANTS = ("main", "variants/folder", "variants/zip", "variants/json")
WITH_PDSTOOLS = VARIANTS[:3]


@pytest.fixture(scope="session")
def lakes(tmp_path_factory):
    """A lake of each variant, made when it is first asked for: exports, root and report."""
    made: dict[str, tuple] = {}

    def lake(variant):
        if variant not in made:
            exports = PACK if variant == "main" else PACK / variant
            root = tmp_path_factory.mktemp("pack") / "lake"
            made[variant] = (exports, root, run(exports, root))
        return made[variant]

    return lake


def column(frame, name):
    """The column under any of its spellings."""
    (found,) = [c for c in frame.collect_schema().names() if canonical(c) == canonical(name)]
    return pl.col(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_and_rows_are_those_of_the_pack(lakes, variant):
    _, _, report = lakes(variant)
    for name, want in EXPECTED[variant].items():
        if name != "pdstools":
            found = report.tables[find_table(name).name]
            assert (found.files, found.rows_in, found.rows) == (
                want["files"],
                want["rows"],
                want["rows"],
            ), name
            assert (found.version, found.rescued, found.waiting, found.quarantined) == (
                0,
                {},
                (),
                (),
            )
    assert adds_up(report.tables.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_sums_and_distinct_values_are_those_of_the_pack(lakes, variant):
    _, root, _ = lakes(variant)
    for name, want in EXPECTED[variant].items():
        if name == "pdstools" or want["rows"] == 0:
            continue
        frame = scan_table(str(root), find_table(name))
        figures: dict[str, pl.Expr] = {
            "distinct_model_ids": column(frame, "ModelID").drop_nulls().n_unique()
        }
        figures |= {key: column(frame, key[4:]).sum() for key in want if key.startswith("sum_")}
        if "auc_mean" in want:
            auc = column(frame, "Performance")
            figures |= {"auc_mean": auc.mean(), "auc_min": auc.min(), "auc_max": auc.max()}
        if "distinct_pzInsKey" in want:
            figures["distinct_pzInsKey"] = pl.col("pzInsKey").n_unique()
        if "distinct_predictors" in want:
            figures["distinct_predictors"] = column(frame, "PredictorName").n_unique()
        found = frame.select(**figures).collect().row(0, named=True)
        assert found == pytest.approx({key: want[key] for key in figures}, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize(
    ("table", "key", "by"),
    [
        ("predictorSnapshot", "EntryType", "entry_types"),
        ("binaryDistribution", "MetricType", "by_metric"),
        ("snapshot", "ModelType", "by_modeltype"),
        ("notification", "NotificationTypeId", "by_type"),
    ],
)
def test_counts_by_kind_are_those_of_the_pack(lakes, table, key, by):
    frame = scan_table(str(lakes("main")[1]), find_table(table))
    found = dict(frame.group_by(column(frame, key)).len().collect().iter_rows())
    assert found == EXPECTED["main"][table][by]


def test_times_are_exact_to_the_millisecond(lakes):
    frame = scan_table(str(lakes("main")[1]), find_table("modelSnapshot"))
    at = column(frame, "SnapshotTime")
    first, last, n = frame.select(a=at.min(), b=at.max(), n=at.n_unique()).collect().row(0)
    assert (str(first), str(last), n) == (
        "2021-06-01 08:23:26.789000",
        "2021-06-01 13:23:26.789000",
        18,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_second_run_writes_not_one_object(lakes, variant):
    exports, root, first = lakes(variant)
    before = listing(root)
    again = run(exports, root)
    assert first.changed
    assert not again.changed
    assert listing(root) == before
    assert {n: t.rows for n, t in again.tables.items()} == {
        n: t.rows for n, t in first.tables.items()
    }


@pytest.mark.parametrize("variant", WITH_PDSTOOLS)
def test_pdstools_on_the_lake_gives_its_own_figures(lakes, variant):
    want = EXPECTED[variant]["pdstools"]
    datamart = adm_datamart(str(lakes(variant)[1]))
    last = datamart.aggregates.last().collect()
    ranges = datamart.active_ranges().collect()
    sizes = {
        "rows": datamart.model_data,
        "prows": datamart.predictor_data,
        "comb": datamart.combined_data,
    }
    for name, frame in sizes.items():
        assert frame is not None
        assert frame.select(pl.len()).collect().item() == want[name]
    assert last.height == want["last_rows"]
    assert last["Performance"].mean() == pytest.approx(want["last_auc_mean"], abs=1e-6)
    assert ranges.height == want["active_ranges_rows"]
    for name in ("AUC_Datamart", "AUC_FullRange", "AUC_ActiveRange"):
        assert ranges[name].mean() == pytest.approx(want[f"{name}_mean"], abs=1e-6), name


def test_prediction_class_works_on_the_snapshot_table(lakes):
    from pdstools import Prediction

    frame = scan_table(str(lakes("main")[1]), find_table("snapshot"))
    predictions = Prediction(frame).predictions.collect()
    assert predictions.height == EXPECTED["main"]["snapshot"]["prediction_rows_pdstools"]
