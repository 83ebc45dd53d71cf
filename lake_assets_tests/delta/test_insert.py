"""Insert adds to exactly the version that was looked at, or not at all."""

import polars as pl
import pytest

from lake_assets import delta
from lake_assets.compacted.write import FileShape, write_files
from lake_assets.delta.insert import insert
from lake_assets.errors import SchemaChangeError
from lake_assets.s3 import open_store


def written(root, frame: pl.DataFrame) -> list[delta.DataFile]:
    items = write_files(open_store(str(root)), "t/", "", frame, FileShape(1_000_000))
    return [
        delta.DataFile(item["path"], item["size_bytes"], item["rows"], (), item["stats"])
        for item in items
    ]


def add(root, frame: pl.DataFrame, seen: int | None, **more) -> int | None:
    return insert(f"{root}/t", frame.schema, written(root, frame), seen=seen, **more)


def rows(root) -> list[tuple]:
    return sorted(delta.scan(f"{root}/t").collect().rows())


def test_who_looked_at_an_earlier_version_adds_nothing(tmp_path):
    assert add(tmp_path, pl.DataFrame({"a": [1]}), None) == 0
    assert add(tmp_path, pl.DataFrame({"a": [9]}), None) is None
    assert add(tmp_path, pl.DataFrame({"a": [2]}), 0, proof={"lake.x": "y"}) == 1
    assert add(tmp_path, pl.DataFrame({"a": [9]}), 0) is None
    assert rows(tmp_path) == [(1,), (2,)]
    assert delta.history(f"{tmp_path}/t", 1)[0]["lake.x"] == "y"


def test_other_files_with_the_same_rows_take_the_place_of_all(tmp_path):
    add(tmp_path, pl.DataFrame({"a": [1]}), None)
    add(tmp_path, pl.DataFrame({"a": [2]}), 0)
    assert add(tmp_path, pl.DataFrame({"a": [1, 2]}), 1, instead=True) == 2
    assert rows(tmp_path) == [(1,), (2,)]
    assert len(delta.live_files(f"{tmp_path}/t")) == 1


def test_a_new_column_is_added_and_a_changed_one_refused(tmp_path):
    add(tmp_path, pl.DataFrame({"a": [1]}), None)
    version = add(tmp_path, pl.DataFrame({"a": [2], "b": ["x"]}), 0)
    assert version == delta.table_version(f"{tmp_path}/t")
    assert rows(tmp_path) == [(1, None), (2, "x")]
    with pytest.raises(SchemaChangeError, match="'a'"):
        add(tmp_path, pl.DataFrame({"a": ["text"]}), version)
