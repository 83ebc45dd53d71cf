"""From text to typed rows: what every kind of value becomes, and what is refused."""

import json
import math
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import BadInputError
from lake_assets.export.payload import PayloadLimits, text_chunks, zip_record_count
from lake_assets.export.pega_tables import DATAMART_TABLES, TableSpec, find_table
from lake_assets.export.rows import RowChunk, read_rows

KEY = "datamart/some.json"
SPEC = find_table("predictor_snapshot")
EXPORTS = Path(__file__).parents[3] / "shared" / "data" / "pega_exports"

# Positives is Float64, BinIndex is Int64, SnapshotTime is a time, Name and unknown columns are
# String.
GOOD = b'{"Name":"n","Positives":1.5,"BinIndex":3,"SnapshotTime":"20210601T093435.797 GMT"}\n'


def read(text: bytes | str, **options: int) -> RowChunk:
    return read_rows(KEY, text.encode() if isinstance(text, str) else text, SPEC, **options)


def value_of(column: str, token: str, *, n_good: int = 0) -> tuple[object, str | None]:
    """What a value becomes in a column, and what is rescued; alone or in the midst of good rows."""
    text = GOOD * n_good + f'{{"{column}":{token}}}\n'.encode() + GOOD * n_good
    result = read(text)
    row = result.frame.row(n_good, named=True)
    rescued = row["_rescued_data"] and json.loads(row["_rescued_data"])
    assert result.rescued == ({column: 1} if rescued else {})
    assert result.frame.height == 2 * n_good + 1
    count = result.frame[column].count() + len(rescued or ())
    assert result.present[column] == count
    return row[column], rescued[column] if rescued else None


both_ways = pytest.mark.parametrize("n_good", [0, 40], ids=["alone", "among good rows"])


@both_ways
@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("1", 1.0), ("1.50", 1.5), ("-0.5", -0.5), ("1e3", 1000.0), ('"91.000000"', 91.0),
        ('"91"', 91.0), ('"-1.5E-3"', -0.0015), ("null", None), ('""', None),
        ("9007199254740992", 2.0**53), ("9007199254740994", 2.0**53 + 2),
        ("0.1234567890123456789012345", 0.12345678901234568), ("1.0E23", 1e23), ("1e-400", 0.0),
        ("Infinity", math.inf), ("-Infinity", -math.inf), ('"Infinity"', math.inf),
        ('"-Infinity"', -math.inf),
    ],
)  # fmt: skip
def test_a_float_column_holds(token: str, value: object, n_good: int):
    assert value_of("Positives", token, n_good=n_good) == (value, None)


@both_ways
@pytest.mark.parametrize("token", ["NaN", '"NaN"'])
def test_a_float_column_holds_nan(token: str, n_good: int):
    value, rescued = value_of("Positives", token, n_good=n_good)
    assert isinstance(value, float)
    assert math.isnan(value)
    assert rescued is None


@both_ways
@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("9007199254740993", "9007199254740993"), ('"9007199254740993.0"', "9007199254740993.0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"), ("1e400", "1e400"),
        ("-1e400", "-1e400"), ('"N/A"', "N/A"), ('"inf"', "inf"), ('"nan"', "nan"), ('" 5"', " 5"),
        ("true", "true"), ("false", "false"), ('{"a" :1.50}', '{"a" :1.50}'), ("[1, 2]", "[1, 2]"),
        ("[]", "[]"), ('"1,5"', "1,5"), ('"0x10"', "0x10"), ('"1_000"', "1_000"), ('"٣"', "٣"),
        ('"a\\"b"', 'a"b'),
    ],
)  # fmt: skip
def test_a_float_column_gives_to_rescue(token: str, text: str, n_good: int):
    assert value_of("Positives", token, n_good=n_good) == (None, text)


@both_ways
@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("3", 3), ('"91.000000"', 91), ("91.0", 91), ("9.1e1", 91),
        ("9007199254740993", 9007199254740993), ('"9007199254740993.0"', 9007199254740993),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ('""', None),
        ("null", None), ("-0", 0), ('"+5"', 5),
    ],
)  # fmt: skip
def test_an_integer_column_holds(token: str, value: object, n_good: int):
    assert value_of("BinIndex", token, n_good=n_good) == (value, None)


@both_ways
@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"), ("91.5", "91.5"), ('"91.5"', "91.5"),
        ("1e400", "1e400"), ('"1e99999999999999999999"', "1e99999999999999999999"), ("NaN", "NaN"),
        ("-Infinity", "-Infinity"), ('"Infinity"', "Infinity"), ("true", "true"), ('"x"', "x"),
        ("1e-3", "1e-3"), ("{}", "{}"),
    ],
)  # fmt: skip
def test_an_integer_column_gives_to_rescue(token: str, text: str, n_good: int):
    assert value_of("BinIndex", token, n_good=n_good) == (None, text)


@both_ways
@pytest.mark.parametrize(
    ("token", "value"),
    [
        ('"20210601T093435.797 GMT"', datetime(2021, 6, 1, 9, 34, 35, 797_000)),  # noqa: DTZ001
        ('"20210601T093435 GMT"', datetime(2021, 6, 1, 9, 34, 35)),  # noqa: DTZ001
        ('"00010101T000000 GMT"', datetime(1, 1, 1)),  # noqa: DTZ001
        ('""', None),
        ("null", None),
    ],
)
def test_a_time_column_holds(token: str, value: object, n_good: int):
    assert value_of("SnapshotTime", token, n_good=n_good) == (value, None)


@both_ways
@pytest.mark.parametrize(
    "text",
    [
        "20210631T093435.797 GMT", "20210601T243435.797 GMT", "20210601T093460.797 GMT",
        "20210601T093435.7 GMT", "20210601T093435.797999 GMT", "20210601T093435.797GMT",
        "20210601T093435.797 UTC", "20210601", "never", "2021 6 1T093435.797 GMT",
        " 20210601T093435.797 GMT", "20210601T093435.797 GMT ", "00000601T093435 GMT",
        "+0210601T093435.797 GMT", "20210601T093435,797 GMT",
    ],
)  # fmt: skip
def test_a_time_that_is_none_is_rescued(text: str, n_good: int):
    assert value_of("SnapshotTime", json.dumps(text), n_good=n_good) == (None, text)


@both_ways
@pytest.mark.parametrize("token", ["20210601", "1.50", "NaN", "true"])
def test_a_time_column_gives_bare_values_to_rescue(token: str, n_good: int):
    assert value_of("SnapshotTime", token, n_good=n_good) == (None, token)


@both_ways
@pytest.mark.parametrize("column", ["Name", "AnUnknownColumn"])
@pytest.mark.parametrize(
    ("token", "text"),
    [
        ('"x"', "x"), ('""', ""), ("true", "true"), ("false", "false"), ("1.50", "1.50"),
        ("5", "5"), ("-0", "-0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"), ("1E-7", "1E-7"),
        ("0.12345678901234567890123", "0.12345678901234567890123"), ("NaN", "NaN"),
        ("-Infinity", "-Infinity"), ("1e400", "1e400"),
        ('{"a": 1.50,"b":[ ]}', '{"a": 1.50,"b":[ ]}'), ("[]", "[]"), ("{}", "{}"),
        ('["x"]', '["x"]'), ('[ "x" ]', '[ "x" ]'), ('{"b":null}', '{"b":null}'),
        ('{"a":"\\u00e9"}', '{"a":"\\u00e9"}'), ('{":n":null}', '{":n":null}'),
        ('":null"', ":null"), ('": null, "', ": null, "), ('"NaN"', "NaN"), ('"a\\u0000b"', "a\0b"),
        ('"\\u0000"', "\0"), ('"\\ud83d\\ude00"', "😀"), ('"é😀"', "é😀"), ('"a\\"b"', 'a"b'),
        ('"\\\\"', "\\"), ('"\\\\\\":"', '\\":'),
        ('"{\\"pyName\\":\\"x\\",\\"n\\":null}"', '{"pyName":"x","n":null}'),
        ('"a\\tb\\nc\\/"', "a\tb\nc/"), ('"[1,2]"', "[1,2]"), ('"x : y"', "x : y"),
        ('"<0.5, [1"', "<0.5, [1"),
    ],
)  # fmt: skip
def test_a_string_column_holds_the_text_as_it_stood(
    column: str, token: str, text: str, n_good: int
):
    assert value_of(column, token, n_good=n_good) == (text, None)


@both_ways
@pytest.mark.parametrize("n_times", [1, 3])
@pytest.mark.parametrize(
    ("token", "text"),
    [
        ('"\\ud800"', "\\ud800"),
        ('"x\\uDC00é"', "x\\udc00é"),
        ('"\\ud800\\u0041"', "\\ud800A"),
        ('"\\ude00\\ud83d"', "\\ude00\\ud83d"),
    ],
)
def test_a_lone_surrogate_is_rescued_in_its_escaped_form(
    token: str, text: str, n_times: int, n_good: int
):
    assert value_of("Name", token, n_good=n_good) == (None, text)
    result = read(f'{{"Name":{token}}}\n' * n_times)
    assert result.rescued == {"Name": n_times}


def test_several_values_of_a_row_are_rescued_together():
    frame = read('{"Positives":"x","BinIndex":1.5,"Name":"n"}\n{"Positives":1}\n').frame
    assert frame["_rescued_data"].to_list() == ['{"Positives": "x", "BinIndex": "1.5"}', None]


def test_every_value_is_in_the_frame_or_rescued():
    rows = ['{"Positives":"x","Name":""}', '{"Positives":1}', '{"Positives":""}', "{}"]
    result = read("\n".join(rows))
    assert result.present == {"Positives": 2, "Name": 1}
    assert result.rescued == {"Positives": 1}
    assert result.frame["Positives"].count() == 1


def test_all_columns_are_typed_even_where_all_values_are_null():
    names = ["Positives", "BinIndex", "SnapshotTime", "Name"]
    frame = read(json.dumps(dict.fromkeys(names))).frame
    assert frame.schema == {
        "Positives": pl.Float64,
        "BinIndex": pl.Int64,
        "SnapshotTime": pl.Datetime("us"),
        "Name": pl.String,
        "_rescued_data": pl.String,
    }


def test_types_declared_by_a_table_go_before_the_rule():
    spec = TableSpec(
        name="t",
        class_name="C",
        datasets=(),
        keys=(("id",),),
        time="at",
        types={"id": "int", "at": "datetime", "Positives": "string"},
    )
    frame = read_rows(KEY, b'{"id":"7","at":"20210601T093435 GMT","Positives":2.50}\n', spec).frame
    at = datetime(2021, 6, 1, 9, 34, 35)  # noqa: DTZ001
    assert frame.drop("_rescued_data").row(0) == (7, at, "2.50")


def test_missing_keys_are_null_and_rows_stay_in_order():
    lines = [json.dumps({f"k{n % 29}": str(n), "BinIndex": n}).encode() for n in range(3000)]
    lines[1500] = b'{"BinIndex":"1500","late":[1]}'
    frame = read(b"\n".join(lines)).frame
    assert frame["BinIndex"].to_list() == list(range(3000))
    assert frame["k3"].drop_nulls().to_list() == [str(n) for n in range(3, 3000, 29)]
    assert frame["late"].drop_nulls().to_list() == ["[1]"]
    assert frame.columns[-1] == "_rescued_data"


@both_ways
@pytest.mark.parametrize(
    ("row", "value", "dropped"),
    [
        ('{"Name":"a","Name":"b"}', "a", 1),
        ('{"Name":null,"Name":"b"}', None, 1),
        ('{"Name":"a","Name":null}', "a", 0),
        ('{"Name":"a","Name":"a","Name":{"x":1}}', "a", 2),
    ],
)
def test_the_first_of_two_equal_keys_wins_and_lost_values_are_counted(
    row: str, value: str | None, dropped: int, n_good: int
):
    result = read(GOOD * n_good + row.encode() + b"\n" + GOOD * n_good)
    assert result.frame["Name"][n_good] == value
    assert result.duplicate_keys == dropped


@pytest.mark.parametrize(
    "name", ["a b", "%", "+", "é😀", "a:b", ":n", 'a"b', "a\\b", "_private", "\t"]
)
def test_odd_column_names_are_fine(name: str):
    frame = read((json.dumps({name: "x", "Positives": 1}) + "\n") * 3).frame
    assert frame[name].to_list() == ["x"] * 3


@pytest.mark.parametrize(
    "name", ["_rescued_data", "_export_id", "_source_key", "_month", "", "\ud800"]
)
@both_ways
def test_a_column_that_no_table_can_have_is_refused(name: str, n_good: int):
    with pytest.raises(BadInputError, match="rename it") as caught:
        read(GOOD * n_good + json.dumps({name: 1}).encode())
    assert caught.value.key == KEY


@both_ways
@pytest.mark.parametrize(
    "line",
    [
        "[1]", "5", "null", '"x"', '{"a":1} {"a":2}', '{"a":1}{"a":2}', '{"a":1,}', "{'a':1}",
        '{"a":1} // c', "// c", '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":tru}',
        '{"a":nan}', '{"a"}', '{"a":1', "{a:1}", '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\t"}',
        '{"a":1}\x0b', '\ufeff{"a":1}', '{"a":1}\u00a0', "}", "x" * 500,
        '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
    ],
)  # fmt: skip
def test_a_line_that_is_no_object_is_refused_by_its_number(line: str, n_good: int):
    with pytest.raises(BadInputError) as caught:
        read(GOOD * n_good + line.encode() + b"\n" + GOOD * n_good, first_line=101)
    assert caught.value.key == KEY
    assert f"on line {101 + n_good}: {line[:80]}" in caught.value.found
    assert line[:81] not in caught.value.found or len(line) <= 80


def test_bytes_that_are_not_utf_8_are_refused_by_their_line():
    with pytest.raises(BadInputError, match="line 3"):
        read(GOOD * 2 + b'{"a":"\xff"}\n')


@pytest.mark.parametrize(
    "text",
    [
        GOOD * 2, GOOD * 2 + GOOD[:-1], GOOD.replace(b"\n", b"\r\n") * 3,
        b"\n" + GOOD + b"  \n\r\n\t\n" + GOOD * 2,
        b"\n\n" + GOOD.replace(b"1.5", b'"1.5"') + b"\r\n" + GOOD + b"\r\n" + GOOD,
    ],
)  # fmt: skip
def test_line_ends_and_blank_lines_do_not_matter(text: bytes):
    frame = read(text).frame
    assert frame.height == text.count(b"{")
    assert frame["Positives"].to_list() == [1.5] * frame.height


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n\n"])
def test_no_row_gives_an_empty_frame(text: bytes):
    result = read(text)
    assert result.frame.schema == {"_rescued_data": pl.String}
    assert result.frame.height == 0
    assert result.present == {}


def test_rows_without_members_are_rows():
    assert read(b"{}\n{ }\n{}").frame.height == 3
    assert read(GOOD + b"{}\n" + GOOD).frame.height == 3


SUMS = [
    "Positives", "Negatives", "ResponseCount", "BinPositives", "BinNegatives", "pyPositiveCount",
    "pyNegativeCount", "pyCount", "pyPriority",
]  # fmt: skip


@pytest.mark.parametrize("tree", ["main", "variants/folder", "variants/zip", "variants/json"])
def test_the_sample_exports_have_the_expected_rows_and_sums(tree: str):
    if not EXPORTS.exists():
        pytest.skip(f"the sample exports are not at {EXPORTS}")
    expected = json.loads((EXPORTS / "EXPECTED.json").read_text())[tree]
    root = EXPORTS / tree.removeprefix("main") / "datamart"
    by_table = {find_table(n).name: f for n, f in expected.items() if n != "pdstools"}
    for spec in DATAMART_TABLES:
        figures = by_table.get(spec.name)
        found = [path for path in root.rglob("*") if f"{spec.class_name}_" in str(path)]
        files = [path for path in found if path.is_file() and not path.name.startswith(".")]
        if figures is None:
            assert not files
            continue
        frame = read_files(spec, sorted(files))
        assert frame.height == figures["rows"]
        assert max(len(frame.columns) - 1, 0) == figures["columns"]
        if frame.height:
            assert frame["_rescued_data"].null_count() == frame.height
        for name in SUMS:
            if f"sum_{name}" in figures:
                column = next(c for c in (name, f"py{name}") if c in frame.columns)
                assert frame[column].sum() == pytest.approx(figures[f"sum_{name}"], abs=1e-5)


def read_files(spec: TableSpec, files: list[Path]) -> pl.DataFrame:
    frames = [pl.DataFrame()]
    for path in files:
        with path.open("rb") as file:
            before = sum(frame.height for frame in frames)
            chunks = text_chunks(path.name, file, PayloadLimits())
            frames += [read_rows(path.name, chunk, spec).frame for chunk in chunks]
            stated = zip_record_count(path.name, file)
            assert stated in (None, sum(frame.height for frame in frames) - before)
    return pl.concat(frames, how="diagonal")
