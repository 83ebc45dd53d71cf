"""Parts of frames come back whole and in order, whether they were on disk or not."""

from pathlib import Path

import polars as pl
import pytest

from lake_assets.compacted.spill import Spill


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def frames(n=40, rows=50):
    return [
        pl.DataFrame({"n": range(i * rows, (i + 1) * rows)}, schema={"n": pl.Int64})
        for i in range(n)
    ]


@pytest.mark.parametrize("memory_bytes", [1, 5_000, 10**9])
def test_every_part_has_its_rows_in_the_order_they_came(temporary: Path, memory_bytes):
    with Spill(memory_bytes) as spill:
        for frame in frames():
            for part in range(3):
                spill.add(part, frame.filter(pl.col("n") % 3 == part))
        assert bool(list(temporary.rglob("*.arrow"))) == (memory_bytes < 10**9)
        for part in range(3):
            taken = spill.take(part)
            assert taken is not None
            assert taken["n"].to_list() == list(range(part, 2000, 3))
    assert list(temporary.iterdir()) == []


def test_files_go_with_the_spill_also_after_an_error(temporary: Path):
    def fail() -> None:
        with Spill(1) as spill:
            spill.add(0, frames(1)[0])
            assert list(temporary.rglob("*.arrow"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(temporary.iterdir()) == []


def test_part_without_rows_is_none():
    with Spill(10**6) as spill:
        spill.add(0, pl.DataFrame({"n": []}, schema={"n": pl.Int64}))
        assert spill.take(0) is None
        assert spill.take(7) is None


@pytest.mark.parametrize("memory_bytes", [1, 10**9])
def test_columns_that_a_frame_lacks_are_null(memory_bytes):
    with Spill(memory_bytes) as spill:
        spill.add(0, pl.DataFrame({"a": [1]}))
        spill.add(0, pl.DataFrame({"b": ["x"]}))
        taken = spill.take(0)
    assert taken is not None
    assert taken.to_dicts() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


def test_text_that_was_filtered_away_is_not_kept_alive():
    long = pl.DataFrame({"t": [f"{n:09d}" + "x" * 1000 for n in range(1000)]})
    with Spill(10**9) as spill:
        spill.add(0, long.filter(pl.col("t").str.starts_with("000000001")))
        taken = spill.take(0)
    assert taken is not None
    assert taken.height == 1
    assert taken.estimated_size() < 5_000
