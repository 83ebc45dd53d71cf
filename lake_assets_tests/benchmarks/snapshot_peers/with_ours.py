"""``run_databases``: staged, compacted, validated, published; settings come with the task."""

from collections.abc import Callable
from typing import Any

from measured import measure

from lake_assets.lake.databases import open_databases
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.settings import LakeSettings

ORDERS = {
    "format": "parquet",
    "record_id": "order_id",
    "create_time": "created_at",
    "update_time": "updated_at",
    "partition_by": {
        "year": {"sql": "STRFTIME(create_time, '%Y')"},
        "month": {"sql": "STRFTIME(create_time, '%m')"},
    },
    "sort_by": ["update_time"],
    "group_size": "100MB",
    "target_file_size": "128MB",
}

_rows: dict[str, int] = {}


def prepare(source: str, target: str, task: dict[str, Any]) -> Callable[[], None]:
    chosen = {**ORDERS, "source": source, **task.get("settings", {})}
    settings = LakeSettings.model_validate({"root": target, "databases": {"shop": {"o": chosen}}})
    databases = open_databases(settings)

    def run() -> None:
        report = run_databases(databases)["shop.o"]
        assert report.error is None, report.error
        assert report.published is not None
        _rows[target] = report.rows

    return run


if __name__ == "__main__":
    measure(prepare, lambda target, _: _rows[target])
