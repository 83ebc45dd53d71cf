"""Vacuum deletes what was removed and no other file; a checkpoint changes nothing to see."""

from pathlib import Path

import polars as pl
import pytest

from lake_assets.delta import checkpoint, last_proof, publish, rows_of, table_version, vacuum
from lake_assets.errors import PublishConflictError, SettingsError, StalePlanError, StorageError
from lake_assets_tests.delta.tables import (
    PARTITION_BY,
    SCHEMA,
    commits,
    expected_rows,
    frame_of,
    publication,
    rows_by_reader,
    write_file,
    written,
)

FIRST = {("2024", "a/b"): [1], ("2024", "100%"): [2], (None, "a=b"): [3], ("2024", "日本"): [4]}
SECOND = {("2024", "a/b"): [11], (None, "a=b"): [], ("2024", "日本"): [14]}


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_vacuum_lists_and_deletes_exactly_the_removed_files(uri, with_checkpoint):
    publish(uri, written(uri, FIRST))
    removed = publish(uri, written(uri, SECOND)).removed
    unpublished = write_file(uri, frame_of(("2025", "01"), [9]), ("2025", "01"), PARTITION_BY)
    if with_checkpoint:
        checkpoint(uri)
    assert len(removed) == 3
    assert vacuum(uri, 0, dry_run=True) == sorted(removed)
    assert all(Path(uri, path).exists() for path in removed)
    assert vacuum(uri, 1, dry_run=False) == []
    assert vacuum(uri, 0, dry_run=False) == sorted(removed)
    assert not any(Path(uri, path).exists() for path in removed)
    assert Path(uri, unpublished.path).exists()
    assert rows_by_reader(uri)["duckdb"] == expected_rows(FIRST, SECOND)


def test_a_file_that_came_back_is_not_vacuumed(uri):
    first, second = written(uri, FIRST), written(uri, SECOND)
    publish(uri, first)
    publish(uri, second)
    removed = publish(uri, first).removed
    assert vacuum(uri, 0, dry_run=False) == sorted(removed)
    assert rows_by_reader(uri)["polars"] == expected_rows(FIRST)


def test_a_checkpoint_replaces_the_log_before_it(uri):
    publish(uri, written(uri, FIRST, generation=1))
    publish(uri, written(uri, SECOND, generation=2))
    publish(uri, publication({}, schema=pl.Schema({**SCHEMA, "more": pl.Int64()}), generation=2))
    checkpoint(uri)
    for commit in commits(uri)[:-1]:
        Path(uri, "_delta_log", commit).unlink()
    assert table_version(uri) == 2
    assert rows_of(uri) == 3
    assert last_proof(uri) is None
    with pytest.raises(StalePlanError):
        publish(uri, written(uri, FIRST, generation=1))
    third = {("2024", "100%"): [22, 23]}
    done = publish(uri, written(uri, third, generation=3))
    assert (done.version, len(done.removed)) == (3, 1)
    assert last_proof(uri) == {"lake.generation": "3"}
    held = [row[:-1] for row in rows_by_reader(uri)["pyarrow"]]
    assert held == expected_rows(FIRST, SECOND, third)


def test_upkeep_of_nothing_is_an_error(uri):
    with pytest.raises(StorageError, match="no Delta table"):
        checkpoint(uri)
    with pytest.raises(StorageError, match="no Delta table"):
        vacuum(uri, 0)


def test_a_negative_retention_is_refused(uri):
    with pytest.raises(SettingsError, match="-1"):
        vacuum(uri, -1)


def test_a_vacuum_that_cannot_write_its_commit_says_so(uri):
    publish(uri, written(uri, FIRST))
    publish(uri, written(uri, SECOND))
    Path(uri, "_delta_log", "00000000000000000002.json").mkdir()
    with pytest.raises(PublishConflictError, match="vacuum again"):
        vacuum(uri, 0, dry_run=False)
