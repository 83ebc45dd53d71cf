"""The line as its tests use it: small rows, folders of exports, runs, and the lake after them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lake_assets.demo.exports import ExportObject, export_objects
from lake_assets.errors import LakeError
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, find_table
from lake_assets.lake import (
    Datamart,
    RunReport,
    TableReport,
    open_datamart,
    run_datamart,
    scan_table,
)
from lake_assets.s3 import open_store
from lake_assets.settings import LakeSettings
from lake_assets_tests.factories import put_folder

#: Three nights, oldest first.
NIGHTS = ("20260901T020000.000", "20260902T020000.000", "20260903T020000.000")
MODELS = "model_snapshot"


def model(
    name: str, at: str | None = "20260901T000000.000 GMT", **more: object
) -> dict[str, object]:
    """One row of model_snapshot, keyed by model and time."""
    return {"pyModelID": name, "pySnapshotTime": at, **more}


def models(
    *rows: Mapping[str, object], night: str = NIGHTS[0], **options: Any
) -> list[ExportObject]:
    """A finished export of model_snapshot; options as for export_objects."""
    return export_objects(MODELS, night, list(rows), **options)


def wrapped(body: bytes, night: str = NIGHTS[0], meta: bytes = b"") -> list[ExportObject]:
    """An export of model_snapshot of one file with exactly these bytes, finished."""
    data, sentinel = models(night=night)
    return [ExportObject(data.key, body), ExportObject(sentinel.key, meta)]


def put(exports: Path, *objects: ExportObject) -> None:
    put_folder(exports, objects)


def remove(exports: Path, *objects: ExportObject) -> None:
    for item in objects:
        (exports / item.key).unlink()


def opened(exports: object, root: object, **settings: Any) -> Datamart:
    return open_datamart(LakeSettings(exports=str(exports), root=str(root), **settings))


def run(exports: object, root: object, *tables: str, **settings: Any) -> RunReport:
    """Run; a table that failed raises, so that no test takes its empty report for a result."""
    report = run_datamart(opened(exports, root, **settings), tables=tables)
    if report.errors:
        raise LakeError("\n".join(report.errors))
    return report


def run_models(exports: object, root: object, **settings: Any) -> TableReport:
    """Run model_snapshot alone."""
    return run(exports, root, MODELS, **settings).tables[MODELS]


def rows_of(root: object, table: str = MODELS, *columns: str) -> list[tuple[Any, ...]]:
    """Values of the columns, sorted."""
    frame = scan_table(str(root), find_table(table)).select(columns).collect()
    return sorted(frame.rows(), key=repr)


def content(root: object, table: str = MODELS) -> pl.DataFrame:
    """The whole table in an order of its own, where-from columns included."""
    frame = scan_table(str(root), find_table(table)).collect()
    return frame.select(sorted(frame.columns)).sort(sorted(frame.columns))


def source_content(root: object, table: str = MODELS) -> pl.DataFrame:
    return content(root, table).drop(INTERNAL_COLUMNS[1:3])


def listing(root: object) -> dict[str, tuple[object, ...]]:
    """Every object of the root with size, ETag and time."""
    return {i.key: (i.size_bytes, i.etag, i.modified_at) for i in open_store(str(root)).list()}


def reasons(report: TableReport) -> list[str]:
    return [refused.reason for refused in report.quarantined]


def adds_up(reports: Iterable[TableReport]) -> bool:
    return all(r.rows_in == r.rows + sum(r.rows_dropped.values()) for r in reports)
