"""The lake's files: how large they get, and how their rows lie."""

import itertools

import polars as pl
import pytest

from lake_assets_tests.snapshot_line.shop import rows

N_ROWS = 6000


@pytest.fixture
def many(shop):
    """One partition of three files, times in no order, some of them null, many alike."""
    frame = pl.DataFrame(
        {
            "id": [f"{i * 2654435761 % 2**32:08x}" for i in range(N_ROWS)],
            "at": [None if i % 50 == 0 else i * 7919 % 1009 for i in range(N_ROWS)],
            "month": "01",
        }
    )
    return shop.put(**{f"f{k}": frame[k::3] for k in range(3)})


def check_order(files, *, descending):
    """Sorted all through; the ranges of two files have at most the value at their border alike."""
    whole = pl.concat(files)["at"]
    assert whole.len() == N_ROWS
    assert whole.equals(whole.sort(descending=descending, nulls_last=False))
    for one, other in itertools.pairwise(files):
        shared = set(one["at"]) & set(other["at"])
        assert len(shared) <= 1


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("memory", ["512KiB", "1GiB"])
def test_files_stay_below_their_size_and_do_not_overlap(many, descending, memory):
    small = many.having(target_file_size=20_000, descending=[descending]).with_lake(memory=memory)
    small.run()
    sizes = [
        size for key, (size, *_) in small.listing.items() if key.startswith("lake/shop/orders/m")
    ]
    assert max(sizes) <= 20_000
    assert len(sizes) >= 5
    check_order(small.files("month=01"), descending=descending)


def test_files_stay_below_their_number_of_rows(many):
    limited = many.having(row_limit_per_file=700)
    limited.run()
    files = limited.files("month=01")
    assert [frame.height for frame in files] == [700] * 8 + [400]
    check_order(files, descending=False)


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_each_compression_is_read_back(shop, compression):
    shop.having(compression=compression).put(a=rows("1", "2")).run()
    assert shop.column("id") == ["1", "2"]


def test_other_bounds_write_the_same_rows_anew_and_the_old_files_leave_the_table(many):
    many.run()
    before = many.content
    report = many.having(row_limit_per_file=3000).run()
    assert (report.rows, report.files, report.version) == (N_ROWS, 2, 1)
    assert many.content.equals(before)


def test_files_of_the_same_rows_are_all_kept(shop):
    shop.having(dedupe="none", row_limit_per_file=2).put(a=rows(*["1"] * 7)).run()
    assert shop.column("id") == ["1"] * 7
