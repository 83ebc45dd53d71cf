"""The line as its tests use it: ``shop.orders`` from parquet files, runs, the lake after them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import polars as pl

from lake_assets.catalog import read_document
from lake_assets.errors import LakeError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake.databases import (
    Databases,
    find_exports,
    open_databases,
    plan_export,
    tasks_of,
    wanted_exports,
)
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.snapshot_run import SnapshotReport, run_snapshots
from lake_assets.s3 import open_store
from lake_assets.settings import LakeSettings
from lake_assets.staging.snapshot_plan import SnapshotPlan
from lake_assets.staging.tasks import TaskState
from lake_assets_tests.snapshots import put_files

#: One file in each group: no file of these tests is that small.
EACH = 1
TABLE: dict[str, Any] = {
    "format": "parquet",
    "record_id": "id",
    "update_time": "at",
    "partition_by": ["month"],
    "sort_by": ["at"],
    "count_on": "id",
    "group_size": EACH,
}


@dataclass(frozen=True)
class Shop:
    """One table, its source and its lake."""

    source: str
    root: str
    table: tuple[tuple[str, Any], ...] = tuple(TABLE.items())
    lake: tuple[tuple[str, Any], ...] = ()

    def having(self, **table: Any) -> Self:
        """With other settings of the table; None takes one away."""
        return replace(self, table=tuple((dict(self.table) | table).items()))

    def with_lake(self, **settings: Any) -> Self:
        """With other settings of the lake."""
        return replace(self, lake=tuple((dict(self.lake) | settings).items()))

    def put(self, **files: Any) -> Self:
        """Files by name, without ``.parquet`` where a frame is given as columns."""
        for name, content in files.items():
            body = content if isinstance(content, bytes | pl.DataFrame) else pl.DataFrame(content)
            put_files(self.source, {f"{name}.parquet": body})
        return self

    def remove(self, name: str) -> None:
        open_store(self.source).delete(f"{name}.parquet")

    @property
    def settings(self) -> LakeSettings:
        table = {name: value for name, value in self.table if value is not None}
        databases = {"shop": {"orders": {"source": self.source, **table}}}
        return LakeSettings.model_validate(
            {"root": self.root, "databases": databases, **dict(self.lake)}
        )

    @property
    def opened(self) -> tuple[Databases, SnapshotTable]:
        databases = open_databases(self.settings)
        return databases, databases.table("shop.orders")

    @property
    def plan(self) -> SnapshotPlan:
        """Of the newest snapshot."""
        databases, table = self.opened
        return plan_export(databases, table, wanted_exports(table, find_exports(table))[-1])

    @property
    def tasks(self) -> tuple[TaskState, ...]:
        return tasks_of(self.opened[0], self.plan)

    def run(self, **options: Any) -> SnapshotReport:
        """A run that has to do well, so that no test takes an empty report for a result."""
        report = self.try_run(**options)
        if report.error is not None:
            raise LakeError(report.error)
        return report

    def try_run(self, **options: Any) -> SnapshotReport:
        return run_snapshots(*self.opened, **options)

    @property
    def scan(self) -> pl.LazyFrame:
        return scan_uri(table_uri(self.root, "shop.orders"))

    @property
    def content(self) -> pl.DataFrame:
        """The whole table in an order of its own."""
        frame = self.scan.collect()
        rows = sorted(frame.select(sorted(frame.columns)).rows(), key=repr)
        schema = {name: frame.schema[name] for name in sorted(frame.columns)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def column(self, *names: str) -> list[Any]:
        """The values of the columns, sorted."""
        rows = self.scan.select(names).collect().rows()
        return sorted((row[0] if len(names) == 1 else row for row in rows), key=repr)

    @property
    def listing(self) -> dict[str, tuple[object, ...]]:
        """Every object of the lake with size, ETag and time."""
        store = open_store(self.root)
        return {i.key: (i.size_bytes, i.etag, i.modified_at) for i in store.list()}

    def documents(self, part: str) -> Iterator[dict[str, Any]]:
        """What the documents say whose key holds ``part``, by key."""
        store = open_store(self.root)
        for info in store.list():
            if part in info.key and info.key.endswith(".json") and "_delta_log" not in info.key:
                yield dict(read_document(store, info.key).content)

    def files(self, partition: str = "") -> list[pl.DataFrame]:
        """The lake's data files as they lie there, by their own order in the partition."""
        [done] = [d for d in self.documents("compacted/") if d["partition"] == (partition or "all")]
        store = open_store(f"{self.root}/lake/shop/orders")
        return [pl.read_parquet(io.BytesIO(store.get(o["path"]))) for o in done["outputs"]]


def rows(*ids: object, month: object = "01", at: int = 1, **more: object) -> pl.DataFrame:
    """Orders of one month with these ids, all written ``at`` the same time."""
    return pl.DataFrame(
        {"id": list(ids), "month": month, "at": at, **more}, strict=False
    ).with_columns(pl.col("at").cast(pl.Int64))
