"""What a transfer promises: one class over a folder and over a bucket read by either engine."""

import hashlib
import logging
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lake_assets.errors import StorageError, TransferError
from lake_assets.s3.progress import Progress
from lake_assets.s3.running_digest import RunningDigest
from lake_assets.s3.transfer import Transfer
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets_tests.s3.transfer_place import MIB, PARTS, Place, side_by_side


@pytest.fixture(params=["folder", "boto3", "obstore"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "root"), tmp_path / "local", "auto")
    bucket = request.getfixturevalue("bucket")
    return Place(f"s3://{bucket}/some prefix+1", tmp_path / "local", request.param)


class TestTransferContract:
    """download, upload, skip, overwrite, failures."""

    def test_bodies_of_any_size_go_there_and_back(self, place: Place):
        bodies = {"empty": b"", "small": b"x" * 1000, "big": os.urandom(11 * MIB + 3)}
        refs = [ObjectRef(f"a b/ü/{n}", place.file(n, body)) for n, body in bodies.items()]
        with place.transfer(**PARTS) as transfer:
            sent = transfer.upload(refs)
            assert (sent.done, sent.skipped, sent.failed) == (tuple(refs), (), ())
            assert sent.bytes == sum(map(len, bodies.values()))
            back = [ObjectRef(ref.key, place.local / "back" / ref.key) for ref in refs]
            fetched = transfer.download(back)
        assert (fetched.done, fetched.failed) == (tuple(back), ())
        assert fetched.bytes == sent.bytes
        for ref, body in zip(back, bodies.values(), strict=True):
            assert Path(ref.local_path).read_bytes() == body
            assert place.store.get(ref.key) == body
        assert not [name for name in place.names() if ".part-" in name]

    @pytest.mark.parametrize(
        "key", ["a//b", "a/./b", "a/../b", "quotes'\"`", "50% +=&?#/😀", "x|y*"]
    )
    def test_an_odd_key_arrives_or_is_refused_by_name(self, place: Place, key: str):
        source = place.file("source", b"body")
        with place.transfer() as transfer:
            sent = transfer.upload([ObjectRef(key, source)])
            fetched = transfer.download([ObjectRef(key, place.local / "back")])
        if place.engine == "auto" and not {"", ".", ".."}.isdisjoint(key.split("/")):
            assert [type(f.error) for f in (*sent.failed, *fetched.failed)] == [StorageError] * 2
            assert place.names() == ["source"]
        else:
            assert (place.local / "back").read_bytes() == b"body"

    def test_what_is_the_object_already_is_skipped_and_what_is_not_is_fetched(self, place: Place):
        place.store.put("x", b"body")
        [listed] = place.store.list()
        for ref in (
            ObjectRef("x", place.local / "x"),
            ObjectRef("x", place.local / "x", listed.size_bytes, listed.etag),
        ):
            with place.transfer() as transfer:
                (place.local / "x").unlink(missing_ok=True)
                assert transfer.download([ref]).done == (ref,)
                assert transfer.download([ref]).skipped == (ref,)
                assert transfer.download([ref], overwrite=True).done == (ref,)
                for wrong in (b"", b"bod", b"bodY"):
                    (place.local / "x").write_bytes(wrong)
                    assert transfer.download([ref]).done == (ref,), wrong
                    assert (place.local / "x").read_bytes() == b"body"

    def test_exists_and_never_are_taken_at_their_word(self, place: Place):
        place.store.put("x", b"body")
        ref = ObjectRef("x", place.file("x", b"anything"))
        with place.transfer(skip="exists") as transfer:
            assert transfer.download([ref]).skipped == (ref,)
            assert transfer.upload([ref]).skipped == (ref,)
        with place.transfer(skip="never") as transfer:
            [failure] = transfer.upload([ref]).failed
            assert "is there" in failure.reason
            assert transfer.download([ref]).done == (ref,)
        assert (place.local / "x").read_bytes() == place.store.get("x") == b"body"

    def test_an_upload_without_overwrite_never_replaces(self, place: Place):
        for size in (10, 2 * MIB):
            key = f"x{size}"
            ref = ObjectRef(key, place.file("x", b"a" * size))
            with place.transfer(**PARTS) as transfer:
                assert transfer.upload([ref]).done == (ref,)
                assert transfer.upload([ref]).skipped == (ref,)
                place.file("x", b"b" * size)
                [failure] = transfer.upload([ref]).failed
                assert "overwrite=True" in failure.reason
                assert place.store.get(key) == b"a" * size
                assert transfer.upload([ref], overwrite=True).done == (ref,)
            assert place.store.get(key) == b"b" * size

    def test_one_of_many_racing_uploads_wins(self, place: Place):
        refs = [ObjectRef("one", place.file(f"f{n}", f"body {n}".encode())) for n in range(8)]
        reports = []

        def upload(ref: ObjectRef) -> None:
            with place.transfer() as transfer:
                reports.append(transfer.upload([ref]))

        side_by_side([lambda ref=ref: upload(ref) for ref in refs])
        won = [report.done[0] for report in reports if report.done]
        assert len(won) == 1
        assert place.store.get("one") == Path(won[0].local_path).read_bytes()

    def test_one_failure_does_not_stop_the_others(self, place: Place):
        for n in range(5):
            place.store.put(f"k{n}", b"x")
        (place.local / "folder").mkdir()
        refs = [ObjectRef(f"k{n}", place.local / f"k{n}") for n in range(5)]
        refs[1:1] = [
            ObjectRef("missing", place.local / "missing"),
            ObjectRef("k0", place.local / "folder"),
        ]
        with place.transfer() as transfer:
            report = transfer.download(refs)
        assert [ref.key for ref in report.done] == [f"k{n}" for n in range(5)]
        assert [failure.ref for failure in report.failed] == refs[1:3]
        assert "missing" in report.failed[0].reason
        assert "folder is no file" in report.failed[1].reason
        done, skipped, failed = report.as_tuple_of_paths()
        assert (len(done), skipped) == (5, [])
        assert failed == [str(place.local / "missing"), str(place.local / "folder")]
        with pytest.raises(TransferError, match="2 objects failed: missing"):
            report.raise_if_failed()

    def test_files_that_cannot_be_sent_are_named(self, place: Place):
        good = ObjectRef("good", place.file("good", b"x"))
        refs = [good, ObjectRef("a", place.local / "gone"), ObjectRef("b", place.local)]
        with place.transfer() as transfer:
            report = transfer.upload(refs)
        assert report.as_tuple_of_keys()[0] == ["good"]
        assert [failure.ref.key for failure in report.failed] == ["a", "b"]
        assert "No such file" in report.failed[0].reason
        assert "no file" in report.failed[1].reason

    def test_outside_with_it_says_so(self, place: Place):
        transfer = place.transfer()
        for call in (transfer.download, transfer.upload):
            with pytest.raises(TransferError, match="with Transfer"):
                call([])
        with transfer:
            assert transfer.download([]).ok
        with pytest.raises(TransferError, match="with Transfer"):
            transfer.download([])

    def test_two_refs_to_one_place_are_refused_before_anything_moves(self, place: Place):
        place.store.put("x", b"x")
        one, same = place.local / "f", f"{place.local}/sub/../f"
        with place.transfer() as transfer:
            with pytest.raises(TransferError, match="one local path"):
                transfer.download([ObjectRef("x", one), ObjectRef("y", same)])
            place.file("f", b"")
            with pytest.raises(TransferError, match="one key, first 'k'"):
                transfer.upload([ObjectRef("k", one), ObjectRef("k", place.local / "g")])
        assert place.names() == ["f"]
        assert [info.key for info in place.store.list()] == ["x"]

    def test_progress_goes_up_to_the_whole(self, place: Place):
        for n in range(30):
            place.store.put(f"k{n}", bytes(1000))
        seen: list[Progress] = []
        refs = [ObjectRef(f"k{n}", place.local / f"k{n}", 1000) for n in range(30)]
        with place.transfer(seen.append) as transfer:
            assert transfer.download(refs, description="thirty").ok
        assert seen
        last = seen[-1]
        assert (last.description, last.n_ended, last.n_total) == ("thirty", 30, 30)
        assert (last.moved_bytes, last.total_bytes, last.part) == (30_000, 30_000, 1.0)
        assert last.eta_s == 0
        assert "30 of 30 objects, 100%" in str(last)

    def test_without_a_terminal_progress_is_a_line_in_the_log(self, place: Place, caplog):
        caplog.set_level(logging.INFO, "lake_assets.s3.progress")
        place.store.put("x", b"12345")
        with place.transfer() as transfer:
            transfer.download([ObjectRef("x", place.local / "x")], description="fetch")
        assert "fetch: 1 of 1 objects, 100%" in caplog.text

    def test_a_cancelled_transfer_leaves_no_partial_file_and_says_what_is_missing(self, place):
        bodies = {f"k{n}": os.urandom(3 * MIB) for n in range(6)}
        for key, body in bodies.items():
            place.store.put(key, body)
        cancel = threading.Event()
        config = TransferConfig(
            engine=place.engine, max_concurrency=2, bandwidth_limit_bytes_per_s=6 * MIB, **PARTS
        )

        def stop(progress: Progress) -> None:
            if progress.moved_bytes > 4 * MIB:
                cancel.set()

        with Transfer(place.url, config, stop, cancel=cancel) as transfer:
            report = transfer.download([ObjectRef(key, place.local / key) for key in bodies])
        assert 0 < len(report.failed) <= 6
        assert {failure.reason for failure in report.failed} == {
            "cancelled before it was through; run again"
        }
        assert place.names() == [ref.key for ref in report.done]
        with place.transfer() as transfer:
            again = transfer.download([ObjectRef(key, place.local / key) for key in bodies])
        assert len(again.done) == len(report.failed)
        assert all((place.local / key).read_bytes() == body for key, body in bodies.items())

    def test_the_speed_limit_holds(self, place: Place):
        for n in range(4):
            place.store.put(f"k{n}", bytes(100_000))
        refs = [ObjectRef(f"k{n}", place.local / f"k{n}") for n in range(4)]
        with place.transfer(bandwidth_limit_bytes_per_s=800_000) as transfer:
            assert transfer.download(refs).seconds >= 0.45
            for n in range(4):
                place.file(f"k{n}", os.urandom(100_000))
            assert transfer.upload(refs, overwrite=True).seconds >= 0.45

    def test_fsync_and_one_thread_give_the_same_files(self, place: Place):
        body = os.urandom(6 * MIB)
        ref = ObjectRef("x", place.file("x", body))
        with place.transfer(fsync=True, max_concurrency=1, **PARTS) as transfer:
            assert transfer.upload([ref]).ok
            back = ObjectRef("x", place.local / "deep" / "er" / "x")
            assert transfer.download([back]).ok
        assert Path(back.local_path).read_bytes() == body


def test_a_file_is_hashed_whatever_the_order_its_pieces_arrive_in(tmp_path):
    body = os.urandom(1_000_003)
    path = tmp_path / "x"
    path.write_bytes(body)
    with path.open("rb") as file:
        digest = RunningDigest(
            file.fileno(), size_bytes=len(body), piece_bytes=70_001, algorithm="sha256"
        )
        pieces = random.sample(range(15), 15)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(digest.arrived, pieces[:-1]))
            assert digest.hexdigest() is None
        digest.arrived(pieces[-1])
    assert digest.hexdigest() == hashlib.sha256(body).hexdigest()


def test_a_file_that_lost_its_end_has_no_hash(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"half")
    with path.open("rb") as file:
        digest = RunningDigest(file.fileno(), size_bytes=8, piece_bytes=4, algorithm="md5")
        digest.arrived(0)
        with pytest.raises(OSError, match="ended at 4 of 8 bytes"):
            digest.arrived(1)
    assert digest.hexdigest() is None


def test_transfers_are_loaded_with_the_first_look_at_them():
    script = (
        "import sys, lake_assets.s3 as s3\n"
        "assert 'lake_assets.s3.transfer' not in sys.modules\n"
        "from lake_assets.s3 import ObjectRef, Transfer, TransferConfig, TransferReport\n"
        "assert Transfer.__module__ in sys.modules\n"
        "print([name for name in s3.__all__ if not hasattr(s3, name)], hasattr(s3, 'Nothing'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] False\n"
