"""CSV: exact values, nulls, quotes and line ends; the types of columns; what is refused."""

import gzip
import io
import random

import polars as pl
import pytest

from lake_assets.database_settings import parse_column_type
from lake_assets.errors import BadInputError
from lake_assets.export.csv_rows import csv_texts, read_csv
from lake_assets.export.part_rows import Reading
from lake_assets.export.payload import PayloadLimits
from lake_assets.export.text_types import TextTypes

KEY = "dump/orders.csv"


def texts(body: bytes, *, key: str = KEY, chunk_bytes: int = 10**6) -> list[pl.DataFrame]:
    return list(csv_texts(key, io.BytesIO(body), PayloadLimits(chunk_bytes, 1000, 2_500_000)))


def types(*bodies: str, **declared: str) -> dict[str, str]:
    found = TextTypes({name: parse_column_type(text) for name, text in declared.items()})
    for body in bodies:
        for frame in texts(body.encode()):
            found.add(frame)
    return {name: column.kind for name, column in found.columns().items()}


def test_quoting_nulls_and_line_ends_are_those_of_rfc_4180():
    body = b'\xef\xbb\xbfa,b,c\r\n1,"",x\r\n,\\N,"\\N"\r\n"q""r","l\r\n2,3",\xc3\xa9\r\n'
    (frame,) = texts(body)
    assert frame.columns == ["a", "b", "c"]
    assert frame.rows() == [("1", "", "x"), (None, None, "\\N"), ('q"r', "l\r\n2,3", "é")]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"PK,SK\n1,2", [("1", "2")]),
        (b'"a\nb","c,d"\n1,2\n', [("1", "2")]),
        (b"a\n1\n\n2\n", [("1",), (None,), ("2",)]),
        (b"a,b\n1,2\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        (b"a,b\n", []),
        (b"a,b", []),
        (b"a,b\n2024-01-01,true\n", [("2024-01-01", "true")]),
        (b"a,b\nnull,NA\n", [("null", "NA")]),
    ],
)
def test_a_small_file_holds(body: bytes, rows: list):
    assert [row for frame in texts(body) for row in frame.rows()] == rows
    packed = gzip.compress(body[:7]) + gzip.compress(body[7:])
    assert [row for frame in texts(packed) for row in frame.rows()] == rows


def test_tsv_is_told_by_its_name():
    (frame,) = texts(b"a,x\tb\n1\t\\N\n", key="dump/T.TSV.gz")
    assert frame.to_dict(as_series=False) == {"a,x": ["1"], "b": [None]}


def test_chunks_of_any_size_hold_the_same_rows():
    random_ = random.Random(3)  # noqa: S311 (test data)
    values = ["", "1", '"a\nb"', '"x""y"', '""', '"\r\n"', "é", "\\N", '","']
    lines = [",".join(random_.choices(values, k=3)) for _ in range(300)]
    body = "\n".join(["a,b,c", *lines]).encode()
    whole = pl.concat(texts(body))
    assert whole.height == 300
    assert whole["a"].null_count() == sum(line.startswith((",", "\\N,")) for line in lines)
    for chunk_bytes in (7, 64, 333):
        chunks = texts(body, chunk_bytes=chunk_bytes)
        assert len(chunks) > 3
        assert pl.concat(chunks).equals(whole)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'a,b\n1,2\n"x\ny",2\n1\n', "1 values on line 5"),
        (b"a,b\n1,2\n1,2,3\n", "3 values on line 3"),
        (b"a,b,a\n1,2,3\n", "repeated name 'a'"),
        (b"a,\n1,2\n", "empty name"),
        (b"a,_rescued_data\n1,2\n", "reserved name"),
        (b"\na\n", "header"),
        (b'a,b\n1,2\n5" disk,2\n1,"3"\n', "open"),
        (b'a,b\n1,2\n5" or 6",2\n', "another on line 3"),
        (b'a,b\n1,2\n"x"y,2\n', "another on line 3"),
        (b'a,b\n1,"2\n', "open"),
        (b'a,b\n1,"' + b"x\n" * 400 + b'"\n', None),
        (b'a,b\n1,"' + b"x" * 2_000_000, "longer"),
        (b"a,b\n1,2\n\xff,3\n", r"\(ff2c33"),
        (b"a,b\r1,2\r", "bare CR"),
        (b'a,b\n1,"x\ry"\n2,x\ry,3\n', "bare CR on line 3"),
        pytest.param(gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "gzip", id="gzip cut short"),
        (b"a,b\n" + b"1,2\n" * 700_000, "2500000 bytes"),
    ],
)
def test_what_could_move_a_value_is_refused(body: bytes, named: str | None):
    if named is None:  # a quoted value over many lines is none of it
        assert texts(body, chunk_bytes=100)[0].height == 1
        return
    with pytest.raises(BadInputError, match=named) as caught:
        texts(body, chunk_bytes=500)
    assert caught.value.key == KEY


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1|-5|0|9223372036854775807", "int"), ("1|007", "string"), ("1|+5", "string"),
        ("9223372036854775809", "string"), ("-0|1.0", "float"), ("1|2.50|-0.5", "float"),
        ("9007199254740993|0.5", "string"), ("0.1234567890123456789", "string"),
        ("1e5", "string"), ("1|1e5", "string"), (".5", "string"), ("true|false", "bool"),
        ("t|f", "string"), ("true|1", "string"), ("NaN", "string"), ("2024-01-01", "string"),
        ('1|""', "string"), ("|\\N", "string"), ("|1", "int"), ("1| 2", "string"),
    ],
)  # fmt: skip
def test_a_type_is_inferred_only_where_every_value_prints_back(values: str, kind: str):
    body = "k,x\n" + "".join(f"a,{value}\n" for value in values.split("|"))
    assert types(body) == {"k": "string", "x": kind}


def test_types_are_inferred_over_all_files_and_declared_ones_kept():
    found = types("a,b\n1,1\n", "b,c\n2.5,\n", "a,d\n\n3,1\n", d="decimal(9,2)", z="date")
    assert found == {"a": "int", "b": "float", "c": "string", "d": "decimal", "z": "date"}


def test_what_does_not_fit_is_rescued_and_counted():
    columns = {"a": parse_column_type("int"), "b": parse_column_type("date")}
    body = b'a,b,c\n1,2024-01-01,x\n1.5,nope,"""y"\n,,\n'
    (rows,) = read_csv(KEY, io.BytesIO(body), Reading("csv", columns))
    assert rows.frame["a"].to_list() == [1, None, None]
    assert rows.frame["c"].to_list() == ["x", '"y', None]
    assert rows.frame["_rescued_data"].to_list() == [None, '{"a": "1.5", "b": "nope"}', None]
    assert (rows.present, rows.rescued) == ({"a": 2, "b": 2, "c": 2}, {"a": 1, "b": 1})
