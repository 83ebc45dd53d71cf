"""Names in the graph: asset keys, partition sets, pools, tags. One place, so that they agree."""

import dagster as dg

from lake_assets.staging.manifests import Place

__all__ = [
    "DATAMART",
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
#: Source of Pega's tables; every other one is a database of the configuration.
DATAMART = "datamart"


def asset_key(stage: str, table: Place) -> dg.AssetKey:
    """``stage`` is export, staging, compacted or lake."""
    return dg.AssetKey([stage, *table.path.split("/")])


def exports_of(table: Place) -> dg.DynamicPartitionsDefinition:
    """The export runs, or the snapshots, of a table: the partitions of its staging asset."""
    kind = "exports" if table.path.startswith(f"{DATAMART}/") else "snapshots"
    return dg.DynamicPartitionsDefinition(name=f"{_name(table)}_{kind}")


def hive_partitions_of(table: Place) -> dg.DynamicPartitionsDefinition:
    """The hive partitions of a table: the partitions of its compacted asset."""
    return dg.DynamicPartitionsDefinition(name=f"{_name(table)}_hive_partitions")


def pool_of(table: Place) -> str:
    """Steps of one table take turns; they may overlap safely, it only wastes work."""
    return _name(table)


def tags_of(table: Place) -> dict[str, str]:
    """Tags of every asset of a table."""
    source, _, name = table.path.partition("/")
    return {"lake/source": source, "lake/table": name}


def _name(table: Place) -> str:
    source, _, name = table.path.partition("/")
    # People name databases: joined by `_`, the tables a.b_c and a_b.c would share their partitions.
    return f"{source}_{name}" if source == DATAMART else f"{source}.{name}"
