"""Objects in memory: bodies of any size with their metadata, ranges, what is noticed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lake_assets.errors import (
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    SourceChangedError,
    StorageError,
)
from lake_assets.s3 import Access, use_access
from lake_assets.s3.objects import SIDECAR, open_objects
from lake_assets.s3.objects_bucket import BucketObjects
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets_tests.fault_proxy import Fault, fault_proxy

MIB = 1024**2


@pytest.fixture(params=["folder", "s3"])
def objects(request, tmp_path):
    if request.param == "folder":
        return open_objects(str(tmp_path / "root"))
    return open_objects(f"s3://{request.getfixturevalue('bucket')}/some prefix")


def body_of(n_bytes: int) -> memoryview:
    return np.random.default_rng(n_bytes).integers(0, 256, n_bytes, np.uint8).data


@pytest.mark.parametrize("n_bytes", [0, 1, 3 * MIB, 17 * MIB])
def test_a_body_of_any_size_comes_back_with_its_metadata(objects, n_bytes):
    body = body_of(n_bytes)
    objects.write("a/b c%", body, {"Name": "value"})
    stored = objects.read("a/b c%")
    assert stored.body == body
    assert stored.found.metadata == {"name": "value"}
    assert stored.found.size_bytes == n_bytes
    assert stored.found.modified_at is not None
    looked = objects.look("a/b c%")
    assert (looked.etag, looked.metadata) == (stored.found.etag, {"name": "value"})
    assert objects.read_span("a/b c%", 0, 0, etag=looked.etag) == b""
    if n_bytes > 1:
        span = objects.read_span("a/b c%", 5, n_bytes - 7, etag=looked.etag)
        assert span == body[5 : n_bytes - 7]


def test_metadata_that_are_written_replace_those_that_were_there(objects):
    objects.write("a", memoryview(b"1"), {"x": "1", "y": "2"})
    objects.write("a", memoryview(b"2"), {"y": "3"})
    assert objects.read("a").found.metadata == {"y": "3"}
    objects.write("a", memoryview(b"3"), {})
    assert objects.read("a").found.metadata == {}
    assert [info.key for info in objects.store.list()] == ["a"]


def test_what_is_missing_or_changed_is_an_error_of_its_own(objects):
    assert objects.look("a") is None
    with pytest.raises(MissingObjectError, match="a is not there"):
        objects.read("a")
    with pytest.raises(FileNotFoundError):
        objects.read_span("a", 0, 1, etag=None)
    objects.write("a", memoryview(b"old"), {})
    etag = objects.look("a").etag
    objects.write("a", memoryview(b"newer"), {})
    for read in (
        lambda: objects.read("a", etag=etag),
        lambda: objects.read_span("a", 0, 1, etag=etag),
    ):
        with pytest.raises(SourceChangedError):
            read()
    with pytest.raises(SourceChangedError):
        objects.read_span("a", 0, 6, etag=None)


def test_a_body_that_its_writer_does_not_know_again_is_refused(objects):
    objects.write("a", memoryview(b"body"), {"sum": "1"})
    answers = iter([False, True])
    assert objects.read("a", proof=lambda *_: next(answers)).body == b"body"
    with pytest.raises(BodyMismatchError, match="checksum"):
        objects.read("a", proof=lambda *_: False)


def test_a_sidecar_that_is_no_json_object_is_none(tmp_path):
    objects = open_objects(str(tmp_path))
    objects.store.put("a", b"x")
    objects.store.put(f"a{SIDECAR}", b"[1]")
    assert objects.look("a").metadata == {}


@pytest.mark.parametrize("n_writers", [1, 9])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch, n_writers):
    objects = open_objects(str(tmp_path))
    objects.write("a", memoryview(b"first"), {})
    head, left = objects.store.head, list(range(2 * n_writers))

    def head_before_a_writer(key):
        found = head(key)
        if left and left.pop() % 2:  # of two looks at the file the first one
            objects.write("a", memoryview(b"%d" % len(left)), {})
        return found

    monkeypatch.setattr(objects.store, "head", head_before_a_writer)
    if n_writers == 1:
        assert objects.read("a").body == b"1"
        return
    with pytest.raises(SourceChangedError, match="read again"):
        objects.read("a")


@pytest.mark.parametrize("text", [b"", b'{"dtype": "<f', b"\xff"])
def test_a_sidecar_that_is_damaged_is_named_until_the_file_is_written_again(tmp_path, text):
    objects = open_objects(str(tmp_path))
    objects.write("a", memoryview(b"x"), {"dtype": "<f8"})
    objects.store.put(f"a{SIDECAR}", text)
    for ask in (objects.look, objects.read):
        with pytest.raises(BodyMismatchError, match=r"a\.meta\.json is damaged.*write the object"):
            ask("a")
    objects.write("a", memoryview(b"y"), {"dtype": "<f4"})
    assert objects.look("a").metadata == {"dtype": "<f4"}


def test_bytes_that_break_off_or_are_wrong_are_fetched_again(bucket, s3_env, monkeypatch):
    writer = open_objects(f"s3://{bucket}")
    writer.write("a", body_of(MIB), {})
    with fault_proxy(s3_env) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        objects = open_objects(f"s3://{bucket}")
        for kind in ("cut", "flip", "short"):
            proxy.faults.append(Fault(kind, times=1))
            assert objects.read("a").body == body_of(MIB)
    assert len([request for request in proxy.requests if request.method == "GET"]) == 6


def test_boto3_alone_serves_as_well(bucket):
    url = f"s3://{bucket}"
    use_access(url, Access(engine="boto3"))
    try:
        objects = open_objects(url)
        assert type(objects._engine).__name__ == "BotoEngine"
        objects.write("a", body_of(9 * MIB), {"x": "y"})
        assert objects.read("a").body == body_of(9 * MIB)
        assert objects.read("a").found.metadata == {"x": "y"}
    finally:
        use_access(url, None)


def test_an_upload_in_parts_that_fails_leaves_nothing(bucket, bucket_maker, monkeypatch):
    objects = open_objects(f"s3://{bucket}")
    engine = objects._engine
    failing = type(engine).upload_part

    def broken(self, key, upload_id, number, data, *, md5):
        if number == 2:
            raise OSError("no more")
        return failing(self, key, upload_id, number, data, md5=md5)

    monkeypatch.setattr(type(engine), "upload_part", broken)
    with pytest.raises(OSError, match="no more"):
        objects.write("a", body_of(17 * MIB), {})
    assert objects.look("a") is None
    assert bucket_maker.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_body_without_a_checksum_is_proven_by_the_md5s_of_its_parts(bucket):
    objects = open_objects(f"s3://{bucket}")
    objects.write("a", body_of(17 * MIB), {})
    stored = objects.read("a")
    assert stored.found.etag.endswith("-3")
    wrong = bytearray(stored.body)
    wrong[-1] ^= 1
    config = TransferConfig(encryption=None)
    judge = BucketObjects(objects._engine, objects.store, config)
    assert judge._is_right("a", stored, None)
    assert not judge._is_right("a", type(stored)(stored.found, memoryview(wrong)), None)


@pytest.mark.parametrize("said", [{"who": "new"}, {"who": "new", "crc32c": "1"}, {}])
def test_a_write_that_ends_in_between_leaves_no_old_metadata_beside_a_new_body(
    tmp_path, monkeypatch, said
):
    objects = open_objects(str(tmp_path))
    rename, seen = Path.replace, []

    def noted(partial, path):
        rename(partial, path)
        found = objects.look("a")
        seen.append((bytes(objects.store.get("a")), found.metadata))

    for old in ({"who": "old"}, {}):
        objects.write("a", memoryview(b"old body"), old)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", noted)
            objects.write("a", memoryview(b"new body"), said)
    assert (b"new body", {"who": "old"}) not in seen
    assert seen[-1] == (b"new body", said)
    if "crc32c" in said:  # it tells the old body from the new one
        assert all(metadata == said for _, metadata in seen)


def test_a_key_that_would_be_the_sidecar_of_a_file_is_refused(tmp_path):
    objects = open_objects(str(tmp_path))
    objects.write("a", memoryview(b"x"), {"who": "me"})
    with pytest.raises(SettingsError, match=r"a\.meta\.json.*choose another name"):
        objects.write(f"a{SIDECAR}", memoryview(b"[1]"), {})
    assert objects.look("a").metadata == {"who": "me"}


def test_both_engines_say_the_same_of_an_object(bucket):
    url = f"s3://{bucket}/a prefix"
    fast, slow = (open_objects(url, Access(engine=engine)) for engine in ("obstore", "boto3"))
    for key in ("plain", "100% ü+.npy", "a//b", "a/../b", "dir/"):
        slow.write(key, memoryview(b"abc"), {"Who": "me", "crc32c": "00"})
        one, other = fast.look(key), slow.look(key)
        assert (one, one.metadata) == (replace(other, has_md5=one.has_md5), other.metadata)
        assert one.modified_at == other.modified_at
    for missing in ("nothing", "a", "plain/x"):
        assert fast.look(missing) is slow.look(missing) is None
    nowhere = Access(endpoint_url="http://127.0.0.1:9", retry_attempts=1)
    with pytest.raises(StorageError, match="cannot look up"):
        open_objects("s3://lake-none", nowhere).look("x")
