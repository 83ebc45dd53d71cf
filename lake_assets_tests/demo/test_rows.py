"""The invented rows are what they say: keys, growing counts, bins that add up, known columns."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise

import pytest

from lake_assets.demo.rows import rows
from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import DATAMART_TABLES, find_table

TABLES = [spec.name for spec in DATAMART_TABLES]
DAY = date(2026, 9, 28)


@pytest.mark.parametrize("table", TABLES)
def test_n_rows_are_exactly_n_with_a_key_each(table):
    made = rows(table, day=DAY, n=57)
    assert len({row["pzInsKey"] for row in made}) == 57
    assert len(rows(table, day=DAY + timedelta(days=1), n=1)) == 1
    assert rows(table, day=DAY, n=0) == []


@pytest.mark.parametrize("table", TABLES)
def test_keys_are_unique_over_days(table):
    made = [row for n in range(4) for row in rows(table, day=DAY + timedelta(days=n), models=60)]
    assert made
    assert len({row["pzInsKey"] for row in made}) == len(made)


def test_a_table_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(SettingsError, match="model_snapshot"):
        rows("modelz", day=DAY)


def test_another_seed_is_another_set_of_models():
    ours, theirs = (
        {row["pyModelID"] for row in rows("model_snapshot", day=DAY, seed=s)} for s in (7, 8)
    )
    assert len(ours) == len(theirs) == 40
    assert not ours & theirs


def test_counts_of_a_model_grow_and_its_auc_drifts_within_bounds():
    by_model = defaultdict(list)
    for n in range(30):
        for row in rows("model_snapshot", day=DAY + timedelta(days=n), models=5):
            by_model[row["pyModelID"]].append(row)
    assert len(by_model) == 5
    for own in by_model.values():
        for before, after in pairwise(own):
            assert before["pySnapshotTime"] < after["pySnapshotTime"]
            assert before["pyPositives"] <= after["pyPositives"]
            assert before["pyNegatives"] <= after["pyNegatives"]
        assert own[0]["pyResponseCount"] < own[-1]["pyResponseCount"]
        assert all(r["pyPositives"] + r["pyNegatives"] == r["pyResponseCount"] for r in own)
        assert all(0.5 <= r["pyPerformance"] <= 0.95 for r in own)
        assert len({r["pyPerformance"] for r in own}) > 50


def test_days_before_the_first_response_have_empty_models_and_no_error():
    model, *_ = rows("model_snapshot", day=date(2020, 1, 1), models=1)
    assert model["pyResponseCount"] == 0
    assert all(
        row["pyBinResponseCount"] == 0
        for row in rows("predictor_snapshot", day=date(2020, 1, 1), models=1)
    )


def test_bins_of_each_predictor_add_up_to_the_model_at_that_snapshot():
    models = {
        (row["pyModelID"], row["pySnapshotTime"]): row
        for row in rows("model_snapshot", day=DAY, models=8)
    }
    bins = defaultdict(list)
    for row in rows("predictor_snapshot", day=DAY, models=8):
        bins[row["pyModelID"], row["pySnapshotTime"], row["pyPredictorName"]].append(row)
    assert len(bins) == 8 * 9
    for (model_id, moment, _), own in bins.items():
        model = models[model_id, moment]
        assert sum(row["pyBinPositives"] for row in own) == model["pyPositives"]
        assert sum(row["pyBinNegatives"] for row in own) == model["pyNegatives"]
        assert [row["pyBinIndex"] for row in own] == list(range(1, own[0]["pyTotalBins"] + 1))
        assert sum(row["pyBinResponseCountPercentage"] for row in own) == pytest.approx(100, abs=1)


def test_every_model_has_one_classifier():
    of_model = Counter(
        row["pyModelID"]
        for row in rows("predictor_snapshot", day=DAY)
        if row["pyEntryType"] == "Classifier" and row["pyBinIndex"] == 1
    )
    assert len(of_model) == 40
    assert set(of_model.values()) == {1}


def test_snapshot_rows_are_sparse_and_adm_rows_are_not():
    assert len({frozenset(row) for row in rows("snapshot", day=DAY)}) >= 4
    assert None not in {value for row in rows("snapshot", day=DAY) for value in row.values()}
    models = rows("model_snapshot", day=DAY)
    assert len({frozenset(row) for row in models}) == 1
    assert {row["pyTreatment"] is None for row in models} == {True, False}


@pytest.mark.parametrize("table", ["contingency_table", "histogram"])
def test_tables_without_samples_are_empty_on_each_second_day(table):
    counts = [bool(rows(table, day=DAY + timedelta(days=n))) for n in range(4)]
    assert counts in ([True, False] * 2, [False, True] * 2)


@pytest.mark.parametrize(
    "table", [name for name in TABLES if name not in ("contingency_table", "histogram")]
)
def test_columns_are_known_to_the_contract(table):
    spec = find_table(table)
    names = {name for row in rows(table, day=DAY, models=45) for name in row}
    assert names <= set(spec.known)
    assert len(names) >= 0.6 * len(spec.known)
