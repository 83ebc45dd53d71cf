"""The only code that writes to a Delta log, and the plain questions one asks of a log.

    records   DataFile, Publication, Commit: what is published, checked before anything is written
    schema    which polars types a table can hold, which columns are new, which would change type
    handle    a table opened fresh, the store's errors as ours
    commit    publish: one commit that replaces whole partitions
    insert    one commit that adds files to exactly the version that was looked at
    log       live files, schema, proof, history, rows, scan
    upkeep    checkpoint and lite vacuum
    stats     the statistics of a data file, for its add action

Nothing here reads or writes a data file, nothing outside writes to a log. How the recipe was found,
with the traps: ``reference/delta_publish.md``.
"""

from lake_assets.delta.commit import publish
from lake_assets.delta.log import (
    Standing,
    commits,
    history,
    last_proof,
    live_files,
    partition_columns,
    rows_of,
    scan,
    standing,
    table_schema,
    table_version,
)
from lake_assets.delta.records import Commit, DataFile, Partition, Publication
from lake_assets.delta.stats import column_statistics
from lake_assets.delta.upkeep import checkpoint, vacuum

__all__ = [
    "Commit",
    "DataFile",
    "Partition",
    "Publication",
    "Standing",
    "checkpoint",
    "column_statistics",
    "commits",
    "history",
    "last_proof",
    "live_files",
    "partition_columns",
    "publish",
    "rows_of",
    "scan",
    "standing",
    "table_schema",
    "table_version",
    "vacuum",
]
