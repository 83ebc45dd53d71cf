"""Where columns come from, as Dagster metadata: for its lineage, and as a table for people.

Dagster+ draws ``dagster/column_lineage``; elsewhere the table is what is seen of it.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from lake_assets.compacted.partitions import Table
from lake_assets.export.pega_tables import TableSpec
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake.column_lineage import (
    ColumnOrigin,
    Stage,
    column_lineage,
    column_parents,
    with_partition_columns,
)

__all__ = ["column_facts"]

#: Columns that the table for people shows, derived ones first; more are only counted.
_SHOWN = 100
#: Inputs that one line of it names.
_INPUTS = 8


def column_facts(table: Table, stage: Stage, columns: Iterable[str]) -> dict[str, Any]:
    """The lineage of a stage's columns; none of a table of somebody else's.

    Args:
        table: Of one of the two lines.
        stage: Where the columns are.
        columns: Those of the files; partition columns are added.
    """
    if not isinstance(table, TableSpec | SnapshotTable):
        return {}
    names = with_partition_columns(table, columns)
    parents = column_parents(table, stage, names)
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                name: [
                    dg.TableColumnDep(dg.AssetKey.from_user_string(asset), column)
                    for asset, column in made_of
                ]
                for name, made_of in parents.items()
            }
        ),
        "column_origins": dg.MetadataValue.md(_origins(column_lineage(table, names))),
    }


def _origins(origins: Iterable[ColumnOrigin]) -> str:
    ordered = sorted(origins, key=lambda origin: origin.kind == "identity")
    lines = ["| column | of the export's | how |", "| --- | --- | --- |"]
    for origin in ordered[:_SHOWN]:
        more = len(origin.inputs) - _INPUTS
        inputs = ", ".join(map(_code, origin.inputs[:_INPUTS]))
        rest = f" and {more} more" if more > 0 else ""
        how = "as exported" if origin.how == "as exported" else _code(origin.how)
        lines.append(f"| {_code(origin.column)} | {inputs}{rest} | {how} |")
    more = len(ordered) - _SHOWN
    return "\n".join(lines) + (f"\n\n… and {more} more columns" if more > 0 else "")


def _code(text: str) -> str:
    """Text that markdown leaves as it is, also within a table."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return f"`{plain}`" if "`" not in plain else f"`` {plain} ``"
