"""A table of the lake as one file to take away: parquet, CSV or NDJSON."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from lake_assets import delta
from lake_assets.errors import SettingsError, StorageError
from lake_assets.lake.read import table_uri
from lake_assets.s3 import join_url, open_store, parse_url, storage_options

__all__ = ["ExportFormat", "Exported", "export_table"]

ExportFormat = Literal["parquet", "csv", "ndjson"]


@dataclass(frozen=True, slots=True)
class Exported:
    """The file that was written."""

    path: str
    rows: int
    size_bytes: int
    version: int
    """Of the table."""


def export_table(
    root_url: str,
    name: str,
    out: str | None = None,
    *,
    format: ExportFormat = "parquet",  # noqa: A002 (the option's name)
    gzip: bool = False,
    version: int | None = None,
) -> Exported:
    """Write all rows of a table to one file, in bounded memory; it appears whole or not at all.

    Args:
        root_url: The lake.
        name: ``source.table``.
        out: The file, a folder for it (ends in ``/`` or exists), or ``s3://…``; by default
            ``<table>.<format>[.gz]`` in the working directory.
        format: Nested columns and bytes have no text form, so CSV refuses them.
        gzip: Compress CSV or NDJSON; parquet is compressed inside.
        version: Of the table; the newest by default.

    Raises:
        SettingsError: There is no such table, or the format cannot hold a column.
        StorageError: The version does not exist, or a store refused.
    """
    if gzip and format == "parquet":
        raise SettingsError("parquet is compressed inside; leave --gzip out")
    uri = table_uri(root_url, name)
    options = storage_options(uri)
    newest = delta.table_version(uri, options)
    if newest is None:
        raise SettingsError(f"there is no table {name!r} in {root_url}")
    frame = delta.scan(uri, options, version)
    if format == "csv":
        _refuse_nested(name, frame)
    target = _target(out, f"{name.rpartition('.')[2]}.{format}{'.gz' if gzip else ''}")
    sink = _sink(frame, format, gzip=gzip)
    try:
        size = _to_store(sink, target) if "://" in target else _to_file(sink, Path(target))
    except StorageError:
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(f"cannot write {name} to {target}: {error}") from error
    told = newest if version is None else version
    return Exported(target, delta.rows_of(uri, options, told), size, told)


def _refuse_nested(name: str, frame: pl.LazyFrame) -> None:
    schema = frame.collect_schema()
    nested = [c for c, dtype in schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise SettingsError(
            f"CSV cannot hold the columns {nested} of {name}; export it as parquet or ndjson"
        )


def _target(out: str | None, file_name: str) -> str:
    if out is None:
        return file_name
    if out.endswith("/"):
        return join_url(out, file_name) if "://" in out else str(Path(out) / file_name)
    return str(Path(out) / file_name) if "://" not in out and Path(out).is_dir() else out


def _sink(
    frame: pl.LazyFrame, kind: ExportFormat, *, gzip: bool
) -> Callable[[str, dict[str, str] | None], None]:
    def write(path: str, options: dict[str, str] | None) -> None:
        if kind == "parquet":
            frame.sink_parquet(path, storage_options=options)
            return
        packing = "gzip" if gzip else "uncompressed"
        if kind == "csv":
            frame.sink_csv(
                path, storage_options=options, compression=packing, check_extension=False
            )
        else:
            frame.sink_ndjson(
                path, storage_options=options, compression=packing, check_extension=False
            )

    return write


def _to_file(sink: Callable[[str, dict[str, str] | None], None], path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        sink(str(part), None)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def _to_store(sink: Callable[[str, dict[str, str] | None], None], url: str) -> int:
    sink(url, storage_options(url))  # one multipart upload: there when it is complete
    place, _, key = parse_url(url).text.rpartition("/")
    written = open_store(place).head(key)
    if written is None:
        raise StorageError(f"{url} was written and is not there")
    return written.size_bytes
