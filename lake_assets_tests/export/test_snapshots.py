"""Plain folders as snapshots: which files count, what is finished, and in which order."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import BadInputError
from lake_assets.export.snapshots import FoundSnapshots, find_snapshots
from lake_assets.export.source import SnapshotExport
from lake_assets_tests.snapshots import Url, orders, put_files, snapshot_settings

T0 = 1_735_689_600  # 2025-01-01


def find(source: Url, file_format: str = "parquet", ready: str | None = None) -> FoundSnapshots:
    reader = "some.module:read" if file_format == "python" else None
    settings = snapshot_settings(source, file_format, ready=ready, reader=reader)
    return find_snapshots(settings, table="shop.orders")


def keys(snapshot: SnapshotExport) -> list[str]:
    return [file.key for file in snapshot.files]


MIXED = [
    *("a.parquet", "deep/er/b.PARQUET", "c.gz.parquet"),
    *("a.ndjson", "b.jsonl", "c.json", "d.ndjson.gz", "e.jsonl.gz", "f.JSON.GZ"),
    *("a.csv", "b.tsv", "c.csv.gz", "d.tsv.gz"),
    *("readme.txt", "_SUCCESS", ".hidden.parquet", "_temporary/x.parquet", "deep/.x/y.csv"),
]


@pytest.mark.parametrize(
    ("file_format", "expected"),
    [
        ("parquet", ["a.parquet", "c.gz.parquet", "deep/er/b.PARQUET"]),
        ("ndjson", MIXED[3:9]),
        ("csv", MIXED[9:13]),
        ("python", MIXED[:14]),
    ],
)
def test_files_of_the_format_count_at_any_depth(
    tmp_path: Path, file_format: str, expected: list[str], caplog: pytest.LogCaptureFixture
):
    folder = put_files(tmp_path / "orders", dict.fromkeys(MIXED, b"x"))
    with caplog.at_level(logging.INFO):
        [snapshot] = find(folder, file_format).ready
    assert keys(snapshot) == sorted(expected)
    assert (snapshot.id, snapshot.format, snapshot.source) == ("orders", file_format, folder)
    if file_format != "python":
        assert f"{14 - len(expected)} files are no {file_format}" in caplog.text


def test_a_hive_folder_is_not_hidden_and_text_without_a_byte_holds_no_rows(tmp_path: Path):
    folder = put_files(tmp_path, {"_day=1/a.csv": b"x\n1\n", "b.csv": b"", "empty.parquet": b""})
    assert keys(find(folder, "csv").ready[0]) == ["_day=1/a.csv"]
    # Whoever reads it says what is wrong with it.
    assert keys(find(folder, "parquet").ready[0]) == ["empty.parquet"]


def test_a_file_that_would_be_missing_in_silence_is_refused(tmp_path: Path):
    folder = put_files(tmp_path, {"a.csv": b"x\n", "b.csv.zst": b"?"})
    with pytest.raises(BadInputError, match=r"b.csv.zst: expected .*found '.zst'; pack it with gz"):
        find(folder, "csv")


def test_a_folder_waits_for_its_marker_or_for_its_first_file(tmp_path: Path):
    assert "no parquet file is there yet" in find(tmp_path / "none").waiting[0].reason
    folder = put_files(tmp_path, {"a.csv": b"x\n"})
    [waiting] = find(folder).waiting
    assert waiting.key == folder
    assert waiting.reason.endswith("(but 1 others, like a.csv)")
    assert "its marker done.csv is not" in find(folder, "csv", "done.csv").waiting[0].reason
    put_files(tmp_path, {"done.csv": b"yes\n"})
    [snapshot] = find(folder, "csv", "done.csv").ready
    assert keys(snapshot) == ["a.csv"]


def test_a_marker_alone_says_that_the_table_is_empty(tmp_path: Path):
    folder = put_files(tmp_path, {"_SUCCESS": b"", "readme.txt": b"none today"})
    [snapshot] = find(folder, ready="_SUCCESS").ready
    assert snapshot.files == ()
    put_files(tmp_path, {"a.csv": b"x\n"})
    with pytest.raises(BadInputError, match=r"only others, like 'a.csv'; correct `format`"):
        find(folder, ready="_SUCCESS")


def test_on_s3_each_folder_is_a_snapshot_in_the_order_of_the_dates_in_their_names(bucket: str):
    root = f"s3://{bucket}/exports"
    names = ["day=2024-12-31", "20241231T203707Z", "2024-12-30-b", "2024-12-30-a"]
    for name in names:
        put_files(f"{root}/{name}/orders", {"a.parquet": orders(1), "sub/b.parquet": orders(2)})
    put_files(f"{root}/_old/orders", {"a.parquet": orders(1)})
    put_files(f"{root}/2025-01-01/carts", {"a.parquet": orders(1)})
    found = find(f"{root}/{{snapshot}}/orders")
    assert [snapshot.id for snapshot in found.ready] == [
        *("2024-12-30-a", "2024-12-30-b", "day=2024-12-31", "20241231T203707Z")
    ]
    newest = found.ready[-1]
    assert newest.exported_at == datetime(2024, 12, 31, 20, 37, 7, tzinfo=UTC)
    assert newest.source == f"{root}/20241231T203707Z/orders"
    assert keys(newest) == ["a.parquet", "sub/b.parquet"]
    assert newest.digest == found.ready[0].digest, "the same bytes, wherever they lie"
    assert [waiting.key for waiting in found.waiting] == [f"{root}/2025-01-01/orders"]


def test_without_a_date_in_the_name_the_newest_file_tells_the_time(tmp_path: Path):
    for name, hours in (("z", (1, 2)), ("b", (3, 0)), ("a", (3, 1)), ("2025-13-01", (0, 0))):
        folder = put_files(tmp_path / name, {"1.csv": orders(1), "2.csv": orders(1)})
        for file, hour in zip(("1.csv", "2.csv"), hours, strict=True):
            os.utime(f"{folder}/{file}", (0, T0 + hour * 3600))
    found = find(tmp_path / "{snapshot}", "csv").ready
    assert [snapshot.id for snapshot in found] == ["2025-13-01", "z", "a", "b"]
    assert found[-1].exported_at == datetime(2025, 1, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("place", ["one/_DONE", "one/orders/_DONE"])
def test_the_marker_may_stand_in_the_table_or_in_the_snapshot(tmp_path: Path, place: str):
    put_files(tmp_path, {"one/orders/a.csv": orders(1), "two/orders/a.csv": orders(1), place: b""})
    found = find(tmp_path / "{snapshot}" / "orders", "csv", "_DONE")
    assert [snapshot.id for snapshot in found.ready] == ["one"]
    assert [waiting.key for waiting in found.waiting] == [f"{tmp_path}/two/orders"]


def test_an_id_is_fit_to_be_a_partition_key(tmp_path: Path):
    put_files(tmp_path, {"a...b/1.csv": orders(1)})
    assert [snapshot.id for snapshot in find(tmp_path / "{snapshot}", "csv").ready] == [
        "a%2E%2E%2Eb"
    ]


def test_a_digest_changes_with_the_bytes(tmp_path: Path):
    folder = put_files(tmp_path, {"a.parquet": orders(3)})
    before = find(folder).ready[0].digest
    assert find(folder).ready[0].digest == before
    put_files(tmp_path, {"a.parquet": orders(3).with_columns(items=pl.lit(9))})
    assert find(folder).ready[0].digest != before
