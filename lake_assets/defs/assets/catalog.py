"""The catalog in the graph: its Delta tables, built from the documents every night.

Runs that nobody recorded yet are recorded first: what the sensor ``catalog_recording`` would have
done is made good where it is off.
"""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from lake_assets.defs.metadata import bullets
from lake_assets.defs.recording import record_open_runs
from lake_assets.defs.resources import LakeResource
from lake_assets.lake.catalog_rows import SCHEMAS
from lake_assets.lake.catalog_tables import LOOK_BACK, index_catalog
from lake_assets.lake.read import table_uri

__all__ = ["CatalogConfig", "catalog_schedule", "catalog_tables"]


class CatalogConfig(dg.Config):
    """How far documents are looked for."""

    look_back_days: int | None = Field(
        default=LOOK_BACK.days,
        ge=0,
        description="Days before the last indexing from which documents are listed; null lists"
        " all. More than clocks are wrong and runs stay unrecorded.",
    )


@dg.asset(
    key=["lake", "catalog", "tables"],
    group_name="catalog",
    kinds={"deltalake", "polars"},
    tags={"lake/source": "catalog", "lake/table": "tables"},
    pool="catalog",
    description=(
        "One row is one fact of a document: what was made, from what, by which run.\n\n"
        "*Tables*: " + ", ".join(f"`catalog.{name}`" for name in SCHEMAS) + ". *Stored at*:"
        " `lake/catalog/`. *Fresh when*: every document of the catalog's log, of staging and of"
        " compacted, and every registration, is in it. Inserts only, each document once; running it"
        " again writes nothing."
    ),
)
def catalog_tables(
    context: dg.AssetExecutionContext, config: CatalogConfig, lake: LakeResource
) -> dg.MaterializeResult:
    """Record what ran, and index what is not in the catalog's tables yet."""
    days, root = config.look_back_days, lake.open().root
    look_back = None if days is None else timedelta(days=days)
    since = None if look_back is None else datetime.now(UTC) - look_back
    runs, troubles = record_open_runs(context.instance, root, since=since)
    done = index_catalog(root, look_back=look_back)
    for trouble in (*troubles, *done.damaged):
        context.log.warning("%s", trouble)
    context.log.info("%d new documents", done.documents)
    return dg.MaterializeResult(
        metadata={
            "status": "indexed" if done.documents else "unchanged",
            "documents": done.documents,
            "runs_recorded": runs,
            "rows": dg.MetadataValue.json(done.rows),
            "damaged": bullets(done.damaged),
            "seconds": round(done.seconds, 3),
            "dagster/uri": table_uri(root.url, "catalog"),
            "query": dg.MetadataValue.md(f"`lake query {json.dumps(_EXAMPLE)}`"),
        }
    )


def catalog_schedule(cron: str) -> dg.ScheduleDefinition:
    """Index every night, after the lines' own nightly runs; ``cron`` is in UTC."""
    return dg.ScheduleDefinition(
        name="catalog_nightly",
        target=dg.AssetSelection.assets(catalog_tables).without_checks(),
        cron_schedule=cron,
        execution_timezone="UTC",
        tags={"lake/source": "catalog"},
        description=(
            "Every night, or as `schedules` says: what was recorded since becomes rows of"
            " catalog.*. Where nothing is new it writes nothing."
        ),
    )


_EXAMPLE = "SELECT asset_key, partition_key, status, run_id FROM catalog.materializations"
