"""Slips of a person at the command line: each is one readable line and the right exit code."""

import socket

import pytest

from lake_assets_tests.lake.line import model, models, put


@pytest.mark.parametrize("option", ["--root", "--exports"])
def test_an_empty_address_is_not_the_default(lake, option):
    ran = lake("run", "datamart", option, "")
    assert (ran.code, "is empty" in ran.err) == (2, True)


def test_the_root_of_the_file_system_is_no_lake(lake, exports):
    assert lake("run", "datamart", "--exports", exports, "--root", "/").code == 2


def test_a_datamart_folder_that_leads_out_of_the_exports_is_wrong_usage(lake, exports, root):
    ran = lake("run", "datamart", "--exports", exports, "--root", root, "--datamart-folder", "../x")
    assert (ran.code, "leads out" in ran.err) == (2, True)


def test_version_is_printed(lake):
    ran = lake("--version")
    assert (ran.code, ran.out.startswith("lake_assets ")) == (0, True)


def test_dagster_that_cannot_be_told_does_not_hide_the_result(lake, exports, root, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(root / "no" / "such"))
    put(exports, *models(model("a")))
    ran = lake("run", "datamart", "--exports", exports, "--root", root, "--json")
    assert ran.code == 0
    assert ran.json["tables"]["model_snapshot"]["rows"] == 1
    assert "Dagster was not told" in ran.err


def test_a_failed_table_is_not_reported_as_no_export(lake, exports, root):
    put(exports, *models(model("a")))
    lake("run", "datamart", "--exports", exports, "--root", root)
    for index in (root / "staging").rglob("*.index.parquet"):
        index.write_bytes(b"damaged")
    put(exports, *models(model("b"), night="20260905T020000.000"))
    ran = lake("run", "datamart", "--exports", exports, "--root", root)
    assert ran.code == 1
    assert "datamart.model_snapshot" in ran.err
    assert "no export" not in ran.out
    assert "nothing was changed" not in ran.out


def test_repeated_keys_are_shown(lake, exports, root):
    data, sentinel = models(model("a"))
    body = b'{"pyModelID":"a","pyModelID":"b","pySnapshotTime":"20260901T000000.000 GMT"}\n'
    put(exports, type(data)(data.key, body), type(sentinel)(sentinel.key, b""))
    ran = lake("run", "datamart", "--exports", exports, "--root", root, "--json")
    assert ran.json["tables"]["model_snapshot"]["duplicate_keys"] == 1


def test_a_table_that_the_lake_makes_itself_cannot_be_declared(lake, exports, root, tmp_path):
    config = tmp_path / "lake.yaml"
    config.write_text(
        "datamart:\n  tables:\n    model_performance: {class: A-B, key: [x], time: t}\n"
    )
    ran = lake("run", "datamart", "--exports", exports, "--root", root, "--config", config)
    assert (ran.code, "model_performance" in ran.err) == (2, True)


def test_the_demo_stays_out_of_a_real_lake(lake, exports, root):
    put(exports, *models(model("a")))
    lake("run", "datamart", "--exports", exports, "--root", root)
    ran = lake("demo", "--root", root)
    assert (ran.code, "the demo did not make" in ran.err) == (2, True)


def test_a_query_on_a_folder_that_is_no_lake_says_so(lake, tmp_path):
    ran = lake("query", "SELECT count(*) FROM datamart.snapshot", "--root", tmp_path / "typo")
    assert "nothing is published" in ran.err


def test_lists_become_text_in_csv_and_all_tables_are_shown(lake, exports, root):
    put(exports, *models(model("a")))
    lake("run", "datamart", "--exports", exports, "--root", root)
    assert '"[1, 2]"' in lake("query", "SELECT [1, 2] AS l", "--csv", "--root", root).out
    shown = lake("query", "SELECT table_name FROM information_schema.tables", "--root", root).out
    assert "model_snapshot" in shown


def test_a_data_file_that_is_gone_is_a_failure_and_not_wrong_usage(lake, exports, root):
    put(exports, *models(model("a")))
    lake("run", "datamart", "--exports", exports, "--root", root)
    for file in (root / "lake").rglob("*.parquet"):
        file.unlink()
    ran = lake("query", "SELECT pyName FROM datamart.model_snapshot", "--root", root)
    assert ran.code == 1
    assert len(ran.err.strip().splitlines()) == 1


def test_a_taken_port_is_refused_before_dagster_starts(lake, root):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = lake("ui", "--root", root, "--port", port)
    assert (ran.code, "cannot listen" in ran.err) == (2, True)
