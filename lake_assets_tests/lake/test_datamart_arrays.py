"""Tables as labelled arrays: every count in its place, and pictures that can be drawn of them."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from lake_assets.lake.array_plots import auc_over_time, binning, performance_bubbles
from lake_assets.lake.datamart_arrays import auc_history, contingency, predictor_bins
from lake_assets_tests.factories import table_rows

PNG = b"\x89PNG\r\n"
DAY = datetime(2026, 9, 28, 23)  # noqa: DTZ001 (as the tables have it)


def times(frame, *names):
    form = "%Y%m%dT%H%M%S%.3f GMT"
    return frame.with_columns(pl.col(name).str.strptime(pl.Datetime("us"), form) for name in names)


def rows_of(table, n, *names):
    frame = pl.DataFrame(table_rows(table, n), infer_schema_length=None)
    return times(frame, "pxSaveDateTime", *names)


def test_each_bin_of_each_predictor_is_in_its_place():
    rows = rows_of("predictor_snapshot", 300, "pySnapshotTime")
    bins = predictor_bins(rows.lazy())
    assert bins.dims == ("snapshot", "model", "predictor", "bin", "outcome")
    cube = np.asarray(bins.values)
    codes, labels = np.asarray(bins.coordinates["bin_label"].values), bins.labels("label")
    for row in rows.iter_rows(named=True):
        at = (
            0,
            list(bins.labels("model")).index(row["pyModelID"]),
            list(bins.labels("predictor")).index(row["pyPredictorName"]),
            row["pyBinIndex"] - 1,
        )
        assert tuple(cube[at]) == (row["pyBinPositives"], row["pyBinNegatives"])
        assert labels[codes[at]] == row["pyBinSymbol"]
    assert np.count_nonzero(~np.isnan(cube[..., 0])) == rows.height
    assert np.array_equal(np.isnan(cube[..., 0]), codes == -1)


def cell(**other):
    row = {"ModelID": "m", "PredictorName": "p", "BinIndex": 1, "BinPositives": 3.0}
    row |= {"BinNegatives": 4.0, "SnapshotTime": DAY, "pxSaveDateTime": DAY, "BinSymbol": "x"}
    return row | other


def test_null_times_are_a_snapshot_of_their_own_and_the_newest_of_two_rows_counts():
    later = datetime(2026, 9, 29)  # noqa: DTZ001 (as the tables have it)
    rows = [
        cell(BinPositives=9.0, pxSaveDateTime=later),
        cell(),
        cell(SnapshotTime=None, BinSymbol=None, BinNegatives=None),
        cell(BinIndex=None),
        cell(BinIndex=3, ModelID="n"),
    ]
    bins = predictor_bins(pl.LazyFrame(rows))
    cube = np.asarray(bins.values)
    assert cube.shape == (2, 2, 1, 3, 2)
    assert np.isnat(bins.labels("snapshot")).tolist() == [True, False]
    assert cube[0, 0, 0, 0, 0] == 3
    assert np.isnan(cube[0, 0, 0, 0, 1])
    assert cube[1, 0, 0, 0].tolist() == [9, 4]
    assert cube[1, 1, 0, 2].tolist() == [3, 4]
    assert np.asarray(bins.coordinates["bin_label"].values)[0, 0, 0, 0] == -1


def test_blocks_are_computed_a_snapshot_at_a_time():
    rows = [cell(SnapshotTime=datetime(2026, 9, day)) for day in (1, 2, 3)]  # noqa: DTZ001
    bins = predictor_bins(pl.LazyFrame(rows))
    assert bins.values.chunks[0] == (1, 1, 1)


def test_auc_of_each_model_at_each_snapshot():
    rows = rows_of("model_snapshot", 30, "pySnapshotTime")
    auc = auc_history(rows.lazy())
    for row in rows.iter_rows(named=True):
        model = list(auc.labels("model")).index(row["pyModelID"])
        snapshot = list(auc.labels("snapshot")).index(np.datetime64(row["pySnapshotTime"]))
        assert auc.values[model, snapshot] == row["pyPerformance"]
        assert auc.labels("responses")[model, snapshot] == row["pyResponseCount"]
        assert auc.labels("name")[model] == row["pyName"]
    assert np.count_nonzero(~np.isnan(auc.values)) == 30


def test_contingencies_are_counted_by_prediction_and_outcome():
    rows = rows_of("contingency_table", 24, "pySnapShotTime")
    made = contingency(rows.lazy())
    assert made.matrix.format == "csr"
    assert list(made.labels["actual"]) == ["Accept", "Reject"]
    dense = made.matrix.toarray()
    for row in rows.iter_rows(named=True):
        at = np.flatnonzero(
            (made.labels["model"] == row["pyModelId"])
            & (made.labels["predicted"] == row["pyPredictedOutcome"])
        )
        assert len(at) == 1
        column = list(made.labels["actual"]).index(row["pyActualOutcome"])
        assert dense[at[0], column] == row["pyCount"]
    assert dense.sum() == rows["pyCount"].sum()


@pytest.mark.parametrize("make", [predictor_bins, auc_history])
def test_tables_without_rows_are_arrays_without_places(make):
    array = make(pl.LazyFrame(schema={"pyModelID": pl.String}))
    assert 0 in array.values.shape
    assert contingency(pl.LazyFrame(schema={"pyModelID": pl.String})).matrix.shape == (0, 0)


def test_pictures_of_arrays_and_of_empty_ones():
    models = rows_of("model_snapshot", 30, "pySnapshotTime").lazy()
    bins = rows_of("predictor_snapshot", 120, "pySnapshotTime").lazy()
    empty = pl.LazyFrame(schema={"pyModelID": pl.String})
    pictures = [
        *(draw(auc_history(rows)) for draw in (auc_over_time, performance_bubbles)
          for rows in (models, empty)),
        *(binning(predictor_bins(rows)) for rows in (bins, empty)),
    ]  # fmt: skip
    assert all(picture.startswith(PNG) for picture in pictures)
    assert max(map(len, pictures)) < 100_000  # an event holds it
