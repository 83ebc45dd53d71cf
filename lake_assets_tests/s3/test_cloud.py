"""The obstore-only store, held to the store's contract over memory and over S3.

Google Cloud and Azure themselves are not reached by any test.
"""

import obstore
import pytest
from obstore.store import MemoryStore

from lake_assets.errors import BodyMismatchError, SettingsError, StorageError
from lake_assets.s3 import Folder, ObjectInfo, open_store, parse_url
from lake_assets.s3.client import obstore_store
from lake_assets.s3.cloud import CloudStore
from lake_assets_tests.fault_proxy import Fault, fault_proxy
from lake_assets_tests.s3.places import fill_moto
from lake_assets_tests.s3.test_store_contract import TestStoreContract as Contract
from lake_assets_tests.s3.test_store_contract import keys


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> CloudStore:
    if request.param == "memory":
        return CloudStore("gs://bucket", "some prefix+1", MemoryStore())
    bucket = request.getfixturevalue("bucket")
    return CloudStore(f"s3://{bucket}", "some prefix+1", obstore_store(f"s3://{bucket}"))


class TestCloudContract(Contract):
    """Everything that folders and buckets promise; two tests do it their own way."""

    def test_2500_keys_are_all_listed_once(self, store):
        made = [f"page/{number:05d}.json" for number in range(1200)]
        names = [f"some prefix+1/{key}" for key in made]
        if store.url.startswith("s3://"):
            fill_moto(parse_url(store.url).bucket, names)
        else:
            for name in names:
                obstore.put(store._store, name, b"")
        assert keys(store, "page/") == made
        assert keys(store, "page/01") == [key for key in made if key.startswith("page/01")]

    def test_keys_beside_the_root_are_not_seen(self, store):
        store.put("x", b"")
        beside = CloudStore("gs://bucket", "some prefix+12", store._store)
        beside.put("y", b"")
        assert (keys(store), keys(beside)) == (["x"], ["y"])


def test_a_listing_starts_after_a_key_and_shows_a_level(store):
    for key in ["a/1", "a/2", "b", "c/d/e"]:
        store.put(key, b"1")
    assert [info.key for info in store.list(start_after="a/1")] == ["a/2", "b", "c/d/e"]
    level = list(store.browse())
    assert [(type(item), item.key) for item in level] == [
        (Folder, "a/"),
        (ObjectInfo, "b"),
        (Folder, "c/"),
    ]
    assert [item.key for item in store.browse("c/")] == ["c/d/"]
    assert [item.key for item in store.browse("a/")] == ["a/1", "a/2"]


def test_a_flipped_byte_is_never_handed_out(bucket, s3_env, monkeypatch):
    with fault_proxy(s3_env) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = CloudStore(f"s3://{bucket}", "", obstore_store(f"s3://{bucket}"))
        store.put("x", b"body" * 100)
        proxy.faults.append(Fault("flip", "/x$", times=1))
        assert store.get("x") == b"body" * 100
        proxy.faults.append(Fault("flip", "/x$"))
        with pytest.raises(BodyMismatchError, match="MD5"):
            store.get("x")


def test_what_it_cannot_do_is_an_error_that_says_so(store):
    for act in (
        store.versions,
        lambda: store.put("a/../b", b""),
        lambda: store.get("a//b"),
        lambda: store.head("../x"),
    ):
        with pytest.raises(StorageError, match=r"cannot (list the versions of|write|read|look up)"):
            act()


def test_a_missing_bucket_and_refused_credentials_are_storage_errors(bucket, s3_env, monkeypatch):
    missing = CloudStore("s3://no", "", obstore_store("s3://no-such-bucket-at-all"))
    with pytest.raises(StorageError, match="cannot list s3://no: there is no such bucket"):
        list(missing.list())
    with fault_proxy(s3_env) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.faults.append(Fault("403"))
        refused = CloudStore("s3://b", "", obstore_store(f"s3://{bucket}"))
        with pytest.raises(StorageError, match="refused the credentials"):
            list(refused.list())


@pytest.mark.parametrize("url", ["gs://bucket/some/prefix/", "az://container/some/prefix"])
def test_the_addresses_of_clouds_open(url, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert open_store(url).url == url.rstrip("/")


def test_an_address_that_obstore_does_not_take_is_a_storage_error(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StorageError, match="cannot reach az://container"):
        open_store("az://container/x")


def test_what_works_on_s3_and_folders_only_refuses_a_cloud():
    with pytest.raises(SettingsError, match="scheme 'gs'"):
        parse_url("gs://bucket/x")
