"""Drift: what changed is named with its measure, what did not is not."""

import json
import math
import re
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lake_assets.catalog.profile import (
    DriftThresholds,
    Profile,
    Profiler,
    drift,
    drift_markdown,
    merge,
)
from lake_assets.catalog.profile.drift import ks_distance, psi
from lake_assets.errors import SettingsError


def of(**columns: object) -> Profile:
    profiler = Profiler()
    profiler.add(pl.DataFrame(columns))
    return profiler.profile()


def usual(seed: int, n: int = 5000) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    day = datetime(2026, 1, 1) + timedelta(days=seed)  # noqa: DTZ001
    return {
        "score": rng.normal(size=n),
        "amount": rng.lognormal(3, 2, size=n),
        "count": rng.poisson(4, size=n),
        "share": pl.Series(rng.random(n)).set(pl.Series(rng.random(n) < 0.2), None),
        "channel": rng.choice(["Web", "Mobile", "Branch"], n, p=[0.6, 0.3, 0.1]),
        "id": [f"{seed:03}-{i:05}" for i in range(n)],
        "flag": rng.random(n) < 0.5,
        "tags": [["x"] * int(i) for i in rng.integers(0, 4, n)],
        "day": [day] * n,
        "constant": [7.0] * n,
    }


BEFORE = [of(**usual(seed)) for seed in range(4)]


def test_partitions_of_one_distribution_do_not_drift():
    for seed in range(10, 16):
        report = drift(of(**usual(seed)), BEFORE)
        assert report.ok, report.reasons
    small = drift(of(**usual(20, 120)), [of(**usual(21, 120))])
    assert small.ok, small.reasons


CHANGES = {
    "moved": ("score", lambda old: old + 0.5, "PSI .*KS distance of the values"),
    "one value beyond the range": ("constant", lambda old: [8.0] * len(old), "PSI .*KS distance"),
    "scaled": ("amount", lambda old: old * 3, "PSI .*KS distance"),
    "counts": ("count", lambda old: old + 1, "PSI .*KS distance"),
    "nulls": ("share", lambda old: old.set(pl.Series(np.arange(len(old)) % 3 == 0), None),
              r"4\d\.\d% nulls, 1\d\.\d%|4\d\.\d% nulls, 20\.\d% before \(allowed: ± 10%\)"),
    "categories": ("channel", lambda old: ["Kiosk" if v == "Mobile" else v for v in old], "PSI"),
    "lengths": ("id", lambda old: [f"{v}-----" for v in old], "KS distance of the lengths"),
    "flags": ("flag", lambda old: [True] * len(old), "PSI"),
    "lists": ("tags", lambda old: [[]] * len(old), "PSI .*KS distance of the lengths"),
    "kind": ("count", lambda old: [str(v) for v in old], "text now, number before"),
    "all null": ("score", lambda old: [None] * len(old), "100.0% nulls, 0.0% before"),
}  # fmt: skip


@pytest.mark.parametrize(("column", "change", "reason"), CHANGES.values(), ids=CHANGES)
def test_a_changed_column_is_named_with_its_measure(column, change, reason):
    rows = usual(30)
    report = drift(of(**{**rows, column: change(rows[column])}), BEFORE)
    drifted = {each.column: "; ".join(each.reasons) for each in report.columns if each.reasons}
    assert set(drifted) - {"tags[]"} == {column}
    assert re.search(reason, drifted[column]), drifted
    assert not report.ok


def test_rows_columns_that_come_or_go_and_the_first_partition():
    rows = usual(40, 2000)
    del rows["flag"]
    report = drift(of(**rows, extra=[1] * 2000), BEFORE)
    assert report.rows_before == 5000
    assert set(report.reasons) == {
        "2000 rows, 5000 in the median before (allowed: ± 50%)",
        "extra: the column is new: 0.0% nulls, 100.0% before (allowed: ± 10%)",
        "flag: the column is gone: 100.0% nulls, 0.0% before (allowed: ± 10%)",
    }
    assert drift(of(**rows), []).ok
    ignoring = DriftThresholds(rows=None, ignored=frozenset({"flag"}))
    assert drift(of(**rows), BEFORE, ignoring).ok


def test_times_are_compared_when_asked():
    now = of(**usual(300))
    assert drift(now, BEFORE).ok
    report = drift(now, BEFORE, DriftThresholds(times=True))
    assert [each.column for each in report.columns if each.reasons] == ["day"]
    with pytest.raises(SettingsError, match="psi is at least 0, got -1"):
        DriftThresholds(psi=-1)


def test_the_distances_are_those_of_the_exact_definitions():
    rng = np.random.default_rng(6)
    one, two = rng.normal(size=40_000), rng.normal(0.3, 1.2, size=30_000)
    now, then = of(x=one).columns["x"], of(x=two).columns["x"]
    points = np.sort(np.concatenate([one, two]))
    exact = np.abs(
        np.searchsorted(np.sort(one), points, "right") / one.size
        - np.searchsorted(np.sort(two), points, "right") / two.size
    ).max()
    assert ks_distance(now, then)[0] == pytest.approx(exact, abs=0.015)
    edges = np.quantile(two, np.linspace(0, 1, 11))[1:-1]
    p, q = (np.bincount(np.searchsorted(edges, v), minlength=10) / v.size for v in (one, two))
    assert psi(now, then)[0] == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.15)
    same = merge([of(x=two[:15_000]), of(x=two[15_000:])]).columns["x"]
    assert psi(same, then)[0] == 0
    categories = (
        of(x=["a"] * 300 + ["b"] * 100).columns["x"],
        of(x=["a"] * 200 + ["b"] * 200).columns["x"],
    )
    assert psi(*categories)[0] == pytest.approx(
        0.25 * math.log(0.75 / 0.5 / (0.25 / 0.5)), rel=0.02
    )


def test_a_report_is_json_and_markdown():
    report = drift(of(**{**usual(50), "score": np.full(5000, 9.0)}), BEFORE)
    assert json.loads(json.dumps(report.content()))["columns"]["score"]["reasons"]
    table = drift_markdown(report).splitlines()
    assert table[0].startswith("drift: 2 findings; 5,000 rows, 5,000 before")
    assert table[4].startswith("| score | ")  # what drifted comes first
    assert "nothing to compare with" in drift_markdown(drift(of(a=[1]), []))
