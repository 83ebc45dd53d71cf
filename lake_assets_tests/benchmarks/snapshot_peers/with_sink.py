"""Polars alone: one pass that holds the table, sorts it, writes hive folders; no table format."""

from collections.abc import Callable
from typing import Any

import polars as pl
from measured import measure


def prepare(source: str, target: str, task: dict[str, Any]) -> Callable[[], None]:  # noqa: ARG001 (as all ways)
    def run() -> None:
        created = pl.col("created_at")
        rows = pl.scan_parquet(f"{source}/*.parquet").with_columns(
            record_id="order_id",
            create_time=created,
            update_time="updated_at",
            year=created.dt.strftime("%Y"),
            month=created.dt.strftime("%m"),
        )
        rows.sort("year", "month", "update_time").sink_parquet(
            pl.PartitionBy(target, key=["year", "month"], include_key=False),
            mkdir=True,
            compression="snappy",
        )

    return run


def count(target: str, task: dict[str, Any]) -> int:  # noqa: ARG001 (as all ways)
    return pl.scan_parquet(f"{target}/**/*.parquet").select(pl.len()).collect().item()


if __name__ == "__main__":
    measure(prepare, count)
