"""What transfers do on S3 alone: resume, encryption, HEAD or LIST; on a terminal, on Ctrl-C."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import boto3
import pytest

from lake_assets.errors import SettingsError, TransferError
from lake_assets.s3 import open_store
from lake_assets.s3.existence import look_up
from lake_assets.s3.progress import Progress
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.transfer import Transfer
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets_tests.fault_proxy import Fault, fault_proxy
from lake_assets_tests.s3.transfer_place import MIB, PARTS, Place
from lake_assets_tests.terminal import all_shown


@pytest.fixture
def s3(bucket: str, tmp_path: Path) -> Place:
    return Place(f"s3://{bucket}/p", tmp_path / "local", "auto")


class TestResume:
    BODY = os.urandom(21 * MIB)  # five parts

    def test_parts_that_the_store_has_are_not_sent_again(self, s3, s3_env):
        with fault_proxy(s3_env) as proxy:
            proxy.faults = [Fault("503", "partNumber=4", method="PUT")]
            ref = ObjectRef("x", s3.file("x", self.BODY))
            with s3.transfer(endpoint_url=proxy.url, max_concurrency=1, **PARTS) as transfer:
                assert [f.ref for f in transfer.upload([ref]).failed] == [ref]
                assert s3.store.head("x") is None
                proxy.clear()
                proxy.requests.clear()
                assert transfer.upload([ref]).done == (ref,)
            sent = [r.path for r in proxy.requests if r.method == "PUT"]
            assert len(sent) == 2
            assert "partNumber=4" in sent[0]
            assert "partNumber=5" in sent[1]
        assert s3.store.get("x") == self.BODY
        assert list((s3.local.parent / "notes").iterdir()) == []

    def test_another_file_under_the_key_starts_anew(self, s3, s3_env):
        client = boto3.client("s3", endpoint_url=s3_env)
        bucket = s3.url.split("/")[2]
        with fault_proxy(s3_env) as proxy:
            proxy.faults = [Fault("503", "partNumber=3", method="PUT")]
            ref = ObjectRef("x", s3.file("x", self.BODY))
            with s3.transfer(endpoint_url=proxy.url, **PARTS) as transfer:
                assert not transfer.upload([ref]).ok
                assert len(client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
                proxy.clear()
                body = s3.file("x", self.BODY[::-1]).read_bytes()
                assert transfer.upload([ref]).ok
        assert s3.store.get("x") == body
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)

    def test_an_upload_that_the_store_dropped_starts_anew(self, s3, s3_env):
        client = boto3.client("s3", endpoint_url=s3_env)
        bucket = s3.url.split("/")[2]
        with fault_proxy(s3_env) as proxy:
            proxy.faults = [Fault("503", "partNumber=3", method="PUT")]
            ref = ObjectRef("x", s3.file("x", self.BODY))
            with s3.transfer(endpoint_url=proxy.url, **PARTS) as transfer:
                assert not transfer.upload([ref]).ok
                [upload] = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
                client.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                proxy.clear()
                assert transfer.upload([ref]).ok
        assert s3.store.get("x") == self.BODY

    def test_a_cancelled_upload_goes_on_where_it_was(self, s3):
        cancel = threading.Event()
        ref = ObjectRef("x", s3.file("x", self.BODY))
        slow = TransferConfig(
            max_concurrency=1,
            resume_folder=s3.local.parent / "notes",
            bandwidth_limit_bytes_per_s=8 * MIB,
            **PARTS,
        )

        def stop(progress: Progress) -> None:
            if progress.moved_bytes > 5 * MIB:
                cancel.set()

        with Transfer(s3.url, slow, stop, cancel=cancel) as transfer:
            assert not transfer.upload([ref]).ok
        assert s3.store.head("x") is None
        seen: list[Progress] = []
        with s3.transfer(seen.append, **PARTS) as transfer:
            assert transfer.upload([ref]).done == (ref,)
        assert s3.store.get("x") == self.BODY
        assert 0 < seen[-1].moved_bytes < len(self.BODY)


class TestEncryption:
    def test_uploads_ask_for_it_and_acls_are_never_sent(self, s3, s3_env):
        with fault_proxy(s3_env) as proxy:
            refs = [
                ObjectRef("s", s3.file("s", b"x")),
                ObjectRef("b", s3.file("b", bytes(6 * MIB))),
            ]
            with s3.transfer(endpoint_url=proxy.url, **PARTS) as transfer:
                assert transfer.upload(refs, metadata={"origin": "test"}).ok
            begun = [
                r for r in proxy.requests if r.method in {"PUT", "POST"} and "Id=" not in r.path
            ]
            assert len(begun) == 2
            for request in begun:
                assert request.headers["x-amz-server-side-encryption"] == "AES256"
                assert request.headers["x-amz-meta-origin"] == "test"
            assert not [r for r in proxy.requests if "x-amz-acl" in r.headers or "?acl" in r.path]
        client, bucket = boto3.client("s3", endpoint_url=s3_env), s3.url.split("/")[2]
        for ref in refs:
            head = client.head_object(Bucket=bucket, Key=f"p/{ref.key}")
            body = Path(ref.local_path).read_bytes()
            assert head["ServerSideEncryption"] == "AES256"
            assert head["Metadata"]["sha256"] == hashlib.sha256(body).hexdigest()

    def test_a_store_that_ignores_it_is_warned_about_once(self, s3, s3_env, caplog):
        with fault_proxy(s3_env) as proxy:
            proxy.faults = [Fault("no-sse", method="PUT")]
            refs = [ObjectRef(f"k{n}", s3.file(f"k{n}", b"x")) for n in range(3)]
            with s3.transfer(endpoint_url=proxy.url) as transfer:
                assert transfer.upload(refs).ok
        said = [r.message for r in caplog.records if r.name.startswith("lake_assets")]
        assert (
            len([text for text in said if "asked to encrypt by AES256 and says nothing" in text])
            == 1
        )

    def test_a_key_of_kms_is_named_to_the_store(self, s3, s3_env):
        with fault_proxy(s3_env) as proxy:
            ref = ObjectRef("x", s3.file("x", b"x"))
            config = {"encryption": "aws:kms", "kms_key_id": "alias/mine"}
            with s3.transfer(endpoint_url=proxy.url, **config) as transfer:
                assert transfer.upload([ref]).ok
            [put] = [r for r in proxy.requests if r.method == "PUT"]
        assert put.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert put.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/mine"

    def test_our_own_metadata_cannot_be_set_by_others(self, s3):
        with s3.transfer() as transfer, pytest.raises(TransferError, match="our own"):
            transfer.upload([], metadata={"SHA256": "x"})


class TestExistence:
    def requests(self, s3: Place, endpoint: str, refs: list[ObjectRef], **config) -> list[str]:
        with (
            fault_proxy(endpoint) as proxy,
            s3.transfer(endpoint_url=proxy.url, **config) as transfer,
        ):
            report = transfer.upload(refs)
            assert len(report.skipped) == len(refs), report.failed
            return ["LIST" if "list-type" in r.path else r.method for r in proxy.requests]

    def test_few_are_asked_for_and_many_are_listed(self, s3, s3_env):
        refs = [ObjectRef(f"k{n:03}", s3.file(f"k{n:03}", b"x")) for n in range(60)]
        with s3.transfer() as transfer:
            assert transfer.upload(refs).ok
        assert self.requests(s3, s3_env, refs) == ["LIST"]
        assert self.requests(s3, s3_env, refs[:5]) == ["HEAD"] * 5
        assert self.requests(s3, s3_env, refs, existence="head") == ["HEAD"] * 60
        assert self.requests(s3, s3_env, refs[:5], existence="list") == ["LIST"]

    @pytest.mark.parametrize("policy", ["auto", "list"])
    def test_a_listing_tells_what_is_there_and_what_is_not(self, tmp_path: Path, policy):
        store = open_store(str(tmp_path))
        there = {f"a/k{n:03}" for n in range(0, 60, 2)}
        for key in [*there, "a-", "a/k", "b", "zz"]:
            store.put(key, b"12")
        wanted = [*(f"a/k{n:03}" for n in range(60)), "zzz"]
        known = look_up(store, wanted, policy=policy)
        assert {key for key, found in known.items() if found} == there
        assert set(known) == set(wanted)

    def test_a_thin_listing_is_given_up_and_the_rest_asked_for(self):
        class Endless:
            """A store that has keys without end between the first wanted one and the second."""

            n_listed = 0

            def list(self, prefix: str = "", *, start_after: str = ""):
                assert (prefix, start_after) == ("", "k/`")
                while True:
                    self.n_listed += 1
                    yield ObjectInfo(f"k/b{self.n_listed:09}", 1, "e", None)

        store = Endless()
        known = look_up(store, [f"{letter}/a" for letter in "klmnopqrstuvwxyz"] + ["z/b"] * 9)
        assert store.n_listed == 1000
        assert known == {"k/a": None}

    def test_a_refusal_is_no_absence(self, s3, s3_env):
        with fault_proxy(s3_env) as proxy:
            proxy.faults = [Fault("403", method="HEAD")]
            ref = ObjectRef("x", s3.file("x", b"x"))
            with s3.transfer(endpoint_url=proxy.url) as transfer:
                [failure] = transfer.upload([ref]).failed
        assert "refused the credentials" in failure.reason
        assert s3.store.head("x") is None


def test_ctrl_c_leaves_no_partial_file_and_no_thread(s3):
    for n in range(4):
        s3.store.put(f"k{n}", bytes(3 * MIB))
    script = textwrap.dedent(f"""
        import threading
        import time
        from lake_assets.s3.transfer import Transfer
        from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
        config = TransferConfig(bandwidth_limit_bytes_per_s=1e6, multipart_threshold_bytes=2**20)
        refs = [ObjectRef(f"k{{n}}", f"{s3.local}/k{{n}}") for n in range(4)]
        print("ready", flush=True)
        try:
            with Transfer("{s3.url}", config) as transfer:
                transfer.download(refs)
        except KeyboardInterrupt:
            until = time.monotonic() + 10
            while threading.active_count() > 1 and time.monotonic() < until:
                time.sleep(0.05)  # one that is just ending is not one that stays
            print("interrupted", threading.active_count(), flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        until = time.monotonic() + 20
        while not s3.names() and time.monotonic() < until:
            time.sleep(0.05)
        assert all(".part-" in name for name in s3.names())
        child.send_signal(signal.SIGINT)
        assert child.stdout.read() == "interrupted 1\n"
    assert s3.names() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"retry_attempts": 0}, "retry_attempts"),
        ({"multipart_chunk_bytes": MIB}, "between 5 MiB"),
        ({"multipart_threshold_bytes": 6 * 1024**3}, "5 GiB"),
        ({"kms_key_id": "k"}, "aws:kms"),
        ({"bandwidth_limit_bytes_per_s": 0}, "above 0"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused(wrong, said):
    with pytest.raises(SettingsError, match=said):
        TransferConfig(**wrong)


def test_explicit_wins_over_access_and_secrets_are_not_shown():
    from lake_assets.s3.client import Access

    access = Access(region="eu-north-1", access_key_id="AK", secret_access_key="s3cr3t")  # noqa: S106
    config = TransferConfig(region="us-west-2", access=access, max_concurrency=7)
    assert config.reach().region == "us-west-2"
    assert config.reach().pool_connections == 7
    assert TransferConfig(access=access).reach().region == "eu-north-1"
    assert "s3cr3t" not in repr(config)


def test_on_a_terminal_a_bar_shows_rate_percent_and_time_left(tmp_path: Path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x").write_bytes(bytes(3 * MIB))
    script = textwrap.dedent(f"""
        from lake_assets.s3.transfer import Transfer
        from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
        ref = ObjectRef("x", "{tmp_path}/x", {3 * MIB})
        config = TransferConfig(bandwidth_limit_bytes_per_s=3e6)
        with Transfer("{tmp_path}/store", config) as transfer:
            assert transfer.download([ref], description="fetch").ok
    """)
    screen, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    child = subprocess.Popen([sys.executable, "-c", script], stderr=terminal, env=environment)
    os.close(terminal)
    drawn = all_shown(screen)
    os.close(screen)
    assert child.wait() == 0
    for part in (b"fetch 1/1", b"100%", b"MB/s", b"0:00:0"):
        assert part in drawn, part


def test_a_transfer_of_folders_imports_no_s3_library():
    script = (
        "import sys, tempfile\n"
        "from lake_assets.s3.transfer import Transfer\n"
        "with Transfer(tempfile.mkdtemp()) as transfer: transfer.download([])\n"
        "heavy = {'boto3', 'botocore', 'obstore', 'polars', 'dagster', 'rich'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_sha256_field_of_somebody_else_is_not_taken_for_ours(s3, s3_env):
    client, bucket = boto3.client("s3", endpoint_url=s3_env), s3.url.split("/")[2]
    client.put_object(Bucket=bucket, Key="p/x", Body=b"body", Metadata={"sha256": "n4bQgYhMfWW="})
    with s3.transfer() as transfer:
        assert transfer.download([ObjectRef("x", s3.local / "x")]).ok
