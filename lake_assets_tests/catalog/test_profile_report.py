"""What people see of a profile: a table that stays a table, a page that loads nothing."""

import xml.etree.ElementTree as ET
from datetime import date, datetime, timedelta
from decimal import Decimal

import boost_histogram as bh
import numpy as np
import polars as pl
import pytest

from lake_assets.catalog.profile import (
    BUCKETS_SCHEMA,
    PROFILES_SCHEMA,
    Profile,
    Profiler,
    bucket_rows,
    profile_html,
    profile_markdown,
    profile_rows,
    svg_histogram,
)
from lake_assets.catalog.profile.bars import bars
from lake_assets.errors import SettingsError


@pytest.fixture(scope="module")
def profile() -> Profile:
    rng = np.random.default_rng(1)
    n = 4000
    profiler = Profiler()
    profiler.add(
        pl.DataFrame(
            {
                "x": rng.normal(100, 10, n),
                "evil|<b>": ["a|b\n<script>alert(1)</script>"] * n,
                "channel": ["Web", "Mobile", "Web", None] * (n // 4),
                "day": [date(2026, 1, 1) + timedelta(days=i % 90) for i in range(n)],
                "took": [timedelta(seconds=i % 60) for i in range(n)],
                "at": [datetime(2026, 1, 1, 12)] * n,  # noqa: DTZ001
                "money": [Decimal("1.50")] * n,
                "flag": [True, False] * (n // 2),
                "list": [[1.0, 2.0]] * n,
                "nothing": pl.Series([None] * n, dtype=pl.Float64),
                "huge": [1.7e308, -1.7e308] * (n // 2),
            }
        )
    )
    return profiler.profile()


def test_the_markdown_has_one_row_a_column_and_its_histogram(profile: Profile):
    text = profile_markdown(profile)
    lines = text.splitlines()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines[2:]}
    assert lines[0] == "4,000 rows"
    assert len(lines) == 4 + len(profile.columns)
    bare = [line.replace("\\|", "") for line in lines[2:]]
    assert {line.count("|") for line in bare} == {11}
    assert "<script" not in text
    assert " █" not in rows["x"]
    assert "█" in rows["x"]
    assert "25.0%" in rows["channel"]
    assert "Web (2,000), Mobile (1,000)" in rows["channel"]
    assert "2026-01-01" in rows["day"]
    assert "2026-03-31" in rows["day"]
    assert "2026-01-01 12:00:00" in rows["at"]
    assert "0:00:59" in rows["took"]
    assert "1.50" in rows["money"]
    assert "length 2" in rows["list"]
    assert "100.0%" in rows["nothing"]


def test_only_the_columns_asked_for_are_shown(profile: Profile):
    lines = profile_markdown(profile, ["list"]).splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| list", "| list[]"]
    with pytest.raises(SettingsError, match=r"no column 'y' in the profile; there are .*channel"):
        profile_html(profile, "t", ["y"])


def test_the_page_is_self_contained_and_escapes_what_it_shows(profile: Profile):
    page = profile_html(profile, "a < b")
    assert "<h1>a &lt; b</h1>" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    assert page.count("<section>") == len(profile.columns)
    for part in page.split("<svg ")[1:]:
        ET.fromstring("<svg " + part.partition("</svg>")[0] + "</svg>")  # noqa: S314 (our own)


def test_the_bars_hold_every_value_and_their_shape(profile: Profile):
    drawn = bars(profile.columns["x"], 16)
    heights = [bar.count for bar in drawn]
    assert sum(heights) == pytest.approx(4000)
    assert max(heights) == max(heights[6:10])
    assert sum(bar.count for bar in bars(profile.columns["huge"])) == pytest.approx(4000)
    assert [bar.label for bar in bars(profile.columns["flag"])] == ["false", "true"]
    assert bars(profile.columns["nothing"]) == []
    assert svg_histogram([]).startswith("<svg ")


def test_a_histogram_can_be_had_as_boost_histogram(profile: Profile):
    buckets = profile.columns["x"].numbers.buckets
    drawn = buckets.histogram()
    assert isinstance(drawn, bh.Histogram)
    assert drawn.sum() == 4000
    assert drawn[bh.loc(100.0) : bh.overflow : sum] == pytest.approx(2000, abs=150)
    empty = profile.columns["nothing"].numbers.buckets.histogram()
    assert empty.sum() == 0


def test_a_profile_is_rows_for_sql(profile: Profile):
    found = profile_rows(profile, "m1", "p1", "staging/t", None)
    rows = pl.DataFrame(found, schema=PROFILES_SCHEMA, orient="row")
    assert rows["column"].to_list() == list(profile.columns)
    channel = rows.row(by_predicate=pl.col("column") == "channel", named=True)
    assert (channel["n"], channel["nulls"], channel["distinct_est"]) == (4000, 1000, 2)
    assert (channel["min"], channel["max"]) == ("Mobile", "Web")
    assert channel["top_values"][0] == {"value": "Web", "count": 2000}
    found = bucket_rows(profile, "m1")
    buckets = pl.DataFrame(found, schema=BUCKETS_SCHEMA, orient="row").filter(column="x")
    assert 8 <= buckets.height <= 32
    assert buckets["count"].sum() == 4000
    assert (buckets["lower"] < buckets["upper"]).all()
    assert buckets["lower"].is_sorted()
