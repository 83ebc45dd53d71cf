"""Looking and removing: one class over a folder and a bucket, then what only one of them has."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3 import open_store
from lake_assets.s3.address import is_within, parse_address
from lake_assets.s3.buckets import list_buckets, make_bucket, presign, remove_bucket
from lake_assets.s3.filesystem import exists, find, glob, ls, stat, tree, usage
from lake_assets.s3.globs import select
from lake_assets.s3.remove import plan_removal, remove
from lake_assets_tests.fault_proxy import Fault, fault_proxy
from lake_assets_tests.s3.places import ODD_KEYS, TREE, fill, fill_moto, held


def names(entries) -> list[str]:
    return [entry.name for entry in entries]


def rm(url: str, **how) -> list[str]:
    report = remove(plan_removal(url, **how))
    assert report.failed == []
    return report.removed


class TestLooking:
    def test_ls_shows_one_level_with_folders_ending_in_a_slash(self, base):
        assert names(ls(base)) == ["data/", "data2/", "x", "x.txt", "x2/"]
        assert names(ls(f"{base}/")) == ["data/", "data2/", "x", "x.txt", "x2/"]
        entries = {entry.name: entry for entry in ls(f"{base}/data")}
        assert list(entries) == ["a.json", "b.json", "deep/"]
        assert entries["b.json"].url == f"{base}/data/b.json"
        assert (entries["b.json"].size_bytes, entries["b.json"].kind) == (2, "object")
        assert (entries["deep/"].kind, entries["deep/"].size_bytes) == ("folder", None)

    def test_ls_of_an_object_is_that_object_and_no_look_alike(self, base):
        assert names(ls(f"{base}/x")) == ["x"]
        assert names(ls(f"{base}/data/a.json")) == ["a.json"]

    def test_ls_recursive_shows_all_levels(self, base):
        assert names(ls(base, recursive=True)) == sorted(TREE)

    @pytest.mark.parametrize("verb", [ls, tree, find, usage, stat, plan_removal])
    @pytest.mark.parametrize("missing", ["dat", "data/a", "nothing/here", "x.tx", "data/a.json/"])
    def test_a_place_where_nothing_is_is_an_error_that_names_it(self, base, verb, missing):
        with pytest.raises(StorageError, match=f"{missing}"):
            list(found if isinstance(found := verb(f"{base}/{missing}"), list) else iter(found))

    def test_an_empty_place_is_no_error(self, base):
        rm(base, recursive=True)
        make_folder(base)
        assert names(ls(base)) == []
        assert [each.n_objects for each in usage(base)] == [0]
        assert stat(base).kind == "folder"

    def test_tree_draws_folders_before_what_is_in_them(self, base):
        drawn = [lead + entry.name for lead, entry in tree(f"{base}/data")]
        assert drawn == [
            "├── a.json",
            "├── b.json",
            "└── deep/",
            "    ├── d.csv",
            "    └── er/",
            "        └── c.json",
        ]
        assert len(list(tree(f"{base}/data", depth=1))) == 3
        assert len(list(tree(f"{base}/data", depth=2))) == 5

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("data/*.json", ["data/a.json", "data/b.json"]),
            ("data/[ac].json", ["data/a.json"]),
            ("data/[!a].json", ["data/b.json"]),
            ("data*/?", ["data2/z"]),
            ("**/*.json", ["data/a.json", "data/b.json", "data/deep/er/c.json"]),
            ("data/**", [key for key in sorted(TREE) if key.startswith("data/")]),
            ("*/deep/**/c.*", ["data/deep/er/c.json"]),
            ("x*", ["x", "x.txt"]),
            ("x.txt", ["x.txt"]),
            ("*.nothing", []),
        ],
    )
    def test_glob(self, base, pattern, found):
        assert [e.url for e in glob(f"{base}/{pattern}")] == [f"{base}/{key}" for key in found]

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("data*", ["data/", "data2/"]),
            ("x*", ["x", "x.txt", "x2/"]),
            ("x*/", ["x2/"]),
            ("data/*", ["data/a.json", "data/b.json", "data/deep/"]),
            ("d*/*.json", ["data/a.json", "data/b.json"]),
            ("*/deep/er/", ["data/deep/er/"]),
            ("data/a.json", ["data/a.json"]),
            ("none*", []),
            ("none", []),
        ],
    )
    def test_glob_with_folders_shows_what_a_shell_would(self, base, pattern, found):
        shown = glob(f"{base}/{pattern}", folders=True)
        assert [entry.url.removeprefix(f"{base}/") for entry in shown] == found

    def test_glob_with_folders_lists_no_deeper_than_the_pattern(self, base):
        with pytest.raises(SettingsError, match="any depth"):
            list(glob(f"{base}/**/x", folders=True))

    def test_exists_is_true_of_what_is_there_and_of_no_look_alike(self, base):
        assert [exists(f"{base}/{name}") for name in ("x", "data", "data/", "x2/a")] == [True] * 4
        assert [exists(f"{base}/{name}") for name in ("dat", "x.tx", "x2/b")] == [False] * 3

    def test_find_by_name_size_and_path(self, base):
        assert names(find(base, select(["*.json"], ["deep/"]))) == ["data/a.json", "data/b.json"]
        assert names(find(f"{base}/data", where=lambda info: info.size_bytes > 2)) == [
            "deep/d.csv",
            "deep/er/c.json",
        ]
        assert names(find(base, select(["nothing"]))) == []

    def test_stat_knows_size_and_time(self, base):
        known = stat(f"{base}/data/b.json").as_dict()
        assert (known["type"], known["size_bytes"], known["name"]) == ("object", 2, "b.json")
        assert known["url"] == f"{base}/data/b.json"
        assert stat(f"{base}/data").as_dict() == {
            "url": f"{base}/data/",
            "name": "data/",
            "type": "folder",
        }

    def test_du_counts_each_folder_and_the_whole_and_no_look_alike(self, base):
        found = {each.url: (each.n_objects, each.size_bytes) for each in usage(base, depth=1)}
        sizes = {key: len(body) for key, body in TREE.items()}
        assert found == {
            f"{base}/data/": (4, 10),
            f"{base}/data2/": (1, 2),
            f"{base}/x2/": (1, len(TREE["x2/a"])),
            base: (len(sizes), sum(sizes.values())),
        }
        [whole] = usage(f"{base}/data")
        assert (whole.n_objects, whole.size_bytes) == (4, 10)

    def test_more_keys_than_a_request_takes_are_listed_and_removed_once(self, base, monkeypatch):
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "400")  # of a page; a removal takes 1000
        many = [f"many/{number:05d}" for number in range(1100)]
        address = parse_address(base)
        if address.is_s3:
            fill_moto(address.bucket, [f"{address.path}/{key}" for key in many])
        else:
            (address.local_path / "many").mkdir()
            for key in many:
                (address.local_path / key).write_bytes(b"")
        assert names(ls(f"{base}/many")) == [key[5:] for key in many]
        assert usage(f"{base}/many")[0].n_objects == 1100
        removed = rm(f"{base}/many", recursive=True)
        assert len([url for url in removed if url.rpartition("/")[2].isdigit()]) == 1100
        assert held(base) == TREE


class TestRemoving:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_rm_of_a_folder_leaves_its_look_alikes(self, base, slash):
        rm(f"{base}/data{slash}", recursive=True)
        assert set(held(base)) == {"x", "x.txt", "x2/a", "data2/z"}
        rm(f"{base}/x", recursive=True)
        assert set(held(base)) == {"x.txt", "x2/a", "data2/z"}

    def test_rm_of_one_object_leaves_all_others(self, base):
        assert rm(f"{base}/x") == [f"{base}/x"]
        assert held(base) == {key: body for key, body in TREE.items() if key != "x"}

    def test_a_folder_is_not_removed_unless_recursive_is_said(self, base):
        with pytest.raises(StorageError, match=r"data.* is a folder; say recursive"):
            plan_removal(f"{base}/data")
        assert held(base) == TREE

    def test_a_plan_removes_nothing_and_says_how_much(self, base):
        planned = plan_removal(f"{base}/data", recursive=True)
        assert (len(planned.keys), planned.size_bytes) == (4, 10)
        assert held(base) == TREE

    def test_patterns_choose_what_is_removed(self, base):
        rm(f"{base}/data", recursive=True, selection=select(["*.json"], ["deep/"]))
        gone = {"data/a.json", "data/b.json"}
        assert held(base) == {key: body for key, body in TREE.items() if key not in gone}

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_an_odd_key_is_seen_and_removed_alone(self, base, key):
        fill(base, {f"odd/{key}": b"1", f"odd/{key}2": b"2"})
        assert stat(f"{base}/odd/{key}").size_bytes == 1
        assert names(ls(f"{base}/odd/{key}")) == [key.rpartition("/")[2]]
        rm(f"{base}/odd/{key}")
        assert held(base) == TREE | {f"odd/{key}2": b"2"}

    def test_rb_refuses_what_is_not_empty(self, base):
        where = whole(base)
        with pytest.raises(StorageError, match="not empty"):
            remove_bucket(where)
        assert held(base) == TREE
        remove_bucket(where, force=True)
        with pytest.raises(StorageError):
            stat(where)

    def test_mb_makes_what_rb_removes(self, base):
        new = "s3://lake-made-by-mb" if base.startswith("s3://") else f"{base}/made/below"
        make_bucket(new)
        assert stat(new).kind == "folder"
        with pytest.raises(StorageError, match=r"there already|File exists"):
            make_bucket(new)
        remove_bucket(new)
        with pytest.raises(StorageError):
            list(ls(new))


def whole(base: str) -> str:
    """The bucket of a place, or the folder."""
    address = parse_address(base)
    return address.root if address.is_s3 else base


def make_folder(base: str) -> None:
    address = parse_address(base)
    if address.is_s3:
        fill_moto(address.bucket, [f"{address.path}/"])  # as a console does
    else:
        address.local_path.mkdir()


class TestBucket:
    def test_keys_that_no_folder_can_spell_are_seen_and_removed_alone(self, bucket):
        made = ["a//b", "../up", "x/../y", "./dot", "/lead", "a/b", "up", "y"]
        fill_moto(bucket, made)
        root = f"s3://{bucket}"
        assert names(ls(f"{root}/a//")) == ["b"]
        assert names(ls(f"{root}/a")) == ["/", "b"]
        assert stat(f"{root}/x/../y").url == f"{root}/x/../y"
        for key in made[:5]:
            rm(f"{root}/{key}")
        assert set(held(root)) == {"a/b", "up", "y"}

    def test_rm_takes_the_markers_of_folders_along(self, bucket):
        fill_moto(bucket, ["p/", "p/q/", "p/q/x", "p2/", "p"])
        rm(f"s3://{bucket}/p/", recursive=True)
        client = boto3.client("s3")
        left = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
        assert left == ["p", "p2/"]

    def test_rm_of_an_object_with_a_folder_of_its_name_takes_only_what_is_named(self, bucket):
        fill_moto(bucket, ["p", "p/a", "pp"])
        rm(f"s3://{bucket}/p")
        assert set(held(f"s3://{bucket}")) == {"p/a", "pp"}

    def test_a_failing_batch_is_reported_by_key_and_the_rest_goes(
        self, bucket, s3_env, monkeypatch
    ):
        fill(f"s3://{bucket}", {"d/a": b"", "d/b": b"", "d/c": b""})
        with fault_proxy(s3_env) as proxy:
            proxy.faults += [Fault("403", r"\?delete", "POST"), Fault("403", "/d/b", "DELETE")]
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            report = remove(plan_removal(f"s3://{bucket}/d", recursive=True))
        assert report.removed == [f"s3://{bucket}/d/a", f"s3://{bucket}/d/c"]
        [problem] = report.failed
        assert problem.url == f"s3://{bucket}/d/b"
        assert "refused" in problem.reason

    def test_rb_by_force_removes_old_versions_too(self, bucket):
        client = boto3.client("s3")
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            client.put_object(Bucket=bucket, Key="x", Body=body)
        client.delete_object(Bucket=bucket, Key="x")
        with pytest.raises(StorageError, match="not empty"):
            remove_bucket(f"s3://{bucket}")
        remove_bucket(f"s3://{bucket}", force=True)
        assert bucket not in [each.name for each in list_buckets()]

    def test_buckets_are_listed_by_name(self, bucket):
        found = [each.name for each in list_buckets()]
        assert bucket in found
        assert found == sorted(found)

    @pytest.mark.parametrize("verb", [make_bucket, remove_bucket])
    def test_a_prefix_is_no_bucket(self, bucket, verb):
        with pytest.raises(SettingsError, match="is a prefix"):
            verb(f"s3://{bucket}/prefix")

    @pytest.mark.usefixtures("s3_env")
    def test_a_missing_bucket_is_named(self):
        for verb in (ls, tree, find, usage, stat):
            with pytest.raises(StorageError, match="lake-none"):
                list(iter(verb("s3://lake-none/x")))
        with pytest.raises(StorageError, match="lake-none"):
            remove_bucket("s3://lake-none")

    def test_stat_shows_metadata_type_and_encryption(self, bucket):
        boto3.client("s3").put_object(
            Bucket=bucket,
            Key="x",
            Body=b"1",
            Metadata={"sha256": "abc"},
            ContentType="text/plain",
            ServerSideEncryption="AES256",
        )
        known = stat(f"s3://{bucket}/x").as_dict()
        assert known["metadata"] == {"sha256": "abc"}
        assert (known["content_type"], known["encryption"]) == ("text/plain", "AES256")

    def test_a_missing_bucket_does_not_exist_and_is_no_error(self, bucket):
        assert exists(f"s3://{bucket}")
        assert not exists(f"s3://{bucket}-none")
        assert not exists(f"s3://{bucket}-none/x")

    def test_a_signed_link_reads_one_object_until_it_expires(self, bucket):
        from urllib.request import urlopen

        fill(f"s3://{bucket}", {"a b/ü+%.txt": b"body"})
        link = presign(f"s3://{bucket}/a b/ü+%.txt", expires=timedelta(minutes=5))
        with urlopen(link) as answer:  # noqa: S310 (moto)
            assert answer.read() == b"body"
        asked = parse_qs(urlsplit(link).query)
        assert asked["X-Amz-Expires"] == ["300"]  # version 4: KMS and newer regions take no other
        assert "testing" not in link.replace("X-Amz-Credential=testing", "")

    @pytest.mark.parametrize(
        ("url", "expires"),
        [
            ("s3://lake", timedelta(hours=1)),
            ("s3://lake/p/", timedelta(hours=1)),
            ("folder/x", timedelta(hours=1)),
            ("s3://lake/x", timedelta(days=8)),
            ("s3://lake/x", timedelta(0)),
        ],
    )
    @pytest.mark.usefixtures("s3_env")
    def test_what_cannot_be_signed_is_refused(self, url, expires):
        with pytest.raises(SettingsError):
            presign(url, expires=expires)


class TestFolder:
    def test_empty_folders_are_shown_and_go_with_rm(self, tmp_path):
        (tmp_path / "top" / "empty").mkdir(parents=True)
        assert names(ls(str(tmp_path / "top"))) == ["empty/"]
        rm(str(tmp_path / "top"), recursive=True)
        assert not (tmp_path / "top").exists()

    def test_rm_removes_a_link_and_nothing_behind_it(self, tmp_path):
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "x").write_text("1")
        (tmp_path / "top").mkdir()
        (tmp_path / "top" / "link").symlink_to(tmp_path / "kept")
        (tmp_path / "top" / "broken").symlink_to("nowhere")
        with pytest.raises(StorageError):
            plan_removal(f"{tmp_path}/top/link/", recursive=True)
        rm(str(tmp_path / "top"), recursive=True)
        assert (tmp_path / "kept" / "x").read_text() == "1"
        assert not (tmp_path / "top").exists()

    def test_the_root_of_the_file_system_is_never_removed(self):
        with pytest.raises(SettingsError, match="never removed"):
            plan_removal("/", recursive=True)

    def test_a_link_in_a_circle_ends_the_tree(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "loop").symlink_to(tmp_path)
        assert [entry.name for _, entry in tree(str(tmp_path))] == ["a/", "loop/"]

    def test_a_name_that_is_not_utf8_is_listed_and_removed(self, tmp_path):
        odd = Path(tmp_path, os.fsdecode(b"\xff"))
        odd.write_bytes(b"1")
        [entry] = ls(str(tmp_path))
        assert entry.size_bytes == 1
        rm(entry.url)
        assert not odd.exists()

    def test_brackets_in_the_folder_above_a_pattern_are_letters(self, tmp_path, monkeypatch):
        (tmp_path / "[a]").mkdir()
        (tmp_path / "[a]" / "x.txt").write_text("")
        monkeypatch.chdir(tmp_path / "[a]")
        assert names(glob("*.txt")) == ["x.txt"]


def test_an_address_keeps_the_slashes_that_parse_url_drops():
    assert parse_address("s3://b//x//").path == "/x//"
    assert parse_address("s3://b/x").prefix == "x/"
    assert parse_address("s3://b").says_folder
    assert parse_address("/a/b/").path == "b/"
    assert is_within(parse_address("s3://b/x/y"), parse_address("s3://b/x"))
    assert not is_within(parse_address("s3://b/x2"), parse_address("s3://b/x"))
    assert open_store("/").url == "/"
