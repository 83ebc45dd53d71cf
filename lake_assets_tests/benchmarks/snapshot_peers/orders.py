"""The orders of the benchmark: ``python orders.py FOLDER FILES ROWS``, the same bytes each time.

24 months, no order twice, about 77 stored bytes a row that hardly compress.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

#: 2023 and 2024.
_SECONDS = 731 * 86_400
_MONTH_S = 30 * 86_400
_START = pl.lit(datetime(2023, 1, 1, tzinfo=UTC), dtype=pl.Datetime("us", "UTC"))


def orders(start: int, rows: int) -> pl.DataFrame:
    """Rows ``start`` to ``start + rows``; what looks random is a hash of the row's number."""
    number = pl.int_range(start, start + rows, dtype=pl.UInt64)
    drawn = {name: number.hash(seed=seed) for seed, name in enumerate("abcde")}
    created = _START + pl.duration(seconds=drawn["a"] % _SECONDS)
    statuses = pl.Series(["open", "paid", "sent", "returned"])
    return pl.select(
        # The number makes it unique, the hash makes it hard to compress.
        order_id=pl.concat_str(drawn["b"].cast(pl.String).str.slice(0, 10), number),
        customer_id=(drawn["c"] % 10**6).cast(pl.Int64),
        amount=(drawn["d"] % 10**7).cast(pl.Float64) / 100,
        status=pl.lit(statuses).gather(drawn["e"] % 4),
        note=pl.concat_str(drawn["e"], drawn["c"]),
        created_at=created,
        updated_at=created + pl.duration(seconds=drawn["d"] % _MONTH_S, milliseconds=1),
    )


def main() -> None:
    """Write the files."""
    folder, files, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True)
    each = rows // files
    for number in range(files):
        path = folder / f"part-{number:05}-{each}.parquet"
        orders(number * each, each).write_parquet(path, compression="snappy")


if __name__ == "__main__":
    main()
