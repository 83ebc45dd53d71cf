"""A shop with nightly exports of its orders, and the configuration that names them."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from lake_assets.lake.databases import open_databases
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.settings import load_settings
from lake_assets_tests.snapshots import orders, put_files

NIGHTS = ("2024-12-30", "2024-12-31")


def put_night(exports: Path, night: str, *, n_files: int = 2) -> None:
    """A snapshot of ``n_files`` files of three orders each; every order has a number."""
    files = {f"part-{i}.parquet": orders(3, start=3 * i) for i in range(n_files)}
    put_files(exports / night, files)


def break_file(file: Path) -> None:
    """As many bytes as before, and no parquet: the groups stay as they were."""
    file.write_bytes(bytes(file.stat().st_size))


def write_config(
    folder: Path, others: Mapping[str, Mapping[str, object]] | None = None, **changes: object
) -> Path:
    """``lake.yaml`` in a folder: exports in ``exports`` beside it, a lake in ``lake``.

    Args:
        folder: Where to.
        others: Further tables of the shop.
        changes: Settings of its orders that are otherwise.
    """
    table = {
        "source": "exports/{snapshot}",
        "format": "parquet",
        "record_id": "order_id",
        "create_time": "created_at",
        "partition_by": {"half": {"sql": "STRFTIME(create_time, '%p')"}},
        "count_on": "status",
        "group_size": 4000,  # one file of three orders has 2,100 bytes: each is a task
        **changes,
    }
    tables = {"orders": table, **(others or {})}
    path = folder / "lake.yaml"
    path.write_text(yaml.safe_dump({"root": "lake", "databases": {"shop": tables}}))
    return path


def publish_two_nights(folder: Path) -> None:
    """A lake in a folder, its table in two versions: 6 orders, then 9."""
    config = write_config(folder)
    for night, n_files in zip(NIGHTS, (2, 3), strict=True):
        put_night(folder / "exports", night, n_files=n_files)
        reports = run_databases(open_databases(load_settings(str(config))))
        assert reports["shop.orders"].error is None
