"""NDJSON: both lanes give the same exact rows; what columns are, and what is refused."""

import json

import polars as pl
import pytest

from lake_assets.database_settings import parse_column_type
from lake_assets.errors import BadInputError
from lake_assets.export import ndjson_rows
from lake_assets.export.ndjson_rows import NdjsonTypes, read_ndjson
from lake_assets.export.part_rows import PartRows, Reading

KEY = "dump/orders.json"
DIGITS = "12345678901234567890123456789012345678"


def read(*lines: str, **types: str) -> PartRows:
    columns = {name: parse_column_type(text) for name, text in types.items()}
    (rows,) = read_ndjson(KEY, iter(["\n".join(lines).encode()]), Reading("ndjson", columns))
    for name, count in rows.present.items():
        assert count == rows.frame[name].count() + rows.rescued.get(name, 0)
    return rows


def types(*chunks: str, **declared: str) -> dict[str, str]:
    found = NdjsonTypes({name: parse_column_type(text) for name, text in declared.items()})
    found.add(KEY, (chunk.encode() for chunk in chunks))
    return {name: column.kind for name, column in found.columns().items()}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1|2|null", "int"), ("9223372036854775807|1", "int"), ("1|2.5", "float"),
        ("9007199254740993|2.5", "string"), ("9223372036854775809", "string"),
        ("0.30000000000000004|1e23", "float"), ("0.1234567890123456789", "string"),
        ("true|false", "bool"), ("true|1", "string"), ('"1"|"2"', "string"), ('"1"|2', "string"),
        ("null", "string"), ('"2024-01-01"|"2024-01-01 00:00:00"', "string"),
    ],
)  # fmt: skip
def test_a_type_is_that_of_all_values(values: str, kind: str):
    lines = [f'{{"x":{value}}}\n' for value in values.split("|")]
    assert types("".join(lines)) == {"x": kind}
    assert types(*lines) == {"x": kind}
    # Each value in the type comes back as its own text or number.
    rows = read(*lines, x=kind)
    tokens = [json.loads(value, parse_float=str) for value in values.split("|")]
    texts = [None if v is None else json.dumps(v) if type(v) is bool else str(v) for v in tokens]
    held = rows.frame["x"].to_list()
    assert held == [v and fit(v, kind) for v in texts]
    assert rows.rescued == {}


def fit(text: str, kind: str) -> object:
    return {"int": int, "float": float, "bool": json.loads, "string": str}[kind](text)


def test_nested_columns_are_left_to_the_chunks_and_clashes_refused():
    assert types('{"a":{"b":1},"c":[1]}\n', '{"a":null,"c":[]}\n', '{"a":{}}\n') == {}
    with pytest.raises(BadInputError, match=r"'a', in all files, found int and nested.*a: json"):
        types('{"a":{"b":1}}\n', '{"a":1}\n')
    assert types('{"a":{"b":1}}\n', '{"a":1}\n', a="json") == {"a": "json"}


NESTED = [
    '{"s":{"i":1,"f":1,"t":"2024-01-01","e":{},"n":null},"l":[1,null],"m":[]}',
    '{"s":{"i":2,"f":2.5,"x":true},"l":[],"o":[{"a":[1]},{"b":"é"}]}',
    "  ",
    '{"s":null,"l":null}',
]


def test_both_lanes_give_the_same_nested_rows(monkeypatch: pytest.MonkeyPatch):
    fast = read(*NESTED)
    assert fast.frame["s"].to_list()[0] == {
        "i": 1, "f": 1.0, "t": "2024-01-01", "e": {"_empty": None}, "n": None, "x": None,
    }  # fmt: skip
    assert fast.frame["o"].to_list()[1] == [{"a": [1], "b": None}, {"a": None, "b": "é"}]
    assert fast.frame["l"].to_list() == [[1, None], [], None]
    # A number that no type holds sends the whole chunk through the exact lane.
    monkeypatch.setattr(ndjson_rows, "_fast_rows", lambda *_: None)
    exact = read(*NESTED)
    assert exact.frame.select(fast.frame.columns).equals(fast.frame)
    assert exact.frame.select(fast.frame.columns).schema == fast.frame.schema


@pytest.mark.parametrize(
    "text", ["[null,5]", "[null,null]", "[[null,5],null]", '[null,{"b":[null,1]}]']
)
def test_a_null_at_the_beginning_of_a_list_stays(text: str):
    lines = [f'{{"a":{text}}}', '{"a":[]}']
    rows = read(*lines)
    assert rows.frame["a"].to_list() == [json.loads(text), []]


def test_no_digit_is_lost_in_nested_values():
    rows = read(f'{{"a":{{"d":{DIGITS},"l":[9007199254740993,0.5]}}}}', '{"a":{"d":1}}')
    assert rows.frame["a"].to_list() == [
        {"d": DIGITS, "l": ["9007199254740993", "0.5"]}, {"d": "1", "l": None},
    ]  # fmt: skip
    big = read('{"a":{"i":9007199254740993}}')
    assert big.frame["a"].to_list() == [{"i": 9007199254740993}]


def test_declared_types_hold_exact_texts_or_rescue_them():
    rows = read(
        '{"i":5,"d":1.10,"j":{"a":1.50},"t":"2024-01-01T00:00:00Z","s":1.50}',
        '{"i":"6","d":1.234,"j":"x","t":"soon","s":[1,{"a":2.0}]}',
        '{"i":1.5,"d":null,"j":null,"t":3}',
        i="int", d="decimal(5,2)", j="json", t="datetime", s="string",
    )  # fmt: skip
    assert rows.frame["i"].to_list() == [5, 6, None]
    assert rows.frame["j"].to_list() == ['{"a": 1.50}', '"x"', None]
    assert rows.frame["s"].to_list() == ["1.50", '[1, {"a": 2.0}]', None]
    rescued = [text and json.loads(text) for text in rows.frame["_rescued_data"]]
    assert rescued == [None, {"d": "1.234", "t": "soon"}, {"i": "1.5", "t": "3"}]
    assert rows.rescued == {"d": 1, "t": 2, "i": 1}


def test_half_a_surrogate_pair_is_rescued_with_its_escape():
    rows = read('{"a":"x\\ud800","b":{"c":"\\ud83d\\ude00"}}', '{"a":"y","b":{"c":"\\udfff"}}')
    assert rows.frame["a"].to_list() == [None, "y"]
    assert rows.frame["b"].to_list() == [{"c": "😀"}, None]
    rescued = [json.loads(text) for text in rows.frame["_rescued_data"]]
    assert rescued == [{"a": "x\\ud800"}, {"b": '{"c": "\\udfff"}'}]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"a":1', "on line 3"), ("[1]", "no object on line 3"),
        ('{"a":1,"a":2}', "'a' twice on line 3"),
        ('{"a":{"b":1,"b":2}}', "'b' twice on line 3"), ('{"a":1}{"a":2}', "on line 3"),
        ('{"a":"x"}', "one kind of value in 'a'"), ('{"":1}', "empty name"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused(line: str, named: str):
    good = '{"a":{"k":1}}'
    with pytest.raises(BadInputError, match=named) as caught:
        read(good, "", line, good)
    assert caught.value.key == KEY


def test_keys_that_are_data_are_refused_until_declared_json():
    lines = [f'{{"a":{{"b":{{"user-{n}":1.50}}}}}}' for n in range(900)]
    with pytest.raises(BadInputError, match=r"'a.b', found other keys.*columns: \{a: json\}"):
        read(*lines)
    assert read(*lines, a="json").frame["a"][899] == '{"b": {"user-899": 1.50}}'
    assert types("\n".join(lines)) == {}


@pytest.mark.parametrize("depth", [200, 3000, 30_000])
def test_a_value_nested_without_end_is_refused_and_crashes_nothing(depth: int):
    line = '{"a":' * depth + "1" + "}" * depth
    with pytest.raises(BadInputError, match=r"nested|recursion"):
        read('{"b":1}', line)


def test_chunks_join_whatever_was_open_in_one_of_them():
    chunks = [b'{"a":{"x":null},"l":[]}\n', b'{"a":{"x":{"y":1}},"l":[{"z":1}]}\n']
    frames = [rows.frame for rows in read_ndjson(KEY, iter(chunks), Reading("ndjson"))]
    joined = pl.concat(frames, how="diagonal_relaxed")
    assert joined.rows() == [({"x": None}, []), ({"x": {"y": 1}}, [{"z": 1}])]
