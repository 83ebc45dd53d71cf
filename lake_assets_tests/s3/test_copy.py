"""Copy and move: one class over the four ways between folders and buckets; copies by the store."""

import io
import os
from collections.abc import Iterator
from itertools import pairwise

import boto3
import pytest
from boto3.s3.transfer import TransferConfig as Parts

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.copy import copy, move
from lake_assets.s3.filesystem import stat
from lake_assets.s3.globs import select
from lake_assets.s3.server_copy import part_ranges
from lake_assets.s3.sync import sync
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets_tests.fault_proxy import Fault, FaultProxy, fault_proxy
from lake_assets_tests.s3.places import TREE, fill, held

MIB = 1024**2


@pytest.fixture
def proxy(s3_env, monkeypatch) -> Iterator[FaultProxy]:
    with fault_proxy(s3_env) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def put_in_parts(bucket: str, key: str, body: bytes) -> None:
    client = boto3.client("s3")
    place = {"Bucket": bucket, "Key": key}
    carried = {"Metadata": {"sha256": "kept"}, "ContentType": "text/odd"}
    begun = client.create_multipart_upload(**place, **carried, Tagging="team=a%20b&x=1%3D2")
    place["UploadId"] = begun["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), 5 * MIB), start=1):
        part = body[start : start + 5 * MIB]
        etag = client.upload_part(**place, PartNumber=number, Body=part)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


def tags(bucket: str, key: str) -> dict[str, str]:
    found = boto3.client("s3").get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


class TestCopyAndMove:
    def test_one_object_goes_to_a_name_or_into_a_folder(self, way):
        source, target = way
        copy(f"{source}/x.txt", f"{target}/new.txt")
        copy(f"{source}/x.txt", f"{target}/into/")
        copy([f"{source}/x.txt", f"{source}/data/a.json"], f"{target}/both/")
        copy(f"{source}/data/b.json", f"{target}/into")  # is a folder by now
        assert held(target) == {
            "new.txt": TREE["x.txt"],
            "into/x.txt": TREE["x.txt"],
            "into/b.json": b"bb",
            "both/x.txt": TREE["x.txt"],
            "both/a.json": b"a",
        }
        assert held(source) == TREE

    def test_a_folder_goes_below_the_target_without_its_look_alike(self, way):
        source, target = way
        report = copy(f"{source}/data", f"{target}/to", recursive=True)
        assert report.ok
        wanted = {k.removeprefix("data/"): v for k, v in TREE.items() if k.startswith("data/")}
        assert held(f"{target}/to") == wanted
        copy([f"{source}/data", f"{source}/x2"], f"{target}/more/", recursive=True)
        assert set(held(f"{target}/more")) == {*(f"data/{key}" for key in wanted), "x2/a"}

    def test_a_folder_is_not_copied_unless_recursive_is_said(self, way):
        source, target = way
        for verb in (copy, move):
            with pytest.raises(StorageError, match="is a folder; say recursive"):
                verb(f"{source}/data", target)
            with pytest.raises(StorageError, match=r"nothing at .*dat"):
                verb(f"{source}/dat", target, recursive=True)
        assert held(target) == {}

    def test_what_is_there_is_not_written_over_unasked(self, way):
        source, target = way
        fill(target, {"a.json": b"precious", "b.json": b"bb"})
        for verb in (copy, move):
            report = verb(f"{source}/data", target, recursive=True)
            [problem] = report.failed
            assert problem.url == f"{target}/a.json"
            assert "other bytes" in problem.reason
            assert held(target)["a.json"] == b"precious"
        assert held(source)["data/a.json"] == b"a"  # what was not moved stays
        assert "data/b.json" not in held(source)  # what was there already counts as moved
        copy(f"{source}/data", target, recursive=True, overwrite=True)
        assert held(target)["a.json"] == b"a"

    def test_a_move_empties_the_source_and_nothing_beside_it(self, way):
        source, target = way
        report = move(f"{source}/data", f"{target}/to", recursive=True)
        assert report.ok
        assert held(source) == {k: v for k, v in TREE.items() if not k.startswith("data/")}
        assert held(f"{target}/to")["deep/er/c.json"] == b"ccc"
        with pytest.raises(StorageError):
            stat(f"{source}/data")

    def test_a_move_of_one_object_leaves_its_neighbours(self, way):
        source, target = way
        move(f"{source}/x", f"{target}/y")
        assert held(source) == {key: body for key, body in TREE.items() if key != "x"}
        assert held(target) == {"y": TREE["x"]}

    def test_patterns_choose_what_is_moved(self, way):
        source, target = way
        move(f"{source}/data", target, recursive=True, selection=select(["*.json"], ["deep/"]))
        assert held(target) == {"a.json": b"a", "b.json": b"bb"}
        gone = {"data/a.json", "data/b.json"}
        assert held(source) == {key: body for key, body in TREE.items() if key not in gone}

    def test_two_sources_of_one_name_are_refused_before_anything_moves(self, way):
        source, target = way
        fill(source, {"other/a.json": b"other"})
        with pytest.raises(SettingsError, match="two sources for"):
            move([f"{source}/data/a.json", f"{source}/other/a.json"], f"{target}/")
        assert held(target) == {}
        assert held(source)["data/a.json"] == b"a"

    @pytest.mark.parametrize("verb", [copy, move])
    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ("x.txt", "x.txt"),
            ("x.txt", ""),
            ("data", "data"),
            ("data/", "data"),
            ("data", "data/deep"),
            ("data", "data/new/below"),
        ],
    )
    def test_nothing_goes_onto_or_into_itself(self, base, verb, source, target):
        with pytest.raises(SettingsError, match="itself"):
            verb(f"{base}/{source}", f"{base}/{target}", recursive=True)
        assert held(base) == TREE

    def test_a_prefix_moves_to_its_look_alike(self, base):
        move(f"{base}/data", f"{base}/data2", recursive=True)
        assert {key for key in held(base) if key.startswith("data")} == {
            *("data2/z", "data2/a.json", "data2/b.json"),
            *("data2/deep/d.csv", "data2/deep/er/c.json"),
        }


class TestToAFolder:
    def test_a_key_that_leads_out_of_the_folder_fails_alone(self, bucket, tmp_path):
        client = boto3.client("s3")
        for key in ("in/a", "in/../../up", "in/x/../../../up", "in/100%25.txt", "in2/b"):
            client.put_object(Bucket=bucket, Key=key, Body=b"1")
        report = copy(f"s3://{bucket}/in", tmp_path / "deep" / "to", recursive=True)
        assert set(held(str(tmp_path))) == {"deep/to/a", "deep/to/100%25.txt"}
        assert len(report.failed) == 2
        assert all("dots" in failure.reason for failure in report.failed)


class TestServerCopy:
    @pytest.mark.parametrize("verb", [copy, move])
    def test_metadata_of_the_user_are_kept_and_no_acl_is_sent(self, bucket, verb):
        client = boto3.client("s3")
        key, said = "in/100%25 ü.txt", {"subject": "s01", "dtype": "<f4"}
        client.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=said, ContentType="text/odd")
        assert verb(f"s3://{bucket}/{key}", f"s3://{bucket}/out/").ok
        found = client.head_object(Bucket=bucket, Key="out/100%25 ü.txt")
        assert (found["Metadata"], found["ContentType"]) == (said, "text/odd")
        grants = client.get_object_acl(Bucket=bucket, Key="out/100%25 ü.txt")["Grants"]
        assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]  # its owner

    def test_no_byte_passes_through_the_client(self, bucket, proxy):
        fill(f"s3://{bucket}/from", {"a": os.urandom(100_000)})
        proxy.requests.clear()
        sync(f"s3://{bucket}/from", f"s3://{bucket}/to")
        gets = [r for r in proxy.requests if r.method == "GET" and "list-type" not in r.path]
        assert gets == []
        assert any("x-amz-copy-source" in request.headers for request in proxy.requests)

    def test_an_object_of_parts_is_copied_by_the_same_parts_and_keeps_its_etag(self, bucket):
        body = os.urandom(11 * MIB)
        put_in_parts(bucket, "from/big", body)
        assert sync(f"s3://{bucket}/from", f"s3://{bucket}/to").ok
        known = stat(f"s3://{bucket}/to/big")
        assert known.etag == stat(f"s3://{bucket}/from/big").etag
        assert known.details["metadata"] == {"sha256": "kept"}
        assert (known.details["content_type"], known.details["encryption"]) == (
            "text/odd",
            "AES256",
        )
        assert tags(bucket, "to/big") == {"team": "a b", "x": "1=2"}
        assert held(f"s3://{bucket}/to")["big"] == body
        assert sync(f"s3://{bucket}/from", f"s3://{bucket}/to").copied == []

    @pytest.mark.parametrize(("request_of", "method"), [("tagging", "GET"), ("uploads", "POST")])
    def test_tags_that_may_not_be_read_or_written_are_left_with_a_warning(
        self, bucket, proxy, caplog, request_of, method
    ):
        put_in_parts(bucket, "from/big", bytes(6 * MIB))
        proxy.faults.append(Fault("403", rf"big\?{request_of}", method, times=1))
        assert sync(f"s3://{bucket}/from", f"s3://{bucket}/to").ok
        assert tags(bucket, "to/big") == {}
        assert "without" in caplog.text

    def test_a_copy_by_parts_that_fails_leaves_no_upload_behind(self, bucket, proxy):
        config = TransferConfig(multipart_threshold_bytes=5 * MIB, multipart_chunk_bytes=5 * MIB)
        client = boto3.client("s3")
        body = os.urandom(11 * MIB)
        client.upload_fileobj(
            io.BytesIO(body), bucket, "from/big", Config=Parts(5 * MIB, multipart_chunksize=5 * MIB)
        )
        proxy.faults.append(Fault("403", "to/big.*partNumber=2", "PUT"))
        report = sync(f"s3://{bucket}/from", f"s3://{bucket}/to", config=config)
        assert len(report.failed) == 1
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
        assert held(f"s3://{bucket}/to") == {}

    def test_more_than_5_gb_is_cut_into_parts_that_s3_takes(self):
        for size in (5 * 1024**3 + 1, 10**12, 5 * 1024**4):
            ranges = part_ranges(size, None)
            assert ranges[0][0] == 0
            assert ranges[-1][1] == size - 1
            assert all(a[1] + 1 == b[0] for a, b in pairwise(ranges))
            assert len(ranges) <= 10_000
            assert max(end - start + 1 for start, end in ranges) <= 5 * 1024**3
