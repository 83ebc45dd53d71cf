"""Memory does not grow with the data: a process at once and at four times the data."""

import polars as pl
import pytest

from lake_assets_tests.lake.children import result
from lake_assets_tests.snapshot_line.child import start_anew
from lake_assets_tests.snapshot_line.shop import Shop

ROWS = 60_000


@pytest.mark.crash
def test_four_times_the_data_takes_no_more_than_a_quarter_more_memory(tmp_path):
    peaks = []
    for times in (1, 4):
        shop = Shop(str(tmp_path / f"source-{times}"), str(tmp_path / f"lake-{times}"))
        shop = shop.having(partition_by=None, group_size="4MB", target_file_size="4MB")
        for number in range(2 * times):
            n = pl.int_range(number * ROWS, (number + 1) * ROWS, eager=True)
            text = n.hash(seed=1).cast(pl.String)
            frame = pl.DataFrame({"id": text, "at": n.hash().cast(pl.Int64, wrap_numerical=True)})
            shop.put(**{f"f{number}": frame.with_columns(more=pl.col("id") + pl.col("id"))})
        told = result(start_anew(shop.with_lake(memory="32MiB")))
        assert told["rows"] == 2 * times * ROWS
        peaks.append(told["peak_kb"])
    assert peaks[1] <= 1.25 * peaks[0]  # 1.5 where the memory is not bounded
