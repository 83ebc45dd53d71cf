"""dlt to a Delta table on a folder, partitioned alike, unsorted; its own environment.

It is given Arrow tables, its fastest way: its parquet reader makes a Python dict of each row.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt  # pyright: ignore[reportMissingImports] (not of the project)
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from measured import measure


def prepare(source: str, target: str, task: dict[str, Any]) -> Callable[[], None]:  # noqa: ARG001 (as all ways)
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        destination=dlt.destinations.filesystem(f"file://{target}"),
        dataset_name="lake",
        pipelines_dir=f"{target}-state",
    )
    keys: Any = {"year": {"partition": True}, "month": {"partition": True}}

    @dlt.resource(name="orders", table_format="delta", write_disposition="replace", columns=keys)
    def orders() -> Iterator[pa.Table]:
        for path in sorted(Path(source).glob("*.parquet")):
            yield derived(pq.read_table(path))

    return lambda: pipeline.run(orders(), loader_file_format="parquet").raise_on_failed_jobs()


def derived(rows: pa.Table) -> pa.Table:
    """With the derived columns of the other ways."""
    created = rows["created_at"]
    return (
        rows.append_column("record_id", rows["order_id"])
        .append_column("create_time", created)
        .append_column("update_time", rows["updated_at"])
        .append_column("year", pc.call_function("strftime", [created], pc.StrftimeOptions("%Y")))
        .append_column("month", pc.call_function("strftime", [created], pc.StrftimeOptions("%m")))
    )


def count(target: str, task: dict[str, Any]) -> int:  # noqa: ARG001 (as all ways)
    from deltalake import DeltaTable

    return DeltaTable(f"{target}/lake/orders").to_pyarrow_table(columns=["amount"]).num_rows


if __name__ == "__main__":
    measure(prepare, count)
