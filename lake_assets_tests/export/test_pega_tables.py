"""The declaration of the tables: names, types by name, and tables of one's own."""

import polars as pl
import pytest

from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import (
    DATAMART_TABLES,
    INTERNAL_COLUMNS,
    TIME_TYPE,
    canonical,
    column_type,
    configured_tables,
    find_table,
)
from lake_assets.settings import TableSettings

NAMES = [
    *("model_snapshot", "predictor_snapshot", "binary_distribution", "contingency_table"),
    *("histogram", "snapshot", "notification"),
]


def test_the_seven_tables_are_declared_once():
    assert [spec.name for spec in DATAMART_TABLES] == NAMES
    assert len({spec.class_name for spec in DATAMART_TABLES}) == 7


@pytest.mark.parametrize("spec", DATAMART_TABLES, ids=NAMES)
def test_the_columns_of_a_key_and_its_time_are_known_columns(spec):
    known = {canonical(column) for column in spec.known}
    wanted = {canonical(c.rstrip("?")) for key in spec.keys for c in key} | {canonical(spec.time)}
    assert wanted <= known | {"application"}
    assert len(spec.known) == len(known)  # no column twice
    assert column_type(spec, spec.time) == TIME_TYPE
    assert not known & set(INTERNAL_COLUMNS)
    assert all(any(not c.endswith("?") for c in key) for key in spec.keys)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("pySnapshotTime", TIME_TYPE),
        ("SnapshotTime", TIME_TYPE),
        ("pySnapShotTime", TIME_TYPE),
        ("pxSaveDateTime", TIME_TYPE),
        ("pyFactoryUpdateTime", TIME_TYPE),
        ("pyPositives", pl.Float64),
        ("pyRelativeBinPositives", pl.Float64),
        ("pyBinResponseCountPercentage", pl.Float64),
        ("BinNegatives", pl.Float64),
        ("pyBinLowerBound", pl.Float64),
        ("pyFeatureImportance", pl.Float64),
        ("pyBinIndex", pl.Int64),
        ("pyCount", pl.Int64),
        ("pyPriority", pl.Int64),
        ("pyRelativeCount", pl.String),
        ("pyValue", pl.String),
        ("pysnapshotday", pl.String),
        ("pyBinSymbol", pl.String),
        ("pyBinType", pl.String),
        ("something of the future", pl.String),
    ],
)
def test_a_column_is_typed_by_its_name(column, dtype):
    assert column_type(DATAMART_TABLES[0], column) == dtype


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_found_by_each_of_its_names(name):
    first, *rest = name.split("_")
    camel = first + "".join(part.title() for part in rest)
    for spelling in (name, camel, camel[0].upper() + camel[1:], f"datamart.{name}"):
        assert find_table(spelling).name == name


@pytest.mark.parametrize("name", ["", "snapshots", "shop.snapshot", "model snapshot", "datamart."])
def test_a_table_that_is_not_there_is_an_error_that_lists_those_there_are(name):
    with pytest.raises(SettingsError, match=r"the tables are model_snapshot, .*notification"):
        find_table(name)


def own(**values: object) -> dict[str, TableSettings]:
    return {"own": TableSettings.model_validate(values)}


def test_a_table_of_ones_own_comes_last_and_is_found():
    tables = configured_tables(
        own(**{"class": "MyCo-Data-Offer", "dataset": "pyOffers", "key": "ID", "time": "At"})
    )
    assert [spec.name for spec in tables] == [*NAMES, "own"]
    spec = find_table("own", tables)
    assert (spec.class_name, spec.datasets, spec.keys) == (
        "MyCo-Data-Offer",
        ("Offers",),
        (("ID",),),
    )


@pytest.mark.parametrize("missing", ["class", "key", "time"])
def test_a_table_of_ones_own_needs_class_key_and_time(missing):
    values = {"class": "A", "key": "ID", "time": "At"}
    del values[missing]
    with pytest.raises(SettingsError, match="own is a table of your own: give class, key and time"):
        configured_tables(own(**values))


def test_a_built_in_table_can_be_changed_in_part():
    change = TableSettings.model_validate({"strict": True, "types": {"pyValue": "int"}})
    spec = find_table("snapshot", configured_tables({"snapshot": change}))
    before = find_table("snapshot")
    assert spec.strict
    assert column_type(spec, "Value") == pl.Int64
    assert (spec.keys, spec.known, spec.class_name) == (
        before.keys,
        before.known,
        before.class_name,
    )
    assert not before.strict
