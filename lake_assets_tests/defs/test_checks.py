"""The checks of a table: all pass on a sound lake, each fails where its promise is broken."""

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lake_assets.defs.checks import table_checks
from lake_assets.defs.datamart_line import datamart_line
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import run_datamart, scan_table, table_uri
from lake_assets_tests.factories import (
    export_files,
    gzipped,
    put_folder,
    table_rows,
    truncated_gzip,
)

ALL = {
    "nothing_quarantined",
    "nothing_rescued",
    "rows_conserved",
    "key_unique",
    "schema_as_declared",
    "no_drift",
}


@pytest.fixture
def lake(tmp_path):
    exports = put_folder(tmp_path / "exports", export_files("snapshot", 5))
    made = LakeResource(root=str(tmp_path / "lake"), exports=str(exports))
    run_datamart(made.open(), tables=["snapshot"])
    return made


def results(lake) -> dict[str, dg.AssetCheckResult]:
    found = {}
    line = datamart_line([lake.open().table("snapshot")], downstream={})
    for checks in table_checks(line, line.tables[0]):
        context = dg.build_asset_check_context()
        name = next(iter(checks.check_specs)).name
        result = checks(context, lake=lake) if name == "no_drift" else checks(lake=lake)
        assert isinstance(result, dg.AssetCheckResult)
        found[next(iter(checks.check_specs)).name] = result
    return found


def failed(lake) -> set[str]:
    return {name for name, result in results(lake).items() if not result.passed}


def published(lake) -> tuple[str, pl.DataFrame]:
    datamart = lake.open()
    spec = datamart.table("snapshot")
    return table_uri(datamart.root.url, spec), scan_table(datamart.root.url, spec).collect()


def test_a_sound_table_passes_all_and_says_its_figures(lake):
    found = results(lake)
    assert set(found) == ALL
    assert all(result.passed for result in found.values())
    counts = found["rows_conserved"].metadata
    assert [counts[name].value for name in ("rows_in", "rows_dropped", "rows", "live_rows")] == [
        *(5, 0, 5, 5)
    ]


def test_a_table_without_any_export_passes_all(tmp_path):
    (tmp_path / "exports").mkdir()
    lake = LakeResource(root=str(tmp_path / "lake"), exports=str(tmp_path / "exports"))
    assert failed(lake) == set()


def test_a_quarantined_export_is_a_warning_with_its_name_and_reason(lake, tmp_path):
    data, sentinel = export_files("snapshot", 30, export_id="20261001T020000.041")
    cut = type(data)(data.key, truncated_gzip(table_rows("snapshot", 30)))
    put_folder(tmp_path / "exports", [cut, sentinel])
    run_datamart(lake.open(), tables=["snapshot"])
    result = results(lake)["nothing_quarantined"]
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.metadata["quarantined"].value == 1
    assert "20261001T020000.041" in str(result.metadata["reasons"].value)
    assert "gzip" in str(result.metadata["reasons"].value)
    assert failed(lake) == {"nothing_quarantined"}


def test_a_rescued_value_is_a_warning_with_its_column(lake, tmp_path):
    rows = table_rows("snapshot", 30)
    rows[3]["pyCount"] = "many"
    files = export_files("snapshot", 30, export_id="20261001T020000.041")
    odd = type(files[0])(files[0].key, gzipped(rows))
    put_folder(tmp_path / "exports", [odd, type(odd)(files[1].key, b"")])
    run_datamart(lake.open(), tables=["snapshot"])
    result = results(lake)["nothing_rescued"]
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.metadata["columns"].value == {"pyCount": 1}
    assert failed(lake) == {"nothing_rescued"}


def test_rows_that_somebody_else_appended_fail_conservation_and_uniqueness(lake):
    uri, rows = published(lake)
    write_deltalake(uri, rows.head(2), mode="append")
    assert failed(lake) == {"rows_conserved", "key_unique"}
    assert results(lake)["key_unique"].metadata["keys_in_several_rows"].value == 2


def test_rows_that_somebody_else_deleted_fail_conservation(lake):
    uri, _ = published(lake)
    DeltaTable(uri).delete()
    assert failed(lake) == {"rows_conserved"}


def test_a_column_of_another_type_fails_the_schema_and_is_named(lake):
    uri, rows = published(lake)
    extra = rows.head(1).with_columns(pyExtra=pl.lit(1, pl.Int64), pzInsKey=pl.lit("new"))
    write_deltalake(uri, extra, mode="append", schema_mode="merge")
    result = results(lake)["schema_as_declared"]
    assert not result.passed
    assert "pyExtra is Int64, declared is String" in str(result.metadata["differences"].value)
