"""``lake fs``, the verbs that look: what they print, their JSON, exit codes, what they import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from lake_assets.s3.owner import owner_of
from lake_assets_tests.s3.places import TREE, fill, fill_moto, new_place

INSTALLED = "import sys; from lake_assets.cli import main; main()"
HEAVY = {"boto3", "botocore", "s3transfer", "polars", "dagster", "obstore", "deltalake", "pyarrow"}


@pytest.fixture(params=["folder", "s3"])
def base(request, tmp_path) -> str:
    """A place with the tree in it."""
    url = new_place(request.param, tmp_path, lambda: request.getfixturevalue("bucket"))
    fill(url, TREE)
    return url


@pytest.fixture
def folder(tmp_path) -> Path:
    url = new_place("folder", tmp_path, str)
    fill(url, TREE)
    return Path(url)


def in_child(code: str, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        **more,
    )


class TestVerbs:
    def test_ls_prints_a_line_for_each_name(self, lake, base):
        ran = lake("fs", "ls", base)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines() == ["data/", "data2/", "x", "x.txt", "x2/"]

    def test_ls_long_shows_time_and_size(self, lake, base):
        [line] = lake("fs", "ls", "-l", f"{base}/data/b.json").out.splitlines()
        day, time, size, name = line.split()
        assert (len(day), time[-1], size, name) == (10, "Z", "2", "b.json")

    def test_ls_json_has_address_type_size_time_and_etag(self, lake, base):
        ran = lake("fs", "ls", f"{base}/data", "--json")
        entries = json.loads(ran.out)
        assert [entry["name"] for entry in entries] == ["a.json", "b.json", "deep/"]
        assert set(entries[0]) == {"url", "name", "type", "size_bytes", "modified_at", "etag"}
        assert (entries[0]["url"], entries[0]["size_bytes"]) == (f"{base}/data/a.json", 1)
        assert entries[2] == {"url": f"{base}/data/deep/", "name": "deep/", "type": "folder"}

    def test_tree_ends_with_a_count(self, lake, base):
        lines = lake("fs", "tree", f"{base}/data").out.splitlines()
        assert lines[1] == "├── a.json"
        assert lines[-1] == "2 folders, 4 objects, 10 B"
        shallow = json.loads(lake("fs", "tree", f"{base}/data", "-L", 1, "--json").out)
        assert [entry["name"] for entry in shallow] == ["a.json", "b.json", "deep/"]

    def test_glob_and_find_print_whole_addresses(self, lake, base):
        found = [f"{base}/data/a.json", f"{base}/data/b.json"]
        assert lake("fs", "glob", f"{base}/data/*.json").out.splitlines() == found
        for verb in ("find", "search"):
            ran = lake("fs", verb, base, "--name", "*.json", "--exclude", "deep/")
            assert ran.out.splitlines() == found

    def test_glob_with_folders_prints_what_a_shell_would(self, lake, base):
        found = lake("fs", "glob", "--folders", f"{base}/data*", f"{base}/*/deep/").out
        assert found.splitlines() == [f"{base}/{name}/" for name in ("data", "data2", "data/deep")]

    def test_stat_knows_the_owner_where_it_is_asked_for(self, lake, base):
        known = lake("fs", "stat", "--owner", "--json", f"{base}/x.txt").json
        owner = owner_of(f"{base}/x.txt")
        assert (known["owner_id"], known["owner"]) == (owner.id, owner.name)

    def test_find_by_size_and_time(self, lake, base):
        ran = lake("fs", "find", f"{base}/data", "--larger", "3", "--newer", "1h", "--json")
        names = [entry["name"] for entry in json.loads(ran.out)]
        assert names == ["deep/d.csv", "deep/er/c.json"]
        assert lake("fs", "find", base, "--older", "1d").out == ""
        assert lake("fs", "find", base, "--newer", "2999-01-01").out == ""

    def test_nothing_found_is_no_error_and_an_empty_array(self, lake, base):
        for verb in (["glob", f"{base}/no*"], ["find", base, "--name", "no"]):
            ran = lake("fs", *verb, "--json")
            assert (ran.code, json.loads(ran.out)) == (0, [])

    def test_stat_json(self, lake, base):
        known = lake("fs", "stat", f"{base}/data/b.json", "--json").json
        assert (known["type"], known["size_bytes"]) == ("object", 2)

    def test_du_json_ends_with_the_whole(self, lake, base):
        found = json.loads(lake("fs", "du", base, "-d", 1, "--json").out)
        total = {"url": base, "objects": 8, "size_bytes": sum(map(len, TREE.values()))}
        assert found[-1] == total
        assert found[0] == {"url": f"{base}/data/", "objects": 4, "size_bytes": 10}

    def test_cat_writes_bytes_as_they_are(self, base):
        body = bytes(range(256))
        fill(base, {"bin": body})
        command = [sys.executable, "-c", INSTALLED, "fs", "cat", f"{base}/bin", f"{base}/x"]
        done = subprocess.run(command, capture_output=True)
        assert (done.returncode, done.stdout) == (0, body + TREE["x"])

    @pytest.mark.parametrize("verb", ["ls", "tree", "find", "stat", "du", "cat", "rm"])
    def test_what_is_not_there_is_exit_code_one_and_one_line(self, lake, base, verb):
        ran = lake("fs", verb, f"{base}/dat")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("lake: ")
        assert f"{base}/dat" in ran.err

    def test_a_name_with_control_characters_is_one_json_string(self, lake, folder):
        fill(str(folder / "odd"), {"line\nbreak \x1b[31m": b""})
        [entry] = json.loads(lake("fs", "ls", folder / "odd", "--json").out)
        assert entry["name"] == "line\nbreak \x1b[31m"

    def test_a_name_that_is_not_utf8_is_printed(self, lake, tmp_path):
        Path(tmp_path, "top").mkdir()
        Path(tmp_path, "top", os.fsdecode(b"\xff.txt")).write_bytes(b"")
        assert lake("fs", "ls", tmp_path / "top").out == "\\udcff.txt\n"
        [entry] = json.loads(lake("fs", "ls", tmp_path / "top", "--json").out)
        assert os.fsencode(entry["name"]) == b"\xff.txt"

    def test_relative_paths_and_file_urls_are_folders(self, lake, folder, monkeypatch):
        monkeypatch.chdir(folder / "data")
        assert lake("fs", "ls").out.split() == ["a.json", "b.json", "deep/"]
        assert lake("fs", "ls", "..").out.split() == ["data/", "data2/", "x", "x.txt", "x2/"]
        assert lake("fs", "ls", "deep").out.split() == ["d.csv", "er/"]
        assert lake("fs", "ls", (folder / "x2").as_uri()).out == "a\n"


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["ls", "ftp://host/x"],
            ["ls", "s3:///x"],
            ["ls", ""],
            ["cp", "one"],
            ["find", ".", "--larger", "much"],
            ["find", ".", "--newer", "soon"],
            ["find", ".", "--name", ""],
            ["find", ".", "--name", "[z-a]"],
            ["rm", "-r", ".", "--exclude", "/"],
            ["glob", ""],
            ["glob", "s3://lake*/x"],
            ["presign", "folder/x"],
            ["presign", "s3://lake/x", "--expires", "8d"],
            ["get", "s3://lake/x", "s3://lake/y"],
            ["put", "s3://lake/x", "s3://lake/y"],
            ["sync", ".", "."],
            ["nothing"],
            ["ls", "--nothing"],
            ["sync", "a", "b", "--compare", "luck"],
        ],
    )
    def test_wrong_usage_is_exit_code_two(self, lake, arguments):
        ran = lake("fs", *arguments)
        assert (ran.code, ran.out) == (2, "")

    def test_a_secret_in_an_address_is_not_repeated(self, lake):
        ran = lake("fs", "ls", "s3://key:s3cr3t@bucket/x")
        assert ran.code == 2
        assert "s3cr3t" not in ran.err


class TestBuckets:
    def test_buckets_and_ls_of_the_scheme_list_the_buckets(self, lake, bucket):
        assert bucket in lake("fs", "buckets").out.split()
        assert bucket in lake("fs", "ls", "s3://").out.split()
        listed = json.loads(lake("fs", "buckets", "--json").out)
        [entry] = [each for each in listed if each["name"] == bucket]
        assert entry["created_at"]

    @pytest.mark.usefixtures("s3_env")
    def test_a_missing_bucket_is_exit_code_one_and_named(self, lake):
        ran = lake("fs", "ls", "s3://lake-none/x")
        assert ran.code == 1
        assert "lake-none" in ran.err
        assert "testing" not in ran.err

    def test_options_before_the_verb_say_how_to_reach_the_store(
        self, lake, bucket, moto_url, monkeypatch, tmp_path
    ):
        boto3.client("s3").put_object(Bucket=bucket, Key="x", ACL="public-read")
        for name in list(os.environ):
            if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED":
                monkeypatch.delenv(name)
        assert lake("fs", "--region", "eu-north-1", "ls", f"s3://{bucket}").code == 1
        options = ["--endpoint-url", moto_url, "--anonymous"]
        ran = lake("fs", *options, "glob", f"s3://{bucket}/*")
        assert (ran.code, ran.out) == (0, f"s3://{bucket}/x\n")
        assert lake("fs", *options, "get", f"s3://{bucket}/x", tmp_path).code == 0

    def test_a_signed_link_goes_to_stdout_and_to_no_log(self, bucket):
        code = f"import logging; logging.basicConfig(level=logging.INFO)\n{INSTALLED}"
        done = in_child(code, "fs", "presign", f"s3://{bucket}/x", "--expires", "5m")
        assert done.returncode == 0
        assert done.stdout.startswith("http")
        assert "X-Amz-Expires=300" in done.stdout
        assert "X-Amz-Signature" not in done.stderr
        assert done.stdout.count("\n") == 1


class TestStart:
    def test_a_folder_needs_no_heavy_library(self, folder):
        verbs = [
            *(["ls", "."], ["tree", "."], ["du", "."], ["find", "."], ["stat", "x"], ["glob", "*"]),
            *(
                ["sync", ".", "../synced"],
                ["cp", "-r", ".", "../copied"],
                ["rm", "-r", "-y", "data"],
            ),
        ]
        code = """
import json, sys
from lake_assets.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lake", "fs", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, arguments
    print("LOADED", arguments[0], *{name.partition(".")[0] for name in sys.modules})
"""
        done = in_child(code, json.dumps(verbs), cwd=folder)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("LOADED ")]
        assert [verb for _, verb, *loaded in lines if "typer" in loaded] == [v[0] for v in verbs]
        assert {verb: HEAVY.intersection(loaded) for _, verb, *loaded in lines} == {
            arguments[0]: set() for arguments in verbs
        }
        assert not (folder / "data").exists()  # the last of them was run as well

    def test_completion_offers_verbs_folders_and_keys(self, folder, bucket, moto_url, monkeypatch):
        def complete(typed: str) -> set[str]:
            words = ["lake", *typed.split(" ")]
            environment = {
                **os.environ,
                "_LAKE_COMPLETE": "complete_bash",
                "COMP_WORDS": "\n".join(words),
                "COMP_CWORD": str(len(words) - 1),
            }
            return set(in_child(INSTALLED, env=environment, cwd=folder).stdout.split())

        fill_moto(bucket, ["data/x", "data2", "other"])
        assert {"sync", "stat"} <= complete("fs s")
        assert complete("fs ls da") == {"data/", "data2/"}
        assert complete("fs ls data/") == {"data/a.json", "data/b.json", "data/deep/"}
        assert complete(f"fs cat s3://{bucket}/da") == {
            f"s3://{bucket}/data/",
            f"s3://{bucket}/data2",
        }
        # As bash hands addresses over, which it cuts at colons; it replaces the last piece only.
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        reach = f"fs --endpoint-url {moto_url} cp".replace(":", " : ")
        there = {f"//{bucket}/other"}
        assert complete(f"{reach} s3 : //{bucket}/x s3 : //{bucket}/ot") == there
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
        # Completion offers some of many; other tests' buckets are on this server as well.
        assert complete(f"fs rm s3://{bucket[:-1]}") == {f"s3://{bucket}/"}
        assert complete("fs ls s3://lake-none/x") == set()

    def test_help_names_every_verb(self, lake):
        said = lake("fs", "--help").out
        verbs = "ls tree glob find stat du cat get put sync cp mv rm mb rb buckets presign"
        assert [verb for verb in verbs.split() if f" {verb} " not in said] == []

    def test_a_reader_that_goes_away_is_no_traceback(self, folder):
        many = folder / "many"
        many.mkdir()
        for number in range(5000):
            (many / f"a-rather-long-name-{number}").touch()
        command = f"{sys.executable} -c '{INSTALLED}' fs ls many | head -n 1"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=folder)
        assert done.stdout == "a-rather-long-name-0\n"
        assert done.stderr == ""
