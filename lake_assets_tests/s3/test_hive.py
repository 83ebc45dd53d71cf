"""Hive paths: dates of keys, values there and back, listings by partition."""

import string
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.errors import SettingsError
from lake_assets.s3 import Folder, Store, open_store
from lake_assets.s3.hive import (
    HIVE_NULL,
    date_of_key,
    filter_hive,
    hive_path,
    hive_values,
    list_hive,
)


@pytest.mark.parametrize(
    ("key", "day"),
    [
        ("a/year=2026/month=01/day=15/x.parquet", date(2026, 1, 15)),
        ("year=2026/month=1/day=5/x", date(2026, 1, 5)),
        ("year=2026/month=01/day=15", date(2026, 1, 15)),
        ("s3://bucket/a/year=2026/month=01/day=15/x", date(2026, 1, 15)),
        ("year=2026/region=eu/month=01/b/day=15/x", date(2026, 1, 15)),
        ("day=15/month=01/year=2026/x", date(2026, 1, 15)),
        ("year%3D2026/month%3D01/day%3D15/x", date(2026, 1, 15)),
        ("a%2Fyear%3D2026%2Fmonth%3D01%2Fday%3D15%2Fx", date(2026, 1, 15)),
        ("year=2026/year=2026/month=01/day=15/x", date(2026, 1, 15)),
        ("fiscalyear=2025/year=2026/month=01/day=15/x", date(2026, 1, 15)),
        ("year=2024/month=02/day=29/x", date(2024, 2, 29)),
        ("year=2026/month=02/day=29/x", None),
        ("year=2026/month=13/day=15/x", None),
        ("year=2026/month=00/day=15/x", None),
        ("year=0000/month=01/day=15/x", None),
        ("year=26/month=01/day=15/x", None),
        ("year=20260/month=01/day=15/x", None),
        ("year=2026/month=001/day=15/x", None),
        ("year=-2026/month=01/day=15/x", None),
        ("year=٢٠٢٦/month=01/day=15/x", None),
        ("year=2026/month=01/x", None),
        ("fiscalyear=2026/month=01/day=15/x", None),
        ("year=2026/month=01/day=15.parquet", None),
        ("year=2026/month=01/day=15/month=02/x", None),
        (f"year={HIVE_NULL}/month=01/day=15/x", None),
        ("x%2Fyear=2026/month=01/day=15/x", None),
        ("year=2026\\month=01\\day=15\\x", None),
        ("%FF%/%", None),
        ("", None),
    ],
)
def test_the_date_of_a_key(key, day):
    assert date_of_key(key) == day


@given(st.text() | st.text("year=month/day%0123456789_ "))
def test_no_key_is_an_error(key):
    day = date_of_key(key)
    assert day is None or isinstance(day, date)
    assert isinstance(hive_values(key), dict)


@given(st.dates(), st.booleans())
def test_a_built_date_is_read_back(day, padded):
    width = 2 if padded else 1
    values = {"year": f"{day.year:04d}", "month": f"{day.month:0{width}d}", "day": day.day}
    assert date_of_key(hive_path(values, base="any/base", name="x.parquet")) == day


NAMES = st.text(min_size=1)


@given(st.dictionaries(NAMES, st.text(min_size=1) | st.none(), max_size=4))
def test_any_values_go_there_and_back(values):
    key = hive_path(values, base="base/of all", name="x.parquet")
    assert hive_values(key) == values
    assert list(hive_values(key)) == list(values)
    assert set(key) <= set(string.ascii_letters + string.digits + "-_.+@~%=/ ")
    assert len(key.split("/")) == len(values) + 3


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("a/b", "c=a%2Fb"),
        ("a=b", "c=a%3Db"),
        ("100%", "c=100%25"),
        ("a b", "c=a%20b"),
        ("ü", "c=%C3%BC"),
        ("a+b", "c=a+b"),
        (None, f"c={HIVE_NULL}"),
        ("", f"c={HIVE_NULL}"),
        (HIVE_NULL, "c=%5F_HIVE_DEFAULT_PARTITION__"),
        (date(2026, 9, 29), "c=2026-09-29"),
        (7, "c=7"),
    ],
)
def test_a_value_is_one_folder(value, folder):
    assert hive_path({"c": value}) == folder


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("a=1/b=2/x=3.parquet", {"a": "1", "b": "2"}),
        ("a=1/b=2/", {"a": "1", "b": "2"}),
        ("a=b=c/x", {"a": "b=c"}),
        ("a=/x", {"a": None}),
        ("=1/x", {}),
        ("a=1/a=2/x", {"a": "2"}),
        ("a=ü b/x", {"a": "ü b"}),
        ("a=a+b/x", {"a": "a+b"}),
        ("a=100%/x", {"a": "100%"}),
        ("a=%FF/x", {"a": "%FF"}),
        ("a b%3D=1/x", {"a b=": "1"}),
        ("no/hive/x", {}),
    ],
)
def test_the_values_of_a_key_of_others(key, values):
    assert hive_values(key) == values


def test_polars_reads_what_is_built(tmp_path):
    import polars as pl

    values = {"c": "a/b=c% ü", "d": "2026-09"}
    path = tmp_path / hive_path(values, name="x.parquet")
    path.parent.mkdir(parents=True)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    null = tmp_path / hive_path({"c": None, "d": "x"}, name="x.parquet")
    null.parent.mkdir(parents=True)
    pl.DataFrame({"a": [2]}).write_parquet(null)
    schema = {"c": pl.String, "d": pl.String}
    read = pl.scan_parquet(tmp_path / "**/*.parquet", hive_partitioning=True, hive_schema=schema)
    assert sorted(read.collect().rows()) == [(1, "a/b=c% ü", "2026-09"), (2, None, "x")]


def test_a_path_that_cannot_be_one_is_refused():
    with pytest.raises(SettingsError, match="needs a name"):
        hive_path({"": "x"})
    with pytest.raises(SettingsError, match="no file name"):
        hive_path({"a": "x"}, name="b/c")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        store = open_store(str(tmp_path / "root"))
    else:
        store = open_store(f"s3://{request.getfixturevalue('bucket')}/lake")
    for year in ("2025", "2026"):
        for month in ("01", "02"):
            for place in ("eu west", None):
                values = {"year": year, "month": month, "place": place}
                store.put(hive_path(values, base="sales", name="0.parquet"), b"")
    store.put("sales/readme.txt", b"")
    store.put("sales/year=2026/note.txt", b"")
    return store


def listed(listing) -> list[tuple[str | None, ...]]:
    return [tuple(hive_values(info.key).values()) for info in listing]


class TestListByPartition:
    """The same choice by walking folders and by a predicate over the whole listing."""

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ({"year": "2026", "month": "01"}, [("2026", "01", None), ("2026", "01", "eu west")]),
            ({"year": "2026", "place": None}, [("2026", "01", None), ("2026", "02", None)]),
            ({"month": ["02"], "place": {"eu west"}},
             [(y, "02", "eu west") for y in ("2025", "2026")]),
            ({"year": lambda year: year < "2026", "place": "eu west"},
             [("2025", m, "eu west") for m in ("01", "02")]),
            ({"year": "2027"}, []),
            ({"nothing": "x"}, []),
        ],
    )  # fmt: skip
    def test_only_fitting_partitions_are_listed(self, store, where, expected):
        def fits(values) -> bool:
            return all(
                name in values
                and (
                    test(values[name])
                    if callable(test)
                    else values[name] in ([test] if test is None or isinstance(test, str) else test)
                )
                for name, test in where.items()
            )

        assert listed(list_hive(store, "sales", where=where)) == expected
        assert listed(filter_hive(store.list("sales/"), fits)) == expected

    def test_without_a_condition_everything_is_listed(self, store):
        assert list(list_hive(store, where={})) == list(store.list())
        assert list(filter_hive(store.list(), lambda _: True)) == list(store.list())

    def test_the_prefix_itself_may_be_a_partition(self, store):
        inside = list_hive(store, "sales/year=2026/", where={"year": "2026", "month": "01"})
        assert listed(inside) == [("2026", "01", None), ("2026", "01", "eu west")]
        assert list(list_hive(store, "sales/year=2025/", where={"year": "2026"})) == []

    def test_other_partitions_are_never_asked_for(self, store):
        asked: list[str] = []

        class Watched:
            url = store.url

            def list(self, prefix: str = "", *, start_after: str = ""):
                asked.append(prefix)
                return store.list(prefix, start_after=start_after)

            def browse(self, prefix: str = ""):
                asked.append(prefix)
                return store.browse(prefix)

        where = {"year": "2026", "month": "02"}
        assert len(list(list_hive(Watched(), "sales", where=where))) == 2  # type: ignore[arg-type]
        assert asked == ["sales/", "sales/year=2026/", "sales/year=2026/month=02/"]
        assert Folder("sales/year=2025/") in store.browse("sales/")
