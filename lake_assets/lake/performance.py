"""Model performance: the latest snapshot of each model, ready for a report."""

import polars as pl

from lake_assets.export.pega_tables import by_canonical, canonical

__all__ = ["model_performance"]

_LABELS = ("Name", "ConfigurationName", "Channel", "Direction", "Issue", "Group", "Treatment")


def model_performance(models: pl.LazyFrame) -> pl.LazyFrame:
    """The newest snapshot of each model, by responses.

    Args:
        models: Rows of ``datamart.model_snapshot``, in any spelling of the columns.

    Returns:
        One row per ModelID: ``model_id``, the context keys in snake_case (String),
        ``snapshot_time`` (Datetime, UTC), ``responses``, ``positives``, ``negatives`` (Float64,
        counts), ``success_rate`` (positives / responses, 0–1, null without responses), ``auc``
        (0.5–1), ``snapshots`` (Int64, how many are known).
    """
    spellings = by_canonical(models.collect_schema().names())

    def column(name: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
        names = spellings.get(canonical(name))
        return pl.coalesce(names).cast(dtype) if names else pl.lit(None, dtype=dtype)

    rows = models.select(
        model_id=column("ModelID", pl.String),
        **{_snake(name): column(name, pl.String) for name in _LABELS},
        snapshot_time=column("SnapshotTime", pl.Datetime("us")),
        responses=column("ResponseCount", pl.Float64),
        positives=column("Positives", pl.Float64),
        negatives=column("Negatives", pl.Float64),
        auc=column("Performance", pl.Float64),
    ).filter(pl.col("model_id").is_not_null())
    latest = (
        rows.sort("snapshot_time", nulls_last=False)
        .group_by("model_id")
        .agg(pl.all().last(), snapshots=pl.len().cast(pl.Int64))
    )
    rate = pl.when(pl.col("responses") > 0).then(pl.col("positives") / pl.col("responses"))
    return latest.with_columns(success_rate=rate).sort(
        "responses", "model_id", descending=[True, False], nulls_last=True
    )


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
