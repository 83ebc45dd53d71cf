"""``lake query``: forms of output, input from stdin, exit codes."""

import io
import json

import polars as pl
import pytest

from lake_assets_tests.lake.line import model, models, put, run_models

COUNT = "SELECT count(*) AS n FROM datamart.model_snapshot"


@pytest.fixture
def query(lake, exports, root):
    """``lake query`` on a lake of two models."""
    put(exports, *models(model("a", pyPositives=1), model("b", None, pyPerformance=float("nan"))))
    run_models(exports, root)
    return lambda *arguments: lake("query", *arguments, "--root", root)


def test_table_is_for_people(query):
    ran = query("SELECT pyModelID, pyPositives FROM datamart.model_snapshot ORDER BY 1")
    assert ran.code == 0
    assert "pyModelID" in ran.out
    assert "2 rows" in ran.out


def test_json_is_an_array_of_objects(query):
    columns = "pyModelID AS id, pyPositives AS p, pySnapshotTime AS t"
    sql = f"SELECT {columns} FROM datamart.model_snapshot ORDER BY 1"  # noqa: S608
    assert json.loads(query(sql, "--json").out) == [
        {"id": "a", "p": 1.0, "t": "2026-09-01T00:00:00"},
        {"id": "b", "p": None, "t": None},
    ]


def test_json_holds_to_the_standard_where_numbers_are_none(query):
    columns = "pyPerformance AS x, [pyPerformance] AS l, {'p': pyPerformance} AS s, NULL AS d"
    sql = f"SELECT {columns} FROM datamart.model_snapshot WHERE pyModelID = 'b'"  # noqa: S608
    found = json.loads(query(sql, "--json").out, parse_constant=pytest.fail)
    assert found == [{"x": "nan", "l": ["nan"], "s": {"p": "nan"}, "d": None}]


def test_json_of_sums_times_and_bytes(query):
    numbers = "sum(n)::HUGEINT AS h, 1.5::DECIMAL(9,2) AS d, TRUE AS b"
    times = "DATE '2026-09-01' AS day, TIME '10:00' AS t"
    sql = f"SELECT {numbers}, {times} FROM range(3) r(n)"  # noqa: S608
    found = json.loads(query(sql, "--json").out)
    assert found == [{"h": 3, "d": 1.5, "day": "2026-09-01", "t": "10:00:00", "b": True}]


def test_csv_has_a_header_and_can_be_read_back(query):
    ran = query("SELECT pyModelID, 'a,\"b' AS q FROM datamart.model_snapshot ORDER BY 1", "--csv")
    assert pl.read_csv(io.StringIO(ran.out)).rows() == [("a", 'a,"b'), ("b", 'a,"b')]


def test_no_rows_are_no_rows(query):
    sql = "SELECT pyModelID FROM datamart.model_snapshot WHERE FALSE"
    assert query(sql, "--json").out.strip() == "[]"
    assert query(sql, "--csv").out.strip() == "pyModelID"
    assert "0 rows" in query(sql).out


def test_statement_may_come_from_stdin(query, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(COUNT))
    assert json.loads(query("-", "--json").out) == [{"n": 2}]


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("SELECT * FROM datamart.nope", "the tables are datamart.binary_distribution"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ("SELECT 1; SELECT 2", "give one SELECT"),
        ("DROP TABLE x", "read-only"),
        ("SELEC 1", "syntax error"),
        ("SELECT INTERVAL 1 DAY", "cast that column"),
    ],
)
def test_what_cannot_run_is_exit_code_two_and_one_message(query, sql, finding):
    ran = query(sql)
    assert (ran.code, ran.out) == (2, "")
    assert finding in ran.err
    assert "Traceback" not in ran.err


def test_two_forms_at_once_are_wrong_usage(query):
    assert query(COUNT, "--json", "--csv").code == 2


def test_lake_that_is_not_there_has_empty_tables(lake, tmp_path):
    ran = lake("query", COUNT, "--json", "--root", tmp_path / "nowhere")
    assert (ran.code, json.loads(ran.out)) == (0, [{"n": 0}])
    assert not (tmp_path / "nowhere").exists()
