"""The IO manager: assets of a user's own read and write Delta tables as polars frames."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from lake_assets import delta
from lake_assets.defs.metadata import preview, table_schema
from lake_assets.defs.partition_outputs import add_facts, only_of_run
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import Datamart, scan_table, table_uri
from lake_assets.lake.read import scan_uri
from lake_assets.lake.write import PARTITION_COLUMN, write_partitions, write_table
from lake_assets.s3 import storage_options

__all__ = ["DeltaIOManager", "table_name"]


class DeltaIOManager(dg.ConfigurableIOManager):
    """Loads ``lake/…`` assets as frames and writes frames as Delta tables.

    Loading: annotate the parameter ``pl.LazyFrame`` (scanned when used) or ``pl.DataFrame``.
        Datamart tables come in their published version; the input metadata ``version`` (int) and
        ``columns`` (list) narrow it.
    Writing: an unpartitioned asset returns a frame, which becomes the whole table. A partitioned
        asset returns a frame for its one partition; in a run over several keys a dict of key to
        frame, or one frame with a column ``_partition`` that holds the keys. The partitions of the
        run are replaced in one commit.
    """

    lake: dg.ResourceDependency[LakeResource]

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write what an asset returned; an asset that returned no frame wrote for itself."""
        if obj is None:
            return
        started, datamart, name = time.monotonic(), self.lake.open(), table_name(context.asset_key)
        if name in _made_of_exports(datamart):
            raise dg.DagsterInvariantViolationError(
                f"{context.asset_key.to_user_string()} would overwrite {name}, which is made of"
                " exports; give the asset another key"
            )
        root, target = datamart.root.url, datamart.settings.target_file_size
        if context.has_asset_partitions:
            frames = _by_partition(obj, list(context.asset_partition_keys), name)
            commit = write_partitions(root, name, frames, target_bytes=target)
        else:
            frames = {"": _frame(obj, name)}
            commit = write_table(root, name, frames[""], target_bytes=target)
        uri = table_uri(root, name)
        files = delta.live_files(uri, storage_options(uri), commit.version)
        common = {
            "dagster/uri": uri,
            "dagster/table_name": name,
            "version": commit.version,
            "status": "published" if commit.committed else "unchanged",
            "seconds": round(time.monotonic() - started, 3),
        }
        facts: dict[str, dict[str, Any]] = {}
        for key, frame in frames.items():
            mine = [file for file in files if not key or file.partition == (key,)]
            facts[key] = common | {
                "dagster/row_count": frame.height,
                "files": len(mine),
                "bytes": sum(file.size_bytes for file in mine),
                "dagster/column_schema": table_schema(frame.schema),
                "preview": preview(frame),
            }
        add_facts(context, facts)

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame | pl.DataFrame:
        """Read an upstream asset of the lake."""
        key = context.asset_key
        if key.path[0] in ("export", "staging", "compacted"):
            raise dg.DagsterInvariantViolationError(
                f"{key.to_user_string()} is not a table: take its lake asset,"
                f" lake/{'/'.join(key.path[1:])}, as the input, or name it in deps="
            )
        datamart, name = self.lake.open(), table_name(key)
        wanted = context.definition_metadata or {}
        spec = next((spec for spec in datamart.tables if spec.id == name), None)
        version = wanted.get("version")
        if spec is not None:
            frame = scan_table(datamart.root.url, spec, version=version)
        else:
            frame = scan_uri(table_uri(datamart.root.url, name), version=version)
            if context.has_asset_partitions:
                frame = frame.filter(
                    pl.col(PARTITION_COLUMN).is_in(list(context.asset_partition_keys))
                )
        if wanted.get("columns"):
            frame = frame.select(wanted["columns"])
        return frame.collect() if context.dagster_type.typing_type is pl.DataFrame else frame


def table_name(key: dg.AssetKey) -> str:
    """Where an asset's table lies in the lake, ``source.table``.

    Example:
        >>> table_name(dg.AssetKey(["lake", "datamart", "best"])), table_name(dg.AssetKey("best"))
        ('datamart.best', 'assets.best')
    """
    path = key.path[1:] if key.path[0] == "lake" and len(key.path) > 1 else key.path
    return f"{path[0]}.{'__'.join(path[1:])}" if len(path) > 1 else f"assets.{path[0]}"


def _made_of_exports(datamart: Datamart) -> set[str]:
    """The tables of both lines."""
    of_databases = {
        f"{database}.{name}"
        for database, tables in datamart.settings.databases.items()
        for name in tables
    }
    return {spec.id for spec in datamart.tables} | of_databases


def _frame(value: object, name: str) -> pl.DataFrame:
    if isinstance(value, pl.LazyFrame):
        value = value.collect(engine="streaming")
    if isinstance(value, pl.DataFrame):
        # Delta has no unsigned integers, and pl.len() gives one: these lose nothing.
        return value.cast({pl.UInt8: pl.Int16, pl.UInt16: pl.Int32, pl.UInt32: pl.Int64})
    raise dg.DagsterInvariantViolationError(
        f"{name} returned {type(value).__name__}; return a polars DataFrame or LazyFrame,"
        " or give the asset another io_manager_key"
    )


def _by_partition(value: object, keys: list[str], name: str) -> dict[str, pl.DataFrame]:
    """The frame of each partition of the run; a key without rows empties its partition."""
    if isinstance(value, Mapping):
        frames = {key: _frame(it, name) for key, it in only_of_run(value, keys, name).items()}
        if not frames:
            raise dg.DagsterInvariantViolationError(
                f"{name} returned a dict without a frame; return a frame without rows for each"
                " empty partition"
            )
        empty = next(iter(frames.values())).clear()
    else:
        frame = _frame(value, name)
        empty = frame.clear()
        if PARTITION_COLUMN in frame.columns:
            parts = frame.partition_by(PARTITION_COLUMN, as_dict=True)
            frames = only_of_run({str(key): part for (key,), part in parts.items()}, keys, name)
        elif len(keys) == 1:
            frames = {keys[0]: frame}
        else:
            raise dg.DagsterInvariantViolationError(
                f"{name} ran for {len(keys)} partitions and returned one frame without a column"
                f" {PARTITION_COLUMN!r}; add it, or return a dict of partition key to frame"
            )
    return {key: frames.get(key, empty) for key in keys}
