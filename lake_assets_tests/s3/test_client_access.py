"""What an Access says wins, and reaches boto3, obstore, polars and deltalake alike."""

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import obstore
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3 import Access, open_store, storage_options, use_access
from lake_assets.s3.client import _endpoint, boto_client, obstore_store
from lake_assets_tests.fault_proxy import Fault, FaultProxy, fault_proxy

SECRET = "sEcReT-0123456789-sEcReT"  # noqa: S105 (invented)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def proxy(moto_url: str) -> Iterator[FaultProxy]:
    with fault_proxy(moto_url) as proxy:
        yield proxy


@pytest.fixture
def hostile(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket, and an environment that says everything otherwise."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OFENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-environment")
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    return bucket


def access_to(proxy: FaultProxy, **also) -> Access:
    return Access(
        endpoint_url=proxy.url,
        access_key_id="EXPLICIT",
        secret_access_key=SECRET,
        region="eu-central-1",
        **also,
    )


def use_all_four(url: str, access: Access | None) -> None:
    store = open_store(url, access)
    store.put("x", b"1")
    fast = obstore_store(url, access)
    prefix = url.removeprefix("s3://").partition("/")[2]
    key = f"{prefix}/x".lstrip("/")
    assert bytes(obstore.get(fast, key).bytes()) == b"1"
    read_as_tables(url, access)


def read_as_tables(url: str, access: Access | None) -> None:
    frame, options = pl.DataFrame({"a": [1, 2]}), storage_options(url, access)
    write_deltalake(f"{url}/table", frame, storage_options=options)
    assert DeltaTable(f"{url}/table", storage_options=options).version() == 0
    assert pl.scan_delta(f"{url}/table", storage_options=options).collect().equals(frame)


def signers(proxy: FaultProxy) -> set[tuple[str, str]]:
    """Key id and region that the requests were signed with."""
    signed = [r.headers.get("authorization", "") for r in proxy.requests]
    parts = [text.partition("Credential=")[2].split("/") for text in signed]
    return {(p[0], p[2]) if len(p) > 2 else ("", "") for p in parts}


def tokens(proxy: FaultProxy) -> set[str]:
    return {r.headers.get("x-amz-security-token", "") for r in proxy.requests}


class TestWhatIsSaidWins:
    """Explicit, then environment, then profile."""

    def test_keys_region_and_endpoint_win_over_the_environment(self, hostile, proxy):
        use_all_four(f"s3://{hostile}/lake", access_to(proxy))
        assert signers(proxy) == {("EXPLICIT", "eu-central-1")}
        assert len(proxy.requests) > 8

    def test_the_token_of_other_keys_is_never_sent(self, hostile, proxy):
        use_all_four(f"s3://{hostile}", access_to(proxy))
        assert tokens(proxy) == {""}

    def test_a_session_token_is_sent(self, hostile, proxy):
        use_all_four(f"s3://{hostile}", access_to(proxy, session_token="mine"))  # noqa: S106
        assert tokens(proxy) == {"mine"}

    def test_a_profile_wins_over_keys_in_the_environment(
        self, hostile, proxy, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("AWS_REGION")
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "config").write_text("[profile mine]\nregion = eu-north-1\n")
        (tmp_path / ".aws" / "credentials").write_text(
            f"[mine]\naws_access_key_id = OFPROFILE\naws_secret_access_key = {SECRET}\n"
        )
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        use_all_four(f"s3://{hostile}", Access(profile="mine", endpoint_url=proxy.url))
        assert signers(proxy) == {("OFPROFILE", "eu-north-1")}
        assert tokens(proxy) == {""}

    def test_keys_in_the_environment_win_over_the_profile_named_there(
        self, bucket, proxy, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws" / "credentials").write_text(
            "[mine]\naws_access_key_id = OFPROFILE\naws_secret_access_key = s\n"
        )
        monkeypatch.setenv("AWS_PROFILE", "mine")
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        use_all_four(f"s3://{bucket}", None)
        assert {key for key, _ in signers(proxy)} == {"testing"}

    @pytest.mark.parametrize(
        ("said", "environment", "region"),
        [
            ("eu-west-3", {"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1"}, "eu-west-3"),
            (None, {"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "b-1"}, "eu-west-2"),
            (None, {"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
            (None, {}, "us-east-1"),
        ],
    )
    def test_the_region(self, monkeypatch, said, environment, region):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        access = Access(region=said, access_key_id="k", secret_access_key="s")  # noqa: S106
        assert boto_client("s3://b", access).meta.region_name == region
        assert storage_options("s3://b", access)["aws_region"] == region


class TestAnonymous:
    """Nothing is signed, whatever the environment holds."""

    def test_a_public_bucket_is_read_by_all_four(self, bucket, proxy, s3_env):
        url = f"s3://{bucket}"
        open_store(url).put("x", b"1")
        read_as_tables(url, None)
        admin = boto3.client("s3", endpoint_url=s3_env)
        for info in open_store(url).list():
            admin.put_object_acl(Bucket=bucket, Key=info.key, ACL="public-read")
        public = Access(anonymous=True, endpoint_url=proxy.url)
        assert open_store(url, public).get("x") == b"1"
        assert bytes(obstore.get(obstore_store(url, public), "x").bytes()) == b"1"
        options = storage_options(url, public)
        assert DeltaTable(f"{url}/table", storage_options=options).version() == 0
        assert pl.scan_delta(f"{url}/table", storage_options=options).collect().height == 2
        assert signers(proxy) == {("", "")}
        assert tokens(proxy) == {""}

    def test_what_is_not_public_is_refused_as_such(self, bucket, s3_env):
        open_store(f"s3://{bucket}").put("x", b"1")
        store = open_store(f"s3://{bucket}", Access(anonymous=True, endpoint_url=s3_env))
        with pytest.raises(StorageError, match="refused the credentials"):
            store.get("x")


class TestAddressing:
    """The bucket in the path or in the host name."""

    @pytest.mark.parametrize(
        ("bucket", "addressing", "endpoint", "expected"),
        [
            ("b", "auto", None, (None, True)),
            ("b.dots", "auto", None, (None, False)),
            ("b", "path", None, (None, False)),
            ("b", "auto", "http://store:9000", ("http://store:9000", False)),
            ("b", "path", "http://store:9000", ("http://store:9000", False)),
            ("b", "virtual", "https://store:9000", ("https://b.store:9000", True)),
        ],
    )
    def test_what_the_rust_libraries_are_told(self, bucket, addressing, endpoint, expected):
        access = Access(
            addressing=addressing, endpoint_url=endpoint, access_key_id="k", secret_access_key="s"  # noqa: S106
        )  # fmt: skip
        assert _endpoint(bucket, boto_client(f"s3://{bucket}", access)) == expected

    @pytest.mark.parametrize(
        ("addressing", "address"),
        [("virtual", "http://bucket-1.store.test/"), ("path", "http://store.test/bucket-1/")],
    )
    def test_all_ask_in_the_same_style(self, asked_of_proxy, addressing, address):
        access = Access(
            addressing=addressing,
            endpoint_url="http://store.test",
            access_key_id="k",
            secret_access_key="s",  # noqa: S106
        )
        url, options = "s3://bucket-1", storage_options("s3://bucket-1", access)
        asked = []
        for use in (
            lambda: open_store(url, access).get("x"),
            lambda: obstore.get(obstore_store(url, access), "x"),
            lambda: pl.scan_parquet(f"{url}/x", storage_options=options).collect(),
            lambda: DeltaTable(f"{url}/x", storage_options=options),
        ):
            asked_of_proxy.clear()
            with pytest.raises(Exception, match="x"):  # each library has its own
                use()
            asked.append(asked_of_proxy[0][: len(address)])
        assert asked == [address] * 4


@pytest.fixture
def asked_of_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses that an HTTP proxy is asked for: names of hosts need not exist. All is 404."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 (its name there)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


class TestUseAccess:
    """What a process is told once, by bucket."""

    def test_code_that_knows_only_the_address_uses_it(self, hostile, proxy):
        use_access(f"s3://{hostile}/lake", access_to(proxy))
        try:
            use_all_four(f"s3://{hostile}/lake", None)
            assert signers(proxy) == {("EXPLICIT", "eu-central-1")}
            assert boto_client("s3://other").meta.endpoint_url == NOWHERE
            other = Access(endpoint_url="http://127.0.0.1:8")
            assert boto_client(f"s3://{hostile}", other).meta.endpoint_url == "http://127.0.0.1:8"
        finally:
            use_access(f"s3://{hostile}", None)
        assert boto_client(f"s3://{hostile}").meta.endpoint_url == NOWHERE

    def test_a_folder_needs_none(self, tmp_path: Path):
        use_access(str(tmp_path), Access(profile="nobody"))
        assert storage_options(str(tmp_path)) == {}


def test_secrets_are_not_shown():
    access = Access(access_key_id="AKID", secret_access_key=SECRET, session_token=SECRET)
    assert SECRET not in f"{access!r} {access}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"access_key_id": "k"}, "belong together"),
        ({"secret_access_key": "s"}, "belong together"),
        ({"session_token": "t"}, "needs access_key_id"),
        ({"anonymous": True, "profile": "p"}, "takes no keys"),
        ({"pool_connections": 0}, "at least 1"),
    ],
)
def test_an_access_that_cannot_be_one_is_refused(fields, said):
    with pytest.raises(SettingsError, match=said):
        Access(**fields)


def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(StorageError, match="nobody-of-this-name"):
        open_store("s3://b", Access(profile="nobody-of-this-name"))


def test_a_folder_is_nothing_for_obstore(tmp_path):
    with pytest.raises(SettingsError, match="is a folder"):
        obstore_store(str(tmp_path))


def test_a_request_is_tried_as_often_as_said(bucket, proxy):
    proxy.faults.append(Fault("503"))
    store = open_store(f"s3://{bucket}", access_to(proxy, retry_attempts=3))
    with pytest.raises(StorageError, match="SlowDown"):
        list(store.list())
    assert len(proxy.requests) == 3


def test_obstore_asks_for_new_credentials_before_the_old_ones_expire(
    bucket, proxy, tmp_path, monkeypatch
):
    script = tmp_path / "give.py"
    script.write_text(
        "import json, datetime as d, pathlib\n"
        f"path = pathlib.Path({str(tmp_path / 'n')!r})\n"
        "n = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(n))\n"
        "soon = d.datetime.now(d.UTC) + d.timedelta(minutes=1)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{n}', 'SecretAccessKey': 's',\n"
        "                  'SessionToken': 't', 'Expiration': soon.isoformat()}))\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile p]\ncredential_process = {sys.executable} {script}\n"
    )
    access = Access(profile="p", endpoint_url=proxy.url)
    store = obstore_store(f"s3://{bucket}", access)
    obstore.put(store, "x", b"1")
    time.sleep(0.2)  # obstore asks ten times a second at most
    obstore.put(obstore_store(f"s3://{bucket}", access), "x", b"1")
    keys = {key for key, _ in signers(proxy)}
    # Each is good for a minute, which botocore counts as expired: the next request has the next.
    assert len(keys) == 2


def test_the_stores_of_a_bucket_share_their_connections(bucket, proxy):
    url, access = f"s3://{bucket}", access_to(proxy)
    for name in ("a", "b"):
        obstore.put(obstore_store(f"{url}/{name}", access), name, b"1")
    assert len({request.client_port for request in proxy.requests}) == 1
