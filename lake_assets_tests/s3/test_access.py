"""Addresses as people have them: pathlib, universal_pathlib, fsspec; what they say of access."""

from pathlib import Path

import fsspec
import pytest
from upath import UPath

from lake_assets.errors import SettingsError
from lake_assets.s3 import Access, ObjectRef, Transfer, join_url, open_store, parse_url
from lake_assets.s3.access import Located, access_of, located
from lake_assets.s3.address import parse_address
from lake_assets.s3.copy import copy
from lake_assets.s3.filesystem import ls
from lake_assets.s3.url import text_of


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (Path("/data/x y"), "/data/x y"),
        (UPath("/data/x"), "/data/x"),
        (UPath("file:///data/100%25.txt"), "/data/100%25.txt"),
        (UPath("s3://b/100%25 #?.txt"), "s3://b/100%25 #?.txt"),
        (UPath("s3://b/a//b"), "s3://b/a//b"),
        (UPath("s3a://b") / "k", "s3://b/k"),
        (UPath("gs://b/k"), "gs://b/k"),
        (Located("s3://b/k/", None), "s3://b/k/"),
    ],
)
def test_a_path_is_the_address_that_it_shows(path, text):
    assert text_of(path) == text
    if not text.startswith("gs"):
        assert parse_url(path) == parse_url(text)
        assert join_url(path, "more") == join_url(text, "more")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (Path("s3://b/k"), "pathlib has made 's3:/b/k'"),
        (UPath("memory://b/k"), "scheme 'memory'"),
        ("simplecache::s3://b/k", "chain"),
        (7, "7 is no address"),
        (None, "None is no address"),
    ],
)
def test_what_is_no_address_is_refused_and_not_taken_for_a_folder(path, said):
    with pytest.raises(SettingsError, match=said):
        parse_url(path)


def test_options_of_s3fs_are_an_access():
    options = {
        "key": "k",
        "secret": "s",
        "token": "t",
        "use_ssl": False,
        "client_kwargs": {"endpoint_url": "http://h", "region_name": "eu-west-1", "verify": False},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        "default_block_size": 5,
    }
    assert access_of(options) == Access(
        region="eu-west-1",
        endpoint_url="http://h",
        access_key_id="k",
        secret_access_key="s",  # noqa: S106 (no secret)
        session_token="t",  # noqa: S106 (no secret)
        addressing="path",
        verify_tls=False,
        use_tls=False,
    )
    assert access_of({"anon": True}) == Access(anonymous=True)
    assert access_of({"default_block_size": 5}) is None
    assert located(UPath("gs://b/k", token="anon")) == ("gs://b/k", None)  # noqa: S106 (gcsfs's word)


def test_what_a_call_says_wins_over_what_its_path_says():
    path, told = UPath("s3://b/k", anon=True), Access(profile="p")
    assert located(path, told) == ("s3://b/k", told)
    assert located(path) == ("s3://b/k", Access(anonymous=True))
    assert parse_address(path).access == Access(anonymous=True)
    assert parse_address(Located("s3://b/k", told)).access == told


def test_a_path_that_knows_its_store_needs_no_environment(bucket, moto_url, monkeypatch, tmp_path):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    root = UPath(f"s3://{bucket}/in", endpoint_url=moto_url, key="testing", secret="testing")  # noqa: S106 (moto's)
    open_store(root).put("a.txt", b"hello")
    assert [entry.url for entry in ls(root)] == [f"s3://{bucket}/in/a.txt"]
    assert copy(root / "a.txt", tmp_path / "got.txt").ok
    with Transfer(root) as transfer:
        assert transfer.upload([ObjectRef("b.txt", tmp_path / "got.txt")]).ok
    assert open_store(root).get("b.txt") == b"hello"


def test_an_open_file_of_fsspec_is_its_path_and_is_not_opened(tmp_path):
    file = fsspec.open(str(tmp_path / "missing.txt"))
    assert text_of(file) == str(tmp_path / "missing.txt")
