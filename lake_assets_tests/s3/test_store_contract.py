"""What every store promises: one class of tests over a folder and over a bucket on moto."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3 import Store, open_store
from lake_assets_tests.fault_proxy import fault_proxy

ODD_KEYS = [
    "a key with spaces/x y.json",
    "percent%20and%/100%.json",
    "plus+plus/a+b=c.json",
    "hash#and?question&amp.json",
    "eq=1/month=2026-09/x.json",
    "ünïcödé/日本語/😀.json",
    "quotes'\"`/back\\slash.json",
    "tilde~/~x.json",
    ".hidden/.files_001.json.meta",
]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "root"))
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some prefix+1")


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def one_winner_among_16(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: store.create("one", str(n).encode()), range(16)))
    assert sum(won) == 1
    assert store.get("one") == str(won.index(True)).encode()
    assert keys(store) == ["one"]


class TestStoreContract:
    """list, head, get, open, put, create, delete."""

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_an_odd_key_goes_round_unchanged(self, store: Store, key: str):
        store.put(key, b"body")
        [listed] = store.list()
        assert listed.key == key
        assert store.head(key) == listed
        assert store.get(key, listed=listed) == b"body"
        with store.open(listed, memory_bytes=10) as file:
            assert file.read() == b"body"
        assert store.create(key, b"other") is False
        store.delete(key)
        assert keys(store) == []

    def test_a_listing_is_sorted_by_key_whatever_the_folders(self, store: Store):
        made = ["b.txt", "a/z", "a.txt", "a/b/c", "a-b", "z", "a/b.x", "a0", "ä", "B", "a/b/c.d/e"]
        for key in made:
            store.put(key, b"")
        assert keys(store) == sorted(made)

    def test_a_prefix_is_a_plain_string_not_a_folder(self, store: Store):
        for key in ["data/a", "data/ab", "data/b", "data2/a", "dat", "x/data/a"]:
            store.put(key, b"")
        assert keys(store, "data") == ["data/a", "data/ab", "data/b", "data2/a"]
        assert keys(store, "data/") == ["data/a", "data/ab", "data/b"]
        assert keys(store, "data/a") == ["data/a", "data/ab"]
        assert keys(store, "data/a/") == []
        assert keys(store, "nothing/here/") == []
        assert len(keys(store, "")) == 6

    def test_an_empty_root_has_an_empty_listing(self, store: Store):
        assert keys(store) == []
        assert keys(store, "below/") == []

    def test_what_is_listed_has_size_time_and_etag(self, store: Store):
        store.put("x", b"12345")
        [info] = store.list()
        assert info.size_bytes == 5
        assert info.modified_at.utcoffset() == timedelta(0)
        age = time.time() - info.modified_at.astimezone(UTC).timestamp()
        assert -5 < age < 60
        assert info.etag
        assert '"' not in info.etag

    def test_a_missing_key_has_no_head_and_cannot_be_read(self, store: Store):
        store.put("there/x", b"")
        for key in ["missing", "there", "there/x/below"]:
            assert store.head(key) is None
            with pytest.raises(SourceChangedError, match=f"{key} is (gone|not there).* again"):
                store.get(key)

    def test_put_writes_over_what_is_there(self, store: Store):
        store.put("x", b"old")
        store.put("x", b"new, longer")
        assert store.get("x") == b"new, longer"
        assert len(keys(store)) == 1

    def test_an_empty_body_is_a_body(self, store: Store):
        store.put("empty", b"")
        [info] = store.list()
        assert (info.size_bytes, store.get("empty", listed=info)) == (0, b"")

    def test_deleting_twice_is_nothing(self, store: Store):
        store.put("a/x", b"")
        store.delete("a/x")
        store.delete("a/x")
        store.delete("never/was")
        assert store.head("a/x") is None

    def test_a_replaced_object_is_not_read_for_the_listed_one(self, store: Store):
        store.put("x", b"old")
        [listed] = store.list()
        store.put("x", b"other")
        for read in (
            lambda: store.get("x", listed=listed),
            lambda: store.open(listed, memory_bytes=10),
        ):
            with pytest.raises(SourceChangedError, match="x was replaced"):
                read()
        assert store.get("x") == b"other"

    def test_a_deleted_object_is_not_read_for_the_listed_one(self, store: Store):
        store.put("x", b"old")
        [listed] = store.list()
        store.delete("x")
        for read in (
            lambda: store.get("x", listed=listed),
            lambda: store.open(listed, memory_bytes=10),
        ):
            with pytest.raises(SourceChangedError, match="x is"):
                read()

    def test_another_sha256_than_recorded_is_never_handed_out(self, store: Store):
        store.put("x", b"body")
        assert store.get("x", sha256=hashlib.sha256(b"body").hexdigest()) == b"body"
        with pytest.raises(BodyMismatchError, match=r"x.*sha256"):
            store.get("x", sha256=hashlib.sha256(b"another").hexdigest())

    def test_an_opened_body_is_seekable_at_any_size(self, store: Store):
        body = os.urandom(300_000)
        store.put("big", body)
        [listed] = store.list()
        with store.open(listed, memory_bytes=1000) as file:
            assert file.read() == body
            file.seek(-10, os.SEEK_END)
            assert file.read() == body[-10:]

    @pytest.mark.parametrize("kind", ["folder", "s3"])
    def test_create_has_one_winner_among_16_threads(
        self,
        kind: str,
        tmp_path: Path,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ):
        if kind == "folder":
            one_winner_among_16(open_store(str(tmp_path)))
            return
        bucket = request.getfixturevalue("bucket")
        with fault_proxy(request.getfixturevalue("s3_env")) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            one_winner_among_16(open_store(f"s3://{bucket}"))

    def test_2500_keys_are_all_listed_once(self, store: Store, request: pytest.FixtureRequest):
        made = [f"page/{number:05d}.json" for number in range(2500)]
        if store.url.startswith("s3://"):
            _fill_moto(request.getfixturevalue("bucket"), [f"some prefix+1/{key}" for key in made])
        else:
            folder = Path(store.url) / "page"
            folder.mkdir(parents=True)
            for key in made:
                (folder.parent / key).write_bytes(b"")
        assert keys(store, "page/") == made
        assert keys(store, "page/01") == [key for key in made if key.startswith("page/01")]

    def test_keys_beside_the_root_are_not_seen(self, store: Store):
        store.put("x", b"")
        beside = open_store(f"{store.url}2")
        beside.put("y", b"")
        assert keys(store) == ["x"]
        assert keys(beside) == ["y"]


class TestBucket:
    """What only S3 has."""

    def test_keys_that_no_folder_can_spell_are_listed_and_read(self, bucket: str):
        store = open_store(f"s3://{bucket}")
        made = sorted(
            ["a//b", "../up", "x/../y", "./dot", "//two", "tail/./x", "..", "a/..", "..."]
        )
        for key in made:
            _fill_moto(bucket, [key], key.encode())
        assert keys(store) == made
        for info in store.list():
            assert store.get(info.key, listed=info) == info.key.encode()

    def test_folder_markers_are_no_objects(self, bucket: str):
        _fill_moto(bucket, ["p/", "p/datamart/", "p/datamart/x.json", "p//", "/"])
        assert keys(open_store(f"s3://{bucket}/p")) == ["datamart/x.json"]
        assert keys(open_store(f"s3://{bucket}")) == ["p/datamart/x.json"]

    def test_a_gzip_content_encoding_does_not_change_the_bytes(self, bucket: str, s3_env: str):
        import gzip

        import boto3

        body = gzip.compress(b"{}\n" * 100)
        client = boto3.client("s3", endpoint_url=s3_env)
        client.put_object(Bucket=bucket, Key="x.json.gz", Body=body, ContentEncoding="gzip")
        store = open_store(f"s3://{bucket}")
        assert store.get("x.json.gz", listed=store.head("x.json.gz")) == body


class TestFolder:
    """What only a folder has."""

    @pytest.mark.parametrize(
        "key", ["../x", "a/../x", "/etc/passwd", "a//b", "./a", "a/", "", "a\0b", "d/.part-x"]
    )
    def test_a_key_that_is_no_path_below_the_folder_is_refused(self, folder: Store, key: str):
        for act in (
            lambda: folder.put(key, b"x"),
            lambda: folder.create(key, b"x"),
            lambda: folder.get(key),
            lambda: folder.head(key),
            lambda: folder.delete(key),
        ):
            with pytest.raises(StorageError, match="no path in a folder"):
                act()
        assert not Path(folder.url).parent.joinpath("x").exists()

    @pytest.mark.parametrize("prefix", ["../", "/etc/", "a/../../"])
    def test_a_listing_does_not_leave_the_folder(self, folder: Store, prefix: str):
        with pytest.raises(StorageError, match="no path in a folder"):
            keys(folder, prefix)

    def test_a_root_that_is_a_file_is_refused_by_name(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"file is a file; give a folder"):
            open_store(str(tmp_path / "file"))

    def test_what_the_system_refuses_is_a_storage_error_that_names_the_file(self, folder: Store):
        folder.put("d/x", b"")
        for act in (
            lambda: folder.put("d", b""),  # a folder is there
            lambda: folder.put("d/x/y", b""),  # a file is where the folder should be
            lambda: folder.create("d/x/y", b""),
            lambda: folder.delete("d"),
            lambda: folder.put("n" * 300, b""),
            lambda: folder.head("n" * 300),
            lambda: folder.get("n" * 300),
        ):
            with pytest.raises(StorageError, match=r"cannot (write|create|delete|look up|read) /"):
                act()
        assert [p.name for p in Path(folder.url).rglob(".part-*")] == []

    def test_a_link_to_a_folder_above_is_not_followed_in_a_circle(self, folder: Store):
        folder.put("a/x", b"")
        (Path(folder.url) / "a" / "loop").symlink_to(folder.url)
        (Path(folder.url) / "other").symlink_to(Path(folder.url) / "a")
        (Path(folder.url) / "broken").symlink_to("nowhere")
        assert keys(folder) == ["a/x", "other/x"]

    def test_a_name_that_is_not_utf8_does_not_stop_the_listing(self, folder: Store):
        folder.put("a", b"")
        Path(folder.url, os.fsdecode(b"\xff.json")).write_bytes(b"1")
        [_, odd] = folder.list()
        assert folder.get(odd.key, listed=odd) == b"1"

    def test_a_line_break_in_a_name_is_part_of_the_key(self, folder: Store):
        folder.put("line\nbreak.json", b"1")  # moto cannot route such a key, S3 can
        assert keys(folder) == ["line\nbreak.json"]

    def test_a_file_that_changes_while_it_is_read_is_never_handed_out(self, folder: Store):
        folder.put("x", b"a" * 1000)
        path = Path(folder.url, "x")
        [listed] = folder.list()
        os.utime(path, ns=(1, 1))
        with pytest.raises(SourceChangedError):
            folder.get("x", listed=listed)

    def test_files_obey_the_umask(self, folder: Store):
        before = os.umask(0o077)
        try:
            folder.put("x", b"")
        finally:
            os.umask(before)
        assert Path(folder.url, "x").stat().st_mode & 0o777 == 0o600

    @pytest.mark.crash
    def test_a_killed_writer_leaves_nothing_to_see(self, folder: Store):
        root = Path(folder.url)
        root.mkdir(parents=True)
        child = _child(
            """
            from lake_assets.s3 import open_store
            body = bytes(300_000_000)
            print("go", flush=True)
            open_store(sys.argv[1]).put("big", body)
            """,
            folder.url,
        )
        assert child.stdout
        child.stdout.readline()
        while not any(p.stat().st_size for p in root.glob(".part-*")):
            assert child.poll() is None, "the child finished before it was killed"
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert list(root.glob(".part-*"))  # it was killed in the middle
        assert keys(folder) == []
        assert folder.head("big") is None
        assert folder.create("big", b"whole") is True
        assert folder.get("big") == b"whole"

    @pytest.mark.crash
    def test_create_has_one_winner_among_4_processes(self, folder: Store):
        children = [
            _child(
                """
                from lake_assets.s3 import open_store
                store = open_store(sys.argv[1])
                print("ready", flush=True)
                sys.stdin.readline()
                won = [n for n in range(100) if store.create(f"k/{n}", sys.argv[2].encode())]
                print(*won)
                """,
                folder.url,
                str(number),
            )
            for number in range(4)
        ]
        for child in children:
            assert child.stdout
            child.stdout.readline()
        for child in children:
            assert child.stdin
            child.stdin.write("go\n")
            child.stdin.flush()
        won = [[int(n) for n in child.communicate()[0].split()] for child in children]
        assert sorted(n for numbers in won for n in numbers) == list(range(100))
        for writer, numbers in enumerate(won):
            assert all(folder.get(f"k/{n}") == str(writer).encode() for n in numbers)
        assert len(keys(folder)) == 100


def _child(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import sys\n" + textwrap.dedent(code), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _fill_moto(bucket: str, names: list[str], body: bytes = b"") -> None:
    """Put objects straight into the server's memory: thousands of requests would only test moto."""
    from moto.backends import get_backend

    backend = get_backend("s3")["123456789012"]["aws"]
    for name in names:
        backend.put_object(bucket, name, body)


def test_a_key_with_a_control_character_goes_round_unchanged(store: Store):
    # Not of the contract: obstore alone, which serves the clouds, cannot name it.
    store.put("tab\tkey.json", b"body")
    assert [info.key for info in store.list()] == ["tab\tkey.json"]
    assert store.head("tab\tkey.json") is not None
    assert store.get("tab\tkey.json") == b"body"
    assert store.create("tab\tkey.json", b"other") is False
