"""Finished export files as local files: gated, verified, never outside the folder."""

import os
from pathlib import Path

import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.export.download import get_datamart_data, get_files
from lake_assets.lake import download, open_datamart
from lake_assets.s3 import Store, open_store
from lake_assets.settings import load_settings
from lake_assets_tests.factories import export_files, put_bucket, put_folder
from lake_assets_tests.fault_proxy import Fault, fault_proxy


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    put_folder(tmp_path / "exports", export_files("model_snapshot", 6, files=2))
    return tmp_path / "exports"


def fetch(exports: Path | str, target: Path, **kwargs):
    lake = open_datamart(load_settings(exports=str(exports), root=str(target.parent / "lake")))
    return download(lake, target, **kwargs)


def test_finished_files_come_down_under_their_keys_and_are_cached_the_second_time(
    exports, tmp_path
):
    first = fetch(exports, tmp_path / "local", tables=["modelSnapshot"])
    second = fetch(exports, tmp_path / "local")
    assert [p.read_bytes() for p in first.new] == [
        (exports / p.relative_to(tmp_path / "local")).read_bytes() for p in first.new
    ]
    assert len(first.new) == 2
    assert (second.new, second.cached) == ((), first.new)


def test_a_file_without_its_sentinel_does_not_come_down(exports, tmp_path):
    next(iter(sorted((exports / "datamart").glob(".*.meta")))).unlink()
    assert len(fetch(exports, tmp_path / "local").new) == 1


@pytest.mark.parametrize("damage", [b"", b"edited"], ids=["truncated", "edited"])
def test_a_damaged_local_copy_is_fetched_again(exports, tmp_path, damage):
    target = tmp_path / "local"
    victim = fetch(exports, target).new[0]
    whole = victim.read_bytes()
    victim.write_bytes(damage.ljust(len(whole), b"x") if damage else damage)
    again = fetch(exports, target)
    assert again.new == (victim,)
    assert victim.read_bytes() == whole


def test_an_object_that_was_overwritten_is_fetched_again(exports, tmp_path):
    target = tmp_path / "local"
    victim = fetch(exports, target).new[0]
    (exports / victim.relative_to(target)).write_bytes(b"other")
    again = fetch(exports, target)
    assert again.new == (victim,)
    assert victim.read_bytes() == b"other"


def test_a_key_with_dots_is_refused_by_name_and_the_others_come_down(bucket, s3_env, tmp_path):
    objects = export_files("model_snapshot", 4, files=1)
    put_bucket(bucket, objects, s3_env)
    evil = [type(o)(o.key.replace("datamart/", "datamart/../up/"), o.body) for o in objects]
    put_bucket(bucket, evil, s3_env)
    result = fetch(f"s3://{bucket}", tmp_path / "local")
    assert len(result.new) == 1
    assert "datamart/../up/" in str(result.refused[0])
    assert not (tmp_path / "up").exists()


@pytest.fixture(params=["folder", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A place to put files of any name into."""
    if request.param == "folder":
        return open_store(str(tmp_path / "source"))
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some where")


def put_finished(store: Store, *keys: str) -> None:
    for key in keys:
        store.put(key, key.encode())
        above, slash, name = key.rpartition("/")
        store.put(f"{above}{slash}.{name}.meta", b"")


def names(paths: tuple[Path, ...], folder: Path) -> list[str]:
    return [path.relative_to(folder.resolve()).as_posix() for path in paths]


class TestGetFiles:
    """pdstools' get_files, over folders and S3."""

    def test_a_prefix_within_a_name_finds_the_files_and_their_sentinels(self, source, tmp_path):
        put_finished(source, "out/files_001.json", "out/files_002.json", "out/other.json")
        source.put("out/files_003.json", b"not finished")
        source.put("out/.files_004.json.meta", b"")
        came = get_files(source.url, "out/files_", tmp_path / "local")
        assert names(came.new, tmp_path / "local") == ["out/files_001.json", "out/files_002.json"]
        assert came.waiting == ("out/files_003.json", "out/files_004.json")
        assert [path.read_text() for path in came.new] == [
            "out/files_001.json",
            "out/files_002.json",
        ]

    def test_nested_folders_and_the_root_of_the_store_work(self, source, tmp_path):
        put_finished(source, "root.json", "a/x.json", "a/b/c/deep.json")
        came = get_files(source.url, "", tmp_path / "not" / "there" / "yet")
        assert [path.name for path in came.paths] == ["deep.json", "x.json", "root.json"]
        assert came.waiting == ()
        below = get_files(source.url, "a", tmp_path / "b")
        assert [path.name for path in below.paths] == ["deep.json", "x.json"]

    def test_without_meta_files_all_but_the_sentinels_come(self, source, tmp_path):
        put_finished(source, "out/a.json")
        source.put("out/b.json", b"b")
        came = get_files(source.url, "out/", tmp_path / "local", use_meta_files=False)
        assert names(came.new, tmp_path / "local") == ["out/a.json", "out/b.json"]

    def test_a_prefix_that_finds_nothing_gives_nothing(self, source, tmp_path):
        assert get_files(source.url, "nothing/", tmp_path / "local").paths == ()

    def test_two_calls_give_the_same_paths_whatever_is_cached(self, source, tmp_path):
        put_finished(source, "b.json", "d.json")
        first = get_files(source.url, "", tmp_path / "local")
        put_finished(source, "a.json", "c.json")
        second = get_files(source.url, "", tmp_path / "local")
        assert second.cached == first.new
        assert [path.name for path in second.paths] == ["a.json", "b.json", "c.json", "d.json"]

    def test_the_same_key_of_another_store_is_not_taken_from_the_cache(self, tmp_path):
        for name, body in (("one", b"1"), ("two", b"2")):
            store = open_store(str(tmp_path / name))
            put_finished(store, "x.json")
            store.put("x.json", body)
        one = tmp_path / "one" / "x.json"
        times = (one.stat().st_atime_ns, one.stat().st_mtime_ns)
        os.utime(tmp_path / "two" / "x.json", ns=times)  # same size, same time
        get_files(str(tmp_path / "one"), "", tmp_path / "local")
        came = get_files(str(tmp_path / "two"), "", tmp_path / "local")
        assert [path.read_bytes() for path in came.new] == [b"2"]

    def test_a_broken_record_of_the_cache_only_costs_a_download(self, source, tmp_path):
        put_finished(source, "x.json")
        get_files(source.url, "", tmp_path / "local")
        [record] = (tmp_path / "local" / ".lake_download").iterdir()
        for broken in (b"", b"{", b"[]", b'{"etag": 1}', b"\xff"):
            record.write_bytes(broken)
            assert len(get_files(source.url, "", tmp_path / "local").new) == 1
        assert len(get_files(source.url, "", tmp_path / "local").cached) == 1

    def test_a_custom_sentinel_is_understood(self, source, tmp_path):
        source.put("out/a.json", b"a")
        source.put("out/a.json.done", b"")
        source.put("out/b.json", b"b")
        came = get_files(source.url, "out/a", tmp_path / "local", sentinel="{name}.done")
        assert names(came.new, tmp_path / "local") == ["out/a.json"]


def put_odd(bucket: str, s3_env: str, *keys: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_env)
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_keys_that_share_a_path_or_have_none_are_refused_by_name(bucket, s3_env, tmp_path):
    odd = ["a//b", "f", "f/inner", ".lake_download/x.json", "../up", "c/../../up2"]
    put_odd(bucket, s3_env, "a/b", "//etc/x", *odd)
    came = get_files(f"s3://{bucket}", "", tmp_path / "local", use_meta_files=False)
    refused = {error.key for error in came.refused}
    assert names(came.new, tmp_path / "local") == ["a/b", "f/inner"]
    assert refused == {"//etc/x", *odd} - {"f/inner"}
    assert (tmp_path / "local" / "a" / "b").read_text() == "a/b"
    assert not list(tmp_path.glob("up*"))


def test_a_link_in_the_folder_does_not_lead_out_of_it(bucket, s3_env, tmp_path):
    put_odd(bucket, s3_env, "link/x", "y")
    (tmp_path / "local").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "local" / "link").symlink_to(tmp_path / "outside")
    came = get_files(f"s3://{bucket}", "", tmp_path / "local", use_meta_files=False)
    assert [error.key for error in came.refused] == ["link/x"]
    assert list((tmp_path / "outside").iterdir()) == []


def test_one_broken_file_is_reported_and_a_second_call_heals_it(
    bucket, s3_env, tmp_path, monkeypatch
):
    put_odd(bucket, s3_env, "a.json", "b.json", "c.json")
    with fault_proxy(s3_env) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.faults.append(Fault("flip", "/b.json$"))
        came = get_files(f"s3://{bucket}", "", tmp_path / "local", use_meta_files=False)
        assert [path.name for path in came.new] == ["a.json", "c.json"]
        [failed] = came.failed
        assert (failed.key, type(failed.error).__name__) == ("b.json", "BodyMismatchError")
        assert sorted(p.name for p in (tmp_path / "local").iterdir() if p.is_file()) == [
            "a.json",
            "c.json",
        ]
        proxy.faults.clear()
        healed = get_files(f"s3://{bucket}", "", tmp_path / "local", use_meta_files=False)
    assert ([p.name for p in healed.new], len(healed.cached)) == (["b.json"], 2)


def test_what_the_disk_refuses_is_reported_and_the_others_come(bucket, s3_env, tmp_path):
    put_odd(bucket, s3_env, "taken", "n" * 300, "x.json")
    (tmp_path / "local" / "taken").mkdir(parents=True)
    came = get_files(f"s3://{bucket}", "", tmp_path / "local", use_meta_files=False)
    assert [path.name for path in came.new] == ["x.json"]
    assert sorted(failed.key for failed in came.failed) == ["n" * 300, "taken"]
    assert list((tmp_path / "local").glob(".part-*")) == []


def test_files_obey_the_umask(exports, tmp_path):
    [path, *_] = fetch(exports, tmp_path / "local").new
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


class TestGetDatamartData:
    """pdstools' get_datamart_data."""

    def test_one_table_comes_and_tables_of_like_names_do_not(self, exports, tmp_path):
        put_folder(exports, export_files("predictor_snapshot", 3))
        came = get_datamart_data(str(exports), "modelSnapshot", tmp_path / "local")
        assert len(came.new) == 2
        assert all("ModelSnapshot" in path.name for path in came.new)

    def test_the_datamart_folder_may_lie_deeper(self, exports, tmp_path):
        (exports / "datamart").rename(exports / "prod")
        (exports / "in").mkdir()
        (exports / "prod").rename(exports / "in" / "prod")
        came = get_datamart_data(
            str(exports), "model_snapshot", tmp_path / "local", datamart_folder="in/prod"
        )
        assert len(came.new) == 2

    def test_a_file_without_its_sentinel_waits_unless_told_otherwise(self, exports, tmp_path):
        next(iter(sorted((exports / "datamart").glob(".*.meta")))).unlink()
        came = get_datamart_data(str(exports), "modelSnapshot", tmp_path / "local")
        assert (len(came.new), len(came.waiting)) == (1, 1)
        bold = get_datamart_data(
            str(exports), "modelSnapshot", tmp_path / "local", use_meta_files=False
        )
        assert (len(bold.new), bold.cached) == (1, came.new)

    def test_what_is_not_there_is_an_error(self, exports, tmp_path):
        with pytest.raises(SettingsError, match="no table 'models'"):
            get_datamart_data(str(exports), "models", tmp_path / "local")
        with pytest.raises(StorageError, match="there is no folder"):
            get_datamart_data(str(exports / "nowhere"), "modelSnapshot", tmp_path / "local")
