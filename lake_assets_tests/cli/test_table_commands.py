"""``lake history``, ``rollback``, ``export`` and time travel in ``query``, on published tables."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from lake_assets_tests.cli.shop import NIGHTS, publish_two_nights
from lake_assets_tests.lake.line import model, models, put, run_models

COUNT = "SELECT count(*) AS n FROM shop.orders"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a table of two versions, 6 orders, then 9; for tests that change nothing."""
    folder = tmp_path_factory.mktemp("shop")
    publish_two_nights(folder)
    return folder


@pytest.fixture
def two(lake, published, monkeypatch):
    """The command in this folder."""
    monkeypatch.chdir(published)
    return lake


def n_rows(lake, *options):
    ran = lake("query", COUNT, "--json", *options)
    return json.loads(ran.out)[0]["n"] if ran.code == 0 else ran.err


def test_history_tells_each_version(two):
    ran = two("history", "shop.orders", "--json")
    found = ran.json["versions"]
    assert [(v["version"], v["rows"], v["proof"]["lake.snapshot"]) for v in found] == [
        (1, 9, NIGHTS[1]),
        (0, 6, NIGHTS[0]),
    ]
    lines = two("history", "shop.orders", "-n", 1).out.splitlines()
    assert [line.split()[0] for line in lines] == ["version", "1"]
    assert lines[1].split()[-2:] == ["publish", NIGHTS[1]]


def test_a_rollback_asks_and_then_the_table_is_what_it_was(lake, tmp_path, published, monkeypatch):
    shutil.copytree(published, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    two = lake
    unasked = two("rollback", "shop.orders", "--version", 0)
    assert (unasked.code, "--yes" in unasked.err, n_rows(two)) == (2, True, 9)
    assert (
        "version 2 holds what version 0 held: 6 rows"
        in two("rollback", "shop.orders", "--version", 0, "--yes").out
    )
    assert n_rows(two) == 6
    again = two("rollback", "shop.orders", "--version", 0, "--yes", "--json").json
    assert (again["version"], again["changed"]) == (2, False)
    ran = two("run", "snapshot")
    assert "was rolled back to version 0, and stays so" in ran.out
    assert n_rows(two) == 6


def test_a_query_reads_a_version_or_a_moment(two):
    found = two("history", "shop.orders", "--json").json["versions"]
    first = found[1]["committed_at"]
    assert n_rows(two, "--version", "shop.orders=0") == 6
    assert n_rows(two, "--as-of", first) == 6
    assert n_rows(two, "--as-of", first, "--version", "shop.orders=1") == 9
    assert "not there yet at 2020-01-01" in n_rows(two, "--as-of", "2020-01-01")


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
def test_an_export_is_one_file_of_a_version(two, tmp_path, kind):
    out = f"{tmp_path}/out/"
    ran = two("export", "shop.orders", "--format", kind, "--out", out, "--version", 0, "--json")
    assert (ran.code, ran.json["rows"], ran.json["version"]) == (0, 6, 0)
    assert ran.json["path"] == f"{out}orders.{kind}"
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson}[kind]
    assert read(ran.json["path"]).height == 6
    assert Path(ran.json["path"]).stat().st_size == ran.json["size_bytes"]


def test_an_export_lands_here_by_default(lake, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = published / "lake"
    ran = lake("export", "shop.orders", "--format", "csv", "--gzip", "--root", root)
    assert ran.out.startswith("orders.csv.gz: 9 rows of shop.orders version 1, ")
    assert pl.read_csv(tmp_path / "orders.csv.gz").height == 9


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (["history", "shop.order"], "there is: shop.orders"),
        (["history", "../etc"], "there is no table '../etc'"),
        (["rollback", "shop.orders", "--version", "7", "--yes"], "versions 0 to 1, not 7"),
        (["rollback", "shop.orders", "--yes"], "Missing option"),
        (["export", "shop.orders", "--version", "7"], "versions 0 to 1, not 7"),
        (["export", "shop.orders", "--gzip"], "leave --gzip out"),
        (["export", "shop.orders", "--format", "xlsx"], "'xlsx' is not one of"),
        (["query", COUNT, "--version", "shop.orders=7"], "versions 0 to 1, not 7"),
        (["query", COUNT, "--version", "shop.order=0"], "no table 'shop.order'"),
        (["query", COUNT, "--version", "3"], "write shop.orders=3"),
        (["query", COUNT, "--version", "a.b=1", "--version", "a.b=2"], "two versions of a.b"),
        (["query", COUNT, "--as-of", "yesterday"], "'yesterday' is no time"),
    ],
)
def test_wrong_usage_is_exit_code_two_and_says_what(two, published, arguments, finding):
    ran = two(*arguments)
    assert (ran.code, ran.out, finding in ran.err) == (2, "", True), ran.err
    assert not list(published.glob("orders*"))


def test_tables_of_the_datamart_have_versions_too(lake, exports, root):
    put(exports, *models(model("a")))
    run_models(exports, root)
    put(exports, *models(model("b"), night="20260905T020000.000"))
    run_models(exports, root)
    name, at = "datamart.model_snapshot", ("--root", root)
    told = lake("history", name, *at, "--json").json["versions"]
    assert [version["rows"] for version in told] == [2, 1]
    assert lake("rollback", name, "--version", 0, "--yes", *at, "--json").json["rows"] == 1
    ran = lake("run", "datamart", "--exports", exports, *at)
    assert "datamart.model_snapshot was rolled back to version 0, and stays so" in ran.out
    assert "nothing was published" in lake("history", "a.b", "--root", root / "other").err


def test_a_table_that_no_run_published_yet_is_told_apart_from_a_slip(shop):
    ran = shop("query", COUNT)
    assert (ran.code, "not published yet: shop.orders" in ran.err) == (2, True)
