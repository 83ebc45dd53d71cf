"""SQL on the lake reads its tables, and nothing else on this machine."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from lake_assets.errors import QueryError
from lake_assets.lake import query
from lake_assets_tests.lake.line import NIGHTS, model, models, put, run

#: In the files beside the lake.
HIDDEN = "42"
MODEL_TABLE = "datamart.model_snapshot"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("query")
    (folder / "secret.csv").write_text(f"a\n{HIDDEN}\n")
    pl.DataFrame({"a": [42]}).write_parquet(folder / "secret.parquet")
    put(folder / "exports", *models(model("a", pyPositives=1), model("b", pyPositives=2)))
    run(folder / "exports", folder / "lake")
    return folder / "lake"


def test_table_is_there_by_its_name(lake):
    assert query(str(lake), "SELECT count(*) FROM datamart.model_snapshot").item() == 2


@pytest.mark.parametrize(
    "name",
    [
        '"datamart"."model_snapshot"',
        'datamart."model_snapshot"',
        "DATAMART.Model_Snapshot",
        "datamart . model_snapshot",
    ],
)
def test_table_may_be_quoted_or_in_another_case(lake, name):
    assert query(str(lake), f"SELECT count(*) FROM {name}").item() == 2  # noqa: S608


def test_table_without_a_commit_has_its_columns_and_no_rows(lake):
    found = query(
        str(lake),
        "SELECT pyModelID, pyPredictorName FROM datamart.predictor_snapshot",
    )
    assert (found.height, found.columns) == (0, ["pyModelID", "pyPredictorName"])


def test_joins_ctes_windows_and_comments_run(lake):
    sql = """
    -- datamart.histogram in a comment
    WITH best AS (SELECT pyModelID, pyPositives FROM datamart.model_snapshot)
    SELECT m.pyModelID, rank() OVER (ORDER BY best.pyPositives DESC) AS place,
      'datamart.snapshot' AS said
    FROM datamart.model_snapshot m JOIN best USING (pyModelID) /* datamart.nothing */ ORDER BY 1
    """
    assert query(str(lake), sql).rows() == [
        ("a", 2, "datamart.snapshot"),
        ("b", 1, "datamart.snapshot"),
    ]


def test_columns_of_one_name_are_both_there(lake):
    assert query(
        str(lake),
        "SELECT a.pyModelID, b.pyModelID FROM datamart.model_snapshot a, datamart.model_snapshot b",
    ).shape == (4, 2)


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN SELECT * FROM datamart.model_snapshot",
        "DESCRIBE datamart.model_snapshot",
        "SUMMARIZE datamart.model_snapshot",
    ],
)
def test_plan_and_columns_can_be_asked_for(lake, sql):
    assert query(str(lake), sql).height >= 1


def test_trailing_semicolon_is_fine(lake):
    assert query(str(lake), "SELECT 1 AS n;").item() == 1


def test_unknown_table_names_those_there_are(lake):
    with pytest.raises(QueryError, match=r"datamart\.binary_distribution.*datamart\.snapshot"):
        query(str(lake), "SELECT * FROM datamart.nope")
    with pytest.raises(QueryError, match=r"the tables are datamart\.binary"):
        query(str(lake), "SELECT * FROM model_snapshots")


def test_unknown_column_names_candidates(lake):
    with pytest.raises(QueryError, match="pyModelID"):
        query(str(lake), "SELECT pyModelIDD FROM datamart.model_snapshot")


@pytest.mark.parametrize(
    "sql", ["", ";", "SELEC 1", "SELECT (", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE x"]
)
def test_what_is_not_one_statement_is_refused(lake, sql):
    with pytest.raises(QueryError):
        query(str(lake), sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '{folder}/secret.csv'",
        "SELECT * FROM read_csv('{folder}/secret.csv')",
        "SELECT * FROM read_csv_auto('{folder}/secret.csv')",
        "SELECT * FROM read_parquet('{folder}/secret.parquet')",
        "SELECT * FROM parquet_scan('{folder}/secret.parquet')",
        "SELECT * FROM parquet_metadata('{folder}/secret.parquet')",
        "SELECT * FROM read_text('{folder}/secret.csv')",
        "SELECT * FROM read_blob('{folder}/secret.csv')",
        "SELECT * FROM read_json('{folder}/secret.csv')",
        "SELECT * FROM sniff_csv('{folder}/secret.csv')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM query('SELECT * FROM read_csv(''{folder}/secret.csv'')')",
        "SELECT * FROM query_table('{folder}/secret.csv')",
        "FROM '/etc/passwd'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
        "EXPLAIN ANALYZE SELECT * FROM read_csv('{folder}/secret.csv')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "COPY datamart.model_snapshot TO '{folder}/out.parquet'",
        "EXPORT DATABASE '{folder}/out'",
        "IMPORT DATABASE '{folder}'",
        "PRAGMA import_database('{folder}')",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET enable_external_access",
        "PRAGMA enable_external_access",
        "CREATE TABLE t AS SELECT 1",
        "CREATE OR REPLACE VIEW datamart.model_snapshot AS SELECT 1",
        "INSERT INTO datamart.model_snapshot SELECT * FROM datamart.model_snapshot",
        "DELETE FROM datamart.model_snapshot",
        "DROP VIEW datamart.model_snapshot",
        "CALL pragma_version()",
        "PREPARE x AS SELECT 1",
        "SELECT * FROM lake",
        "SELECT * FROM frame",
        "SELECT * FROM here_it_is",
        "SELECT getenv('HOME')",
        "CREATE HIDDEN (TYPE s3)",
        "SELECT * FROM 'https://example.org/x.parquet'",
        "SELECT * FROM 's3://bucket/x.parquet'",
    ],
)
def test_nothing_outside_of_the_lake_is_read_or_written(lake, sql):
    here_it_is = pl.DataFrame({"a": [42]})
    before = sorted(lake.parent.rglob("*"))
    with pytest.raises(QueryError) as caught:
        query(str(lake), sql.format(folder=lake.parent))
    assert HIDDEN not in str(caught.value).replace(str(lake.parent), "")
    assert sorted(lake.parent.rglob("*")) == before
    assert here_it_is.height == 1


def test_value_that_cannot_be_shown_is_an_error_of_ours(lake):
    with pytest.raises(QueryError, match="cast that column to text"):
        query(str(lake), "SELECT INTERVAL 1 DAY AS d")


def test_table_that_somebody_added_to_the_lake_can_be_queried(lake):
    pl.DataFrame({"n": [1, 2, 3]}).write_delta(str(lake / "lake" / "shop" / "orders"))
    assert query(str(lake), "SELECT sum(n)::INT AS n FROM shop.orders").item() == 6


def test_versions_and_moments_give_the_table_as_it_was(tmp_path):
    put(tmp_path / "exports", *models(model("a")))
    run(tmp_path / "exports", tmp_path / "lake")
    between = datetime.now(UTC)
    put(tmp_path / "exports", *models(model("b"), night=NIGHTS[1]))
    run(tmp_path / "exports", tmp_path / "lake")

    def n_rows(**when):
        return query(str(tmp_path / "lake"), f"SELECT count(*) FROM {MODEL_TABLE}", **when).item()  # noqa: S608

    assert n_rows() == n_rows(versions={MODEL_TABLE: 1}) == n_rows(as_of=datetime.now(UTC)) == 2
    assert n_rows(versions={MODEL_TABLE: 0}) == n_rows(as_of=between) == 1
    assert n_rows(as_of=between, versions={MODEL_TABLE: 1}) == 2
    assert n_rows(as_of=datetime(2020, 1, 1, tzinfo=UTC)) == 0  # declared, and without a commit


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({"datamart.model_snapshot": 7}, "versions 0 to 0, not 7"),
        ({"datamart.model_snapshot": -1}, "versions 0 to 0, not -1"),
        ({"datamart.histogram": 0}, "nothing of it is published yet"),
        ({"'../secret.csv'": 0}, "there is no table"),
    ],
)
def test_a_version_that_is_not_there_is_refused_before_anything_is_read(lake, versions, says):
    with pytest.raises(QueryError, match=re.escape(says)):
        query(str(lake), "SELECT 1", versions=versions)


def test_a_table_that_was_not_there_yet_is_named(lake):
    pl.DataFrame({"n": [1]}).write_delta(str(lake / "lake" / "shop" / "items"))
    with pytest.raises(QueryError, match=r"not there yet at 2020.*shop\.items"):
        query(str(lake), "SELECT * FROM shop.items", as_of=datetime(2020, 1, 1, tzinfo=UTC))


def test_query_changes_nothing_in_the_lake(lake):
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}
    query(str(lake), "SELECT * FROM datamart.model_snapshot")
    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before
