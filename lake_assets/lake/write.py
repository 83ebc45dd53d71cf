"""Write a frame of one's own as a Delta table of the lake: what the IO manager does."""

from collections.abc import Mapping

import polars as pl

from lake_assets import delta
from lake_assets.compacted.write import FileShape, write_files
from lake_assets.lake.read import table_uri
from lake_assets.s3 import open_store, quote_segment, storage_options

__all__ = ["PARTITION_COLUMN", "write_partitions", "write_table"]

#: Column that tells the partitions of a table of one's own apart; holds the Dagster partition key.
PARTITION_COLUMN = "_partition"


def write_table(
    root_url: str, name: str, frame: pl.DataFrame, *, target_bytes: int
) -> delta.Commit:
    """Make the rows of a table exactly ``frame``, in one commit; the same again commits nothing.

    Args:
        root_url: The lake.
        name: ``source.table``.
        frame: All rows. New columns are added to the table; a missing one is null from now on.
        target_bytes: Upper bound of a file.

    Raises:
        SchemaChangeError: A column changed its type, or has one that Delta cannot hold.
    """
    return _publish(root_url, name, {(): frame}, frame.schema, (), target_bytes)


def write_partitions(
    root_url: str, name: str, frames: Mapping[str, pl.DataFrame], *, target_bytes: int
) -> delta.Commit:
    """Replace the named partitions of a table in one commit; the others stay as they are.

    Args:
        root_url: The lake.
        name: ``source.table``.
        frames: Rows by partition key; the key becomes the column ``_partition``.
        target_bytes: Upper bound of a file.

    Raises:
        SchemaChangeError: A column changed its type, or has one that Delta cannot hold.
    """
    schemas = [frame.drop(PARTITION_COLUMN, strict=False).schema for frame in frames.values()]
    merged = pl.Schema({column: dtype for schema in schemas for column, dtype in schema.items()})
    merged[PARTITION_COLUMN] = pl.String()
    parts = {(key,): frame.drop(PARTITION_COLUMN, strict=False) for key, frame in frames.items()}
    return _publish(root_url, name, parts, merged, (PARTITION_COLUMN,), target_bytes)


def _publish(
    root_url: str,
    name: str,
    frames: Mapping[tuple[str, ...], pl.DataFrame],
    schema: pl.Schema,
    partition_by: tuple[str, ...],
    target_bytes: int,
) -> delta.Commit:
    store, uri = open_store(root_url), table_uri(root_url, name)
    folder = f"lake/{name.replace('.', '/')}/"
    replace: dict[tuple[str | None, ...], list[delta.DataFile]] = {}
    for values, frame in frames.items():
        place = "".join(
            f"{c}={quote_segment(v)}/" for c, v in zip(partition_by, values, strict=True)
        )
        replace[values] = [
            delta.DataFile(item["path"], item["size_bytes"], item["rows"], values, item["stats"])
            for item in (
                write_files(store, folder, place, frame, FileShape(target_bytes))
                if frame.height
                else ()
            )
        ]
    rows = sum(frame.height for frame in frames.values())
    publication = delta.Publication(
        schema=schema,
        partition_by=list(partition_by),
        replace=replace,
        transaction=(f"lake_assets/{name}", 0),
        proof={"lake.rows_in": str(rows), "lake.rows": str(rows)},
    )
    return delta.publish(uri, publication, storage_options(uri))
