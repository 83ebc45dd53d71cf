"""Whose an object is, as a store or this machine names it."""

import os
import re

import pytest

from lake_assets.errors import MissingObjectError, SettingsError, StorageError
from lake_assets.s3.client import boto_client
from lake_assets.s3.owner import Owner, owner_of
from lake_assets_tests.s3.places import fill


def test_an_object_has_the_owner_that_the_store_names(bucket):
    fill(f"s3://{bucket}", {"x": b"1", "x2": b"2"})
    found = owner_of(f"s3://{bucket}/x")
    assert re.fullmatch("[0-9a-f]{64}", found.id)
    assert found.name == "webfile"  # moto's
    with pytest.raises(SettingsError, match="single objects"):
        owner_of(f"s3://{bucket}/")
    with pytest.raises(MissingObjectError, match="no object"):
        owner_of(f"s3://{bucket}/y")


def test_a_store_that_names_no_owner_says_so(bucket):
    fill(f"s3://{bucket}", {"x": b"1"})
    client = boto_client(f"s3://{bucket}")

    def without(parsed, **_):
        for item in parsed.get("Contents", ()):
            item.pop("Owner", None)

    client.meta.events.register("after-call.s3.ListObjectsV2", without)
    try:
        with pytest.raises(StorageError, match="names no owners"):
            owner_of(f"s3://{bucket}/x")
    finally:
        client.meta.events.unregister("after-call.s3.ListObjectsV2", without)


def test_a_file_has_the_owner_that_the_system_names(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    assert owner_of(tmp_path / "x") == Owner(str(os.getuid()), (tmp_path / "x").owner())
    with pytest.raises(MissingObjectError, match="No such file"):
        owner_of(tmp_path / "y")
