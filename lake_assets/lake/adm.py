"""The hand-over to pdstools: an ``ADMDatamart`` fed from the lake (extra ``[pega]``)."""

from typing import TYPE_CHECKING

import polars as pl

from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, by_canonical, find_table
from lake_assets.lake.read import scan_table

if TYPE_CHECKING:
    from pdstools import ADMDatamart

__all__ = ["adm_datamart"]


def adm_datamart(
    root_url: str, *, model_version: int | None = None, predictor_version: int | None = None
) -> "ADMDatamart":
    """A pdstools ``ADMDatamart`` on the published model and predictor snapshots.

    Args:
        root_url: The lake: a folder or ``s3://bucket/prefix``.
        model_version: An earlier version of ``datamart.model_snapshot``.
        predictor_version: An earlier version of ``datamart.predictor_snapshot``.

    Returns:
        The datamart; pdstools sees one spelling of each column and none of ours. Without any
        predictor row it is made from the models alone.

    Raises:
        SettingsError: pdstools is not installed.
    """
    try:
        from pdstools import ADMDatamart
    except ImportError as error:
        raise SettingsError("adm_datamart needs pdstools; install lake_assets[pega]") from error
    models = _for_pdstools(
        scan_table(root_url, find_table("model_snapshot"), version=model_version)
    )
    predictors = _for_pdstools(
        scan_table(root_url, find_table("predictor_snapshot"), version=predictor_version)
    )
    has_predictors = predictors.limit(1).collect().height > 0
    return ADMDatamart(model_df=models, predictor_df=predictors if has_predictors else None)


def _for_pdstools(frame: pl.LazyFrame) -> pl.LazyFrame:
    """One column per attribute: a table that was fed under two spellings holds both."""
    source = [name for name in frame.collect_schema().names() if name not in INTERNAL_COLUMNS]
    return frame.select(
        pl.coalesce(names).alias(names[0]) for names in by_canonical(source).values()
    )
