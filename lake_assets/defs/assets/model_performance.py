"""A downstream table and the pattern for one's own: a parameter is a table, so is the result."""

import dagster as dg
import polars as pl

from lake_assets.lake.performance import model_performance as latest_performance

__all__ = ["model_performance"]


@dg.asset(
    key=["lake", "datamart", "model_performance"],
    ins={"model_snapshot": dg.AssetIn(key=["lake", "datamart", "model_snapshot"])},
    group_name="lake",
    kinds={"deltalake", "polars"},
    tags={"lake/source": "datamart", "lake/table": "model_performance"},
    io_manager_key="io_manager",
)
def model_performance(model_snapshot: pl.LazyFrame) -> pl.DataFrame:
    """One model with its newest snapshot: responses, success rate, AUC.

    *Grain*: one ModelID. *Stored at*: `lake/datamart/model_performance/`, queried as
    `datamart.model_performance`. *Fresh when*: it was made from the newest version of
    `datamart.model_snapshot`.
    """
    return latest_performance(model_snapshot).collect()
