"""The columns of a lake table, however its exports spell them."""

import polars as pl
import pytest

from lake_assets.compacted.schema import column_order, empty_schema, lake_schema, spelled
from lake_assets.errors import SchemaChangeError
from lake_assets.export.pega_tables import DATAMART_TABLES, INTERNAL_COLUMNS, canonical, find_table

MODELS = find_table("model_snapshot")


@pytest.mark.parametrize("spec", DATAMART_TABLES, ids=lambda spec: spec.name)
def test_table_without_exports_has_its_known_columns_and_ours(spec):
    assert list(empty_schema(spec)) == [*spec.known, *INTERNAL_COLUMNS]


def test_column_that_no_one_knows_is_added_behind_the_known_ones():
    schema = lake_schema(MODELS, [{"pyZebra": "String", "pyModelID": "String"}])
    assert list(schema)[-5:] == ["pyZebra", *INTERNAL_COLUMNS]


def test_plain_spelling_of_the_exports_goes_for_the_absent_columns_too():
    schema = lake_schema(
        MODELS, [{"ModelID": "String", "SnapshotTime": "Datetime(time_unit='us', time_zone=None)"}]
    )
    assert "Performance" in schema
    assert not [name for name in schema if name.startswith(("py", "px", "pz"))]


def test_no_column_is_there_in_two_spellings():
    schema = lake_schema(
        MODELS, [{"pyModelId": "String", "pyMODELID": "String", "PyName": "String"}]
    )
    folded = [name.casefold() for name in schema]
    assert len(set(folded)) == len(folded)
    assert "pyModelId" in schema
    assert len([name for name in schema if canonical(name) == "modelid"]) == 1


def test_spelling_of_the_published_table_is_kept():
    schema = lake_schema(MODELS, [{"pyextra": "String"}], published=["pyExtra", "pyGone"])
    assert "pyExtra" in schema
    assert "pyextra" not in schema
    assert "pyGone" not in schema


def test_known_column_takes_the_spelling_of_the_published_table():
    assert "PYNAME" in lake_schema(MODELS, [], published=["PYNAME"])


def test_two_types_of_one_column_are_an_error_that_names_both():
    with pytest.raises(SchemaChangeError, match="'pyX' is String in one staged export and Int64"):
        lake_schema(MODELS, [{"pyX": "String"}, {"pyX": "Int64"}])


def test_order_does_not_depend_on_the_order_of_the_exports():
    one = lake_schema(MODELS, [{"pyB": "String"}, {"pyA": "String"}])
    two = lake_schema(MODELS, [{"pyA": "String"}, {"pyB": "String"}])
    assert one == two


def test_known_columns_come_first_in_the_order_of_the_declaration():
    assert column_order(MODELS, ["zz", "Name", "aa", "ModelID"]) == ["ModelID", "Name", "aa", "zz"]


def test_only_other_spellings_are_renamed():
    assert spelled(["pyA", "pyb", "new"], pl.Schema({"pyA": pl.String, "pyB": pl.String})) == {
        "pyb": "pyB"
    }
