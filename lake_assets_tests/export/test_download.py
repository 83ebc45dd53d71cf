"""Finished export files as local files: gated, verified, never outside the folder."""

from pathlib import Path

import pytest

from lake_assets.lake import download, open_datamart
from lake_assets.settings import load_settings
from lake_assets_tests.factories import export_files, put_bucket, put_folder


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
