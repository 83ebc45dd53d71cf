"""``lake profile``: a table, a column, a partition, as text, JSON and a page; slips are named."""

import pytest
from typer.testing import CliRunner

from lake_assets.cli.app import app
from lake_assets_tests.lake.line import NIGHTS, model, models, put

TABLE = "datamart.model_snapshot"


@pytest.fixture
def profile(lake, exports, root):
    """The verb, on a lake of one export."""
    rows = [model(f"m{n}", pyPerformance=n / 10, pyChannel="Web") for n in range(20)]
    put(exports, *models(*rows))
    assert lake("run", "datamart", "--exports", exports, "--root", root).code == 0
    return lambda *more: lake("profile", *more, "--root", root)


def test_a_table_has_one_line_a_column(profile):
    ran = profile(TABLE)
    assert ran.code == 0
    head, names, *lines = ran.out.splitlines()
    assert head == f"{TABLE} version 0: 20 rows in _month=2026-09"
    assert names.split()[:5] == ["column", "type", "null", "distinct", "min"]
    channel = next(line for line in lines if line.startswith("pyChannel"))
    assert channel.split()[:3] == ["pyChannel", "String", "1"]
    assert "Web (20)" in channel


def test_a_column_has_its_figures_and_its_bars(profile):
    ran = profile(TABLE, "--column", "pyPerformance")
    assert "50% quantile" in ran.out
    assert "█" in ran.out
    assert "pyChannel" not in ran.out


def test_json_is_plain_values_for_partitions_and_exports(profile):
    for part in ("_month=2026-09", NIGHTS[0]):
        told = profile(TABLE, "--partition", part, "--column", "pyPerformance", "--json").json
        assert (told["partitions"], told["rows"]) == ([part], 20)
        column = told["columns"]["pyPerformance"]
        assert (column["min"], column["max"], column["mean"]) == (0.0, 1.9, 0.95)
        assert (column["distinct"], column["distinct_is_exact"]) == (20, True)
        assert column["quantiles"]["0.5"] == 0.9
        assert sum(bucket["count"] for bucket in column["histogram"]) == 20


def test_a_page_is_whole_in_itself(profile, tmp_path):
    page = tmp_path / "p.html"
    assert profile(TABLE, "--html", page).code == 0
    text = page.read_text()
    assert text.count("<svg") >= 1
    assert "pyPerformance" in text
    assert "src=" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["datamart.nope"], "there is no table 'datamart.nope'"),
        ([TABLE, "--column", "nope"], "no column 'nope' in the profile; there are "),
        ([TABLE, "--partition", "nope"], "its partitions are _month=2026-09"),
    ],
)
def test_what_is_not_there_is_wrong_usage_that_names_what_is(profile, arguments, said):
    ran = profile(*arguments)
    assert (ran.code, said in ran.err) == (2, True)
    assert ran.out == ""


def test_a_lake_without_profiles_says_how_to_get_them_and_compute_does(lake, exports, tmp_path):
    put(exports, *models(model("a"), model("b")))
    config = tmp_path / "off.yaml"
    config.write_text(f"root: bare\nexports: {exports}\ndatamart: {{profile: false}}\n")
    assert lake("run", "datamart", "--config", config).code == 0
    ran = lake("profile", TABLE, "--config", config)
    assert (ran.code, f"lake profile {TABLE} --compute" in ran.err) == (2, True)
    ran = lake("profile", TABLE, "--config", config, "--compute")
    assert (ran.code, "profiled now: _month=2026-09" in ran.out) == (0, True)
    assert lake("profile", TABLE, "--config", config, "--json").json["computed"] == []


def test_the_verb_is_in_the_help():
    assert "profile" in CliRunner().invoke(app, ["--help"]).output
