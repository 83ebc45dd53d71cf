"""The log answers what was published, when and as what; and says plainly when it cannot."""

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from lake_assets.delta import (
    history,
    last_proof,
    live_files,
    publish,
    rows_of,
    scan,
    table_schema,
    table_version,
)
from lake_assets.errors import StorageError
from lake_assets_tests.delta.tables import SCHEMA, ordered, publication, written

KEY = ("2024", "a/b")


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def test_no_table_is_no_answer_and_makes_no_folder(uri):
    assert live_files(uri) == []
    assert rows_of(uri) == 0
    assert history(uri) == []
    assert table_schema(uri) is table_version(uri) is last_proof(uri) is None
    with pytest.raises(StorageError, match="no Delta table at"):
        scan(uri)
    assert not Path(uri).exists()


def test_live_files_are_the_published_ones_with_raw_paths(uri):
    change = written(uri, {KEY: [1, 2], (None, None): [3]})
    publish(uri, change)
    found = live_files(uri)
    assert [(f.path, f.size_bytes, f.rows, f.partition) for f in found] == sorted(
        (f.path, f.size_bytes, f.rows, f.partition)
        for files in change.replace.values()
        for f in files
    )
    assert all(Path(uri, file.path).stat().st_size == file.size_bytes for file in found)
    assert [json.loads(file.stats) for file in found] == [{"numRecords": f.rows} for f in found]


def test_an_older_version_is_still_told_and_read(uri):
    publish(uri, written(uri, {KEY: [1, 2]}))
    publish(uri, written(uri, {KEY: [3]}))
    assert (rows_of(uri), rows_of(uri, version=0)) == (1, 2)
    assert sorted(scan(uri, version=0).collect()["id"]) == [1, 2]
    for version in (7, -1):
        with pytest.raises(StorageError):
            live_files(uri, version=version)


def test_a_scan_stays_at_its_version(uri):
    publish(uri, written(uri, {KEY: [1]}))
    held = scan(uri)
    publish(uri, written(uri, {KEY: [2]}))
    assert held.collect()["id"].to_list() == [1]
    again = pl.LazyFrame.deserialize(held.serialize())
    assert again.collect()["id"].to_list() == [1]


def test_the_last_proof_is_found_behind_commits_without_one(uri):
    for generation in (1, 2):
        proof = {"lake.generation": str(generation), "lake.rows_out": "1"}
        publish(uri, written(uri, {KEY: [generation]}, generation=generation, proof=proof))
    for n in range(12):
        wide = pl.Schema({**SCHEMA, f"c{n}": pl.Int64()})
        publish(uri, publication({}, schema=wide, generation=2))
    assert last_proof(uri) == {"lake.generation": "2", "lake.rows_out": "1"}
    assert [commit["version"] for commit in history(uri, 2)] == [13, 12]
    assert len(history(uri)) == 14


def test_a_table_of_others_is_read_and_its_proof_is_none(uri):
    write_deltalake(
        uri,
        pl.DataFrame({"id": [1], "year": ["2024"], "month": ["01"]}),
        partition_by=["year", "month"],
    )
    assert last_proof(uri) is None
    assert [file.partition for file in live_files(uri)] == [("2024", "01")]
    publish(uri, written(uri, {("2024", "01"): [5]}))
    assert ordered(scan(uri).select("id").collect().rows()) == [(5,)]


def test_files_without_a_row_count_are_named(uri):
    change = written(uri, {KEY: [1]})
    publish(uri, change)
    log = Path(uri, "_delta_log", "00000000000000000000.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("add", {}).pop("stats", None)
    log.write_text("\n".join(json.dumps(action) for action in actions))
    with pytest.raises(StorageError, match=change.replace[KEY][0].path):
        rows_of(uri)
    assert publish(uri, written(uri, {KEY: [2]})).removed == (change.replace[KEY][0].path,)


def test_a_file_in_the_place_of_a_table_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    for ask in (table_version, live_files, scan, lambda uri: publish(uri, publication({}))):
        with pytest.raises(StorageError, match=str(path)):
            ask(str(path))


def test_a_damaged_log_is_named(uri):
    publish(uri, written(uri, {KEY: [1]}))
    Path(uri, "_delta_log", "00000000000000000007.json").write_text("{}")
    with pytest.raises(StorageError, match="cannot open the Delta table"):
        table_version(uri)
