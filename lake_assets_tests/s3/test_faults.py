"""Every fault of the way to the store ends in the right bytes or a named error, and heals."""

import traceback
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from botocore.config import Config

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.bucket import BucketStore
from lake_assets.s3.bucket_obstore import FastBucketStore
from lake_assets.s3.client import Access, obstore_store
from lake_assets.s3.parts import parts_etag
from lake_assets.s3.url import parse_url
from lake_assets_tests.fault_proxy import Fault, FaultProxy, fault_proxy

BODY = bytes(range(256)) * 2000
WRONG_BODY = ["cut", "flip", "short", "stall"]
NO_ANSWER = ["503", "reset"]


@pytest.fixture
def proxy(s3_env: str) -> Iterator[FaultProxy]:
    with fault_proxy(s3_env) as proxy:
        yield proxy


Opener = Callable[..., BucketStore]


@pytest.fixture(params=["boto3", "obstore"])
def bucket_store(request: pytest.FixtureRequest, proxy: FaultProxy, bucket: str) -> Opener:
    """Opens a store behind the proxy, as ``open_store`` makes it but for patience."""

    def opened(*, tries: int) -> BucketStore:
        client = boto3.client(
            "s3",
            endpoint_url=proxy.url,
            config=Config(
                read_timeout=0.2,
                connect_timeout=1,
                retries={"mode": "standard", "total_max_attempts": tries},
                response_checksum_validation="when_required",  # an old store keeps no checksums
            ),
        )
        url = parse_url(f"s3://{bucket}")
        if request.param == "boto3":
            return BucketStore(url, client)
        access = Access(endpoint_url=proxy.url, read_timeout_s=0.2, retry_attempts=1)
        return FastBucketStore(url, client, obstore_store(url.text, access))

    return opened


@pytest.fixture
def store(bucket_store: Opener) -> BucketStore:
    """A bucket that holds ``x.bin``."""
    store = bucket_store(tries=2)
    store.put("x.bin", BODY)
    return store


def reads(store: BucketStore) -> list[Callable[[], bytes]]:
    [listed] = store.list()

    def opened() -> bytes:
        with store.open(listed, memory_bytes=1000) as file:
            return file.read()

    return [
        lambda: store.get("x.bin"),
        lambda: store.get("x.bin", listed=listed),
        opened,
    ]


@pytest.mark.parametrize("kind", WRONG_BODY)
def test_a_body_that_is_wrong_once_is_fetched_again(store, proxy, kind):
    for read in reads(store):
        proxy.faults = [Fault(kind, "x.bin", times=1)]
        assert read() == BODY
        assert proxy.faults[0].times == 0


@pytest.mark.parametrize("kind", NO_ANSWER)
def test_a_request_that_fails_once_is_sent_again(store, proxy, kind):
    proxy.faults = [Fault(kind, "x.bin", times=1)]
    assert store.get("x.bin") == BODY
    proxy.faults = [Fault(kind, "list-type", times=1)]
    assert [info.key for info in store.list()] == ["x.bin"]


@pytest.mark.parametrize("kind", WRONG_BODY)
def test_a_body_that_stays_wrong_is_a_named_error_and_then_heals(store, proxy, kind):
    for read in reads(store)[1 if kind == "flip" else 2 :]:
        proxy.faults = [Fault(kind, "x.bin")]
        with pytest.raises(BodyMismatchError, match=r"s3://.*/x\.bin: .* in 5 tries"):
            read()
        proxy.clear()
        assert read() == BODY


@pytest.mark.parametrize("kind", NO_ANSWER)
@pytest.mark.usefixtures("store")
def test_a_store_that_stays_away_is_a_named_error_and_then_heals(bucket_store, proxy, kind):
    store = bucket_store(tries=1)
    proxy.faults = [Fault(kind, method=method) for method in ("GET", "PUT", "HEAD", "DELETE")]
    for act in (
        lambda: list(store.list()),
        lambda: store.get("x.bin"),
        lambda: store.put("y", b""),
        lambda: store.head("x.bin"),
        lambda: store.delete("x.bin"),
    ):
        with pytest.raises(StorageError, match=r"cannot (list|read|write|look up|delete) s3://"):
            act()
    proxy.clear()
    assert store.get("x.bin") == BODY
    assert store.head("y") is None


def test_a_short_body_that_says_so_itself_is_found_without_a_listing(store, proxy):
    proxy.faults = [Fault("short", "x.bin", times=1)]
    assert store.get("x.bin") == BODY  # by its MD5


@pytest.mark.usefixtures("store")
def test_a_checksum_of_the_store_finds_a_wrong_byte_as_well(proxy, bucket):
    client = boto3.client("s3", endpoint_url=proxy.url)  # validates whenever it can, the default
    checked = BucketStore(parse_url(f"s3://{bucket}"), client)
    proxy.faults = [Fault("flip", "x.bin")]
    with pytest.raises(BodyMismatchError):
        checked.get("x.bin")
    proxy.faults = [Fault("flip", "x.bin", times=2)]
    assert checked.get("x.bin") == BODY


def test_a_store_that_ignores_if_match_does_not_pass_another_object(store, proxy):
    [listed] = store.list()
    proxy.faults = [Fault("replace", "x.bin")]
    with pytest.raises(SourceChangedError, match="was replaced"):
        store.get("x.bin", listed=listed)


@pytest.mark.parametrize("bucket_store", ["boto3"], indirect=True)
def test_a_body_that_is_refused_unread_leaves_no_connection_open(store, proxy):
    [listed] = store.list()
    proxy.faults = [Fault("replace", "x.bin")]
    with pytest.raises(SourceChangedError) as held:  # and with it the frames that had the body
        store.get("x.bin", listed=listed)
    port = urlsplit(proxy.url).port
    ours = [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]
    assert [c for c in ours if c.status == psutil.CONN_ESTABLISHED] == []
    del held


@pytest.mark.parametrize("kind", ["lose", "reset", "503"])
def test_create_knows_its_own_object_after_a_lost_answer(store, proxy, kind):
    proxy.faults = [Fault(kind, "/y", method="PUT", times=1)]
    assert store.create("y", b"mine") is True
    assert store.get("y") == b"mine"
    proxy.faults = [Fault(kind, "/y", method="PUT", times=1)]
    assert store.create("y", b"mine") is False


def test_create_tries_again_while_another_writer_is_under_way(store, proxy):
    proxy.faults = [Fault("409", "/y", method="PUT", times=3)]
    assert store.create("y", b"mine") is True
    proxy.faults = [Fault("409", "/z", method="PUT")]
    with pytest.raises(StorageError, match=r"cannot create s3://.*/z"):
        store.create("z", b"mine")


def test_a_local_disk_that_cannot_hold_the_body_is_named(store, monkeypatch, tmp_path):
    [listed] = store.list()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"cannot keep s3://.*/x\.bin on local disk: No such"):
        store.open(listed, memory_bytes=10)
    with store.open(listed, memory_bytes=10_000_000) as file:
        assert file.read() == BODY


def test_an_object_under_a_key_of_kms_is_read(store, bucket, s3_env):
    boto3.client("s3", endpoint_url=s3_env).put_object(
        Bucket=bucket, Key="k.bin", Body=BODY, ServerSideEncryption="aws:kms"
    )
    for _ in range(2):
        assert store.get("k.bin", listed=store.head("k.bin")) == BODY


def test_create_that_gets_no_answer_at_all_is_an_error(bucket_store, proxy):
    store = bucket_store(tries=1)
    proxy.faults = [Fault("reset", "/y", method="PUT")]
    with pytest.raises(StorageError, match=r"cannot create s3://.*/y"):
        store.create("y", b"mine")


def test_refused_credentials_are_named_and_the_secret_is_not(store, proxy):
    proxy.faults = [Fault("403", method=method) for method in ("GET", "PUT", "HEAD", "DELETE")]
    for act in (
        lambda: list(store.list()),
        lambda: store.get("x.bin"),
        lambda: store.head("x.bin"),
        lambda: store.put("x.bin", b""),
        lambda: store.create("x.bin", b""),
        lambda: store.delete("x.bin"),
    ):
        with pytest.raises(StorageError, match=r"s3://.*refused the credentials") as caught:
            act()
        assert "testing" not in "".join(traceback.format_exception(caught.value))


class TestMultipart:
    """Objects that were uploaded in parts: their ETag is no MD5, their parts still have one."""

    PART = 100_000

    @pytest.fixture(autouse=True)
    def parts_of_any_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """S3 takes no part below 5 MiB but for the last; what is shown here holds for any size."""
        monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)

    @pytest.fixture
    def parts(self, store: BucketStore, bucket: str, s3_env: str) -> list[bytes]:
        """x.bin in three parts of which the last is short."""
        assert store.url.endswith(bucket)  # it puts an x.bin of its own, first
        return self.upload(bucket, s3_env, [self.PART, self.PART, 1000])

    @staticmethod
    def upload(bucket: str, endpoint: str, sizes: list[int]) -> list[bytes]:
        client = boto3.client("s3", endpoint_url=endpoint)
        bodies = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
        place = {"Bucket": bucket, "Key": "x.bin"}
        upload = client.create_multipart_upload(**place)["UploadId"]
        done = [
            client.upload_part(**place, UploadId=upload, PartNumber=n, Body=body)["ETag"]
            for n, body in enumerate(bodies, start=1)
        ]
        client.complete_multipart_upload(
            **place,
            UploadId=upload,
            MultipartUpload={
                "Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(done, start=1)]
            },
        )
        return bodies

    def test_our_etag_of_parts_is_that_of_the_store(self, store, parts, tmp_path):
        path = tmp_path / "x.bin"
        path.write_bytes(b"".join(parts))
        with path.open("rb") as file:
            etag = parts_etag(file, [self.PART] * 3)
        assert store.head("x.bin").etag == etag

    def test_a_flipped_byte_is_found(self, store, proxy, parts):
        [listed] = store.list()
        proxy.faults = [Fault("flip", "x.bin", times=1)]
        assert store.get("x.bin", listed=listed) == b"".join(parts)
        proxy.faults = [Fault("flip", "x.bin")]
        with pytest.raises(BodyMismatchError, match="MD5s of the object's 3 parts"):
            store.open(listed, memory_bytes=2**10)

    def test_parts_of_unlike_sizes_are_sound(self, store, bucket, s3_env):
        parts = self.upload(bucket, s3_env, [self.PART, self.PART + 17, 3])
        [listed] = store.list()
        assert store.get("x.bin", listed=listed) == b"".join(parts)
