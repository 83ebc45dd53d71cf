"""The arrays of the graph: their assets, checks, schedule and IO managers, in one place.

This is also the one place that knows whether the extra ``[arrays]`` is installed. Without it the
graph loads without the assets; the IO managers are there and say what is missing when one is used.
"""

import logging
from importlib.util import find_spec

import dagster as dg

from lake_assets.defs import array_io_managers as managers
from lake_assets.defs.array_checks import stored_whole
from lake_assets.defs.resources import LakeResource

__all__ = ["array_definitions"]

logger = logging.getLogger(__name__)

#: What the assets import, of the extra.
_NEEDED = ("dask", "google_crc32c", "matplotlib", "numcodecs", "scipy", "zarr")


def array_definitions(lake: LakeResource) -> dg.Definitions:
    """Everything of the arrays over one lake."""
    io_managers = {
        "array": managers.ArrayIOManager(lake=lake),
        "array_json": managers.JsonIOManager(lake=lake),
        "array_npy": managers.NpyIOManager(lake=lake),
        "array_pickle": managers.PickleIOManager(lake=lake),
        "array_raw": managers.RawArrayIOManager(lake=lake),
        "array_sparse": managers.SparseIOManager(lake=lake),
        "array_tree": managers.TreeIOManager(lake=lake),
        "array_zarr": managers.ZarrIOManager(lake=lake),
    }
    if lacking := [name for name in _NEEDED if find_spec(name) is None]:
        logger.info(
            "the graph has no arrays: %s is not installed; `pip install 'lake_assets[arrays]'`",
            ", ".join(lacking),
        )
        return dg.Definitions(resources=io_managers)
    from lake_assets.defs.assets.arrays import auc_history, contingency, predictor_bins
    from lake_assets.defs.assets.migration import migrated

    assets = [auc_history, contingency, predictor_bins]
    nightly = dg.ScheduleDefinition(
        name="arrays_nightly",
        target=dg.AssetSelection.assets(*assets),
        cron_schedule=lake.settings().schedules.arrays,
        execution_timezone="UTC",
        tags={"lake/source": "arrays"},
        description=(
            "Every night after the lines' own runs, or as `schedules` says: the arrays of the"
            " datamart follow its tables. An array that stays the same makes no version."
        ),
    )
    return dg.Definitions(
        assets=[*assets, migrated],
        asset_checks=[stored_whole(asset.key) for asset in assets],
        schedules=[nightly],
        resources=io_managers,
    )
