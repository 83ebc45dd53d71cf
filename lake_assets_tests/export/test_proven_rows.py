"""The fast readings: that common exports take them, and that they equal the exact one."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from lake_assets.export import proven_rows, rows
from lake_assets.export.column_sample import sample_columns
from lake_assets.export.pega_tables import find_table
from lake_assets.export.proven_lines import read_proven_lines
from lake_assets.export.proven_rows import count_marks, read_proven
from lake_assets.export.rows import read_rows

KEY = "datamart/some.json"
SPEC = find_table("predictor_snapshot")
EXPORTS = Path(__file__).parents[3] / "shared" / "data" / "pega_exports"

# Positives is Float64, BinIndex is Int64, SnapshotTime is a time, all others are String.
GOOD = b'{"Name":"n","Positives":1.5,"BinIndex":3,"SnapshotTime":"20210601T093435.797 GMT"}\n'


# ------------------------------------------------------------------


def is_proven(text: bytes) -> bool:
    marks = count_marks(text)
    assert marks is not None
    sample = sample_columns(text, SPEC, key_ends=marks.key_ends, lines=marks.lines)
    return read_proven(text, marks, sample) is not None


@pytest.mark.parametrize(
    "text",
    [
        GOOD * 50,
        GOOD.replace(b":", b": ").replace(b",", b", ").replace(b"T093435.797", b"T09") * 50,
        GOOD.replace(b"1.5", b'"1.5"').replace(b"3,", b'"3.000",') * 50,
        GOOD.replace(b'"n"', b'"\\u00e9 \\ud83d\\ude00 \\"x\\":null \\n"') * 50,
        GOOD.replace(b'"n"', b"17") * 50,
        GOOD.replace(b"\n", b"\r\n") * 50,
        GOOD.replace(b'"n"', b'"Residual : [x], {y} NaN"') * 50,
        b"".join(b'{"k%d":"x"}\n' % (n % 30) for n in range(200)),
    ],
    ids=[
        "plain",
        "json.dumps",
        "quoted",
        "escapes",
        "bare integer",
        "CRLF",
        "punctuation",
        "sparse",
    ],
)
def test_a_common_export_is_read_as_a_whole(text: bytes):
    assert is_proven(text)


def test_only_the_odd_rows_leave_the_fast_lane():
    odd = [
        b'{"Positives":NaN}\n',
        b'{"Name":1.50}\n',
        b'{"zz":1}\n',
        b'{"BinIndex":"x"}\n',
        b'{"Name":["x"]}\n',
    ]
    text = b"".join(GOOD * 100 + each for each in odd)
    sample = sample_columns(GOOD, SPEC, key_ends=0, lines=1)
    found = read_proven_lines(text.decode(), sample)
    assert [f"{line}\n".encode() for _, line in found.odd] == odd
    assert found.frame.height == 500


def test_the_marks_are_what_a_search_counts(monkeypatch: pytest.MonkeyPatch):
    text = GOOD * 20 + b'{"a":null,"b": null,":n":":null", "c" :1}\n'.replace(b" :", b":") + GOOD
    for piece_bytes in (10, 200, 10**6):
        monkeypatch.setattr(proven_rows, "_PIECE_BYTES", piece_bytes)
        marks = count_marks(text)
        assert marks is not None
        assert marks.key_ends == text.count(b'":')
        assert marks.nulls == text.count(b'":n') + text.count(b'": n')
        assert marks.quotes == text.count(b'"')
        assert marks.lines == text.count(b"\n")


@pytest.mark.parametrize(
    "text",
    [
        b'{"a" :1}\n',
        b'{"a"  :1}\n',
        b'{"a"\t:1}\n',
        b'{"a":[1]}\n',
        b'{"a":   [1]}\n',
        b'{"a\\\\":1}\n',
        b'{"a":"\\ud800"}\n',
    ],
)
def test_a_text_that_cannot_be_counted_is_declined(text: bytes):
    assert count_marks(GOOD * 10 + text + GOOD * 10) is None


# ----------------------------------------------------------------------------

# fmt: off
PIECES = [
    '"', '":', '\\"', ":n", ": null", ":", "[", "{", "}", ",", "\\", "n", " ", "é", "😀", "\0",
    "\t", "NaN", "x", '{"a":1}',
]
TOKENS = [
    "1", "0", "-0", "-0.0", "1.50", "1.0", "1e3", "1E-7", "1e400", "NaN", "Infinity", "-Infinity",
    "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808",
    "123456789012345678901234567890", "true", "false", "null", "[]", "{}", "[null]", '[1,"x"]',
    '["x"]',
    '{"b":null}', '{"b":1}', '{":n":null}', '{"b":null,"c":["x"]}', '[":n"]', '[{"a":null}]', '""',
    '"91.000000"', '"N/A"', '"NaN"', '":n"', '": null"', '":x"', '"20210601T093435.797 GMT"',
    '"20210631T093435.797 GMT"',
]
# fmt: on
texts = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
broken_texts = st.lists(st.sampled_from([*PIECES, "\ud800", "\udc00"]), max_size=3).map("".join)
names = st.sampled_from(["Name", "Other", "Positives", "BinIndex", "SnapshotTime"])
keys = names | texts.filter(bool)
tokens = st.sampled_from(TOKENS)
values = (
    tokens
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers().map(str)
    | st.builds(json.dumps, texts | broken_texts)
    | st.builds(lambda text: json.dumps(text, ensure_ascii=False), texts)
)


def row_text(members: list[tuple[str, str]], colon: str, comma: str) -> str:
    return "{" + comma.join(f"{json.dumps(key)}{colon}{value}" for key, value in members) + "}"


odd_rows = st.builds(
    row_text,
    st.lists(st.tuples(keys, values), max_size=5),
    st.sampled_from([":", ": ", " :", "  :  ", ":\t", "\t:"]),
    st.sampled_from([",", ", ", " ,\t"]),
)


@st.composite
def exports(draw: st.DrawFn) -> str:
    """Rows of one shape, as exports have them, with odd ones in between."""
    members = st.lists(st.tuples(keys, values), min_size=1, max_size=4, unique_by=lambda m: m[0])
    row = row_text(draw(members), draw(st.sampled_from([":", ": "])), ", ")
    lines = [row] * draw(st.sampled_from([0, 1, 3, 40]))
    for odd in draw(st.lists(odd_rows, max_size=4)):
        lines.insert(draw(st.integers(0, len(lines))), odd)
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)


@st.composite
def nearly_regular(draw: st.DrawFn) -> str:
    """Rows as they should be but for a few members, in rows that the sample does not look at."""
    names = ["Name", "Positives", "BinIndex", "Other"]
    rows = [dict(zip(names, ['"n"', "1.5", "3", "null"], strict=True)) for _ in range(60)]
    for number in draw(st.lists(st.integers(10, 16), max_size=3)):
        rows[number] |= {draw(keys): draw(tokens) for _ in range(draw(st.integers(1, 2)))}
        if draw(st.booleans()):
            rows[number].pop(draw(st.sampled_from(names)), None)
    return "\n".join(row_text([*row.items()], ":", ",") for row in rows)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exports() | nearly_regular())
def test_what_is_read_fast_is_what_is_read_exactly(text: str):
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip(" \t\r")]
    part = rows._exact_part(KEY, lines, 1)
    expected, rescued = rows._typed(part, SPEC)
    result = read_rows(KEY, text.encode(), SPEC)
    assert result.rescued == rescued
    assert result.duplicate_keys == part.duplicate_keys
    assert with_values(result.frame) == with_values(expected)
    names = with_values(expected)
    assert_frame_equal(result.frame.select(names), expected.select(names), check_exact=True)
    assert rescues(result.frame) == rescues(expected)
    for name, count in result.present.items():
        assert count == result.frame[name].count() + rescued.get(name, 0)


def with_values(frame: pl.DataFrame) -> list[str]:
    """Columns with values; one without may go unseen. Rescues are compared apart, in any order."""
    return sorted(name for name in frame.columns if name != "_rescued_data" and frame[name].count())


def rescues(frame: pl.DataFrame) -> list[object]:
    return [text and json.loads(text) for text in frame["_rescued_data"]]


def test_quoted_numbers_load_as_the_numbers_they_are():
    path = next(iter(sorted(EXPORTS.glob("datamart/Data*Predictor*.gz"))), None)
    if path is None:
        pytest.skip(f"the sample exports are not at {EXPORTS}")
    text = gzip.decompress(path.read_bytes())
    lines = [json.loads(line, parse_int=str, parse_float=str) for line in text.splitlines()]
    quoted = "\n".join(map(json.dumps, lines)).encode()
    assert is_proven(quoted)
    assert_frame_equal(
        read_rows(KEY, quoted, SPEC).frame,
        read_rows(KEY, text, SPEC).frame,
        check_exact=True,
    )
