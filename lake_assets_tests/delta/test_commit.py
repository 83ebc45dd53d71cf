"""One publish replaces exactly the partitions it names, and refuses what could not be read back."""

import json
from pathlib import Path

import polars as pl
import pytest

from lake_assets.delta import (
    checkpoint,
    live_files,
    publish,
    rows_of,
    scan,
    table_schema,
    table_version,
)
from lake_assets.delta import commit as committing
from lake_assets.errors import (
    BodyMismatchError,
    PublishConflictError,
    SchemaChangeError,
    SettingsError,
    StalePlanError,
    StorageError,
)
from lake_assets_tests.delta.tables import (
    PARTITION_BY,
    SCHEMA,
    commits,
    expected_rows,
    frame_of,
    ordered,
    publication,
    rows_by_reader,
    write_file,
    written,
)

ODD_VALUES = [
    *("a/b", "100%", "a=b", "two words", "日本", "#", "..", ".", "a+b", "a:b?c", "x" * 200),
    *("a%2Fb", "*", "[x]", "\\", "'\"", "line\nbreak", "null", "NULL", "None", " ", "0x1"),
]


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def assert_holds(uri, *contents):
    want = expected_rows(*contents)
    assert rows_by_reader(uri) == {"polars": want, "pyarrow": want, "duckdb": want}
    assert rows_of(uri) == len(want)


@pytest.mark.parametrize("with_checkpoint", [False, True])
@pytest.mark.parametrize("value", ODD_VALUES)
def test_three_partitions_on_the_diagonal_are_replaced_and_no_other(uri, value, with_checkpoint):
    before = {
        ("2023", "12"): [1, 2],
        ("2024", "12"): [3],
        ("2024", value): [4, 5],
        (None, "01"): [6],
        ("2023", "01"): [7],
    }
    change = {("2023", "12"): [10], ("2024", value): [11, 12, 13], (None, "01"): [14, 15]}
    publish(uri, written(uri, before))
    if with_checkpoint:
        checkpoint(uri)
    done = publish(uri, written(uri, change, generation=2))
    assert (done.version, done.committed, len(done.added), len(done.removed)) == (1, True, 3, 3)
    assert_holds(uri, before, change)


@pytest.mark.parametrize("value", ODD_VALUES)
def test_a_filter_on_an_odd_partition_value_finds_its_rows(uri, value):
    publish(uri, written(uri, {("1", value): [1], ("1", "other"): [2], ("1", None): [3]}))
    assert scan(uri).filter(pl.col("month") == value).collect()["id"].to_list() == [1]
    assert scan(uri).filter(pl.col("month").is_null()).collect()["id"].to_list() == [3]


def test_version_0_of_a_new_table_holds_the_data_the_transaction_and_the_proof(uri):
    done = publish(uri, written(uri, {("2024", None): [1, 2]}, generation=4))
    assert (done.version, done.committed) == (0, True)
    assert commits(uri) == ["00000000000000000000.json"]
    with pytest.raises(StalePlanError, match=r"generation 4 .* generation 3"):
        publish(uri, written(uri, {("2024", None): [3]}, generation=3))
    assert_holds(uri, {("2024", None): [1, 2]})


def test_a_publish_without_files_makes_an_empty_typed_table(uri):
    done = publish(uri, publication({}))
    assert (done.version, done.committed, done.added) == (0, True, ())
    assert table_schema(uri) == SCHEMA
    assert scan(uri).collect().schema == SCHEMA
    assert live_files(uri) == []
    assert not publish(uri, publication({})).committed


def test_a_repeat_writes_nothing(uri):
    change = written(uri, {("2024", "01"): [1], ("2024", "a/b"): [2]})
    publish(uri, change)
    again = publish(uri, change)
    assert (again.version, again.committed, again.added, again.removed) == (0, False, (), ())
    assert len(commits(uri)) == 1


def test_a_late_plan_is_refused_and_one_of_the_same_generation_or_another_app_is_not(uri):
    publish(uri, written(uri, {("2024", "01"): [1]}, generation=5))
    with pytest.raises(StalePlanError, match="plan again"):
        publish(uri, written(uri, {("2024", "01"): [2]}, generation=4))
    publish(uri, written(uri, {("2024", "02"): [3]}, generation=5))
    publish(uri, written(uri, {("2024", "03"): [4]}, generation=1, app="another"))
    assert_holds(uri, {("2024", "01"): [1], ("2024", "02"): [3], ("2024", "03"): [4]})


def test_a_partition_without_files_is_removed(uri):
    before = {("2024", "01"): [1], ("2024", None): [2], (None, None): [3]}
    publish(uri, written(uri, before))
    done = publish(uri, written(uri, {("2024", None): [], ("1999", "01"): []}))
    assert len(done.removed) == 1
    assert_holds(uri, before, {("2024", None): []})


def test_a_file_that_stays_is_neither_added_nor_removed(uri):
    key = ("2024", "01")
    kept, old, new = (write_file(uri, frame_of(key, [n]), key, PARTITION_BY) for n in (1, 2, 3))
    publish(uri, publication({key: [kept, old]}))
    done = publish(uri, publication({key: [kept, new]}))
    assert (done.added, done.removed) == ((new.path,), (old.path,))
    assert_holds(uri, {key: [1, 3]})


def test_a_table_without_partitions_is_replaced_whole(uri):
    schema = pl.Schema({"id": pl.Int64})
    one, two = (write_file(uri, pl.DataFrame({"id": [n]})) for n in (1, 2))
    for files in ([one], [two], [one, two]):
        change = publication({(): files}, schema=schema, partition_by=())
        assert publish(uri, change).committed
        assert len(live_files(uri)) == len(files)
    assert rows_by_reader(uri)["polars"] == [(1,), (2,)]


def test_integers_and_dates_partition_a_table_with_their_types(uri):
    by = ("year", "day")
    schema = pl.Schema({"id": pl.Int64, "year": pl.Int32, "day": pl.Date})
    keys = [("2024", "2024-01-31"), ("-5", None), (None, "1969-12-31")]
    files = {
        key: [write_file(uri, pl.DataFrame({"id": [n]}), key, by)] for n, key in enumerate(keys)
    }
    publish(uri, publication(files, schema=schema, partition_by=by))
    change = {keys[1]: [], keys[0]: [write_file(uri, pl.DataFrame({"id": [9]}), keys[0], by)]}
    publish(uri, publication(change, schema=schema, partition_by=by))
    assert {file.partition for file in live_files(uri)} == {keys[0], keys[2]}
    held = scan(uri).collect()
    assert held.schema == schema
    assert sorted(held["id"]) == [2, 9]


@pytest.mark.parametrize("data_change", [True, False])
def test_a_rearrangement_says_so_in_every_action(uri, data_change):
    key = ("2024", "01")
    publish(uri, written(uri, {key: [1, 2]}))
    publish(uri, written(uri, {key: [2, 1]}, data_change=data_change))
    lines = Path(uri, "_delta_log", commits(uri)[-1]).read_text().splitlines()
    actions = [json.loads(line) for line in lines]
    marks = [a[kind]["dataChange"] for a in actions for kind in ("add", "remove") if kind in a]
    assert marks == [data_change, data_change]


def test_new_columns_are_added_first_and_old_rows_are_null_there(uri):
    publish(uri, written(uri, {("2024", "01"): [1], ("2024", "02"): [2]}))
    wide = pl.Schema({**SCHEMA, "at": pl.Datetime("us"), "more": pl.List(pl.String)})
    key = ("2024", "02")
    frame = frame_of(key, [3]).with_columns(
        at=pl.datetime(2024, 2, 1, 12, 0, 0, 7), more=pl.lit(["x", None], dtype=pl.List(pl.String))
    )
    change = publication({key: [write_file(uri, frame, key, PARTITION_BY)]}, schema=wide)
    assert publish(uri, change).version == 2
    held = table_schema(uri)
    assert held == wide
    readers = rows_by_reader(uri)
    assert readers["polars"] == readers["pyarrow"] == readers["duckdb"]
    assert scan(uri).filter(pl.col("at").is_null()).collect()["id"].to_list() == [1]
    assert scan(uri).filter(pl.col("at").is_not_null()).collect()["id"].to_list() == [3]
    assert not publish(uri, change).committed


def test_new_columns_alone_are_a_commit_of_their_own(uri):
    change = written(uri, {("2024", "01"): [1]})
    publish(uri, change)
    wide = publication(change.replace, schema=pl.Schema({**SCHEMA, "more": pl.Boolean()}))
    done = publish(uri, wide)
    assert (done.version, done.committed, done.added) == (1, True, ())
    assert rows_by_reader(uri)["polars"] == [(1, "('2024', '01') 1", "2024", "01", None)]


def test_a_publication_may_lack_columns_of_the_table(uri):
    publish(uri, written(uri, {("2024", "01"): [1]}))
    key = ("2024", "02")
    narrow = pl.Schema({name: dtype for name, dtype in SCHEMA.items() if name != "text"})
    file = write_file(uri, pl.DataFrame({"id": [2]}), key, PARTITION_BY)
    assert publish(uri, publication({key: [file]}, schema=narrow)).version == 1
    assert rows_by_reader(uri)["pyarrow"] == ordered(
        [(1, "('2024', '01') 1", "2024", "01"), (2, None, "2024", "02")]
    )


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        pytest.param({"id": pl.String()}, r"'id' is Int64 in the table and String", id="type"),
        pytest.param({"ID": pl.Int64()}, r"'id' and 'ID' differ only in case", id="case"),
        pytest.param({"id": pl.Time()}, r"'id' is Time, which", id="impossible"),
    ],
)
def test_a_schema_that_does_not_fit_the_table_is_refused_by_name(uri, columns, found):
    publish(uri, written(uri, {("2024", "01"): [1]}))
    schema = pl.Schema({**columns, "year": pl.String(), "month": pl.String()})
    with pytest.raises(SchemaChangeError, match=found):
        publish(uri, written(uri, {("2024", "01"): [2]}, schema=schema))
    assert table_version(uri) == 0


def test_a_publish_that_never_wins_gives_up_and_changes_nothing(uri, monkeypatch):
    publish(uri, written(uri, {("2024", "01"): [1]}))
    # A folder where the next commit belongs: no reader lists it, no commit finds its place free.
    Path(uri, "_delta_log", "00000000000000000001.json").mkdir()
    monkeypatch.setattr(committing, "_LONGEST_WAIT_S", 0.001)
    with pytest.raises(PublishConflictError, match="won all 20 commits"):
        publish(uri, written(uri, {("2024", "01"): [2]}))
    assert_holds(uri, {("2024", "01"): [1]})


def test_a_table_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    uri = str(tmp_path / "file" / "table")
    with pytest.raises(StorageError, match=uri):
        publish(uri, publication({}))


def test_other_partition_columns_are_refused(uri):
    publish(uri, written(uri, {("2024", "01"): [1]}))
    with pytest.raises(SchemaChangeError, match=r"\['year', 'month'\].*\['month', 'year'\]"):
        publish(uri, publication({}, partition_by=("month", "year")))


def test_a_live_path_with_another_size_is_refused(uri):
    key = ("2024", "01")
    file = write_file(uri, frame_of(key, [1]), key, PARTITION_BY)
    publish(uri, publication({key: [file]}))
    other = type(file)(file.path, file.size_bytes + 1, 1, key, file.stats)
    with pytest.raises(BodyMismatchError, match=f"{file.size_bytes} bytes"):
        publish(uri, publication({key: [other]}))


def data_file(uri, key=("2024", "01"), **change):
    file = write_file(uri, frame_of(key, [1]), key, PARTITION_BY)
    values = {name: getattr(file, name) for name in type(file).__dataclass_fields__}
    return type(file)(**(values | change))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"path": "year=2024/month=02/f.parquet"}, "Hive folder"),
        ({"path": "month=01/year=2024/f.parquet"}, "Hive folder"),
        ({"path": "year=2024/month=01/more/f.parquet"}, "Hive folder"),
        ({"path": "f.parquet"}, "Hive folder"),
        ({"path": "year=2024/month=01/f=1.parquet"}, "character"),
        ({"path": "year=2024/month=01/f 1.parquet"}, "character"),
        ({"path": "year=2024/month=01/.."}, "plain path"),
        ({"partition": ("2024", "02")}, "listed under"),
        ({"rows": 2}, "2 rows"),
        ({"size_bytes": 0}, "0 bytes"),
    ],
)
def test_a_file_that_readers_would_see_otherwise_is_refused(uri, change, found):
    with pytest.raises(SettingsError, match=found):
        publish(uri, publication({("2024", "01"): [data_file(uri, **change)]}))
    assert table_version(uri) is None


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"replace": {("2024",): []}}, "one value for each"),
        ({"replace": {("2024", ""): []}}, "use None for null"),
        ({"replace": {("2024", "__HIVE_DEFAULT_PARTITION__"): []}}, "use None for null"),
        ({"partition_by": ("year", "year")}, "different columns"),
        ({"partition_by": ("year", "nowhere")}, "different columns"),
        ({"partition_by": tuple(SCHEMA)}, "one data column"),
        ({"proof": {"rows": "1"}}, "lake."),
    ],
)
def test_a_publication_that_cannot_be_right_is_refused(uri, change, found):
    with pytest.raises(SettingsError, match=found):
        publish(uri, publication(**({"replace": {}} | change)))
    assert table_version(uri) is None


def test_one_file_in_two_places_of_a_publication_is_refused(uri):
    file = data_file(uri)
    with pytest.raises(SettingsError, match="twice"):
        publish(uri, publication({file.partition: [file, file]}))


@pytest.mark.parametrize(
    ("name", "dtype"), [("a b", pl.String()), ("日", pl.String()), ("f", pl.Float64())]
)
def test_a_partition_column_that_readers_cannot_take_from_a_path_is_refused(uri, name, dtype):
    schema = pl.Schema({"id": pl.Int64, name: dtype})
    with pytest.raises(SettingsError, match=name):
        publish(uri, publication({}, schema=schema, partition_by=(name,)))


@pytest.mark.parametrize(
    ("dtype", "value"), [(pl.Int64, "01"), (pl.Int64, "x"), (pl.Date, "20240101")]
)
def test_a_partition_value_in_another_form_than_the_log_has_is_refused(uri, dtype, value):
    schema = pl.Schema({"id": pl.Int64, "p": dtype})
    with pytest.raises(SettingsError, match="ISO form"):
        publish(uri, publication({(value,): []}, schema=schema, partition_by=("p",)))


@pytest.mark.parametrize("folder", ["two words", "100%", "env=prod", "日本", "a#b", "a{b}"])
def test_an_address_that_polars_would_misread_is_refused(tmp_path, folder):
    with pytest.raises(SettingsError, match="choose a root"):
        publish(str(tmp_path / folder / "table"), publication({}))
