"""Every fault on the way, both directions, whole and in parts: right bytes or none; it heals."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from lake_assets.errors import BodyMismatchError, SourceChangedError, StorageError
from lake_assets.s3.report import TransferReport
from lake_assets.s3.transfer import Transfer
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets_tests.fault_proxy import Fault, FaultProxy, fault_proxy

MIB = 2**20
SMALL = os.urandom(20_000)
BIG = os.urandom(11 * MIB)
#: A part and a short one: a fault meets one of them, however many there are.
TWO_PARTS = BIG[: 5 * MIB + 20_000]
BODIES = [pytest.param(SMALL, id="whole"), pytest.param(TWO_PARTS, id="parts")]
ENGINES = ["boto3", "obstore"]
ON_THE_WAY_HERE = ["503", "reset", "cut", "flip", "short", "stall"]
ON_THE_WAY_THERE = ["503", "reset", "lose", "send-cut", "send-flip", "send-short", "send-stall"]


@pytest.fixture(scope="module")
def running(moto_url: str) -> Iterator[FaultProxy]:
    """One for all: clients are cached by address, and a new one costs more than most tests."""
    with fault_proxy(moto_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: FaultProxy, s3_env: str) -> FaultProxy:
    assert s3_env
    running.renew()
    return running


@pytest.fixture
def store(bucket_maker):
    """boto3 right at the store, past the proxy."""
    return bucket_maker


class Bench:
    """One bucket behind the proxy, and a folder."""

    def __init__(self, proxy: FaultProxy, bucket: str, folder: Path) -> None:
        self.proxy, self.bucket, self.folder = proxy, bucket, folder

    def config(self, engine: Literal["boto3", "obstore"] = "boto3", **more) -> TransferConfig:
        return TransferConfig(
            endpoint_url=self.proxy.url,
            multipart_threshold_bytes=MIB,
            multipart_chunk_bytes=5 * MIB,
            max_concurrency=4,
            read_timeout_s=0.3 if self.stalls() else 5,
            retry_attempts=2,
            engine=engine,
            resume_folder=self.folder / "notes",
            **more,
        )

    def stalls(self) -> bool:
        """Only who waits for what does not come is in a hurry: a busy machine is slow as well."""
        return any("stall" in fault.kind for fault in self.proxy.faults)

    def download(self, engine, *, ref: ObjectRef | None = None, **more) -> TransferReport:
        ref = ref or ObjectRef("x.bin", self.folder / "x.bin")
        with Transfer(f"s3://{self.bucket}", self.config(engine, **more)) as transfer:
            return transfer.download([ref])

    def upload(self, body: bytes, **more) -> TransferReport:
        (self.folder / "source.bin").write_bytes(body)
        ref = ObjectRef("x.bin", self.folder / "source.bin")
        with Transfer(f"s3://{self.bucket}", self.config(**more)) as transfer:
            return transfer.upload([ref])

    def here(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir() if p.name != "notes")


@pytest.fixture
def bench(proxy: FaultProxy, bucket: str, tmp_path: Path) -> Bench:
    return Bench(proxy, bucket, tmp_path)


def put_in_parts(store, bucket: str, body: bytes, *, part_bytes: int, **more) -> None:
    """As somebody else uploads: no hash of ours."""
    place = {"Bucket": bucket, "Key": "x.bin"}
    upload = store.create_multipart_upload(**place, **more)["UploadId"]
    pieces = [body[at : at + part_bytes] for at in range(0, len(body), part_bytes)]
    parts = [
        {
            "PartNumber": n,
            "ETag": store.upload_part(**place, UploadId=upload, PartNumber=n, Body=piece)["ETag"],
        }
        for n, piece in enumerate(pieces, start=1)
    ]
    store.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("kind", ON_THE_WAY_HERE)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", BODIES)
class TestDownload:
    def test_a_fault_that_passes_is_not_noticed(self, bench, store, kind, engine, body):
        store.put_object(Bucket=bench.bucket, Key="x.bin", Body=body)
        bench.proxy.faults = [Fault(kind, "x.bin", times=1)]
        report = bench.download(engine)
        assert report.ok, report.failed
        assert bench.proxy.faults[0].times == 0
        assert (bench.folder / "x.bin").read_bytes() == body
        assert bench.here() == ["x.bin"]
        assert report.bytes == len(body)

    def test_a_fault_that_stays_is_reported_leaves_nothing_and_heals(
        self, bench, store, kind, engine, body
    ):
        store.put_object(Bucket=bench.bucket, Key="x.bin", Body=body)
        store.put_object(Bucket=bench.bucket, Key="good.bin", Body=b"good")
        refs = [ObjectRef(f"{n}.bin", bench.folder / f"{n}.bin") for n in ("x", "good")]
        bench.proxy.faults = [Fault(kind, "x.bin")]
        with Transfer(f"s3://{bench.bucket}", bench.config(engine)) as transfer:
            report = transfer.download(refs)
            assert report.done == (refs[1],)
            [failure] = report.failed
            assert failure.ref == refs[0]
            assert "x.bin" in failure.reason
            assert isinstance(failure.error, StorageError)
            assert bench.here() == ["good.bin"]
            bench.proxy.clear()
            again = transfer.download(refs)
        assert (again.done, again.skipped) == ((refs[0],), (refs[1],))
        assert (bench.folder / "x.bin").read_bytes() == body


@pytest.mark.parametrize("kind", ON_THE_WAY_THERE)
@pytest.mark.parametrize("body", BODIES)
class TestUpload:
    def test_a_fault_that_passes_is_not_noticed(self, bench, store, kind, body):
        bench.proxy.faults = [Fault(kind, "x.bin", method="PUT", times=1)]
        report = bench.upload(body)
        assert report.ok, report.failed
        assert len(report.done) == 1
        assert bench.proxy.faults[0].times == 0
        assert stored(store, bench.bucket) == body

    def test_a_fault_that_stays_is_reported_leaves_nothing_and_heals(
        self, bench, store, kind, body
    ):
        bench.proxy.faults = [Fault(kind, "x.bin", method="PUT")]
        report = bench.upload(body)
        if kind == "lose" and body is SMALL:  # the store had it all the same
            assert stored(store, bench.bucket) == body
        else:
            [failure] = report.failed
            assert "x.bin" in failure.reason
            assert stored(store, bench.bucket) is None
        bench.proxy.clear()
        assert bench.upload(body).ok
        assert stored(store, bench.bucket) == body


def stored(store, bucket: str) -> bytes | None:
    keys = [item["Key"] for item in store.list_objects_v2(Bucket=bucket).get("Contents", ())]
    if "x.bin" not in keys:
        return None
    return store.get_object(Bucket=bucket, Key="x.bin")["Body"].read()


@pytest.mark.parametrize("kind", ["503", "lose", "reset", "send-cut"])
def test_a_lost_answer_to_completing_the_parts_is_no_failure(bench, store, kind):
    bench.proxy.faults = [Fault(kind, r"x\.bin\?uploadId", method="POST", times=1)]
    report = bench.upload(BIG)
    assert report.ok, report.failed
    assert bench.proxy.faults[0].times == 0
    assert stored(store, bench.bucket) == BIG


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_sent_with_its_md5_and_no_second_checksum(bench, body):
    assert bench.upload(body).ok
    sent = [request for request in bench.proxy.requests if request.method == "PUT"]
    assert sent
    for request in sent:
        assert "content-md5" in request.headers
        assert not [name for name in request.headers if "checksum" in name]


@pytest.mark.parametrize("engine", ENGINES)
class TestProof:
    """What proves a body when its ETag is no plain MD5."""

    def flipped(self, bench, engine, **more) -> None:
        bench.proxy.faults = [Fault("flip", "x.bin")]
        report = bench.download(engine, **more)
        assert [type(failure.error) for failure in report.failed] == [BodyMismatchError]
        assert bench.here() == []
        bench.proxy.clear()
        report = bench.download(engine, **more)
        assert report.ok, report.failed
        [skipped] = bench.download(engine, **more).skipped
        assert skipped.key == "x.bin"

    @pytest.mark.parametrize("part_bytes", [5 * MIB, 6 * MIB, 5 * MIB + 17])
    def test_parts_of_others_by_the_etag(self, bench, store, engine, part_bytes):
        put_in_parts(store, bench.bucket, BIG, part_bytes=part_bytes)
        self.flipped(bench, engine)
        assert (bench.folder / "x.bin").read_bytes() == BIG

    def test_our_own_upload_under_a_key_of_kms_by_its_sha256(self, bench, store, engine):
        for body in (SMALL, BIG):
            store.delete_object(Bucket=bench.bucket, Key="x.bin")
            assert bench.upload(body, encryption="aws:kms").ok
            head = store.head_object(Bucket=bench.bucket, Key="x.bin")
            assert head["ServerSideEncryption"] == "aws:kms"
            assert head["Metadata"]["sha256"] == hashlib.sha256(body).hexdigest()
            (bench.folder / "source.bin").unlink()
            self.flipped(bench, engine)
            assert (bench.folder / "x.bin").read_bytes() == body
            (bench.folder / "x.bin").unlink()

    def test_a_sha256_that_went_stale_does_not_condemn_the_bytes_of_the_etag(
        self, bench, store, engine
    ):
        stale = {"sha256": "0" * 64}  # as a tool leaves it that rewrites bodies, not metadata
        store.put_object(Bucket=bench.bucket, Key="x.bin", Body=SMALL, Metadata=stale)
        self.flipped(bench, engine)
        (bench.folder / "x.bin").unlink()
        put_in_parts(store, bench.bucket, BIG, part_bytes=5 * MIB, Metadata=stale)
        self.flipped(bench, engine)
        assert (bench.folder / "x.bin").read_bytes() == BIG

    def test_what_the_listing_said_is_the_only_object_that_is_taken(self, bench, store, engine):
        store.put_object(Bucket=bench.bucket, Key="x.bin", Body=SMALL)
        etag = store.head_object(Bucket=bench.bucket, Key="x.bin")["ETag"].strip('"')
        listed = ObjectRef("x.bin", bench.folder / "x.bin", len(SMALL), etag)
        bench.proxy.faults = [Fault("replace", "x.bin")]  # as a store that ignores If-Match
        for refused in range(2):
            [failure] = bench.download(engine, ref=listed).failed
            assert isinstance(failure.error, SourceChangedError), refused
            bench.proxy.clear()
            store.put_object(Bucket=bench.bucket, Key="x.bin", Body=b"another")
        assert bench.here() == []

    def test_a_missing_key_and_a_missing_bucket_are_named(self, bench, engine):
        [failure] = bench.download(engine).failed
        assert "x.bin is gone" in failure.reason
        gone = Bench(bench.proxy, "no-such-bucket-here", bench.folder)
        [failure] = gone.download(engine).failed
        assert "there is no such bucket" in failure.reason

    def test_refused_credentials_are_named_and_not_tried_again(self, bench, store, engine):
        store.put_object(Bucket=bench.bucket, Key="x.bin", Body=SMALL)
        bench.proxy.faults = [Fault("403", "x.bin")]
        [failure] = bench.download(engine).failed
        assert "refused the credentials" in failure.reason
        assert len(bench.proxy.requests) == 1
