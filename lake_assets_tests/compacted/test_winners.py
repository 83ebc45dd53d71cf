"""One row for each key over the whole table, and which partitions that ties together."""

import hashlib
import io
import random
from pathlib import Path

import polars as pl
import pytest

from lake_assets.compacted.winners import OrderedFile, resolve_winners
from lake_assets.errors import BodyMismatchError
from lake_assets.s3 import open_store
from lake_assets.staging.manifests import StagedFile
from lake_assets.staging.write import parquet_bytes


class Files:
    """Index files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = open_store(str(folder))
        self.n = 0

    def add(self, month: str | None, *rows: tuple[str, int | None]) -> StagedFile:
        self.n += 1
        index = pl.DataFrame(
            {"_key": [key for key, _ in rows], "_saved": [saved for _, saved in rows]},
            schema={"_key": pl.String, "_saved": pl.Int64},
        ).with_columns(_time=pl.lit(None, dtype=pl.Datetime("us")))
        body = parquet_bytes(index, level=1)
        key = f"{self.n}.index.parquet"
        self.store.put(key, body)
        sha = hashlib.sha256(body).hexdigest()
        return StagedFile("", "", 0, len(rows), 0, month, key, sha, int(index.estimated_size()), ())


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def resolve(files, *ordered, memory_bytes=10**9, former=()):
    ranked = [OrderedFile(file, rank) for file, rank in ordered]
    return resolve_winners(files.store, ranked, memory_bytes=memory_bytes, workers=2, former=former)


def keeps(winners):
    return [keep.to_list() for keep in winners.keep]


def test_newest_export_wins_whatever_was_saved_later(files):
    old, new = files.add("09", ("a", 99), ("b", 1)), files.add("09", ("a", 1))
    assert keeps(resolve(files, (old, 0), (new, 1))) == [[False, True], [True]]


def test_latest_save_time_wins_within_one_export(files):
    one = files.add("09", ("a", 5), ("a", 9), ("a", 7))
    assert keeps(resolve(files, (one, 0))) == [[False, True, False]]


def test_missing_save_time_is_the_oldest(files):
    one = files.add("09", ("a", -(2**62)), ("a", None))
    assert keeps(resolve(files, (one, 0))) == [[True, False]]


def test_last_row_wins_among_equals(files):
    one, two = files.add("09", ("a", None), ("a", None)), files.add("09", ("a", None))
    assert keeps(resolve(files, (one, 0), (two, 0))) == [[False, False], [True]]


def test_record_that_moved_ties_its_partitions(files):
    old, new = files.add("09", ("a", 1), ("b", 1)), files.add("10", ("a", 1))
    winners = resolve(files, (old, 0), (new, 1))
    assert keeps(winners) == [[False, True], [True]]
    assert winners.moved == {("09", "10")}


def test_record_of_no_partition_may_move_too(files):
    old, new = files.add(None, ("a", 1)), files.add("10", ("a", 1))
    assert resolve(files, (old, 0), (new, 1)).moved == {(None, "10")}


def test_records_that_stayed_tie_nothing(files):
    old, new = files.add("09", ("a", 1)), files.add("09", ("a", 1), ("b", 1))
    assert resolve(files, (old, 0), (new, 1)).moved == frozenset()


def test_former_rows_win_nothing_and_tie_their_partition_to_the_present_one(files):
    former = files.add("10", ("a", 99), ("gone", 1))
    now = files.add("09", ("a", 1))
    winners = resolve(files, (now, 0), former=[former])
    assert keeps(winners) == [[True]]
    assert winners.moved == {("10", "09")}


def test_no_files_have_no_winners(files):
    assert resolve(files).keep == ()


def test_altered_index_is_refused(files):
    one = files.add("09", ("a", 1))
    files.store.put(
        one.index_path, parquet_bytes(pl.DataFrame({"_key": ["b"], "_saved": [1]}), level=1)
    )
    with pytest.raises(BodyMismatchError, match=one.index_path):
        resolve(files, (one, 0))


@pytest.mark.parametrize("memory_bytes", [1, 2_000, 50_000])
def test_buckets_give_what_one_pass_gives(files, memory_bytes):
    rng = random.Random(5)  # noqa: S311
    ordered = [
        (
            files.add(
                rng.choice(["08", "09", None]),
                *[(f"k{rng.randrange(300)}", rng.choice([None, *range(5)])) for _ in range(200)],
            ),
            rank // 2,
        )
        for rank in range(6)
    ]
    whole, bounded = resolve(files, *ordered), resolve(files, *ordered, memory_bytes=memory_bytes)
    assert keeps(bounded) == keeps(whole)
    assert bounded.moved == whole.moved
    assert sum(map(sum, keeps(whole))) == len(
        {
            key
            for file, _ in ordered
            for key in pl.read_parquet(io.BytesIO(files.store.get(file.index_path)))["_key"]
        }
    )


def test_snapshot_without_a_repeated_key_keeps_all_rows_and_holds_no_text(files, monkeypatch):
    one, two = files.add("09", ("a", 5), ("b", None)), files.add("10", ("c", 1))
    monkeypatch.setattr("lake_assets.compacted.winners.Spill", None)  # would hold keys
    winners = resolve(files, (one, 0), (two, 0))
    assert keeps(winners) == [[True, True], [True]]
    assert winners.moved == frozenset()


def test_rows_without_a_key_are_no_repetition(files):
    one = files.add("09", (None, 1), (None, 2), ("a", 1))
    assert keeps(resolve(files, (one, 0))) == [[True, True, True]]


def test_only_keys_that_repeat_are_compared(files):
    one, two = files.add("09", ("a", 5), ("b", 1), (None, 1)), files.add("10", ("a", 7), ("c", 1))
    winners = resolve(files, (one, 0), (two, 0))
    assert keeps(winners) == [[False, True, True], [True, True]]
    assert winners.moved == {("09", "10")}
