"""Arrays made from the datamart's tables: labelled, sliceable, with pictures of them.

Loaded only where the extra ``[arrays]`` is installed; ``defs/arrays.py`` decides.
"""

import dagster as dg
import polars as pl

from lake_assets.arrays.labelled import LabelledArray
from lake_assets.arrays.labelled_sparse import LabelledSparse
from lake_assets.defs.array_facts import picture
from lake_assets.lake import array_plots, datamart_arrays

__all__ = ["auc_history", "contingency", "predictor_bins"]


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["arrays", "datamart", name])


def _tags(name: str) -> dict[str, str]:
    return {"lake/source": "datamart", "lake/table": name}


@dg.asset(
    key=_key("predictor_bins"),
    ins={"predictor_snapshot": dg.AssetIn(key=["lake", "datamart", "predictor_snapshot"])},
    group_name="arrays",
    kinds={"zarr", "dask"},
    tags=_tags("predictor_bins"),
    io_manager_key="array_zarr",
    pool="arrays_datamart",
)
def predictor_bins(
    context: dg.AssetExecutionContext, predictor_snapshot: pl.LazyFrame
) -> LabelledArray:
    """One value is how often a bin of a predictor was answered positively, or negatively.

    *Array*: float64 `(snapshot, model, predictor, bin, outcome)`, NaN where there is no such bin,
    with coordinates of each axis and the labels of the bins. *Stored at*:
    `arrays/datamart/predictor_bins/`, zarr. *Fresh when*: it was made from the newest version of
    `datamart.predictor_snapshot`.
    """
    bins = datamart_arrays.predictor_bins(predictor_snapshot)
    context.add_output_metadata({"binning": picture(array_plots.binning(bins), "binning")})
    return bins


@dg.asset(
    key=_key("auc_history"),
    ins={"model_snapshot": dg.AssetIn(key=["lake", "datamart", "model_snapshot"])},
    group_name="arrays",
    kinds={"zarr", "numpy"},
    tags=_tags("auc_history"),
    io_manager_key="array_zarr",
    pool="arrays_datamart",
)
def auc_history(context: dg.AssetExecutionContext, model_snapshot: pl.LazyFrame) -> LabelledArray:
    """One value is the AUC of a model at a snapshot.

    *Array*: float64 `(model, snapshot)`, NaN where the model was not snapshotted, with names,
    channels, responses and positives as coordinates. *Stored at*: `arrays/datamart/auc_history/`,
    zarr. *Fresh when*: it was made from the newest version of `datamart.model_snapshot`.
    """
    auc = datamart_arrays.auc_history(model_snapshot)
    context.add_output_metadata(
        {
            "auc_over_time": picture(array_plots.auc_over_time(auc), "AUC over time"),
            "performance": picture(array_plots.performance_bubbles(auc), "AUC and responses"),
        }
    )
    return auc


@dg.asset(
    key=_key("contingency"),
    ins={"contingency_table": dg.AssetIn(key=["lake", "datamart", "contingency_table"])},
    group_name="arrays",
    kinds={"scipy"},
    tags=_tags("contingency"),
    io_manager_key="array_sparse",
    pool="arrays_datamart",
)
def contingency(contingency_table: pl.LazyFrame) -> LabelledSparse:
    """One value is how often something happened after something was predicted.

    *Array*: sparse int64 `(prediction, outcome)`, a row for each model, snapshot and predicted
    outcome, with the labels of both. *Stored at*: `arrays/datamart/contingency.npz`. *Fresh when*:
    it was made from the newest version of `datamart.contingency_table`.
    """
    return datamart_arrays.contingency(contingency_table)
