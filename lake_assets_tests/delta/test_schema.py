"""Types and names a table takes come back the same; all others are refused by name, unwritten."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from lake_assets.delta import publish, scan, table_schema
from lake_assets.errors import SchemaChangeError
from lake_assets_tests.delta.tables import publication, rows_by_reader, write_file

HELD = {
    "int8": (pl.Int8(), -128),
    "int16": (pl.Int16(), 2**15 - 1),
    "int32": (pl.Int32(), -(2**31)),
    "int64": (pl.Int64(), 2**63 - 1),
    "float32": (pl.Float32(), 0.5),
    "float64": (pl.Float64(), 0.1),
    "boolean": (pl.Boolean(), True),
    "string": (pl.String(), "日本"),
    "binary": (pl.Binary(), b"\x00\xff"),
    "date": (pl.Date(), date(1969, 12, 31)),
    "naive": (pl.Datetime("us"), datetime(2024, 3, 31, 2, 30, 0, 1)),  # noqa: DTZ001
    "utc": (pl.Datetime("us", "UTC"), datetime(2024, 3, 31, 2, 30, 0, 1, tzinfo=UTC)),
    "decimal": (pl.Decimal(38, 9), Decimal("-12345678901234567890.123456789")),
    "list": (pl.List(pl.Int32()), [1, None]),
    "struct": (pl.Struct({"a": pl.Int8(), "b": pl.List(pl.Datetime("us"))}), {"a": 1, "b": None}),
}
REFUSED = [
    *(pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64(), pl.Int128(), pl.Float16(), pl.Time()),
    *(pl.Duration("us"), pl.Null(), pl.Struct([]), pl.Categorical(), pl.Enum(["a"]), pl.Object()),
    *(pl.Datetime("ms"), pl.Datetime("ns"), pl.Datetime("us", "Europe/Berlin")),
    *(pl.Array(pl.Int8, 2), pl.List(pl.Null()), pl.Struct({"a": pl.Struct({"b": pl.Time()})})),
]
ODD_NAMES = [
    *("two words", "100%", "a+b", "日本", "a,b", "a;b", "a{b}", "a(b)", "a=b", "a.b", "a\tb"),
    *("a\nb", "a`b", 'a"b', "a'b", "a\\b", "a/b", "a:b", "path", "num_records", "partition"),
]


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def put(uri, frame, schema=None):
    change = publication(
        {(): [write_file(uri, frame)]}, schema=schema or frame.schema, partition_by=()
    )
    return publish(uri, change)


def test_every_lake_type_comes_back_the_same_in_every_reader(uri):
    schema = pl.Schema({name: dtype for name, (dtype, _) in HELD.items()})
    values = {name: [value, None] for name, (_, value) in HELD.items()}
    frame = pl.DataFrame(values, schema=schema)
    put(uri, frame)
    assert table_schema(uri) == schema
    assert scan(uri).collect().equals(frame)
    readers = rows_by_reader(uri)
    assert readers["polars"] == readers["pyarrow"] == readers["duckdb"]
    protocol = DeltaTable(uri).protocol()
    assert protocol.reader_features == ["timestampNtz"]
    assert protocol.writer_features == ["timestampNtz"]


@pytest.mark.parametrize("dtype", REFUSED, ids=str)
def test_a_type_delta_cannot_hold_is_refused_by_name_and_nothing_is_written(uri, dtype):
    schema = pl.Schema({"id": pl.Int64(), "odd one": dtype})
    with pytest.raises(SchemaChangeError, match=r"'odd one.* cannot hold; cast it"):
        publish(uri, publication({}, schema=schema, partition_by=()))
    assert not Path(uri).exists()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_column_may_be_called_almost_anything(uri, name):
    frame = pl.DataFrame({"id": [1, 2], name: ["x", "y"]})
    put(uri, frame)
    assert scan(uri).filter(pl.col(name) == "y").collect().rows() == [(2, "y")]
    wide = frame.with_columns(pl.lit(7, dtype=pl.Int64).alias("new " + name))
    put(uri, wide)
    assert rows_by_reader(uri) == dict.fromkeys(("polars", "pyarrow", "duckdb"), wide.rows())


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"pyModelId": pl.Int64(), "pyModelID": pl.Int64()}, "'pyModelId' and 'pyModelID'"),
        ({"s": pl.Struct({"Ä": pl.Int8(), "ä": pl.Int8()})}, r"'s\.Ä' and 's\.ä'"),
        ({"id": pl.Int8(), "": pl.Int8()}, "no name"),
    ],
)
def test_names_delta_takes_for_the_same_or_for_none_are_refused(uri, schema, found):
    with pytest.raises(SchemaChangeError, match=found):
        publish(uri, publication({}, schema=pl.Schema(schema), partition_by=()))


def test_naive_times_added_later_bring_their_table_feature(uri):
    put(uri, pl.DataFrame({"id": [1]}))
    at = datetime(2024, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001
    put(uri, pl.DataFrame({"id": [2], "at": [at]}, schema_overrides={"at": pl.Datetime("us")}))
    assert DeltaTable(uri).protocol().reader_features == ["timestampNtz"]
    assert rows_by_reader(uri)["duckdb"] == [(2, at)]
