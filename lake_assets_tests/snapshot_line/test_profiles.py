"""Profiles of database tables, where they are wanted: every type, and drift between snapshots."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from lake_assets.catalog.profile import PROFILES, Profiler
from lake_assets.defs.profile_metadata import drift_facts, profile_facts
from lake_assets.errors import SettingsError
from lake_assets.lake.drift import snapshot_drift
from lake_assets.lake.profiles import table_profile
from lake_assets.s3 import open_store


@pytest.fixture
def profiled(shop):
    return shop.having(profile=True)


def typed(start: int, n: int) -> pl.DataFrame:
    """Orders of two months with a column of each type."""
    ids = range(start, start + n)
    schema = {
        "id": pl.Int64, "month": pl.String, "at": pl.Int64, "price": pl.Decimal(12, 2),
        "ratio": pl.Float64, "day": pl.Date, "when": pl.Datetime("us", "UTC"),
        "paid": pl.Boolean, "tags": pl.List(pl.String),
        "place": pl.Struct({"city": pl.String, "zip": pl.Int64}),
    }  # fmt: skip
    rows = [
        (
            i, f"{1 + i % 2:02d}", i, Decimal(i) / 4, float("nan") if i % 7 == 0 else i / 3,
            date(2026, 1, 1 + i % 28), datetime(2026, 1, 1, i % 24, tzinfo=UTC), i % 3 == 0,
            ["a", "b"][: i % 3] if i % 5 else None, {"city": f"c{i % 4}", "zip": i},
        )
        for i in ids
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_merged_over_partitions_every_type_is_what_the_whole_table_has(profiled):
    profiled.put(a=typed(0, 300), b=typed(300, 300)).run()
    found = table_profile(open_store(profiled.root), "shop.orders")
    assert found.parts == ("month=01", "month=02")
    whole = Profiler()
    whole.add(profiled.scan.collect())
    assert found.profile.content() == whole.profile().content()
    columns = found.profile.columns
    assert {c.kind for c in columns.values()} == {
        *("number", "text", "decimal", "time", "boolean", "list", "struct")
    }
    assert columns["ratio"].numbers.nans == len(range(0, 600, 7))
    assert columns["price"].numbers.greatest == Decimal("149.75")
    assert columns["tags[]"].values.top.counts[0][0] == "a"
    assert columns["place.city"].distinct == 4
    assert columns["id"].distinct == pytest.approx(600, rel=0.05)
    before = profiled.listing
    assert not profiled.run().changed
    assert profiled.listing == before


def test_by_default_no_profile_is_written_and_it_is_said_how_to_get_one(shop):
    shop.put(a=typed(0, 10)).run()
    store = open_store(shop.root)
    assert list(store.list(PROFILES)) == []
    with pytest.raises(SettingsError, match="profile: false"):
        table_profile(store, "shop.orders")


def snapshot(profiled, number: int, frame: pl.DataFrame):
    """Replace the snapshot, and publish it."""
    profiled.put(a=frame.with_columns(at=pl.lit(number, pl.Int64))).run()


def judged(profiled):
    databases, table = profiled.opened
    [found] = snapshot_drift(databases, table)
    return found


def test_a_snapshot_like_those_before_has_not_drifted_and_another_is_named_with_its_measures(
    profiled,
):
    profiled = profiled.having(drift={"ignored": ["at", "update_time"], "before": 2})
    for number in range(3):
        snapshot(profiled, number, typed(0, 400))
    calm = judged(profiled)
    assert (calm.report.ok, len(calm.before)) == (True, 2)
    changed = typed(0, 400).with_columns(
        ratio=pl.col("ratio") + 1000,
        tags=pl.when(pl.col("id") % 2 == 0).then(pl.col("tags")),
        at=pl.lit(9, pl.Int64),
    )
    snapshot(profiled, 4, changed.head(150))
    found = judged(profiled)
    said = "\n".join(found.report.reasons)
    assert "150 rows, 400 in the median before (allowed: ± 50%)" in said
    assert "ratio: PSI" in said
    assert "ratio: KS distance of the values 1 (allowed: 0.1" in said
    assert "tags: " in said
    assert "at: " not in said
    assert "% nulls" in said
    quiet = profiled.having(
        drift={"psi": None, "ks": None, "null_share": None, "rows": None, "before": 2}
    )
    assert judged(quiet).report.ok


def test_the_first_snapshot_has_nothing_to_be_compared_with(profiled):
    snapshot(profiled, 1, typed(0, 200))
    first = judged(profiled)
    assert (first.before, first.report.ok) == ((), True)
    databases, table = profiled.having(source=f"{profiled.source}/none").opened
    assert len(snapshot_drift(databases, table)) == 1  # what is published, not what is exported


@pytest.mark.parametrize("mode", ["replace", "history"])
def test_of_more_partitions_than_the_settings_say_so_many_are_looked_at_of_every_snapshot(
    profiled, mode
):
    table = profiled.having(mode=mode, drift={"partitions": 2})
    for number, n_rows in enumerate((120, 120, 480)):
        months = (pl.Series(range(n_rows)) % 4).cast(pl.String)
        source = replace(table, source=f"{table.source}/{number if mode == 'history' else 0}")
        snapshot(source, number, typed(0, n_rows).with_columns(month=months))
    table = replace(table, source=f"{table.source}/{{snapshot}}")
    table.run()
    found = judged(table)
    assert len(found.before) == 2
    assert (found.report.rows, found.report.rows_before) == (240, 60)  # two of four months
    assert found.sample == (2, 4)
    assert "by 2 of 4 partitions" in drift_facts([found])["drift"].md_str
    whole = judged(table.having(drift={"partitions": 4}))
    assert (whole.report.rows, whole.sample) == (480, None)


def test_a_column_with_a_dot_in_its_name_is_ignored_by_its_name(profiled):
    odd = {"a.b": pl.col("id"), 'say "[]"': pl.col("id"), "kept.too": pl.col("id")}
    profiled = profiled.having(drift={"ignored": ["at", "update_time", "a.b", 'say "[]"']})
    for number in (1, 1000):
        frame = typed(0, 200).with_columns(**{k: v * number for k, v in odd.items()})
        snapshot(profiled, number, frame)
    told = {reason.partition(": ")[0] for reason in judged(profiled).report.reasons}
    assert told == {'"kept.too"'}
    shown = profile_facts(table_profile(open_store(profiled.root), "shop.orders").profile)
    assert '| "a.b" |' in shown["profile"].md_str
