"""DynamoDB's full exports: found, proven by their manifests, refused by name."""

import hashlib
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.snapshots import FoundSnapshots, find_snapshots
from lake_assets.s3 import join_url, open_store
from lake_assets_tests.snapshots import (
    EXPORT_ID,
    EXPORTED_AT,
    DynamoDBExportSpec,
    Url,
    order_rows,
    put_dynamodb_export,
    snapshot_settings,
)

FILES = [order_rows(3), [], order_rows(4, start=3)]
SOUND = DynamoDBExportSpec()
LATER = DynamoDBExportSpec(
    id="01700000000000-0000000a", exported_at=EXPORTED_AT + timedelta(days=1)
)


def find(source: Url, table: str = "shop.orders") -> FoundSnapshots:
    return find_snapshots(snapshot_settings(source, "dynamodb"), table=table)


@pytest.mark.parametrize("side_files", ["md5", "checksum", None])
def test_an_export_is_one_snapshot_with_the_files_that_hold_rows(
    tmp_path: Path, side_files: str | None
):
    folder = put_dynamodb_export(tmp_path, FILES, replace(SOUND, side_files=side_files))
    open_store(folder).put("data/stranger.json.gz", b"not named by the manifest")
    [snapshot] = find(folder).ready
    assert (snapshot.id, snapshot.exported_at, snapshot.rows) == (EXPORT_ID, EXPORTED_AT, 7)
    assert (snapshot.source, snapshot.format) == (folder, "dynamodb")
    assert [file.key for file in snapshot.files] == sorted(file.key for file in snapshot.files)
    assert sorted(file.rows or 0 for file in snapshot.files) == [3, 4]
    listed = {info.key: info for info in open_store(folder).list()}
    for file in snapshot.files:
        info = listed[file.key]
        assert (file.size_bytes, file.etag) == (info.size_bytes, info.etag)
        body = open_store(folder).get(file.key, listed=info)
        assert file.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()


def test_on_s3_all_exports_are_found_from_any_folder_above(bucket: str):
    root = f"s3://{bucket}/some/prefix"
    put_dynamodb_export(root, FILES, LATER)
    put_dynamodb_export(root, FILES)
    # What incremental exports share: no export itself.
    open_store(root).put("AWSDynamoDB/data/x.json.gz", b"")
    from_prefix = find(root)
    assert [snapshot.id for snapshot in from_prefix.ready] == [EXPORT_ID, LATER.id]
    assert from_prefix.waiting == ()
    assert find(f"{root}/AWSDynamoDB/") == from_prefix
    assert find(f"{root}/AWSDynamoDB/{{snapshot}}") == from_prefix
    assert find(f"{root}/AWSDynamoDB/{LATER.id}/").ready == from_prefix.ready[1:]


def test_a_copy_elsewhere_is_the_same_snapshot(tmp_path: Path):
    spec = replace(SOUND, copied_from="quite/another/")
    [first] = find(put_dynamodb_export(tmp_path / "a", FILES, spec)).ready
    folder = Path(put_dynamodb_export(tmp_path / "b" / "c", FILES, SOUND))
    renamed = folder.rename(tmp_path / "b" / "2024-12-31")
    [second] = find(tmp_path / "b" / "{snapshot}").ready
    assert [file.key for file in first.files] == [file.key for file in second.files]
    assert second.source == str(renamed)
    assert second.id == "2024-12-31", "the folder's name is the id where {snapshot} stands for it"
    assert [s.id for s in find(renamed).ready] == [EXPORT_ID]


def test_an_export_without_its_summary_waits_and_stops_none(tmp_path: Path):
    put_dynamodb_export(tmp_path, FILES)
    started = put_dynamodb_export(tmp_path, FILES, replace(LATER, is_finished=False))
    found = find(tmp_path)
    assert [snapshot.id for snapshot in found.ready] == [EXPORT_ID]
    [waiting] = found.waiting
    assert waiting.key == started
    assert "manifest-summary.json" in waiting.reason
    assert waiting.since
    [nothing] = find(tmp_path / "nothing").waiting
    assert "no export is in" in nothing.reason


def test_an_export_without_items_is_a_finished_snapshot(tmp_path: Path):
    for number, files in enumerate(([], [[], []])):
        [snapshot] = find(put_dynamodb_export(tmp_path / str(number), files)).ready
        assert (snapshot.files, snapshot.rows) == ((), 0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            replace(SOUND, summary={"exportType": "INCREMENTAL_EXPORT", "exportTime": None,
                                    "exportToTime": "2024-12-31T20:00:00Z"}),
            "expected a full export, found exportType 'INCREMENTAL_EXPORT'", id="incremental",
        ),
        pytest.param(
            replace(SOUND, summary={"outputFormat": "ION"}), "found 'ION'; export again", id="ion"
        ),
        pytest.param(
            replace(SOUND, summary={"itemCount": 8}), "expected 8 items.*found 7", id="item count"
        ),
        pytest.param(
            replace(SOUND, summary={"itemCount": 6}), "expected 6 items.*found 7", id="one too many"
        ),
        pytest.param(
            replace(SOUND, summary={"tableArn": None}), "'tableArn' as text, found no such field",
            id="no field",
        ),
        pytest.param(
            replace(SOUND, summary={"exportTime": "yesterday"}), "ISO 8601, found 'yesterday'",
            id="time",
        ),
        pytest.param(
            replace(SOUND, files={"itemCount": -1}), "'itemCount' as a whole number, found -1",
            id="negative",
        ),
        pytest.param(
            replace(SOUND, files={"dataFileS3Key": f"p/AWSDynamoDB/{EXPORT_ID}/../x.json.gz"}),
            "data files below", id="dots",
        ),
        pytest.param(
            replace(SOUND, files={"dataFileS3Key": "p/AWSDynamoDB/other/data/x.json.gz"}),
            "data files below", id="of another export",
        ),
        pytest.param(
            replace(SOUND, files={"dataFileS3Key": f"p/AWSDynamoDB/{EXPORT_ID}/data/x.json.gz"}),
            "data/x.json.gz: expected the data file.*found nothing", id="no such file",
        ),
        pytest.param(
            replace(SOUND, files={"md5Checksum": "abc"}), "base64 of 16 bytes", id="checksum"
        ),
    ],
)  # fmt: skip
def test_an_export_that_cannot_be_right_is_refused(
    tmp_path: Path, spec: DynamoDBExportSpec, said: str
):
    put_dynamodb_export(tmp_path, FILES, spec)
    with pytest.raises(BadInputError, match=said):
        find(tmp_path)


@pytest.mark.parametrize(
    ("name", "side"), [("manifest-summary", "checksum"), ("manifest-files", "md5")]
)
def test_a_manifest_that_does_not_have_the_md5_of_its_side_file_is_refused(
    tmp_path: Path, name: str, side: str
):
    store = open_store(put_dynamodb_export(tmp_path, FILES, replace(SOUND, side_files=side)))
    store.put(f"{name}.json", store.get(f"{name}.json") + b"\n")
    with pytest.raises(BadInputError, match=rf"{name}.json: expected the MD5 '.{{24}}' of its"):
        find(tmp_path)


def test_a_file_named_twice_and_a_missing_list_are_refused(tmp_path: Path):
    store = open_store(put_dynamodb_export(tmp_path, FILES, replace(SOUND, side_files=None)))
    lines = store.get("manifest-files.json")
    store.put("manifest-files.json", lines + lines.splitlines(keepends=True)[0])
    with pytest.raises(BadInputError, match="each data file once"):
        find(tmp_path)
    store.delete("manifest-files.json")
    with pytest.raises(BadInputError, match=r"manifest-files.json: expected the manifest"):
        find(tmp_path)


def test_of_several_tables_side_by_side_the_one_of_the_same_name_is_taken(tmp_path: Path):
    put_dynamodb_export(tmp_path, FILES)
    # Refused if it were looked into, but it is another table's.
    other = replace(LATER, table="carts", summary={"outputFormat": "ION"})
    put_dynamodb_export(tmp_path, [order_rows(1)], other)
    for source in (tmp_path, f"{tmp_path}/AWSDynamoDB/{{snapshot}}"):
        assert [snapshot.id for snapshot in find(source).ready] == [EXPORT_ID]
        with pytest.raises(SettingsError, match=r"table/carts.*table/orders.*none of them"):
            find(source, "shop.sales")
    # By itself any table will do: the lake's may have a name of its own.
    folder = join_url(str(tmp_path), "AWSDynamoDB", EXPORT_ID)
    assert len(find(folder, "shop.sales").ready) == 1


def test_two_copies_of_one_export_are_refused(tmp_path: Path):
    folder = Path(put_dynamodb_export(tmp_path, FILES))
    shutil.copytree(folder, folder.with_name(LATER.id))
    with pytest.raises(BadInputError, match=f"one snapshot {EXPORT_ID}, found another one"):
        find(tmp_path)


def spoil(folder: str, key: str) -> None:
    open_store(folder).put(key, b'{"not": "what it was"}')


@pytest.mark.parametrize("key", ["manifest-summary.json", "manifest-files.json"])
def test_of_several_exports_a_broken_one_is_refused_by_itself(tmp_path: Path, key: str):
    put_dynamodb_export(tmp_path, FILES)
    later = put_dynamodb_export(tmp_path, FILES, LATER)
    spoil(later, key)
    found = find(tmp_path)
    assert [snapshot.id for snapshot in found.ready] == [EXPORT_ID]
    [refused] = found.refused
    assert refused.key == later
    assert key.removesuffix(".json") in str(refused.error)
    # The summary says when it was exported; a broken one does not.
    assert refused.exported_at == (LATER.exported_at if key == "manifest-files.json" else None)
    with pytest.raises(BadInputError):
        find(later)  # alone it is all there is


def test_another_tables_export_is_not_taken_for_one_that_cannot_be_read(tmp_path: Path):
    ours = put_dynamodb_export(tmp_path, FILES)
    other = replace(LATER, table="customers")
    put_dynamodb_export(tmp_path, FILES, other)
    spoil(ours, "manifest-summary.json")
    found = find(tmp_path)
    assert found.ready == ()
    assert [refused.key for refused in found.refused] == [ours]
    assert "customers" in found.waiting[0].reason
