"""Names in the graph: asset keys, partition sets, pools, tags. One place, so that they agree."""

import dagster as dg

from lake_assets.export.pega_tables import TableSpec

__all__ = [
    "STAGE_TAG",
    "TABLE_TAG",
    "asset_key",
    "exports_of",
    "hive_partitions_of",
    "pool_of",
    "tags_of",
]

#: Run tag that ``dagster.yaml`` limits to one run at a time for each table, and sensors look for.
TABLE_TAG = "lake/table"
STAGE_TAG = "lake/stage"


def asset_key(stage: str, spec: TableSpec) -> dg.AssetKey:
    """``stage`` is export, staging, compacted or lake."""
    return dg.AssetKey([stage, spec.source, spec.name])


def exports_of(spec: TableSpec) -> dg.DynamicPartitionsDefinition:
    """The export runs of a table: the partitions of its staging asset."""
    return dg.DynamicPartitionsDefinition(name=f"{spec.source}_{spec.name}_exports")


def hive_partitions_of(spec: TableSpec) -> dg.DynamicPartitionsDefinition:
    """The hive partitions of a table: the partitions of its compacted asset."""
    return dg.DynamicPartitionsDefinition(name=f"{spec.source}_{spec.name}_hive_partitions")


def pool_of(spec: TableSpec) -> str:
    """Steps of one table take turns; they may overlap safely, it only wastes work."""
    return f"{spec.source}_{spec.name}"


def tags_of(spec: TableSpec) -> dict[str, str]:
    """Tags of every asset of a table."""
    return {"lake/source": spec.source, "lake/table": spec.name}
