"""Objects: named by their bytes, written once, never served when the bytes do not fit the id."""

import hashlib
import io
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog.formats import open_batches, read_as
from lake_assets.catalog.objects import Objects, open_verified
from lake_assets.errors import BodyMismatchError, SettingsError, SourceChangedError, StorageError
from lake_assets.s3 import open_store

FRAME = pl.DataFrame({"n": [1, 2, None], "text": ["a", "ü", None]})


@pytest.fixture(params=["folder", "s3"])
def url(request, tmp_path) -> str:
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('bucket')}/lake"
    return str(tmp_path / "lake")


@pytest.fixture
def objects(tmp_path) -> Objects:
    return Objects(open_store(str(tmp_path)))


def test_the_id_is_the_sha256_and_the_second_put_is_told_that_it_is_there(url, tmp_path):
    objects = Objects(open_store(url))
    path = tmp_path / "file"
    path.write_bytes(b"body")
    id_ = hashlib.sha256(b"body").hexdigest()
    first = objects.put(b"body")
    assert (first.id, first.size_bytes, first.is_new) == (id_, 4, True)
    assert [objects.put(each).is_new for each in (b"body", io.BytesIO(b"body"), path)] == [
        False
    ] * 3
    assert objects.put(b"").is_new
    assert objects.get(id_) == b"body"
    assert objects.get(hashlib.sha256(b"").hexdigest()) == b""
    with objects.open(id_, memory_bytes=1) as file:
        assert (file.read(2), file.seek(1), file.read()) == (b"bo", 1, b"ody")
    info = objects.head(id_)
    assert info
    assert info.size_bytes == 4
    assert objects.url_of(id_) == f"{url}/catalog/objects/sha256/{id_[:2]}/{id_}"


def test_damaged_bytes_are_never_served_and_the_object_is_named(url):
    store = open_store(url)
    objects = Objects(store)
    id_ = objects.put(b"body").id
    key = f"catalog/objects/sha256/{id_[:2]}/{id_}"
    store.put(key, b"Body")
    with pytest.raises(BodyMismatchError, match=f"{id_}.*damaged"):
        objects.get(id_)
    for memory_bytes in (1, 100):
        with pytest.raises(BodyMismatchError, match=f"{id_}.*damaged"):
            objects.open(id_, memory_bytes=memory_bytes)
    store.put(key, b"bod")  # torn: the next put must not call it "there already"
    with pytest.raises(BodyMismatchError, match=f"{id_}.*expected 4 bytes, found 3"):
        objects.put(b"body")


def test_an_object_that_is_not_there_is_named(objects):
    id_ = "0" * 64
    assert objects.head(id_) is None
    for read in (objects.get, objects.open):
        with pytest.raises(StorageError, match=f"{id_} is not in"):
            read(id_)


@pytest.mark.parametrize("id_", ["", "../x", "A" * 64, "a" * 63, "a" * 65, f"{'a' * 63}/"])
def test_what_is_no_id_reaches_no_store(objects, id_):
    for call in (objects.get, objects.open, objects.head, objects.url_of):
        with pytest.raises(SettingsError, match="no object id"):
            call(id_)


def test_listing_narrows_by_the_beginning_and_the_end_of_ids(objects):
    ids = sorted(objects.put(str(n).encode()).id for n in range(100))
    assert list(objects.list()) == ids
    for length in (1, 2, 3, 64):
        start = ids[7][:length]
        assert list(objects.list(start)) == [id_ for id_ in ids if id_.startswith(start)]
    assert list(objects.list("", ids[7][-2:])) == [id_ for id_ in ids if id_.endswith(ids[7][-2:])]
    assert list(objects.list("f" * 64)) == []
    with pytest.raises(SettingsError, match="lower-case hex"):
        list(objects.list("../"))


def test_a_body_beyond_the_limit_is_refused_and_not_held(tmp_path):
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1, /) -> bytes:
            self.taken += size
            return b"x" * size

    objects = Objects(open_store(str(tmp_path)), max_bytes=10)
    body = Endless()
    with pytest.raises(SettingsError, match=r"at most 10 bytes.*by reference"):
        objects.put(body)  # pyright: ignore[reportArgumentType] (raw, as a pipe is)
    assert body.taken == 11
    assert objects.put(b"x" * 10).is_new
    with pytest.raises(StorageError, match=r"cannot read .*nothing"):
        objects.put(Path(tmp_path, "nothing"))


def test_what_was_hashed_is_what_is_read_although_the_file_changes_meanwhile(tmp_path):
    store = open_store(str(tmp_path))
    store.put("file", b"a" * 100)
    info = store.head("file")
    assert info
    digest = hashlib.sha256(b"a" * 100).hexdigest()
    for memory_bytes in (10, 1000):
        with open_verified(store, info, sha256=digest, memory_bytes=memory_bytes) as file:
            with (tmp_path / "file").open("r+b") as same:
                same.write(b"b" * 100)
            assert file.read() == b"a" * 100
        with (tmp_path / "file").open("r+b") as same:
            same.write(b"a" * 100)
        info = store.head("file")
        assert info
    store.put("file", b"a" * 101)
    with pytest.raises(SourceChangedError, match="replaced"):
        open_verified(store, info, sha256=digest)


def body_of(kind: str) -> bytes:
    sink, table = io.BytesIO(), FRAME.to_arrow()
    if kind == "parquet":
        pq.write_table(table, sink)
    elif kind == "csv":
        FRAME.write_csv(sink)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["arrow", "arrow_stream", "parquet", "csv"])
def test_a_table_reads_back_whole_and_batch_by_batch(objects, kind):
    id_ = objects.put(body_of(kind)).id
    with objects.open(id_) as file:
        assert read_as(file, kind, name=id_).equals(FRAME)
    with objects.open(id_) as file:
        batches = list(open_batches(file, kind, name=id_))
    assert pa.Table.from_batches(batches).column("n").to_pylist() == [1, 2, None]
    assert len(batches) == (2 if kind.startswith("arrow") else 1)


def test_bytes_of_another_kind_are_an_error_that_names_the_object(objects):
    id_ = objects.put(b"\xff no table").id
    for kind in ("text", "json", "arrow", "arrow_stream", "parquet", "histograms", "tdigests"):
        with objects.open(id_) as file, pytest.raises(StorageError, match=f"{id_}.*no {kind}"):
            read_as(file, kind, name=id_)
    for kind in ("arrow", "arrow_stream", "parquet"):
        with objects.open(id_) as file, pytest.raises(StorageError, match=f"{id_}.*no {kind}"):
            open_batches(file, kind, name=id_)
    with pytest.raises(SettingsError, match="'pickle'; kinds are bytes, text"):
        read_as(io.BytesIO(), "pickle", name="x")
    with pytest.raises(SettingsError, match="'json' has no batches"):
        open_batches(io.BytesIO(), "json", name="x")
    assert read_as(io.BytesIO(json.dumps([1]).encode()), "json", name="x") == [1]
