"""boto3's chain decides for boto3, polars and deltalake alike: profiles, tokens, endpoints."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lake_assets.errors import StorageError
from lake_assets.s3 import Access, open_store, storage_options
from lake_assets.s3.client import boto_client
from lake_assets_tests.fault_proxy import FaultProxy, Request, fault_proxy

SECRET = "sEcReT-0123456789-sEcReT"  # noqa: S105 (invented)
AWS_VARIABLES = (
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"),
)


@pytest.fixture
def proxy(moto_url: str) -> Iterator[FaultProxy]:
    with fault_proxy(moto_url) as proxy:
        yield proxy


@pytest.fixture
def home(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:  # the bucket first: it is made with the environment of moto
    """A home without any AWS setting, as on a fresh machine."""
    assert bucket
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write_profile(home: Path, endpoint: str, key: str, *, token: str | None = None) -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / "config").write_text(
        f"[profile pega]\nregion = eu-north-1\nendpoint_url = {endpoint}\n"
    )
    session = f"aws_session_token = {token}\n" if token else ""
    (home / ".aws" / "credentials").write_text(
        f"[pega]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n{session}"
    )


def use_all_three(url: str) -> None:
    """Write and read by our store, by polars and by deltalake."""
    store = open_store(url)
    store.put("x", b"1")
    assert [info.key for info in store.list()] == ["x"]
    frame = pl.DataFrame({"a": [1, 2]})
    options = storage_options(url)
    write_deltalake(f"{url}/table", frame, storage_options=options)
    assert DeltaTable(f"{url}/table", storage_options=options).version() == 0
    [name] = [info.key for info in store.list("table/") if info.key.endswith(".parquet")]
    read = pl.scan_parquet(f"{url}/{name}", storage_options=options)
    assert read.collect().equals(frame)
    assert pl.scan_delta(f"{url}/table", storage_options=options).collect().equals(frame)


def signers(requests: list[Request]) -> set[str]:
    found = {request.headers["authorization"] for request in requests}
    return {text.partition("Credential=")[2].partition("/aws4")[0] for text in found}


def test_a_profile_with_its_own_endpoint_and_keys_serves_all_three(
    home, proxy, bucket, monkeypatch
):
    write_profile(home, proxy.url, "AKIDPROFILE")
    monkeypatch.setenv("AWS_PROFILE", "pega")
    use_all_three(f"s3://{bucket}/lake")
    assert len(proxy.requests) > 5
    assert {s.partition("/")[0] for s in signers(proxy.requests)} == {"AKIDPROFILE"}
    assert {s.split("/")[2] for s in signers(proxy.requests)} == {"eu-north-1"}


def test_a_session_token_is_sent_by_all_three(home, proxy, bucket, monkeypatch):
    write_profile(home, proxy.url, "ASIATEMP", token="t0k3n-of-session")  # noqa: S106 (invented)
    monkeypatch.setenv("AWS_PROFILE", "pega")
    use_all_three(f"s3://{bucket}")
    tokens = {request.headers.get("x-amz-security-token") for request in proxy.requests}
    assert tokens == {"t0k3n-of-session"}


@pytest.mark.usefixtures("home")
def test_the_endpoint_of_s3_wins_over_the_general_one(proxy, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    use_all_three(f"s3://{bucket}/lake")
    assert {s.partition("/")[0] for s in signers(proxy.requests)} == {"AKIDENV"}


def test_another_environment_gives_another_client(home, proxy, bucket, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "pega")
    write_profile(home, proxy.url, "FIRST")
    list(open_store(f"s3://{bucket}").list())
    other = home / "other"
    other.mkdir()
    monkeypatch.setenv("HOME", str(other))
    write_profile(other, proxy.url, "SECOND")
    list(open_store(f"s3://{bucket}").list())
    keys = [signers([request]).pop().partition("/")[0] for request in proxy.requests]
    assert keys == ["FIRST", "SECOND"]


@pytest.mark.usefixtures("home")
def test_aws_itself_needs_no_endpoint_but_a_private_one_does(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    plain = storage_options("s3://b/x")
    assert "aws_endpoint_url" not in plain
    assert plain["aws_region"] == "eu-west-1"
    private = "https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", private)
    assert storage_options("s3://b/x")["aws_endpoint_url"] == private
    assert "aws_allow_http" not in storage_options("s3://b/x")


def test_a_folder_needs_no_options(tmp_path):
    assert storage_options(str(tmp_path)) == {}


class TestWhatCannotWork:
    """A StorageError that says where and why, and never the secret."""

    @pytest.mark.usefixtures("s3_env")
    def test_a_bucket_that_is_not_there(self):
        store = open_store("s3://no-such-bucket-anywhere/p")
        for act in (
            lambda: list(store.list()),
            lambda: store.get("x"),
            lambda: store.put("x", b""),
            lambda: store.create("x", b""),
        ):
            with pytest.raises(StorageError, match="there is no bucket 'no-such-bucket-anywhere'"):
                act()

    @pytest.mark.usefixtures("home")
    def test_no_credentials(self, proxy, bucket, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(StorageError, match=f"s3://{bucket}.*no AWS credentials; set AWS_PROF"):
            list(open_store(f"s3://{bucket}").list())
        with pytest.raises(StorageError, match=f"no AWS credentials for s3://{bucket}"):
            storage_options(f"s3://{bucket}")
        assert proxy.requests == []

    @pytest.mark.usefixtures("s3_env")
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            pytest.param("AWS_PROFILE", "nobody", "nobody", id="no such profile"),
            pytest.param("AWS_ENDPOINT_URL", "no url", "no url", id="endpoint"),
            pytest.param("AWS_DEFAULT_REGION", "eu north!", "eu north!", id="region"),
        ],
    )
    def test_a_configuration_that_cannot_be_used(self, monkeypatch, name, value, said):
        monkeypatch.setenv(name, value)
        for use in (open_store, storage_options):
            with pytest.raises(StorageError, match=f"s3://b.*{said}"):
                use("s3://b/p")

    def test_a_role_that_cannot_be_had(self, home, proxy, monkeypatch):
        (home / ".aws").mkdir()
        (home / ".aws" / "config").write_text(
            f"[profile p]\ncredential_process = {sys.executable} -c 'raise SystemExit(1)'\n"
        )
        monkeypatch.setenv("AWS_PROFILE", "p")
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(StorageError, match="s3://b"):
            storage_options("s3://b")
        with pytest.raises(StorageError, match="s3://b"):
            list(open_store("s3://b").list())

    @pytest.mark.usefixtures("home")
    def test_the_secret_is_in_no_error(self, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        store = open_store("s3://b")
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:9") as caught:
            list(store.list())
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert SECRET not in repr(store)


def test_clients_of_several_accesses_parse_the_description_of_s3_once(bucket, monkeypatch):
    def described(tries: int) -> object:
        client = boto_client(f"s3://{bucket}", Access(retry_attempts=tries))
        return client.meta.service_model.metadata

    usual = described(2)
    assert described(3) is usual
    monkeypatch.setenv("AWS_DATA_PATH", "/descriptions/of ones own")
    assert described(2) is not usual
