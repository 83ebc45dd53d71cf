"""The upkeep: what nothing needs goes, long logs get checkpoints, one bad table stops no other."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import SettingsError
from lake_assets.lake.maintain import maintain
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.verify import verify
from lake_assets.lake.write import write_table
from lake_assets.s3 import open_store

TARGET = 10**6


def listing(root) -> dict[str, tuple[object, ...]]:
    store = open_store(str(root))
    return {info.key: (info.size_bytes, info.etag) for info in store.list()}


def versions(root, name: str, n: int) -> None:
    for number in range(n):
        write_table(str(root), name, pl.DataFrame({"n": [number]}), target_bytes=TARGET)


def test_a_log_of_many_commits_gets_a_checkpoint_once_and_readers_see_the_same(tmp_path):
    versions(tmp_path, "own.often", 11)
    versions(tmp_path, "own.seldom", 2)
    done = maintain(str(tmp_path))
    assert (done.tables, done.checkpoints) == (("own.often", "own.seldom"), ("own.often",))
    assert done.swept.removed == ()  # all of it is young
    assert scan_uri(table_uri(str(tmp_path), "own.often")).collect()["n"].to_list() == [10]
    before = listing(tmp_path)
    again = maintain(str(tmp_path))
    assert (again.checkpoints, again.errors, listing(tmp_path)) == ((), (), before)


def test_versions_beyond_the_retention_go_and_no_commit_is_written(tmp_path):
    versions(tmp_path, "own.table", 3)
    log = tmp_path / "lake/own/table/_delta_log"
    commits = sorted(path.name for path in log.glob("*.json"))
    later = datetime.now(UTC) + timedelta(days=10)
    done = maintain(str(tmp_path), now=later)
    assert len(done.swept.removed) == 2
    assert sorted(path.name for path in log.glob("*.json")) == commits
    assert verify(str(tmp_path), level="bytes").findings == ()


def test_a_table_that_cannot_be_read_is_named_and_the_others_are_kept_well(tmp_path):
    versions(tmp_path, "own.broken", 2)
    versions(tmp_path, "own.whole", 11)
    Path(tmp_path, "lake/own/broken/_delta_log/00000000000000000001.json").write_text("{")
    for path in tmp_path.rglob("*"):
        os.utime(path, (time.time() - 10 * 86_400,) * 2)
    done = maintain(str(tmp_path))
    assert [error.partition(":")[0] for error in done.errors] == ["own.broken"]
    assert done.checkpoints == ("own.whole",)
    assert {item.table for item in done.swept.removed} == {"own/whole"}


def test_a_time_below_zero_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot be below 0"):
        maintain(str(tmp_path), grace=timedelta(-1))
