"""Library results as Dagster metadata: what a person sees of a materialization.

Every event says the same things under the same names: status, rows, files, bytes, seconds, columns,
a preview and where it lies. Also one with nothing new: the UI shows the newest event of an asset.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from lake_assets.compacted.compact import CompactedPartition
from lake_assets.compacted.partitions import Table
from lake_assets.defs.column_metadata import column_facts
from lake_assets.defs.profile_metadata import profile_of_manifest, profile_of_table
from lake_assets.lake import Published, table_uri
from lake_assets.s3 import Store, join_url, storage_options
from lake_assets.staging.manifests import read_staged
from lake_assets.staging.outcome import StagingOutcome

__all__ = [
    "bullets",
    "compacted_facts",
    "first_rows",
    "lake_facts",
    "preview",
    "staging_facts",
    "table_schema",
]

_PREVIEW_ROWS = 5
_PREVIEW_COLUMNS = 8
_CELL_CHARACTERS = 60
_LINES = 20


def staging_facts(root: Store, table: Table, outcome: StagingOutcome) -> dict[str, Any]:
    """What staging made of one export."""
    facts: dict[str, Any] = {
        "status": outcome.status,
        "files": outcome.files,
        "dagster/row_count": outcome.rows,
        "bytes": outcome.size_bytes,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.quarantine:
        facts |= {
            "reason": dg.MetadataValue.md(f"`{outcome.quarantine.reason}`"),
            "held_back": dg.MetadataValue.json(list(outcome.quarantine.held_back)),
        }
    if outcome.manifest:
        _, staged = read_staged(root, outcome.manifest)
        facts |= {
            "hive_partitions": ", ".join(str(month) for month in outcome.months) or "none",
            "dagster/uri": join_url(root.url, outcome.manifest.rpartition("/")[0]),
            "preview": preview(first_rows(root, staged[0].path if staged else None)),
            "manifest": dg.MetadataValue.path(join_url(root.url, outcome.manifest)),
            "sources": bullets([f"`{uri}`" for uri in outcome.sources]),
            "dagster/column_schema": _schema(dict(outcome.columns)),
            "rescued": dg.MetadataValue.json(dict(outcome.rescued)),
            "duplicate_keys": outcome.duplicate_keys,
            **column_facts(table, "staging", outcome.columns),
            **profile_of_manifest(root, outcome.manifest),
        }
    return facts


def compacted_facts(
    root: Store, table: Table, partition: CompactedPartition | None
) -> dict[str, Any]:
    """What compaction made of one hive partition; None where nothing is staged for it."""
    if partition is None:
        return {"status": "absent", "dagster/row_count": 0}
    facts: dict[str, Any] = {
        "status": "compacted" if partition.written else "unchanged",
        "dagster/row_count": partition.rows,
        "rows_in": partition.rows_in,
        "rows_superseded": partition.rows_in - partition.rows,
        "files": len(partition.files),
        "bytes": partition.size_bytes,
        "seconds": round(partition.seconds, 3),
        "manifest": dg.MetadataValue.path(join_url(root.url, partition.manifest)),
        "dagster/uri": table_uri(root.url, table),
    }
    first = f"lake/{table.path}/{partition.files[0].path}" if partition.files else None
    frame = first_rows(root, first)
    return facts | {
        "preview": preview(frame),
        "dagster/column_schema": table_schema(frame.schema),
        **column_facts(table, "compacted", frame.columns),
        **profile_of_manifest(root, partition.manifest),
    }


def lake_facts(
    root: Store,
    table: Table,
    rows: pl.LazyFrame,
    published: Published | None,
    *,
    held_back: Sequence[str] = (),
    seconds: float | None = None,
) -> dict[str, Any]:
    """What a publish made of a table.

    Args:
        root: The lake's store.
        table: The table.
        rows: Its rows.
        published: What came of it; None where it is not there yet.
        held_back: Partitions that wait for their compaction.
        seconds: What it took.
    """
    schema = rows.collect_schema()
    facts: dict[str, Any] = {
        "dagster/uri": table_uri(root.url, table),
        "dagster/table_name": table.id,
        "dagster/column_schema": table_schema(schema),
        **column_facts(table, "lake", schema),
        "preview": preview(rows.limit(_PREVIEW_ROWS).collect()),
        "held_back": _listed(held_back),
    }
    if seconds is not None:
        facts["seconds"] = round(seconds, 3)
    if published is None:
        status = "held back" if held_back else "no export yet"
        return {**facts, "dagster/row_count": 0, "files": 0, "bytes": 0, "status": status}
    status = "published" if published.committed else "held back" if held_back else "unchanged"
    return {
        **facts,
        "status": status,
        **_published_facts(table, published),
        **profile_of_table(root, table),
    }


def bullets(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Lines of markdown as a list, the first of them; the rest is counted."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in _first(lines)) or "none")


def table_schema(schema: Mapping[str, pl.DataType]) -> dg.TableSchema:
    """The columns of a frame for Dagster's schema view."""
    return _schema({name: str(dtype) for name, dtype in schema.items()})


def preview(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The first rows and columns as a markdown table."""
    if not frame.width:
        return dg.MetadataValue.md("no rows")
    part = frame.head(_PREVIEW_ROWS)
    filled = [name for name in part.columns if part[name].null_count() < part.height]
    shown = (filled or part.columns)[:_PREVIEW_COLUMNS]
    lines = ["| " + " | ".join(shown) + " |", "|" + " --- |" * len(shown)]
    for row in part.select(shown).iter_rows():
        cells = ["" if value is None else _cell(value) for value in row]
        lines.append("| " + " | ".join(cells) + " |")
    rest = len(frame.columns) - len(shown)
    return dg.MetadataValue.md(
        "\n".join(lines) + (f"\n\n… and {rest} more columns" if rest else "")
    )


def _published_facts(table: Table, published: Published) -> dict[str, Any]:
    return {
        "version": published.version,
        "dagster/row_count": published.rows,
        "rows_in": published.rows_in,
        "rows_dropped": dg.MetadataValue.json(published.rows_dropped),
        "files": published.files,
        "bytes": published.size_bytes,
        "hive_partitions_changed": _listed(published.partitions),
        "query": dg.MetadataValue.md(f'`lake query "SELECT * FROM {table.id} LIMIT 10"`'),  # noqa: S608 (shown, not run)
    }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_first(names)) or "none"


def _first(items: Sequence[str]) -> list[str]:
    more = [f"… and {len(items) - _LINES} more"] if len(items) > _LINES else []
    return [*items[:_LINES], *more]


def _cell(value: object) -> str:
    return " ".join(str(value)[:_CELL_CHARACTERS].split()).replace("|", "\\|")


def first_rows(root: Store, key: str | None) -> pl.DataFrame:
    """Some rows of a parquet file below the root; of the file, only what they need is read."""
    if key is None:
        return pl.DataFrame()
    uri = join_url(root.url, key)
    rows = pl.scan_parquet(uri, storage_options=storage_options(uri), glob=False)
    return rows.head(_PREVIEW_ROWS).collect()


def _schema(columns: dict[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, dtype, description=_DESCRIPTIONS.get(name))
            for name, dtype in columns.items()
        ]
    )


_DESCRIPTIONS = {
    "_rescued_data": "Values that did not fit their column's type, as they were (JSON: column →"
    " text).",
    "_export_id": "The export run that the row came with.",
    "_source_key": "The export file that the row came in.",
    "_month": "Hive partition: month of the table's time column.",
    "_snapshot": "Hive partition: the snapshot that the row is of.",
    "record_id": "What makes a record the same one; by the configuration.",
    "create_time": "When the record was made; by the configuration.",
    "update_time": "Which of a record's rows is the newest; by the configuration.",
}
