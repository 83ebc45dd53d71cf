"""Files by reference: the hash of the stored bytes, checked at each read."""

import gzip
import hashlib
import os

import pytest

from lake_assets.catalog import open_reference, refer_to
from lake_assets.catalog.objects import MEMORY_BYTES
from lake_assets.catalog.references import files_below, refer_to_object
from lake_assets.errors import BodyMismatchError, SettingsError, SourceChangedError, StorageError
from lake_assets.s3 import open_store


@pytest.fixture(params=["folder", "s3"])
def url(request, tmp_path) -> str:
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('bucket')}/exports"
    return str(tmp_path / "exports")


def test_a_reference_says_what_was_there_and_serves_nothing_else(url):
    store = open_store(url)
    body = gzip.compress(b"rows", mtime=0)
    store.put("a b/x.json.gz", body)
    found = refer_to(f"{url}/a b/x.json.gz")
    info = store.head("a b/x.json.gz")
    assert info
    assert found.uri == f"{url}/a b/x.json.gz"
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert (found.size_bytes, found.etag, found.modified_at) == (
        len(body), info.etag, info.modified_at,
    )  # fmt: skip
    with open_reference(found.uri, found.sha256) as file:
        assert file.read() == body
    store.put("a b/x.json.gz", body[::-1])
    with pytest.raises(BodyMismatchError, match=f"x.json.gz was changed.*{found.sha256}"):
        open_reference(found.uri, found.sha256)
    assert refer_to(found.uri).sha256 == hashlib.sha256(body[::-1]).hexdigest()
    store.put("a b/x.json.gz", body)  # the same bytes again are the same file, whatever the time
    open_reference(found.uri, found.sha256).close()
    store.delete("a b/x.json.gz")
    with pytest.raises(StorageError, match=f"x.json.gz.*{found.sha256}.*gone"):
        open_reference(found.uri, found.sha256)
    with pytest.raises(StorageError, match=r"no file .*x\.json\.gz"):
        refer_to(found.uri)


def test_a_change_that_keeps_size_and_time_is_found(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 100)
    was = path.stat()
    found = refer_to(str(path))
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert refer_to(str(path)).etag == found.etag
    with pytest.raises(BodyMismatchError, match=r"changed in place"):
        open_reference(found.uri, found.sha256)
    with pytest.raises(BodyMismatchError, match=r"changed in place"):
        open_reference(found.uri, found.sha256, memory_bytes=10)


def test_a_large_file_that_is_written_to_while_it_is_hashed_gets_no_reference(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(MEMORY_BYTES + 1))
    store = open_store(str(tmp_path))
    assert refer_to(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    class Meddled:
        """The store, where the file grows after it was opened."""

        url = store.url
        head = staticmethod(store.head)

        @staticmethod
        def open(listed, *, memory_bytes):
            file = store.open(listed, memory_bytes=memory_bytes)
            with path.open("ab") as same:
                same.write(b"more")
            return file

    info = store.head("file")
    assert info
    with pytest.raises(SourceChangedError, match="changed while it was hashed"):
        refer_to_object(Meddled(), info)  # pyright: ignore[reportArgumentType] (what is called of it)


def test_a_pattern_finds_files_in_order_and_never_folders(url):
    store = open_store(url)
    for key in ("b.csv", "a.csv", "sub/c.csv", "x.csv/inner.txt", "a.txt"):
        store.put(key, key.encode())

    def keys(pattern: str) -> list[str]:
        return [info.key for info in files_below(url, pattern)[1]]

    assert keys("*.csv") == ["a.csv", "b.csv"]
    assert keys("**/*.csv") == ["a.csv", "b.csv", "sub/c.csv"]
    assert keys("**") == ["a.csv", "a.txt", "b.csv", "sub/c.csv", "x.csv/inner.txt"]
    assert keys("none*") == []
    with pytest.raises(SettingsError, match="no pattern"):
        files_below(url, "[z-a]")
