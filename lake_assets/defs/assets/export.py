"""Stage 1 in the graph: what Pega wrote, as external assets that the sensor observes."""

import dagster as dg

from lake_assets.defs.keys import asset_key, tags_of
from lake_assets.export.pega_tables import TableSpec

__all__ = ["export_spec"]


def export_spec(spec: TableSpec) -> dg.AssetSpec:
    """The external asset of one exported table."""
    return dg.AssetSpec(
        key=asset_key("export", spec),
        group_name="export",
        kinds={"s3", "json"},
        tags=tags_of(spec),
        description=(
            f"Export files of `{spec.class_name}` as Pega Prediction Studio writes them, each"
            " finished once its `.meta` sentinel lies beside it.\n\n*Grain*: one file. *Stored"
            " at*: the exports' bucket or folder, never changed by us. *Observed by*: the sensor"
            " `datamart_exports`."
        ),
    )
