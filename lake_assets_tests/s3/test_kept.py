"""Copies on local disk of what a process wrote to its bucket."""

import errno
import hashlib
from pathlib import Path

import pytest

from lake_assets.errors import SourceChangedError
from lake_assets.s3 import open_store
from lake_assets.s3.kept import kept_locally

BODY = b"rows" * 1000
SHA = hashlib.sha256(BODY).hexdigest()


def everything(_key: str) -> bool:
    return True


@pytest.fixture
def store(bucket):
    return open_store(f"s3://{bucket}/lake")


def test_a_body_that_was_written_here_is_not_fetched_again(store):
    with kept_locally(store, everything) as kept:
        assert kept.create("staging/a", BODY)
        store.delete("staging/a")  # behind its back: what is read now is the copy
        assert kept.get("staging/a", sha256=SHA) == BODY
        assert kept.get("staging/a") == BODY


def test_a_document_that_another_process_wrote_first_is_what_it_wrote(store):
    store.create("done.json", b"theirs")
    with kept_locally(store, everything) as kept:
        assert kept.create("done.json", b"ours") is False
        assert kept.get("done.json") == b"theirs"


def test_the_bucket_has_all_of_it_and_the_copies_go(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with kept_locally(store, everything) as kept:
        kept.create("a", BODY)
        kept.put("b", BODY)
        assert len(list(tmp_path.rglob("*"))) == 2, "a folder and one file: what is put may change"
    assert store.get("a") == store.get("b") == BODY
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_is_damaged_is_not_believed(store):
    with kept_locally(store, everything) as kept:
        kept.create("a", BODY)
        (copy,) = kept._copies.values()
        copy.path.write_bytes(BODY[:-1] + b"x")
        assert kept.get("a", sha256=SHA) == kept.get("a") == BODY


def test_another_writers_object_of_the_same_content_is_kept_as_well(store):
    store.create("a", BODY)
    with kept_locally(store, everything) as kept:
        assert kept.create("a", BODY) is False
        store.delete("a")
        assert kept.get("a", sha256=SHA) == BODY


def test_a_deleted_object_is_gone_here_too(store):
    with kept_locally(store, everything) as kept:
        kept.create("a", BODY)
        kept.delete("a")
        with pytest.raises(SourceChangedError):
            kept.get("a", sha256=SHA)


def test_what_is_not_wanted_or_does_not_fit_is_read_from_the_bucket(store, monkeypatch):
    monkeypatch.setattr("lake_assets.s3.kept._DISK_BYTES", len(BODY) + 1)
    with kept_locally(store, lambda key: key.startswith("staging/")) as kept:
        for key in ("claim", "staging/1", "staging/2"):
            kept.create(key, BODY)
            assert kept.get(key, sha256=SHA) == BODY
        assert list(kept._copies) == ["staging/1"]


def test_a_full_disk_costs_copies_and_no_rows(store, monkeypatch):
    def full(_path: Path, _body: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with kept_locally(store, everything) as kept:
        kept.create("a", BODY)
        kept.create("b", BODY)
        assert kept.get("a", sha256=SHA) == kept.get("b", sha256=SHA) == BODY
        assert not kept._copies


def test_a_folder_is_local_as_it_is(tmp_path):
    folder = open_store(str(tmp_path))
    with kept_locally(folder, everything) as kept:
        assert kept is folder
