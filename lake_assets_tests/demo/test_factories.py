"""The builders of the tests build what they say: a bucket's objects, and files that are broken."""

import gzip
import io
import json
import zipfile
import zlib

import boto3
import pytest

from lake_assets.demo.exports import ndjson
from lake_assets_tests import factories


def test_a_bucket_gets_every_object(bucket: str, s3_env: str):
    objects = factories.export_files("notification", files=2)
    factories.put_bucket(bucket, objects, s3_env, prefix="prod/")
    client = boto3.client("s3", endpoint_url=s3_env)
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert {entry["Key"]: entry["Size"] for entry in listed} == {
        f"prod/{item.key}": len(item.body) for item in objects
    }


def test_broken_files_are_broken_in_their_own_way():
    some = factories.model_rows(20)
    with pytest.raises(EOFError):
        gzip.decompress(factories.truncated_gzip(some))
    whole = factories.gzipped(some)
    flipped = factories.flipped_byte(whole)
    assert sum(a != b for a, b in zip(whole, flipped, strict=True)) == 1
    with pytest.raises((gzip.BadGzipFile, zlib.error)):
        gzip.decompress(flipped)
    with zipfile.ZipFile(io.BytesIO(factories.zip_with_two_members(some))) as archive:
        parts = [archive.read(name) for name in archive.namelist()]
    assert len(parts) == 2
    assert b"".join(parts) == ndjson(some)
    with zipfile.ZipFile(io.BytesIO(factories.zip_with_dotdot(some))) as archive:
        assert archive.namelist() == ["../data.json"]
    assert json.loads(factories.json_array_file(some)) == some


def test_a_bomb_is_small_until_it_is_unpacked():
    bomb = factories.gzip_bomb(20_000_000)
    assert len(bomb) < 200_000
    assert 20_000_000 <= len(gzip.decompress(bomb)) < 22_000_000
