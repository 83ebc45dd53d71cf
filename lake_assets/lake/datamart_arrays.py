"""Datamart tables as labelled arrays: what a scientist slices, sums and plots without a query.

Frames in, arrays out; nothing here writes. Columns are found in any spelling.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from lake_assets.arrays.labelled import Coordinate, LabelledArray
from lake_assets.export.pega_tables import by_canonical, canonical

if TYPE_CHECKING:
    from lake_assets.arrays.labelled_sparse import LabelledSparse

__all__ = ["auc_history", "contingency", "predictor_bins"]

_OUTCOMES = ("positives", "negatives")
_CELL = ("model", "predictor", "bin")
_BIN_COLUMNS: Mapping[str, tuple[str, Any]] = {
    "snapshot": ("SnapshotTime", pl.Datetime("us")),
    "model": ("ModelID", pl.String),
    "predictor": ("PredictorName", pl.String),
    "bin": ("BinIndex", pl.Int64),
    "label": ("BinSymbol", pl.String),
    "positives": ("BinPositives", pl.Float64),
    "negatives": ("BinNegatives", pl.Float64),
    "saved": ("SaveDateTime", pl.Datetime("us")),
}
_MODEL_COLUMNS: Mapping[str, tuple[str, Any]] = {
    "snapshot": ("SnapshotTime", pl.Datetime("us")),
    "model": ("ModelID", pl.String),
    "name": ("Name", pl.String),
    "configuration": ("ConfigurationName", pl.String),
    "channel": ("Channel", pl.String),
    "auc": ("Performance", pl.Float64),
    "responses": ("ResponseCount", pl.Float64),
    "positives": ("Positives", pl.Float64),
    "saved": ("SaveDateTime", pl.Datetime("us")),
}
_CONTINGENCY_COLUMNS: Mapping[str, tuple[str, Any]] = {
    "model": ("ModelId", pl.String),
    "snapshot": ("SnapShotTime", pl.Datetime("us")),
    "predicted": ("PredictedOutcome", pl.String),
    "actual": ("ActualOutcome", pl.String),
    "count": ("Count", pl.Int64),
}


def predictor_bins(rows: pl.LazyFrame) -> LabelledArray:
    """How often each bin of each predictor was answered positively and negatively.

    Lazy, a block for each snapshot: it is scanned when it is computed, and no more than one
    snapshot's cells are held for each block under way.

    Args:
        rows: Of ``datamart.predictor_snapshot``. Rows without model, predictor or bin are none of
            a bin and left out; of two rows of one bin the one saved last counts.

    Returns:
        float64 ``(snapshot, model, predictor, bin, outcome)``, counts, NaN where there is no such
        bin; outcome is positives, negatives. A snapshot without a time (NaT) is one of its own.
        ``bin`` are indices from 1, ``label`` are the labels that occur, and ``bin_label`` int32
        ``(snapshot, model, predictor, bin)`` the place among them, -1 for none.
    """
    import dask
    import dask.array as da

    bins = _columns(rows, _BIN_COLUMNS).drop_nulls(_CELL).filter(pl.col("bin") >= 1)
    axes = {name: _unique(bins, name) for name in ("model", "predictor", "label", "snapshot")}
    n_bins = bins.select(pl.col("bin").max()).collect().item() or 0
    shape = (len(axes["model"]), len(axes["predictor"]), n_bins)
    places = {name: axes[name].drop_nulls().to_list() for name in ("model", "predictor", "label")}
    block = dask.delayed(_bins_of_snapshot, pure=False, traverse=False)  # pyright: ignore[reportPrivateImportUsage] (dask's public name)
    lazy: list[Any] = [
        block(bins, snapshot, places, n_bins) for snapshot in axes["snapshot"].to_list()
    ]
    counts = [da.from_delayed(it[0], (*shape, len(_OUTCOMES)), np.float64) for it in lazy]
    labels = [da.from_delayed(it[1], shape, np.int32) for it in lazy]
    dims = ("snapshot", *_CELL)
    return LabelledArray(
        _stacked(counts, (*shape, len(_OUTCOMES)), np.float64),
        (*dims, "outcome"),
        {
            **{name: _along(name, _text(places[name])) for name in ("model", "predictor", "label")},
            "snapshot": _along("snapshot", axes["snapshot"].to_numpy().astype("M8[us]")),
            "bin": _along("bin", np.arange(1, n_bins + 1)),
            "outcome": _along("outcome", _text(_OUTCOMES)),
            "bin_label": Coordinate(dims, _stacked(labels, shape, np.int32)),
        },
        {"table": "datamart.predictor_snapshot", "unit": "responses"},
    )


def auc_history(rows: pl.LazyFrame) -> LabelledArray:
    """How well each model ranked, at each snapshot.

    Args:
        rows: Of ``datamart.model_snapshot``; of two rows of one model and snapshot the one saved
            last counts.

    Returns:
        float64 ``(model, snapshot)``, AUC 0.5 to 1, NaN where the model was not snapshotted.
        ``responses`` and ``positives`` ``(model, snapshot)`` are counts; ``name``,
        ``configuration`` and ``channel`` are those of the model's newest snapshot.
    """
    found = _columns(rows, _MODEL_COLUMNS).filter(pl.col("model").is_not_null()).collect()
    found = found.sort("snapshot", "saved", nulls_last=False)
    snapshots = found["snapshot"].unique().sort()
    latest = found.group_by("model").last().sort("model")
    place = (
        _index(found["model"], latest["model"].to_list()),
        _index(found["snapshot"], snapshots.to_list()),
    )
    shape = (latest.height, len(snapshots))
    dims = ("model", "snapshot")
    cubes = {name: _placed(shape, place, found[name]) for name in ("auc", "responses", "positives")}
    words = {
        name: Coordinate(("model",), _text(latest[name].fill_null("").to_list()))
        for name in ("name", "configuration", "channel")
    }
    return LabelledArray(
        cubes["auc"],
        dims,
        {
            "model": _along("model", _text(latest["model"].to_list())),
            "snapshot": _along("snapshot", snapshots.to_numpy().astype("M8[us]")),
            **words,
            "responses": Coordinate(dims, cubes["responses"]),
            "positives": Coordinate(dims, cubes["positives"]),
        },
        {"table": "datamart.model_snapshot", "unit": "AUC"},
    )


def contingency(rows: pl.LazyFrame) -> "LabelledSparse":
    """What predictions said against what happened, over all models and snapshots.

    Args:
        rows: Of ``datamart.contingency_table``; without the columns of outcomes it counts nothing
            (no export with rows has been seen: see ``pega_tables``).

    Returns:
        csr array of int64 counts, a row for each model, snapshot and predicted outcome, a column
        for each actual outcome. Labels of rows: ``model``, ``snapshot``, ``predicted``; of
        columns: ``actual``.
    """
    import scipy.sparse as sp

    from lake_assets.arrays.labelled_sparse import LabelledSparse

    found = _columns(rows, _CONTINGENCY_COLUMNS).drop_nulls(["predicted", "actual"]).collect()
    given = ("model", "snapshot", "predicted")
    lines = found.select(given).unique().sort(given).with_row_index("row")
    actual = found["actual"].unique().sort()
    row = found.join(lines, on=given, how="left", nulls_equal=True, maintain_order="left")["row"]
    column = _index(found["actual"], actual.to_list())
    counts = found["count"].fill_null(0).to_numpy()
    matrix = sp.coo_array(
        (counts, (row.to_numpy().astype(np.int64), column)), shape=(lines.height, len(actual))
    )
    return LabelledSparse(
        sp.csr_array(matrix),
        {
            "model": _text(lines["model"].fill_null("").to_list()),
            "snapshot": lines["snapshot"].to_numpy().astype("M8[us]"),
            "predicted": _text(lines["predicted"].to_list()),
            "actual": _text(actual.to_list()),
        },
    )


def _columns(rows: pl.LazyFrame, wanted: Mapping[str, tuple[str, Any]]) -> pl.LazyFrame:
    """These columns under our names, in whatever spelling they come; absent ones are null."""
    spellings = by_canonical(rows.collect_schema().names())

    def column(name: str, dtype: Any) -> pl.Expr:  # noqa: ANN401 (polars' classes and instances)
        names = spellings.get(canonical(name))
        return pl.coalesce(names).cast(dtype) if names else pl.lit(None, dtype=dtype)

    return rows.select(**{ours: column(*theirs) for ours, theirs in wanted.items()})


def _bins_of_snapshot(
    bins: pl.LazyFrame, snapshot: object, places: Mapping[str, Sequence[str]], n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and places of labels of one snapshot, each with an axis of length 1 before it."""
    found = bins.filter(pl.col("snapshot").eq_missing(pl.lit(snapshot, pl.Datetime("us"))))
    frame = found.sort("saved", nulls_last=False).collect()
    place = (
        _index(frame["model"], places["model"]),
        _index(frame["predictor"], places["predictor"]),
        frame["bin"].to_numpy() - 1,
    )
    shape = (len(places["model"]), len(places["predictor"]), n_bins)
    counts = [_placed(shape, place, frame[name]) for name in _OUTCOMES]
    labels = np.full(shape, -1, np.int32)
    labels[place] = _index(frame["label"], places["label"])
    return np.stack(counts, axis=-1), labels


def _placed(shape: tuple[int, ...], place: tuple[np.ndarray, ...], values: pl.Series) -> np.ndarray:
    """An array of NaN with the values at their places; the last one of a place stays."""
    array = np.full(shape, np.nan)
    array[place] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return array


def _index(values: pl.Series, known: Sequence[object]) -> np.ndarray:
    """The place of each value among the known ones, -1 for one that is null and not known."""
    table = pl.DataFrame(
        {"value": pl.Series(known, dtype=values.dtype), "at": np.arange(len(known))}
    )
    joined = (
        values.rename("value")
        .to_frame()
        .join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
    )
    return joined["at"].fill_null(-1).to_numpy()


def _stacked(parts: Sequence[Any], shape: tuple[int, ...], dtype: Any) -> Any:  # noqa: ANN401 (dask)
    import dask.array as da

    return da.stack(parts) if parts else da.zeros((0, *shape), dtype=dtype)


def _unique(rows: pl.LazyFrame, name: str) -> pl.Series:
    return rows.select(pl.col(name).unique().sort()).collect().to_series()


def _along(name: str, values: np.ndarray) -> Coordinate:
    return Coordinate((name,), values)


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=np.str_)
