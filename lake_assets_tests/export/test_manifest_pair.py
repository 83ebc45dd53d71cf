"""s3manifesto's manifest pairs: read, proven, written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from lake_assets.errors import BadInputError, SettingsError, SourceChangedError
from lake_assets.export.manifest_pair import ListedFile, write_manifest_pair
from lake_assets.export.snapshots import FoundSnapshots, find_snapshots
from lake_assets.s3 import ObjectInfo, open_store
from lake_assets_tests.snapshots import (
    Url,
    listed_files,
    orders,
    put_files,
    put_manifest_pair,
    snapshot_settings,
)

FILES = {"a.parquet": orders(3), "deep/b.parquet": orders(2, start=3)}
ROWS = {"a.parquet": 3, "deep/b.parquet": 2}


def find(source: Url) -> FoundSnapshots:
    settings = snapshot_settings(source, "manifest")
    return find_snapshots(settings, table="shop.orders")


@pytest.fixture(params=["folder", "s3"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Two data files, in a folder or a bucket."""
    if request.param == "folder":
        return put_files(tmp_path / "data", FILES)
    return put_files(f"s3://{request.getfixturevalue('bucket')}/some/data", FILES)


def test_a_manifest_is_a_snapshot_of_the_files_it_lists(data: str, tmp_path: Path):
    put_files(data, {"stranger.parquet": orders(1)})
    uris = {u: f for u, f in listed_files(data, ROWS).items() if "stranger" not in u}
    [snapshot] = find(put_manifest_pair(tmp_path / "manifest", uris)).ready
    text = "".join(f"{uri}{etag}" for uri, (etag, _, _) in sorted(uris.items()))
    assert snapshot.id == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert (snapshot.source, snapshot.format, snapshot.rows) == (data, "parquet", 5)
    assert [(file.key, file.rows) for file in snapshot.files] == list(ROWS.items())
    listed = {info.key: info for info in open_store(data).list()}
    assert all(file.etag == listed[file.key].etag for file in snapshot.files)


def test_a_file_that_was_replaced_since_is_named(data: str, tmp_path: Path):
    source = put_manifest_pair(tmp_path / "manifest", listed_files(data))
    put_files(data, {"a.parquet": FILES["a.parquet"].reverse()})
    if data.startswith("s3://"):  # nothing is looked up until it is read
        [file, _] = find(source).ready[0].files
        info = ObjectInfo(file.key, file.size_bytes, file.etag, find(source).ready[0].exported_at)
        with pytest.raises(SourceChangedError, match=r"a.parquet was replaced"):
            open_store(data).get(file.key, listed=info)
    else:
        with pytest.raises(BadInputError, match=r"a.parquet: expected the file that .* lists"):
            find(source)


def test_what_the_manifest_leaves_out_is_looked_up(data: str, tmp_path: Path):
    uris = dict.fromkeys(listed_files(data), (None, None, None))
    source = put_manifest_pair(tmp_path, uris, name="of-today", summary={"size": 9, "n_record": 9})
    [snapshot] = find(source).ready
    assert (snapshot.id, snapshot.rows) == ("of-today", None)
    listed = [(i.key, i.size_bytes, i.etag) for i in open_store(data).list()]
    assert [(f.key, f.size_bytes, f.etag) for f in snapshot.files] == listed
    another_size = dict.fromkeys(uris, (None, 1, None))
    with pytest.raises(BadInputError, match=rf"size 1, .*, found {listed[0][1]} bytes"):
        find(put_manifest_pair(tmp_path / "other", another_size))
    open_store(data).delete("a.parquet")
    with pytest.raises(BadInputError, match=r"a.parquet: expected .*, found nothing; put it back"):
        find(source)


def test_a_written_manifest_is_read_back_and_is_what_others_write(data: str, tmp_path: Path):
    files = [ListedFile(uri, *facts) for uri, facts in listed_files(data, ROWS).items()]
    mine = (
        f"{data}/../manifest/mine.json" if not data.startswith("s3://") else f"{data}-m/mine.json"
    )
    fingerprint = write_manifest_pair(mine, files[::-1], details={"by": "us"})
    [snapshot] = find(mine).ready
    others = put_manifest_pair(tmp_path / "others", listed_files(data, ROWS))
    [other] = find(others).ready
    assert (snapshot.id, snapshot.files) == (other.id, other.files) == (fingerprint, other.files)
    folder = f"{data}-m" if data.startswith("s3://") else str(tmp_path / "manifest")
    store = open_store(folder)
    assert json.loads(store.get("mine.json")) == {
        "manifest": f"{folder}/mine.parquet",
        "size": sum(file.size_bytes or 0 for file in files),
        "n_record": 5,
        "fingerprint": fingerprint,
        "details": {"by": "us"},
    }
    assert store.get("mine.json").startswith(b'{\n    "manifest"')
    assert dict(pl.read_parquet(store.get("mine.parquet")).schema) == {
        **dict.fromkeys(["uri", "etag"], pl.String),
        **dict.fromkeys(["size", "n_record"], pl.Int64),
    }
    with pytest.raises(SettingsError, match="both files"):
        write_manifest_pair(f"{folder}/mine.parquet", files)


def test_an_empty_manifest_is_an_empty_snapshot_and_none_waits(tmp_path: Path):
    [snapshot] = find(put_manifest_pair(tmp_path, {})).ready
    assert (snapshot.files, snapshot.rows) == ((), 0)
    [waiting] = find(tmp_path / "not-there.json").waiting
    assert waiting.key == f"{tmp_path}/not-there.json"


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ({"fingerprint": "0" * 32}, "expected fingerprint '0{32}', as the summary says"),
        ({"size": 1}, "expected size 1"),
        ({"n_record": 6}, "expected n_record 6, .*found 5"),
        ({"manifest": "gone.parquet"}, r"gone.parquet: expected the parquet file"),
        ({"manifest": "data/a.parquet"}, r"a.parquet: expected parquet with the columns uri"),
        ({"manifest": None}, "'manifest' as text"),
    ],
)
def test_a_pair_that_does_not_fit_together_is_refused(
    tmp_path: Path, summary: Mapping[str, object], said: str
):
    data = put_files(tmp_path / "data", FILES)
    source = put_manifest_pair(tmp_path, listed_files(data, ROWS), summary=summary)
    with pytest.raises(BadInputError, match=said):
        find(source)


@pytest.mark.parametrize(
    ("uris", "said"),
    [
        (["s3://a/x.parquet", "s3://b/x.parquet"], "one bucket, or in folders, found a, b"),
        (["s3://a/x.parquet", "/nowhere/x.parquet"], "found a, folders"),
        (["s3://a/x.parquet", "s3://a/y.csv"], "files of one format.*x.parquet.*y.csv"),
        (["s3://a/x.unknown"], "files of one format"),
    ],
)
def test_files_that_are_not_one_snapshot_are_refused(tmp_path: Path, uris: list[str], said: str):
    source = put_manifest_pair(tmp_path, dict.fromkeys(uris, ("e", 1, 1)))
    with pytest.raises(BadInputError, match=said):
        find(source)
