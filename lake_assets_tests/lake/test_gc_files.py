"""Files of tables: one that a writer takes up between the marks and the removal is spared."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.lake import gc
from lake_assets.lake.gc import find_garbage, sweep
from lake_assets.s3 import open_store
from lake_assets.staging.write import put_content

FOLDER, BODY = "lake/shop/orders/", b"rows of long ago"


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path):
    url = str(tmp_path / "lake")
    if request.param == "s3":
        url = f"s3://{request.getfixturevalue('bucket')}/lake"
    put_content(open_store(url), FOLDER, BODY)
    return url


def test_a_file_that_is_written_again_after_the_marks_stays(root, monkeypatch):
    store = open_store(root)
    later = datetime.now(UTC) + timedelta(days=10)
    (garbage,) = find_garbage(root, now=later)
    marks = gc.compacted_references

    def late(*args: object) -> frozenset[str]:
        marked = marks(*args)
        # In a real lake it is a day at least; S3 tells whole seconds.
        time.sleep(1.1 if root.startswith("s3") else 0.01)
        store.put(garbage.key, BODY)
        return marked

    with monkeypatch.context() as patch:
        patch.setattr(gc, "compacted_references", late)
        patch.setattr(gc, "_CLOCK_STEP", timedelta(0))
        swept = sweep(root, [garbage], now=later)
    assert (swept.removed, swept.spared) == ((), (garbage,))
    assert store.get(garbage.key) == BODY
    assert [item.key for item in sweep(root, [garbage], now=later).removed] == [garbage.key]
    assert store.head(garbage.key) is None


def test_the_age_of_a_file_restarts_when_it_is_taken_up_and_a_young_one_stays_as_it_is(tmp_path):
    store = open_store(str(tmp_path))
    key, _ = put_content(store, FOLDER, BODY)
    before = store.head(key)
    put_content(store, FOLDER, BODY)
    assert store.head(key) == before
    os.utime(Path(tmp_path, key), (time.time() - 86_400,) * 2)
    put_content(store, FOLDER, BODY)
    there = store.head(key)
    assert there is not None
    assert datetime.now(UTC) - there.modified_at < timedelta(minutes=1)
