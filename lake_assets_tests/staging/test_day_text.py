"""A text of a day is what Polars itself makes of each row, in any zone; another text is left."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.staging.day_text import day_text

day = datetime.fromisoformat
ZONES = [None, "UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns"]
TIMES = st.lists(
    st.none() | st.datetimes(day("1583-01-01"), day("2900-01-01")), min_size=1, max_size=20
)


@given(
    times=TIMES | st.lists(st.datetimes(day("1969-12-30"), day("1970-01-03")), min_size=9),
    zone=st.sampled_from(ZONES),
    unit=st.sampled_from(["ms", "us"]),
    form=st.text(st.sampled_from("YmdjuaB-x年%"), max_size=4),
)
def test_it_is_what_polars_makes_of_each_row(times, zone, unit, form):
    at = pl.Series("made at", times, dtype=pl.Datetime(unit))
    at = at.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else at
    frame = at.to_frame()
    sql = f"""STRFTIME("made at", '{form.replace("%", "%%")}-%Y-%m')"""
    expected = frame.select(pl.sql_expr(sql).alias("made at")).to_series()
    made = day_text(frame, sql)
    assert made is None or made.equals(expected, null_equal=True)


@pytest.mark.parametrize("directive", list("YCymdejuwaAbBhGgVUW%"))
def test_every_directive_of_a_day_is_taken(directive):
    days = [day("2023-12-30T23:59:59") + timedelta(hours=i) for i in range(60)]
    frame = pl.DataFrame({"at": [*days, None]})
    sql = f" strftime( at ,'x%{directive}' ) "
    made = day_text(frame, sql)
    assert made is not None
    assert made.to_list() == frame.select(pl.sql_expr(sql)).to_series().to_list()


def test_a_date_is_a_day():
    frame = pl.DataFrame({"at": pl.date_range(day("2024-02-01"), day("2024-02-29"), eager=True)})
    made = day_text(frame, "STRFTIME(at, '%m-%d')")
    assert made is not None
    assert (made[0], made[-1]) == ("02-01", "02-29")


@pytest.mark.parametrize(
    "sql",
    [
        "STRFTIME(at, '%H')",
        "STRFTIME(at, '%Y %T')",
        "STRFTIME(at, '%-m')",
        "STRFTIME(other, '%Y')",
        "STRFTIME(text, '%Y')",
        "STRFTIME(at, '%Y') || 'x'",
        "UPPER(STRFTIME(at, '%Y'))",
        "YEAR(at)",
    ],
)
def test_what_is_none_of_a_day_is_left_to_polars(sql):
    days = [day("2024-01-01"), day("2024-01-02")]
    assert day_text(pl.DataFrame({"at": days, "text": ["a", "b"]}), sql) is None


def test_days_far_apart_are_left_to_polars_row_by_row():
    frame = pl.DataFrame({"at": [day("0001-01-01"), day("9999-12-31")]})
    assert day_text(frame, "STRFTIME(at, '%Y')") is None
    assert day_text(frame.clear(), "STRFTIME(at, '%Y')") is None
