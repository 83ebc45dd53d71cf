"""Write rows as lake files: content-named parquet of at most the target size, with statistics."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from lake_assets.compacted.partitions import Compression
from lake_assets.delta import column_statistics
from lake_assets.s3 import Store
from lake_assets.staging.write import parquet_bytes, put_content

__all__ = ["write_files"]

#: Rows of a row group: small enough to prune by, large enough to compress.
_ROW_GROUP_ROWS = 100_000
_ZSTD_LEVEL = 3


def write_files(
    store: Store,
    folder: str,
    place: str,
    frame: pl.DataFrame,
    target_bytes: int,
    compression: Compression = "zstd",
) -> Iterator[dict[str, Any]]:
    """Write a frame as one file, or as halves of halves where one would be too large.

    Only encoding tells the size of a file, so it is encoded first and split when it is over.

    Args:
        store: The lake's store.
        folder: The table's folder, with its slash.
        place: Folder of the partition inside it, with its slash; empty where there are none.
        frame: The rows, in the order they shall have; partition columns are not among them.
        target_bytes: Upper bound of a file; a single larger row gets a file of its own.
        compression: Of the parquet pages.

    Yields:
        For each file, in row order: ``path`` (below ``folder``), ``sha256``, ``size_bytes``,
        ``rows`` and ``stats``.
    """
    queue = [frame]
    while queue:
        part = queue.pop(0)
        body = parquet_bytes(
            part, level=_ZSTD_LEVEL, row_group_rows=_ROW_GROUP_ROWS, compression=compression
        )
        if len(body) > target_bytes and part.height > 1:
            half = -(-part.height // 2)
            queue[:0] = [part.slice(0, half), part.slice(half)]
            continue
        key, sha = put_content(store, folder + place, body)
        yield {
            "path": key[len(folder) :],
            "sha256": sha,
            "size_bytes": len(body),
            "rows": part.height,
            "stats": column_statistics(part),
        }
