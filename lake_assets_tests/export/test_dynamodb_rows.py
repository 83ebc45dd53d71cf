"""DynamoDB JSON: what each of its types becomes, what is refused, and what declared types hold."""

import json
from decimal import Decimal

import polars as pl
import pytest

from lake_assets.database_settings import parse_column_type
from lake_assets.errors import BadInputError
from lake_assets.export.dynamodb_rows import read_dynamodb
from lake_assets.export.part_rows import PartRows, Reading

KEY = "export/data/a.json.gz"
DIGITS = "12345678901234567890123456789012345678"


def text_of(*items: dict[str, object]) -> bytes:
    return b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in items)


def read(*chunks: bytes, **types: str) -> list[PartRows]:
    columns = {name: parse_column_type(text) for name, text in types.items()}
    return list(read_dynamodb(KEY, iter(chunks), Reading("dynamodb", columns)))


def column(*values: dict[str, object] | None, declared: str | None = None) -> PartRows:
    """What the values of one attribute become, beside a key that all items have."""
    items = [{"id": {"S": str(n)}, **({} if v is None else {"x": v})} for n, v in enumerate(values)]
    (rows,) = read(text_of(*items), **({"x": declared} if declared else {}))
    assert rows.frame["id"].to_list() == [str(n) for n in range(len(values))]
    held = rows.frame["x"].count() + rows.rescued.get("x", 0)
    assert rows.present["x"] == held
    return rows


@pytest.mark.parametrize(
    ("values", "dtype", "held"),
    [
        ([{"S": "2024-01-01"}, None, {"S": ""}], pl.String, ["2024-01-01", None, ""]),
        ([{"N": "1.50"}, {"N": DIGITS}, {"NULL": True}], pl.String, ["1.50", DIGITS, None]),
        ([{"B": "AP8="}, {"B": ""}], pl.Binary, [b"\x00\xff", b""]),
        ([{"BOOL": True}, {"BOOL": False}], pl.Boolean, [True, False]),
        ([{"NULL": True}, None], pl.Null, [None, None]),
        ([{"SS": ["a", "b"]}], pl.List(pl.String), [["a", "b"]]),
        ([{"NS": ["1", "2.50"]}], pl.List(pl.String), [["1", "2.50"]]),
        ([{"BS": ["YQ=="]}, None], pl.List(pl.Binary), [[b"a"], None]),
        ([{"L": []}, None], pl.List(pl.Null), [[], None]),
        ([{"L": [{"N": "1"}, {"NULL": True}]}, {"L": []}], pl.List(pl.String), [["1", None], []]),
        ([{"L": [{"S": "a"}]}, {"SS": ["b"]}], pl.List(pl.String), [["a"], ["b"]]),
        ([{"L": [{"L": [{"BOOL": True}]}]}], pl.List(pl.List(pl.Boolean)), [[[True]]]),
        (
            [{"M": {"a": {"M": {"b": {"N": DIGITS}}}}}, {"M": {}}, None],
            pl.Struct({"a": pl.Struct({"b": pl.String})}),
            [{"a": {"b": DIGITS}}, {"a": None}, None],
        ),
        ([{"M": {}}, None], pl.Struct({"_empty": pl.Boolean}), [{"_empty": None}, None]),
        (
            [{"L": [{"M": {"S": {"S": "x"}}}, {"M": {"N": {"N": "1"}}}]}],
            pl.List(pl.Struct({"S": pl.String, "N": pl.String})),
            [[{"S": "x", "N": None}, {"S": None, "N": "1"}]],
        ),
        # Scalars of several types in one place are text.
        ([{"S": "a"}, {"N": "1.0"}, {"BOOL": True}], pl.String, ["a", "1.0", "true"]),
        ([{"L": [{"S": "a"}, {"N": "1"}]}], pl.List(pl.String), [["a", "1"]]),
    ],
)  # fmt: skip
def test_every_type_has_its_column(values: list, dtype: pl.DataType, held: list):
    rows = column(*values)
    assert rows.frame["x"].dtype == dtype
    assert rows.frame["x"].to_list() == held
    assert "_rescued_data" not in rows.frame.columns


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([{"S": "a"}, {"M": {"k": {"S": "b"}}}], "'x', found M and S"),
        ([{"M": {"k": {"L": []}}}, {"M": {"k": {"N": "1"}}}], "'x.k', found L and N"),
        ([{"L": [{"S": "a"}, {"M": {}}]}], r"'x\[\]', found M and S"),
        ([{"SS": ["a"]}, {"BS": ["YQ=="]}], "'x', found BS and SS"),
    ],
)
def test_what_no_column_can_hold_is_refused_by_its_path_and_held_as_json(values: list, named: str):
    with pytest.raises(BadInputError, match=rf"{named}.*columns: {{x: json}}"):
        column(*values)
    assert column(*values, declared="json").present["x"] == len(values)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"Item":{"a":{"Q":"x"}}}\n', "'Q'"),
        (b'{"Item":{"a":{}}}\n{"Item":{"a":{"S":"x"}}}\n', "in 'a'"),
        (b'{"Item":{"a":{"S":"x","N":"1"}}}\n{"Item":{"a":{}}}\n', "in 'a'"),
        (b'{"Item":{"a":{"S":"x"}}}\n{"Item":{"a":{"S":1.50}}}\n', "changed from string to number"),
        (b'{"Item":{"a":{"N":1}}}\n', "'N' with int64"),
        (b'{"Item":{"a":"x"}}\n', "without a type"),
        (b'{"Item":{"a":{"S":"x"},"a":{"S":"y"}}}\n', "twice"),
        (b'{"Item":{"a":{"S":"\\ud800"}}}\n', "surrogate"),
        (b'{"Item":{"a":{"B":"no base64!"}}}\n', "no base64"),
        (b'{"Item":{"a":{"S":"x"}}}{"Item":{"a":{"S":"y"}}}\n', "2 items"),
        (b'{"Item":\n{"a":{"S":"y"}}}\n', "1 items"),
        (b'{"Item":{"a":{"S":"x"}}}\n{"Item":{"a":{"S":\n', "row 1"),
        (b'{"Item":null}\n', "without an Item"),
        (b'{"Keys":{"a":{"S":"x"}},"NewImage":{"a":{"S":"x"}}}\n', "incremental"),
        (b'{"Item":{"_rescued_data":{"S":"x"}}}\n', "reserved name"),
    ],
)
def test_what_is_no_full_export_is_refused(text: bytes, named: str):
    with pytest.raises(BadInputError, match=named) as caught:
        read(text)
    assert caught.value.key == KEY


def test_keys_that_are_data_are_refused_until_declared_json():
    items = [{"m": {"M": {f"user-{n}": {"N": "1"}}}} for n in range(900)]
    with pytest.raises(BadInputError, match=r"in 'm.M'; declare.*columns: \{m: json\}"):
        read(text_of(*items))
    (rows,) = read(text_of(*items), m="json")
    assert rows.frame["m"][899] == '{"user-899": 1}'
    wide = [{"m": {"M": {f"f{k}": {"N": "1"} for k in range(n % 7, 400)}}} for n in range(99)]
    assert len(read(text_of(*wide))[0].frame["m"].struct.fields) == 400


@pytest.mark.parametrize("depth", [200, 30_000])
def test_a_value_nested_without_end_is_refused_and_crashes_nothing(depth: int):
    text = b'{"Item":{"a":' + b'{"L":[' * depth + b"]}" * depth + b"}}\n"
    with pytest.raises(BadInputError, match="levels deep"):
        read(text)


def test_declared_numbers_are_exact_or_rescued():
    values = [{"N": "5"}, {"N": "1.25"}, {"N": DIGITS}, {"S": "n/a"}, {"L": [{"N": "1.0"}]}, None]
    rows = column(*values, declared="int")
    assert rows.frame["x"].to_list() == [5, None, None, None, None, None]
    assert rows.rescued == {"x": 4}
    rescued = [text and json.loads(text) for text in rows.frame["_rescued_data"]]
    texts = ["1.25", DIGITS, "n/a", "[1.0]"]
    assert rescued == [None, *({"x": text} for text in texts), None]
    floats = column(*values, declared="float").frame["x"].to_list()
    assert floats == [5.0, 1.25, None, None, None, None]
    decimals = column(*values, declared="decimal(38,0)").frame["x"].to_list()
    assert decimals == [Decimal(5), None, Decimal(DIGITS), None, None, None]


def test_declared_bytes_are_never_made_of_text():
    rows = column({"B": "YWJj"}, {"S": "YWJj"}, declared="binary")
    assert rows.frame["x"].to_list() == [b"abc", None]
    assert rows.frame["_rescued_data"].to_list() == [None, '{"x": "YWJj"}']


def test_json_is_plain_and_keeps_every_digit_and_key():
    value = {
        "M": {"n": {"N": "1.50"}, "l": {"L": [{"NULL": True}, {"BS": ["YQ=="]}]}, "e": {"M": {}}}
    }
    rows = column(value, {"S": "é"}, {"NULL": True}, None, declared="json")
    assert rows.frame["x"].to_list() == [
        '{"n": 1.50, "l": [null, ["YQ=="]], "e": {}}', '"é"', None, None,
    ]  # fmt: skip
    assert column(value, {"NULL": True}, declared="string").frame["x"][0] == rows.frame["x"][0]


def test_what_is_open_in_one_chunk_joins_with_its_type_in_the_next():
    first = {
        "l": {"L": []},
        "m": {"M": {}},
        "n": {"NULL": True},
        "d": {"L": [{"M": {"a": {"L": []}}}]},
    }
    second = {
        "l": {"L": [{"S": "1"}]}, "m": {"M": {"k": {"BOOL": True}}}, "n": {"S": "q"},
        "d": {"L": [{"M": {"a": {"L": [{"S": "z"}]}}}]},
    }  # fmt: skip
    chunks = read(text_of(first), b"\n" + text_of(second), text_of(first))
    frame = pl.concat([rows.frame for rows in chunks], how="diagonal_relaxed")
    assert frame["l"].to_list() == [[], ["1"], []]
    assert frame["m"].struct.field("k").to_list() == [None, True, None]
    assert frame["m"].null_count() == 0
    assert frame["n"].to_list() == [None, "q", None]
    assert frame["d"].to_list() == [[{"a": []}], [{"a": ["z"]}], [{"a": []}]]
