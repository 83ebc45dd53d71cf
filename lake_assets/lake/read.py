"""Read the lake: where a table lies, its rows as a lazy frame, which tables there are."""

from collections.abc import Iterable

import polars as pl

from lake_assets import delta
from lake_assets.compacted.partitions import Table
from lake_assets.compacted.schema import empty_schema
from lake_assets.export.pega_tables import DATAMART_TABLES, TableSpec
from lake_assets.s3 import join_url, open_store, storage_options

__all__ = ["scan_table", "scan_uri", "table_uri", "tables_of"]


def table_uri(root_url: str, table: Table | str) -> str:
    """Address of a Delta table; ``table`` is a declared one or ``source.name``."""
    path = table.replace(".", "/") if isinstance(table, str) else table.path
    return join_url(root_url, "lake", path)


def scan_table(root_url: str, spec: TableSpec, *, version: int | None = None) -> pl.LazyFrame:
    """The rows of a published table; a declared table without a first commit has none.

    Args:
        root_url: The lake: a folder or ``s3://bucket/prefix``.
        spec: The table.
        version: An earlier version; the newest by default.

    Returns:
        One row per key: the source's columns, ``_rescued_data``, ``_export_id``, ``_source_key``,
        ``_month``.

    Raises:
        StorageError: The version does not exist, or the store refuses.
    """
    uri = table_uri(root_url, spec)
    if version is None and delta.table_version(uri, storage_options(uri)) is None:
        return pl.LazyFrame(schema=empty_schema(spec))
    return scan_uri(uri, version=version)


def scan_uri(uri: str, *, version: int | None = None) -> pl.LazyFrame:
    """The rows of any Delta table of the lake, by its address."""
    return delta.scan(uri, storage_options(uri), version)


def tables_of(root_url: str, declared: Iterable[TableSpec] = DATAMART_TABLES) -> tuple[str, ...]:
    """Names of all tables in the lake, ``source.name``: published ones and declared ones."""
    prefix = "lake/"
    found = {
        ".".join(info.key[len(prefix) :].split("/")[:2])
        for info in open_store(root_url).list(prefix)
        if info.key.split("/")[3:4] == ["_delta_log"]
    }
    return tuple(sorted(found | {spec.id for spec in declared}))
