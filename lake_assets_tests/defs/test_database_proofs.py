"""What the checks of a database table ask: each promise fails where it is broken."""

import polars as pl
import pytest
from deltalake import write_deltalake

from lake_assets.defs.database_proofs import DatabaseProofs
from lake_assets.lake.databases import open_databases
from lake_assets.lake.read import table_uri
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.settings import LakeSettings
from lake_assets_tests.snapshots import orders, put_files


def proofs(place, **others: object) -> DatabaseProofs:
    table = {
        "source": f"{place}/source/{{snapshot}}",
        "format": "parquet",
        "record_id": "order_id",
        "update_time": "created_at",
        "columns": {"items": "int"},
        **others,
    }
    settings = {"root": f"{place}/lake", "databases": {"shop": {"orders": table}}}
    databases = open_databases(LakeSettings.model_validate(settings))
    return DatabaseProofs(databases, databases.tables[0])


def again(made: DatabaseProofs) -> str:
    """Write every row of the table once more, past the line."""
    uri = table_uri(made.databases.root.url, made.table)
    write_deltalake(uri, pl.read_delta(uri), mode="append")
    return uri


@pytest.mark.parametrize("mode", ["replace", "history"])
def test_rows_that_somebody_else_wrote_are_seen_in_counts_and_keys(tmp_path, mode):
    twice = pl.concat([orders(5), orders(2).with_columns(items=pl.lit(9, dtype=pl.Int64))])
    for day in ("2024-01-01", "2024-01-02"):
        put_files(tmp_path / "source" / day, {"a.parquet": twice})
    made = proofs(tmp_path, mode=mode)
    assert made.duplicate_keys() == 0, "no table yet"
    (report,) = run_databases(made.databases).values()
    assert report.error is None
    n = 1 if mode == "replace" else 2
    sound = made.conserved()
    assert (sound.rows_in, sound.rows_dropped, sound.live_rows) == (7 * n, 2 * n, 5 * n)
    assert sound.holds
    assert made.duplicate_keys() == 0, "in mode history a record has a row in each snapshot"
    again(made)
    assert not made.conserved().holds
    assert made.duplicate_keys() == 5 * n


def test_a_column_of_another_type_than_declared_is_named(tmp_path):
    put_files(tmp_path / "source" / "2024-01-01", {"a.parquet": orders(5)})
    made = proofs(tmp_path)
    run_databases(made.databases)
    assert made.schema_differences() == []
    later = proofs(tmp_path, columns={"items": "string", "created_at": "string"})
    assert later.schema_differences() == ["items is Int64, declared is String"]


def test_values_that_did_not_fit_are_counted_by_column(tmp_path):
    put_files(tmp_path / "source" / "2024-01-01", {"a.parquet": orders(5)})
    made = proofs(tmp_path, columns={"status": "int"})
    run_databases(made.databases)
    assert made.rescued() == {"status": 4}
