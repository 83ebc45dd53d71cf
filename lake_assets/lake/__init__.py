"""Stage 4: the Delta tables. Publishing, reading, querying, and the whole line in one process.

``run_datamart(open_datamart(load_settings(exports="s3://pega", root=".lake")))`` is all of it.
"""

from lake_assets.lake.adm import adm_datamart
from lake_assets.lake.datamart import (
    Datamart,
    compact,
    download,
    find,
    open_datamart,
    pending,
    plan,
    publish,
    publish_current,
    quarantined,
    rescued,
    stage,
    staged,
    staged_months,
    unstaged,
)
from lake_assets.lake.publish import Published
from lake_assets.lake.query import query
from lake_assets.lake.read import scan_table, table_uri, tables_of
from lake_assets.lake.run import RunReport, TableReport, run_datamart

__all__ = [
    "Datamart",
    "Published",
    "RunReport",
    "TableReport",
    "adm_datamart",
    "compact",
    "download",
    "find",
    "open_datamart",
    "pending",
    "plan",
    "publish",
    "publish_current",
    "quarantined",
    "query",
    "rescued",
    "run_datamart",
    "scan_table",
    "stage",
    "staged",
    "staged_months",
    "table_uri",
    "tables_of",
    "unstaged",
]
