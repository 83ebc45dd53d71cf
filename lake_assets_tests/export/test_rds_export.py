"""RDS and Aurora exports: finished when the task, the table and every folder of parts say so."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.snapshots import FoundSnapshots, find_snapshots
from lake_assets.s3 import open_store
from lake_assets_tests.snapshots import (
    EXPORTED_AT,
    RdsExportSpec,
    Url,
    orders,
    put_rds_export,
    snapshot_settings,
)

SOUND = RdsExportSpec()
PARTS = [[orders(3), orders(2, start=3)], [orders(1, start=5)]]


def find(source: Url) -> FoundSnapshots:
    return find_snapshots(snapshot_settings(source, "rds"), table="shop.orders")


@pytest.mark.parametrize("marker", ["_success", "_SUCCESS"])
def test_a_finished_export_is_one_snapshot_of_the_tables_parts(tmp_path: Path, marker: str):
    folder = put_rds_export(tmp_path, PARTS, replace(SOUND, marker=marker))
    [snapshot] = find(folder).ready
    assert (snapshot.id, snapshot.exported_at) == ("orders-snap-1", EXPORTED_AT)
    assert (snapshot.format, snapshot.rows) == ("parquet", None)
    assert [file.key.split("-")[:2] for file in snapshot.files] == [
        ["1/part", "00000"],
        ["1/part", "00002"],
        ["2/part", "00000"],
    ]
    store = open_store(snapshot.source)
    listed = {info.key: info for info in store.list()}
    bodies = [store.get(file.key, listed=listed[file.key]) for file in snapshot.files]
    assert sum(pl.read_parquet(body).height for body in bodies) == 6
    # The task's folder will do as it holds no other table.
    assert find(tmp_path / SOUND.task).ready == (snapshot,)


def test_on_s3_each_task_is_a_snapshot_where_the_source_says_so(bucket: str):
    root = f"s3://{bucket}/p"
    later = replace(SOUND, task="a-later-one", exported_at=EXPORTED_AT + timedelta(days=1))
    put_rds_export(root, PARTS, later)
    put_rds_export(root, PARTS)
    put_rds_export(root, PARTS, replace(SOUND, task="running", status="IN_PROGRESS"))
    found = find(f"{root}/{{snapshot}}/shop/public.orders")
    assert [snapshot.id for snapshot in found.ready] == ["orders-snap-1", "a-later-one"]
    [waiting] = found.waiting
    assert (waiting.key, waiting.reason) == (f"{root}/running", "its export task is IN_PROGRESS")


def test_an_empty_table_is_a_finished_snapshot_without_files(tmp_path: Path):
    [snapshot] = find(put_rds_export(tmp_path, [[]])).ready
    assert snapshot.files == ()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param(replace(SOUND, status="STARTING"), "its export task is STARTING", id="task"),
        pytest.param(
            replace(SOUND, table_status="PENDING"),
            "the export of shop.public.orders is PENDING",
            id="table",
        ),
        pytest.param(
            replace(SOUND, marker=None), "2 of 2 folders with parts have no _success yet", id="mark"
        ),
    ],
)
def test_an_unfinished_export_waits(tmp_path: Path, spec: RdsExportSpec, reason: str):
    folder = put_rds_export(tmp_path, PARTS, spec)
    [waiting] = find(folder).waiting
    assert waiting.reason == reason
    assert find(folder).ready == ()


def test_a_table_without_parts_and_marker_is_not_taken_for_an_empty_one(tmp_path: Path):
    [waiting] = find(put_rds_export(tmp_path, [[]], replace(SOUND, marker=None))).waiting
    assert waiting.reason == "neither parts nor a _success are there"


def test_what_is_not_there_yet_waits(tmp_path: Path):
    folder = put_rds_export(tmp_path, PARTS)
    open_store(folder).delete("2/_success")
    [waiting] = find(folder).waiting
    assert (waiting.key, waiting.reason[:6]) == (f"{folder}/2", "1 of 2")
    assert waiting.since
    task = open_store(tmp_path.joinpath(SOUND.task).as_posix())
    for name, reason in (
        (f"export_tables_info_{SOUND.task}_from_1_to_1.json", "export_tables_info_"),
        (f"export_info_{SOUND.task}.json", "export_info_<task>.json"),
    ):
        task.delete(name)
        [waiting] = find(folder).waiting
        assert reason in waiting.reason


def test_a_task_of_several_tables_needs_the_folder_of_one(tmp_path: Path):
    folder = put_rds_export(
        tmp_path,
        PARTS,
        replace(SOUND, other_tables=("shop.public.carts",), table_status="COMPLETE"),
    )
    open_store(tmp_path.joinpath(SOUND.task).as_posix()).put("shop/public.carts/1/_success", b"")
    assert len(find(folder).ready) == 1
    with pytest.raises(SettingsError, match=r"2 tables \(shop.public.carts, shop.public.orders\)"):
        find(tmp_path / SOUND.task)
    for other in (tmp_path / SOUND.task / "shop", f"{folder}/1"):
        with pytest.raises(SettingsError, match=r"not the folder of a table; name <task>/<db>"):
            find(other)


def test_a_folder_of_several_tasks_is_refused(tmp_path: Path):
    put_rds_export(tmp_path, PARTS)
    store = open_store(tmp_path.joinpath(SOUND.task).as_posix())
    store.put("export_info_other.json", b"{}")
    with pytest.raises(SettingsError, match="holds 2 export tasks"):
        find(tmp_path / SOUND.task)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        (f"export_info_{SOUND.task}.json", b"[]", "a JSON object, found"),
        (f"export_info_{SOUND.task}.json", b"{", "no JSON"),
        (f"export_info_{SOUND.task}.json", b'{"status": 1}', "'status' as text, found 1"),
        (f"export_tables_info_{SOUND.task}_from_1_to_1.json", b"{}", "'perTableStatus' as a list"),
        (
            f"export_tables_info_{SOUND.task}_from_1_to_1.json",
            b'{"perTableStatus": ["x"]}',
            "an object for each table, found 'x'",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, name: str, body: bytes, said: str):
    folder = put_rds_export(tmp_path, PARTS)
    open_store(tmp_path.joinpath(SOUND.task).as_posix()).put(name, body)
    with pytest.raises(BadInputError, match=said):
        find(folder)
