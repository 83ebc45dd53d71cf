"""Parts of files: every format through a store, ranges, memory, files that are not as listed."""

import base64
import gzip
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.database_settings import parse_column_type
from lake_assets.errors import BadInputError, SourceChangedError
from lake_assets.export.parquet_rows import lake_type
from lake_assets.export.read_part import PartRows, Reading, infer_columns, read_part
from lake_assets.export.source import FilePart, SourceFile, SourceFormat
from lake_assets.s3 import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def put(store: Store, key: str, body: bytes, **said: int | str | None) -> SourceFile:
    store.put(key, body)
    listed = store.head(key)
    assert listed is not None
    return SourceFile(key, listed.size_bytes, listed.etag, **said)


def reading(format_: SourceFormat, chunk_bytes: int = 10**6, **types: str) -> Reading:
    columns = {name: parse_column_type(text) for name, text in types.items()}
    return Reading(format_, columns, chunk_bytes)


def read(store: Store, part: FilePart | SourceFile, how: Reading) -> list[PartRows]:
    part = part if isinstance(part, FilePart) else FilePart(part)
    return list(read_part(store, part, how))


def frame(chunks: list[PartRows]) -> pl.DataFrame:
    return pl.concat([rows.frame for rows in chunks], how="diagonal_relaxed")


def parquet(columns: Mapping[str, pa.Array] | pa.Table, **options: object) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def items(n: int) -> bytes:
    return b"".join(b'{"Item":{"id":{"N":"%d"}}}\n' % number for number in range(n))


FORMATS: dict[SourceFormat, bytes] = {
    "csv": b"id,x\n" + b"".join(b'%d,"a\nb"\n' % n for n in range(500)),
    "ndjson": b"".join(b'{"id":%d,"x":"a"}\n' % n for n in range(500)),
    "dynamodb": items(500),
    "parquet": parquet({"id": pa.array(range(500))}, row_group_size=77),
    "rds": parquet({"id": pa.array(range(500))}),
}


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_read_in_chunks_and_in_order(store: Store, format_: SourceFormat):
    file = put(store, "a/data", FORMATS[format_], rows=500)
    how = reading(format_, 1000, id="int")
    chunks = read(store, file, how)
    assert len(chunks) > 3
    assert frame(chunks)["id"].to_list() == list(range(500))
    with pytest.raises(BadInputError, match="a/data: expected 499 rows"):
        read(store, replace(file, rows=499), how)
    store.put("a/data", FORMATS[format_] + b"\n")
    with pytest.raises(SourceChangedError, match="a/data"):
        read(store, file, how)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_cut_file_is_refused_by_its_key(store: Store, format_: SourceFormat):
    body = FORMATS[format_]
    body = body if format_ in ("parquet", "rds") else gzip.compress(body)
    file = put(store, "a/data", body[: len(body) * 2 // 3])
    with pytest.raises(BadInputError, match="a/data"):
        read(store, file, reading(format_))


def test_the_md5_of_the_manifest_is_that_of_the_stored_or_of_the_unpacked_bytes(store: Store):
    body = gzip.compress(items(40))
    for proven in (body, gzip.decompress(body)):
        md5 = hashlib.md5(proven, usedforsecurity=False).hexdigest()
        file = put(store, "a.json.gz", body, md5=md5)
        assert frame(read(store, file, reading("dynamodb", 99))).height == 40
    other = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    file = put(store, "a.json.gz", body, md5=other)
    with pytest.raises(BadInputError, match=f"the md5 {other}"):
        read(store, file, reading("dynamodb"))


def test_ranges_of_a_text_file_hold_each_line_once(store: Store):
    lines = [json.dumps({"id": n, "x": "é" * (n % 7)}, ensure_ascii=False) for n in range(60)]
    body = "\r\n".join(["", *lines, "  "]).encode()
    file = put(store, "a.json", body)
    how = reading("ndjson", 50, id="int")
    for step in (1, 13, 200, len(body)):
        cuts = [*range(0, len(body), step), len(body)]
        parts = [FilePart(file, *cut) for cut in pairwise(cuts)]
        ids = [n for part in parts for rows in read(store, part, how) for n in rows.frame["id"]]
        assert ids == list(range(60))
    with pytest.raises(ValueError, match="read whole"):
        read(store, FilePart(file, 0, 9), reading("csv"))


def test_ranges_of_a_parquet_file_are_row_groups(store: Store):
    body = parquet({"id": pa.array(range(100))}, row_group_size=30)
    file = put(store, "a.parquet", body, rows=100)
    parts = [FilePart(file, 0, 1), FilePart(file, 1, 4), FilePart(file, 2, 2)]
    ids = [
        [n for rows in read(store, p, reading("parquet")) for n in rows.frame["id"]] for p in parts
    ]
    assert ids == [list(range(30)), list(range(30, 100)), []]
    with pytest.raises(BadInputError, match="found a file with 4"):
        read(store, FilePart(file, 3, 5), reading("parquet"))


def test_types_are_inferred_over_all_rows_of_all_files(store: Store):
    bodies = [
        b"a,b\n1,true\n2,\n",
        gzip.compress(b"a,b,c\n" + b"1,false,x\n" * 999 + b"1.5,true,\n"),
    ]
    files = [put(store, f"{n}.csv", body) for n, body in enumerate(bodies)]
    found = infer_columns(store, files, reading("csv", 100, d="date"))
    assert {name: column.kind for name, column in found.items()} == {
        "a": "float", "b": "bool", "c": "string", "d": "date",
    }  # fmt: skip
    bodies = [b'{"a":1,"n":{}}\n', gzip.compress(b'{"a":2}\n' * 999 + b'{"a":2.5,"b":"x"}\n')]
    files = [put(store, f"{n}.json", body) for n, body in enumerate(bodies)]
    found = infer_columns(store, files, reading("ndjson", 100))
    assert {name: column.kind for name, column in found.items()} == {"a": "float", "b": "string"}
    with pytest.raises(ValueError, match="'parquet'"):
        infer_columns(store, files, reading("parquet"))


UTC_TIME = datetime(2024, 5, 1, 12, 30, 1, 250_000, tzinfo=UTC)
NAIVE = UTC_TIME.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("source", "dtype", "held"),
    [
        (pa.array([1, None], pa.uint8()), pl.Int16, [1, None]),
        (pa.array([65535], pa.uint16()), pl.Int32, [65535]),
        (pa.array([2**32 - 1], pa.uint32()), pl.Int64, [2**32 - 1]),
        (pa.array([2**64 - 1], pa.uint64()), pl.Decimal(20, 0), [Decimal(2**64 - 1)]),
        (pa.array([-1], pa.int8()), pl.Int8, [-1]),
        (pa.array([1.5], pa.float16()), pl.Float32, [1.5]),
        (pa.array([NAIVE], pa.timestamp("ms")), pl.Datetime("us"), [NAIVE]),
        (pa.array([NAIVE], pa.timestamp("ns")), pl.Datetime("us"), [NAIVE]),
        (pa.array([UTC_TIME], pa.timestamp("us", "Europe/Berlin")),
         pl.Datetime("us", "UTC"), [UTC_TIME]),
        (pa.array([[UTC_TIME]], pa.list_(pa.timestamp("ns", "Asia/Tokyo"))),
         pl.List(pl.Datetime("us", "UTC")), [[UTC_TIME]]),
        (pa.array([time(1, 2, 3, 5)], pa.time64("us")), pl.String, ["01:02:03.000005"]),
        (pa.array([date(2024, 1, 1)], pa.date32()), pl.Date, [date(2024, 1, 1)]),
        (pa.array(["a", "a"]).dictionary_encode(), pl.String, ["a", "a"]),
        (pa.array([b"ab"], pa.binary(2)), pl.Binary, [b"ab"]),
        (pa.array([Decimal("1.20")], pa.decimal128(9, 2)), pl.Decimal(9, 2), [Decimal("1.20")]),
        (pa.nulls(2), pl.Null, [None, None]),
        (pa.array([b"0123456789abcdef"], pa.uuid()), pl.Binary, [b"0123456789abcdef"]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.uint8())),
         pl.List(pl.Struct({"key": pl.String, "value": pl.Int16})), [[{"key": "k", "value": 1}]]),
        (pa.array([{"a": [1]}, None], pa.struct({"a": pa.list_(pa.uint8())})),
         pl.Struct({"a": pl.List(pl.Int16)}), [{"a": [1]}, None]),
    ],
    ids=str,
)  # fmt: skip
def test_a_parquet_type_becomes_one_that_a_lake_has(
    store: Store, source: pa.Array, dtype: pl.DataType, held: list
):
    (rows,) = read(store, put(store, "a.parquet", parquet({"x": source})), reading("parquet"))
    assert rows.frame["x"].dtype == dtype == lake_type(dtype)
    assert rows.frame["x"].to_list() == held
    assert rows.present == {"x": len(held) - held.count(None)}
    assert rows.rescued == {}


def test_a_small_parquet_file_read_at_once_is_what_batches_of_a_large_one_are(store: Store):
    times = [-62135596800000, -1, 0, 253402300799999, None]
    columns = {
        f"{unit}-{zone}": pa.array(
            [None if t is None else t * (1000 if unit == "us" else 1) for t in times],
            pa.timestamp(unit, zone),
        )
        for unit in ("ms", "us")
        for zone in (None, "UTC", "Europe/Berlin")
    }
    others = {"b": [b"\x00", None, b"", b"a", b"b"], "s": ["", None, "é", "x", "y"]}
    table = pa.table({**columns, **others, "n": pa.array([1, 2, 3, None, 255], pa.uint8())})
    for names in (["ms-UTC", "us-UTC", "ms-None", "us-None", "b", "s", "n"], table.column_names):
        file = put(store, f"{len(names)}.parquet", parquet(table.select(names)))
        [at_once] = read(store, file, reading("parquet"))
        batches = read(store, file, reading("parquet", chunk_bytes=1))
        assert len(batches) == len(times)
        assert at_once.frame.equals(pl.concat(rows.frame for rows in batches), null_equal=True)


def test_a_parquet_type_without_a_counterpart_is_refused_by_name(store: Store):
    for source in (pa.array([1], pa.duration("ms")), pa.array([Decimal(1)], pa.decimal256(40, 1))):
        file = put(store, "a.parquet", parquet({"x": source}))
        with pytest.raises(BadInputError, match=r"a.parquet.*in the column 'x'"):
            read(store, file, reading("parquet"))
    nested = pa.array([[1]], pa.list_(pa.timestamp("ns")))
    with pytest.raises(BadInputError, match=r"columns: \{x: json\}"):
        read(store, put(store, "a.parquet", parquet({"x": nested})), reading("parquet"))


@pytest.mark.parametrize(
    ("source", "declared", "held", "rescued"),
    [
        (pa.array([1, 1500], pa.timestamp("ns")), None, [None, None],
         "1970-01-01 00:00:00.000001500"),
        (pa.array([1, 300], pa.int64()), "float", [1.0, 300.0], None),
        (pa.array([1, 2**53 + 1], pa.int64()), "float", [1.0, None], "9007199254740993"),
        (pa.array([1.0, 1.5]), "int", [1, None], "1.5"),
        (pa.array([1.0, 0.125]), "decimal(5,2)", [Decimal(1), None], "0.125"),
        (pa.array([1, 2]), "bool", [True, None], "2"),
        (pa.array([NAIVE, NAIVE]), "datetime", [UTC_TIME, UTC_TIME], None),
        (pa.array([NAIVE.replace(hour=0, minute=0, second=0, microsecond=0), NAIVE]), "date",
         [NAIVE.date(), None], "2024-05-01 12:30:01.250000"),
        (pa.array(["2024-05-01 12:30:01.25", "soon"]), "datetime", [UTC_TIME, None], "soon"),
        (pa.array([1, 2]), "datetime", [None, None], "2"),
        (pa.array([b"a", b"\xff"]), "string", ["a", None], "\\xff"),
        (pa.array([[1], []]), "json", ["[1]", "[]"], None),
        (pa.array([2**63, 2**63 - 1], pa.uint64()), "int", [None, 2**63 - 1], None),
        (pa.nulls(2), "int", [None, None], None),
    ],
)  # fmt: skip
def test_parquet_values_fit_their_declared_type_or_are_rescued(
    store: Store, source: pa.Array, declared: str | None, held: list, rescued: str | None
):
    file = put(store, "a.parquet", parquet({"x": source, "y": pa.array([0, 1])}))
    how = reading("parquet", **({"x": declared} if declared else {}))
    (rows,) = read(store, file, how)
    assert rows.frame["x"].to_list() == held
    if rescued:
        assert json.loads(rows.frame["_rescued_data"][1]) == {"x": rescued}
    assert rows.present["x"] == len(source) - source.null_count
    assert rows.present["x"] == rows.frame["x"].count() + rows.rescued.get("x", 0)


def test_a_file_many_times_a_chunk_is_never_in_memory_as_a_whole(store: Store):
    line = json.dumps({"Item": {"x": {"B": base64.b64encode(os.urandom(600)).decode()}}}).encode()
    packed = gzip.compress((line + b"\n") * 2000, 1) * 30  # 50 MB of text
    file = put(store, "a.json.gz", packed)
    process, before, peak, rows = psutil.Process(), 0, 0, 0
    for chunk in read_part(store, FilePart(file), reading("dynamodb", 2_000_000)):
        rows += chunk.frame.height
        before = before or process.memory_info().rss
        peak = max(peak, process.memory_info().rss)
    assert rows == 2000 * 30
    assert peak - before < 25_000_000
