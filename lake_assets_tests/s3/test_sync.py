"""Sync: one class over the four ways between folders and buckets."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.address import parse_address
from lake_assets.s3.copy import copy, move
from lake_assets.s3.globs import select
from lake_assets.s3.move_bytes import CopyItem, move_bytes
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.sync import plan_sync, sync
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets_tests.fault_proxy import Fault, FaultProxy, fault_proxy
from lake_assets_tests.s3.places import ODD_KEYS, TREE, fill, fill_moto, held, new_place

MIB = 1024**2


@pytest.fixture
def proxy(s3_env, monkeypatch) -> Iterator[FaultProxy]:
    with fault_proxy(s3_env) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


class TestSync:
    def test_a_sync_makes_the_target_equal_and_a_second_one_moves_nothing(self, way):
        source, target = way
        first = sync(source, target)
        assert first.ok
        assert held(target) == TREE == held(source)
        assert sorted(first.copied) == [f"{target}/{key}" for key in sorted(TREE)]
        assert first.size_bytes == sum(map(len, TREE.values()))
        second = sync(source, target)
        assert (second.copied, second.deleted, second.failed) == ([], [], [])
        assert sorted(second.skipped) == sorted(first.copied)

    def test_changed_bytes_of_equal_size_are_seen(self, way):
        source, target = way
        sync(source, target)
        fill(source, {"data/a.json": b"A"})
        assert sync(source, target, compare="size").copied == []
        assert sync(source, target).copied == [f"{target}/data/a.json"]
        assert held(target) == TREE | {"data/a.json": b"A"}

    def test_compare_exists_leaves_what_is_there(self, way):
        source, target = way
        fill(target, {"data/a.json": b"other"})
        report = sync(source, target, compare="exists")
        assert held(target) == TREE | {"data/a.json": b"other"}
        assert report.skipped == [f"{target}/data/a.json"]

    def test_a_dry_run_says_what_a_run_would_do_and_changes_nothing(self, way):
        source, target = way
        fill(target, {"old": b"old", "data/a.json": b"?", "x.txt": TREE["x.txt"]})
        before = held(target)
        dry = sync(source, target, delete=True, dry_run=True)
        assert held(target) == before
        assert held(source) == TREE
        wet = sync(source, target, delete=True)
        assert (sorted(dry.copied), dry.deleted) == (sorted(wet.copied), wet.deleted)
        assert (dry.size_bytes, dry.dry_run, wet.dry_run) == (wet.size_bytes, True, False)
        assert held(target) == TREE

    def test_nothing_is_removed_unless_it_is_asked_for(self, way):
        source, target = way
        fill(target, {"old": b"old"})
        sync(source, target)
        assert held(target) == TREE | {"old": b"old"}

    def test_what_is_excluded_is_neither_copied_nor_removed(self, way):
        source, target = way
        fill(target, {"keep/old.log": b"1", "data/old.json": b"2", "old.log": b"3"})
        report = sync(source, target, delete=True, exclude=["*.log", "deep/", "/x2/a"])
        assert report.deleted == [f"{target}/data/old.json"]
        left_out = ("data/deep/er/c.json", "data/deep/d.csv", "x2/a")
        assert held(target) == {k: v for k, v in TREE.items() if k not in left_out} | {
            "keep/old.log": b"1",
            "old.log": b"3",
        }

    def test_only_what_is_included_is_copied_and_removed(self, way):
        source, target = way
        fill(target, {"old.json": b"1", "old.csv": b"2"})
        sync(source, target, delete=True, include=["*.json"])
        wanted = {key: body for key, body in TREE.items() if key.endswith(".json")}
        assert held(target) == wanted | {"old.csv": b"2"}

    def test_a_look_alike_beside_the_target_is_not_touched(self, way):
        source, target = way
        fill(f"{target}2", {"beside": b"1"})
        sync(f"{source}/data", target, delete=True)
        assert held(f"{target}2") == {"beside": b"1"}
        assert set(held(target)) == {"a.json", "b.json", "deep/d.csv", "deep/er/c.json"}

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_an_odd_key_goes_over_unchanged(self, way, key):
        source, target = way
        fill(f"{source}/odd", {key: key.encode()})
        assert sync(f"{source}/odd", target).ok
        assert held(target) == {key: key.encode()}
        assert sync(f"{source}/odd", target).copied == []

    def test_an_empty_body_goes_over(self, way):
        source, target = way
        fill(f"{source}/none", {"empty": b""})
        sync(f"{source}/none", target)
        assert held(target) == {"empty": b""}

    def test_an_empty_source_never_empties_the_target(self, way):
        source, target = way
        fill(target, {"precious": b"1"})
        for missing in (f"{source}/typo", f"{source}/data/typo/"):
            with pytest.raises(StorageError, match="typo"):
                sync(missing, target, delete=True)
        assert held(target) == {"precious": b"1"}

    def test_nothing_is_done_when_a_removal_is_not_approved(self, way):
        source, target = way
        fill(target, {"old": b"old"})
        asked = []
        sync(source, target, delete=True, approve=lambda urls: bool(asked.append(urls)))
        assert asked == [[f"{target}/old"]]
        assert held(target) == {"old": b"old"}

    def test_a_single_object_is_no_source(self, way):
        source, target = way
        with pytest.raises(StorageError, match="cp takes single files"):
            sync(f"{source}/x.txt", target)

    @pytest.mark.parametrize("inner", ["", "/", "/data", "/data/deep/new"])
    def test_a_place_is_not_synced_with_itself_or_with_what_is_in_it(self, base, inner):
        for pair in ((base, base + inner), (base + inner, base)):
            with pytest.raises(SettingsError, match="the same place"):
                sync(*pair, delete=True)
        assert held(base) == TREE

    def test_pages_of_keys_are_compared_and_one_more_is_found(self, way, monkeypatch):
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "100")  # of a page of the server
        source, target = way
        many = [f"{number:05d}" for number in range(250)]
        address = parse_address(f"{source}/many")
        if address.is_s3:
            fill_moto(address.bucket, [f"{address.path}/{key}" for key in many])
        else:
            address.local_path.mkdir()
            for key in many:
                (address.local_path / key).write_bytes(b"")
        if target.startswith("s3://"):
            place = parse_address(target)
            fill_moto(place.bucket, [f"{place.path}/{key}" for key in many[:-1]])
        else:
            for key in many[:-1]:
                Path(target, key).write_bytes(b"")
        report = sync(f"{source}/many", target)
        assert report.copied == [f"{target}/{many[-1]}"]
        assert len(report.skipped) == 249


class TestFailures:
    def test_a_key_that_no_folder_can_spell_is_reported_and_the_rest_goes(self, bucket, tmp_path):
        fill_moto(bucket, ["good", "../up", "a//b", "x/../y", "also/good"], b"1")
        report = sync(f"s3://{bucket}", str(tmp_path / "to"))
        assert held(str(tmp_path / "to")) == {"good": b"1", "also/good": b"1"}
        assert len(report.failed) == 3
        assert not (tmp_path / "up").exists()
        again = sync(f"s3://{bucket}", str(tmp_path / "to"))
        assert (again.copied, len(again.failed)) == ([], 3)

    def test_odd_keys_go_from_bucket_to_bucket(self, bucket):
        made = ["a//b", "../up", "x/../y", "/lead", "plain"]
        fill_moto(bucket, [f"from/{key}" for key in made], b"1")
        assert copy(f"s3://{bucket}/from", f"s3://{bucket}/to", recursive=True).ok
        assert set(held(f"s3://{bucket}/to")) == set(made)

    @pytest.mark.parametrize("target", ["folder", "s3"])
    def test_an_interrupted_sync_is_finished_by_the_next(self, target, bucket, tmp_path, proxy):
        fill(f"s3://{bucket}/from", TREE)
        to = new_place(target, tmp_path, lambda: bucket)
        # The store refuses one key: as a read, and as the source of a copy.
        method = "GET" if target == "folder" else "PUT"
        proxy.faults.append(Fault("403", r"data/b\.json$", method))
        first = sync(f"s3://{bucket}/from", to)
        assert [problem.url for problem in first.failed] == [f"{to}/data/b.json"]
        whole = {key: body for key, body in TREE.items() if key != "data/b.json"}
        assert held(to) == whole
        proxy.clear()
        second = sync(f"s3://{bucket}/from", to)
        assert second.copied == [f"{to}/data/b.json"]
        assert held(to) == TREE

    def test_a_move_keeps_the_source_of_what_failed(self, bucket, proxy):
        fill(f"s3://{bucket}/from", TREE)
        proxy.faults.append(Fault("403", r"to/data/b\.json$", "PUT"))
        report = move(f"s3://{bucket}/from", f"s3://{bucket}/to", recursive=True)
        assert len(report.failed) == 1
        assert held(f"s3://{bucket}/from") == {"data/b.json": b"bb"}
        proxy.clear()
        assert move(f"s3://{bucket}/from", f"s3://{bucket}/to", recursive=True).ok
        assert held(f"s3://{bucket}/to") == TREE

    def test_a_source_that_was_replaced_after_it_was_copied_is_not_removed(self, bucket, proxy):
        fill(f"s3://{bucket}/from", {"a": b"1", "b": b"2"})
        proxy.faults.append(Fault("replace", r"from/a$", "HEAD"))
        [problem] = move(f"s3://{bucket}/from", f"s3://{bucket}/to", recursive=True).failed
        assert problem.url == f"s3://{bucket}/from/a"
        assert "replaced" in problem.reason
        assert set(held(f"s3://{bucket}/from")) == {"a"}

    def test_an_object_that_was_replaced_since_it_was_listed_is_not_copied(self, bucket):
        fill(f"s3://{bucket}/from", {"a": b"1"})
        source, target = (parse_address(f"s3://{bucket}/{name}") for name in ("from", "to"))
        [listed] = source.open().list(source.prefix)
        fill(f"s3://{bucket}/from", {"a": b"2"})
        item = CopyItem(listed, "to/a")
        done = move_bytes(source, target, [item], overwrite=True, config=TransferConfig())
        assert "replaced" in done.failed[0].reason
        assert held(f"s3://{bucket}/to") == {}


class TestFolderOnly:
    def test_a_move_within_one_file_system_is_a_rename(self, tmp_path):
        fill(str(tmp_path / "from"), {"a/x": b"1"})
        inode = (tmp_path / "from/a/x").stat().st_ino
        move(str(tmp_path / "from"), str(tmp_path / "to"), recursive=True)
        assert (tmp_path / "to/a/x").stat().st_ino == inode
        assert not (tmp_path / "from").exists()

    def test_an_empty_folder_never_empties_the_target(self, tmp_path):
        (tmp_path / "from").mkdir()
        fill(str(tmp_path / "to"), {"precious": b"1"})
        with pytest.raises(StorageError, match="holds nothing"):
            sync(str(tmp_path / "from"), str(tmp_path / "to"), delete=True)
        assert sync(str(tmp_path / "from"), str(tmp_path / "to")).ok
        assert held(str(tmp_path / "to")) == {"precious": b"1"}

    def test_a_link_to_the_target_is_the_target(self, tmp_path):
        fill(str(tmp_path / "a"), {"x": b"1"})
        (tmp_path / "link").symlink_to(tmp_path / "a")
        with pytest.raises(SettingsError):
            sync(str(tmp_path / "a"), str(tmp_path / "link"), delete=True)
        with pytest.raises(SettingsError):
            copy(str(tmp_path / "a" / "x"), str(tmp_path / "link" / "x"))
        assert held(str(tmp_path / "a")) == {"x": b"1"}

    def test_nothing_behind_a_link_is_removed(self, tmp_path):
        fill(str(tmp_path / "kept"), {"deep/x": b"1"})
        fill(str(tmp_path / "from"), {"a": b"1"})
        fill(str(tmp_path / "to"), {"old": b"1"})
        for name in ("from", "to"):
            (tmp_path / name / "link").symlink_to(tmp_path / "kept")
        (tmp_path / "from" / "link").rename(tmp_path / "from" / "other")
        for dry_run in (True, False):
            report = sync(
                str(tmp_path / "from"), str(tmp_path / "to"), delete=True, dry_run=dry_run
            )
            assert [problem.url for problem in report.failed] == [f"{tmp_path}/to/link/deep/x"]
            assert report.deleted == [f"{tmp_path}/to/old"]
        moved = move(str(tmp_path / "from"), str(tmp_path / "new"), recursive=True)
        assert [problem.url for problem in moved.failed] == [f"{tmp_path}/from/other/deep/x"]
        assert held(str(tmp_path / "new")) == {"a": b"1"}
        assert held(str(tmp_path / "kept")) == {"deep/x": b"1"}

    def test_a_folder_where_a_file_should_be_is_reported_and_the_rest_goes(self, tmp_path):
        fill(str(tmp_path / "from"), {"a": b"1", "b": b"2"})
        fill(str(tmp_path / "to"), {"a/x": b"3"})
        report = sync(str(tmp_path / "from"), str(tmp_path / "to"))
        assert [problem.url for problem in report.failed] == [f"{tmp_path}/to/a"]
        assert held(str(tmp_path / "to")) == {"a/x": b"3", "b": b"2"}

    def test_what_a_killed_process_left_goes_after_a_day_and_nothing_else(self, tmp_path):
        fill(str(tmp_path / "from"), {"deep/a": b"1"})
        names = {".part-1f-0", f".part-{'0' * 32}", ".part-of-mine", ".part-2e-1"}
        (tmp_path / "to" / "deep").mkdir(parents=True)
        for name in names:
            path = tmp_path / "to" / "deep" / name
            path.touch()
            days = 0.9 if name == ".part-2e-1" else 1.1
            os.utime(path, (time.time() - days * 86_400,) * 2)
        sync(str(tmp_path / "from"), str(tmp_path / "to"))
        left = {path.name for path in (tmp_path / "to" / "deep").iterdir()}
        assert left == {"a", ".part-of-mine", ".part-2e-1"}

    def test_folders_that_lost_their_last_file_go_with_a_delete(self, tmp_path):
        fill(str(tmp_path / "from"), {"a": b"1"})
        fill(str(tmp_path / "to"), {"old/deep/x": b"1"})
        sync(str(tmp_path / "from"), str(tmp_path / "to"), delete=True)
        assert [path.name for path in (tmp_path / "to").iterdir()] == ["a"]


def info(key: str, size: int = 1) -> ObjectInfo:
    return ObjectInfo(key, size, f"etag-{size}", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_plan_is_pure_and_names_each_key_once():
    source = [info("new"), info("same"), info("grown", 2), info("out/x")]
    target = [info("same"), info("grown"), info("old"), info("out/old")]
    plan = plan_sync(source, target, delete=True, selection=select(exclude=["out/"]))
    assert [each.key for each in plan.copy] == ["new", "grown"]
    assert [(a.key, b.key) for a, b in plan.compare] == [("same", "same")]
    assert [each.key for each in plan.delete] == ["old"]
    assert plan_sync(source, target).delete == []
