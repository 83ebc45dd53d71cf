"""``lake fs``, the verbs that write: nothing is lost unasked, and exit codes say what happened."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets_tests.fault_proxy import Fault, fault_proxy
from lake_assets_tests.s3.places import TREE, fill, fill_moto, held, new_place
from lake_assets_tests.terminal import all_shown

RUN = "from lake_assets.cli import main; main()"


@pytest.fixture(params=["folder", "s3"])
def base(request, tmp_path) -> str:
    """A place with the tree in it."""
    url = new_place(request.param, tmp_path, lambda: request.getfixturevalue("bucket"))
    fill(url, TREE)
    return url


@pytest.fixture
def folder(tmp_path) -> str:
    url = new_place("folder", tmp_path, str)
    fill(url, TREE)
    return url


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def on_a_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all that was shown, when a person answers the question."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = all_shown(ours)
    os.close(ours)
    return child.wait(), shown.decode()


class TestRemoving:
    @pytest.mark.parametrize(
        "arguments",
        [["rm", "-r", "{}/data"], ["rm", "{}/x"], ["rb", "--force", "{}"]],
    )
    def test_nothing_is_removed_where_nobody_can_be_asked(self, lake, folder, arguments):
        ran = lake("fs", *(part.format(folder) for part in arguments))
        assert (ran.code, ran.out) == (2, "")
        assert "--yes" in ran.err
        assert held(folder) == TREE

    def test_a_person_is_asked_and_no_is_no(self, folder):
        code, shown = on_a_terminal("n\n", "fs", "rm", "-r", f"{folder}/data")
        assert code == 1
        assert "Remove 4 objects, 10 B" in shown
        assert held(folder) == TREE

    def test_a_person_is_asked_and_yes_is_yes(self, folder):
        code, _ = on_a_terminal("y\n", "fs", "rm", "-r", f"{folder}/data")
        assert code == 0
        assert set(held(folder)) == {"x", "x.txt", "x2/a", "data2/z"}

    def test_rm_with_yes_leaves_look_alikes(self, lake, base):
        ran = lake("fs", "rm", "-r", f"{base}/data", "--yes")
        assert ran.code == 0
        assert f"removed {base}/data/a.json" in ran.out
        assert set(held(base)) == {"x", "x.txt", "x2/a", "data2/z"}

    def test_rm_json(self, lake, base):
        ran = lake("fs", "rm", f"{base}/x", "--yes", "--json")
        assert ran.json == {"dry_run": False, "removed": [f"{base}/x"], "failed": []}

    def test_rm_dry_run_asks_nothing_and_removes_nothing(self, lake, base):
        ran = lake("fs", "rm", "-r", f"{base}/data", "--include", "*.csv", "--dry-run", "--json")
        assert ran.json["removed"] == [f"{base}/data/deep/d.csv"]
        assert held(base) == TREE

    def test_a_wildcard_in_an_address_is_a_letter(self, lake, base):
        assert lake("fs", "rm", "-r", "--yes", f"{base}/*").code == 1
        assert lake("fs", "rm", "-r", "--yes", f"{base}/data*").code == 1
        assert held(base) == TREE

    def test_rm_of_a_folder_without_r_is_exit_code_one(self, lake, base):
        ran = lake("fs", "rm", "--yes", f"{base}/data")
        assert ran.code == 1
        assert "-r" in ran.err
        assert held(base) == TREE

    def test_rb_of_what_is_not_empty_is_exit_code_one(self, lake, bucket, folder):
        fill_moto(bucket, ["x"])
        for where in (f"s3://{bucket}", folder):
            ran = lake("fs", "rb", where)
            assert ran.code == 1
            assert "not empty" in ran.err
            assert lake("fs", "rb", where, "--force", "--yes").code == 0
            assert lake("fs", "ls", where).code == 1

    def test_mb_twice_is_exit_code_one(self, lake, bucket, tmp_path):
        for where in (f"s3://{bucket}-2", str(tmp_path / "new")):
            assert lake("fs", "mb", where).code == 0
            assert lake("fs", "mb", where).code == 1


class TestCopying:
    def test_get_and_put_go_round_unchanged(self, lake, base, bucket, tmp_path):
        assert lake("fs", "get", "-r", base, tmp_path / "here").code == 0
        assert held(str(tmp_path / "here")) == TREE
        assert lake("fs", "put", "-r", tmp_path / "here", f"s3://{bucket}/back").code == 0
        assert held(f"s3://{bucket}/back") == TREE

    def test_get_without_a_target_brings_it_here(self, lake, base, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert lake("fs", "get", f"{base}/data/a.json").code == 0
        assert (tmp_path / "here" / "a.json").read_bytes() == b"a"

    def test_cp_json_and_a_target_that_is_taken(self, lake, base):
        ran = lake("fs", "cp", f"{base}/data/a.json", f"{base}/data/b.json", f"{base}/x2", "--json")
        assert ran.code == 0
        assert ran.json["copied"] == [f"{base}/x2/a.json", f"{base}/x2/b.json"]
        assert (ran.json["size_bytes"], ran.json["failed"]) == (3, [])
        taken = lake("fs", "cp", f"{base}/x.txt", f"{base}/x2/a.json", "--json")
        assert taken.code == 1
        assert taken.json["failed"][0]["url"] == f"{base}/x2/a.json"
        assert "other bytes" in taken.err
        over = lake("fs", "cp", f"{base}/x.txt", f"{base}/x2/a.json", "--overwrite")
        assert over.out == f"copied {base}/x2/a.json\n"

    def test_mv_into_itself_is_wrong_usage(self, lake, base):
        ran = lake("fs", "mv", "-r", f"{base}/data", f"{base}/data/deep")
        assert ran.code == 2
        assert held(base) == TREE

    def test_mv_moves(self, lake, base):
        ran = lake("fs", "mv", f"{base}/x", f"{base}/y")
        assert ran.out == f"moved {base}/y\n"
        assert set(held(base)) == {*TREE, "y"} - {"x"}

    def test_one_failure_is_exit_code_one_and_the_rest_is_done(
        self, lake, bucket, folder, s3_env, monkeypatch
    ):
        with fault_proxy(s3_env) as proxy:
            proxy.faults.append(Fault("403", r"data/b\.json", "PUT"))
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            ran = lake("fs", "sync", folder, f"s3://{bucket}/to", "--json")
        assert ran.code == 1
        assert [each["url"] for each in ran.json["failed"]] == [f"s3://{bucket}/to/data/b.json"]
        assert "data/b.json" in ran.err
        assert "testing" not in ran.err
        assert set(held(f"s3://{bucket}/to")) == set(TREE) - {"data/b.json"}

    def test_a_store_that_does_not_encrypt_is_named_on_stderr(self, bucket, s3_env, folder):
        with fault_proxy(s3_env) as proxy:
            proxy.faults.append(Fault("no-sse", "/safe", "PUT"))
            done = subprocess.run(
                [sys.executable, "-c", RUN, "fs", "put", f"{folder}/x", f"s3://{bucket}/safe"],
                env={**os.environ, "AWS_ENDPOINT_URL": proxy.url},
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0
        assert "WARNING" in done.stderr
        assert "encrypt" in done.stderr

    def test_a_full_disk_behind_stdout_is_one_line(self, folder):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-c", RUN, "fs", "cat", f"{folder}/x"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "No space left" in done.stderr

    def test_a_second_ctrl_c_ends_at_once_and_leaves_no_partial_file(
        self, bucket, s3_env, tmp_path
    ):
        fill(f"s3://{bucket}", {"a": b"a" * 100_000, "b": b"b" * 100_000})
        here = tmp_path / "here"
        with fault_proxy(s3_env) as proxy:
            proxy.faults.append(Fault("stall", r"/[ab]$"))
            child = subprocess.Popen(
                [sys.executable, "-c", RUN, "fs", "get", "-r", f"s3://{bucket}", str(here)],
                env={**os.environ, "AWS_ENDPOINT_URL": proxy.url},
                stderr=subprocess.PIPE,
            )
            wait_until(lambda: len(list(here.glob(".part-*"))) == 2)
            child.send_signal(signal.SIGINT)
            assert b"Ctrl-C again" in child.stderr.readline()
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=5) == 130  # the proxy holds its answers for 20 s
            child.stderr.close()
        assert list(here.iterdir()) == []

    def test_put_encrypts_unless_told_otherwise(self, lake, bucket, folder):
        lake("fs", "put", f"{folder}/x", f"s3://{bucket}/safe")
        assert lake("fs", "stat", f"s3://{bucket}/safe", "--json").json["encryption"] == "AES256"
        lake("fs", "put", f"{folder}/x", f"s3://{bucket}/plain", "--encryption", "none")
        assert "encryption" not in lake("fs", "stat", f"s3://{bucket}/plain", "--json").json


class TestSync:
    def test_json_names_what_was_done(self, lake, base, tmp_path):
        to = str(tmp_path / "to")
        fill(to, {"old": b"1"})
        first = lake("fs", "sync", base, to, "--delete", "--yes", "--json")
        keys = {"dry_run", "copied", "skipped", "deleted", "failed", "size_bytes", "seconds"}
        assert set(first.json) == keys
        assert (first.code, first.json["deleted"]) == (0, [f"{to}/old"])
        second = lake("fs", "sync", base, to, "--delete", "--json")  # nothing to ask about
        assert (second.code, second.json["copied"], second.json["deleted"]) == (0, [], [])
        assert held(to) == TREE

    def test_delete_asks_and_nothing_at_all_is_done_without_an_answer(self, lake, base, tmp_path):
        to = str(tmp_path / "to")
        fill(to, {"old": b"1"})
        ran = lake("fs", "sync", base, to, "--delete")
        assert ran.code == 2
        assert "--yes" in ran.err
        assert held(to) == {"old": b"1"}

    def test_dry_run_says_what_would_be_done(self, lake, base, tmp_path):
        to = str(tmp_path / "to")
        fill(to, {"old": b"1", "x": TREE["x"]})
        ran = lake("fs", "sync", base, to, "--delete", "-n", "--exclude", "data*/")
        assert ran.code == 0
        assert ran.out.splitlines() == [
            f"would be copied {to}/x.txt",
            f"would be copied {to}/x2/a",
            f"would be removed {to}/old",
        ]
        assert set(held(to)) == {"old", "x"}

    def test_an_empty_source_with_delete_is_exit_code_one(self, lake, base, tmp_path):
        to = str(tmp_path / "to")
        fill(to, {"precious": b"1"})
        ran = lake("fs", "sync", f"{base}/typo", to, "--delete", "--yes")
        assert (ran.code, held(to)) == (1, {"precious": b"1"})
        assert json.dumps(ran.out) == '""'
