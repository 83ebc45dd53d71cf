"""Addresses and names of one path segment."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lake_assets.errors import SettingsError
from lake_assets.s3 import StoreUrl, join_url, parse_url, quote_segment, unquote_segment


@pytest.mark.parametrize(
    ("text", "bucket", "path"),
    [
        ("s3://b", "b", ""),
        ("s3://b/", "b", ""),
        ("s3://b/a/b/", "b", "a/b"),
        ("S3://b/a", "b", "a"),
        ("s3://b/a b%20+#?ü", "b", "a b%20+#?ü"),
        ("s3://b/a//b", "b", "a//b"),
        ("/a/b/", "", "/a/b"),
        ("/a/../b/./c", "", "/b/c"),
        ("/a b%20#?", "", "/a b%20#?"),
        ("file:///a/b%20c#d", "", "/a/b c#d"),
        ("file://localhost/a", "", "/a"),
        ("/", "", "/"),
    ],
)
def test_an_address_is_a_bucket_with_prefix_or_a_folder(text, bucket, path):
    assert parse_url(text) == StoreUrl(bucket, path)
    assert parse_url(parse_url(text).text) == StoreUrl(bucket, path)


def test_a_relative_folder_counts_from_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert parse_url("x/y").path == f"{tmp_path}/x/y"
    assert parse_url("x/../y", base=Path("/base")).path == "/base/y"
    monkeypatch.setenv("HOME", "/at/home")
    assert parse_url("~/x").path == "/at/home/x"


def test_a_link_keeps_its_name(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "datamart").symlink_to(tmp_path / "real")
    assert parse_url(str(tmp_path / "datamart")).path == f"{tmp_path}/datamart"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no address"),
        ("  ", "no address"),
        ("a\0b", "no address"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3a://b/x", "scheme 's3a'"),
        ("https://b.s3.amazonaws.com/x", "scheme 'https'"),
        ("s3://[b/x", ""),
        ("file://server/share", "another host"),
        ("~no-such-user-here/x", "home is not known"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(text, said):
    if not said:  # a strange bucket is for the store to judge; nothing crashes
        assert parse_url(text).bucket == "[b"
        return
    with pytest.raises(SettingsError, match=said):
        parse_url(text)


def test_credentials_in_an_address_are_refused_and_not_shown():
    with pytest.raises(SettingsError, match="must not hold credentials") as caught:
        parse_url("s3://AKID:s3cret@bucket/x")
    assert "s3cret" not in str(caught.value)


def test_join_adds_segments_with_one_slash_each():
    assert join_url("s3://b/", "/a/", "b/c", "", "d") == "s3://b/a/b/c/d"
    assert join_url("/x") == "/x"


@given(st.text() | st.text(alphabet="./% \\=,_-~\n\x00", max_size=8))
@example("...")
@example("a...b ")
@example(".. ")
@example("%2E%2e")
@example("\udcff")
@example("a|b[c],d=e'\"`{}")
def test_a_quoted_segment_is_safe_and_reversible(text: str):
    quoted = quote_segment(text)
    assert unquote_segment(quoted) == text
    assert bool(quoted) == bool(text)
    assert quoted.isascii()
    assert "..." not in quoted  # Dagster: a range of partition keys
    assert not quoted.startswith(".")  # hidden, this folder, the one above, our partial files
    # Of ASCII, only what hive, Dagster's partition keys, URLs and file systems leave alone.
    assert re.fullmatch(r"[A-Za-z0-9%_.+@~-]*", quoted)


@given(st.text(), st.text())
def test_two_texts_never_share_a_segment(one: str, other: str):
    assert (quote_segment(one) == quote_segment(other)) == (one == other)


def test_a_quoted_segment_is_a_valid_dagster_partition_key():
    from dagster import DynamicPartitionsDefinition, MultiPartitionsDefinition
    from dagster import StaticPartitionsDefinition as Static

    texts = ["a...b", "tab\there", "x|y", "a,b", "[1]", "datamart/x\n", "null\0"]
    keys = [quote_segment(text) for text in texts]
    assert Static(keys).get_partition_keys() == keys
    MultiPartitionsDefinition({"a": Static(keys), "b": Static(["1"])})
    assert DynamicPartitionsDefinition(name="exports").name == "exports"


@pytest.mark.parametrize("text", ["a=b", "x y", "50%", "a:b", "{a}", "ü", "2026-09"])
def test_polars_reads_a_quoted_hive_value_back(tmp_path: Path, text: str):
    import polars as pl

    folder = tmp_path / f"_month={quote_segment(text)}"
    folder.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(folder / "x.parquet")
    schema = {"_month": pl.String}
    read = pl.scan_parquet(
        tmp_path / "**/*.parquet", hive_partitioning=True, hive_schema=schema, glob=True
    ).collect()
    assert read.rows() == [(1, text)]
