"""Stage 1 in the graph: what others wrote, as external assets that a sensor observes."""

import dagster as dg

from lake_assets.defs.keys import asset_key, tags_of
from lake_assets.defs.lines import LineTable

__all__ = ["export_spec"]


def export_spec(item: LineTable) -> dg.AssetSpec:
    """The external asset of one exported table."""
    return dg.AssetSpec(
        key=asset_key("export", item.table),
        group_name="export",
        kinds=set(item.export_kinds),
        tags=tags_of(item.table),
        description=item.descriptions["export"],
    )
