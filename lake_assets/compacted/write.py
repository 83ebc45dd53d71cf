"""Write rows as lake files: content-named parquet of at most the target size, with statistics."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lake_assets.compacted.partitions import Compression
from lake_assets.delta import column_statistics
from lake_assets.s3 import Store
from lake_assets.staging.write import parquet_bytes, put_content

__all__ = ["FileShape", "all_apart", "write_files"]

#: Rows of a row group: small enough to prune by, large enough to compress.
_ROW_GROUP_ROWS = 100_000
#: Level 3 takes twice the time and saves 7 % of the space.
_ZSTD_LEVEL = 1


@dataclass(frozen=True, slots=True)
class FileShape:
    """What lake files are like."""

    target_bytes: int
    """Upper bound of a file; a single larger row gets a file of its own."""
    compression: Compression = "zstd"
    """Of the parquet pages."""
    same: Mapping[str, str] = field(default_factory=dict)
    """Columns that are another one of the frame once more, and which."""


def write_files(
    store: Store, folder: str, place: str, frame: pl.DataFrame, shape: FileShape
) -> Iterator[dict[str, Any]]:
    """Write a frame as one file, or as halves of halves where one would be too large.

    Only encoding tells the size of a file, so it is encoded first and split when it is over.

    Args:
        store: The lake's store.
        folder: The table's folder, with its slash.
        place: Folder of the partition inside it, with its slash; empty where there are none.
        frame: The rows, in the order they shall have; partition columns are not among them.
        shape: Of the files.

    Yields:
        For each file, in row order: ``path`` (below ``folder``), ``sha256``, ``size_bytes``,
        ``rows`` and ``stats``.
    """
    queue = [frame]
    while queue:
        part = queue.pop(0)
        body = parquet_bytes(
            part, level=_ZSTD_LEVEL, row_group_rows=_ROW_GROUP_ROWS, compression=shape.compression
        )
        if len(body) > shape.target_bytes and part.height > 1:
            half = -(-part.height // 2)
            queue[:0] = [part.slice(0, half), part.slice(half)]
            continue
        key, sha = put_content(store, folder + place, body)
        yield {
            "path": key[len(folder) :],
            "sha256": sha,
            "size_bytes": len(body),
            "rows": part.height,
            "stats": column_statistics(part, same=shape.same),
        }


def all_apart(
    store: Store, folder: str, outputs: Iterable[dict[str, Any]], compression: Compression
) -> Iterator[dict[str, Any]]:
    """The files of one partition, each of a name of its own; see ``write_files``.

    Files with the same rows have the same name, and a Delta table has every name once: the second
    is written again, with its number in the footer.
    """
    seen: Counter[str] = Counter()
    for output in outputs:
        path = output["path"]
        seen[path] += 1
        if seen[path] == 1:
            yield output
            continue
        frame = pl.read_parquet(io.BytesIO(store.get(folder + path, sha256=output["sha256"])))
        body = parquet_bytes(
            frame,
            level=_ZSTD_LEVEL,
            row_group_rows=_ROW_GROUP_ROWS,
            compression=compression,
            note={"lake.copy": str(seen[path])},
        )
        place = path[: path.rfind("/") + 1]
        key, sha = put_content(store, folder + place, body)
        yield output | {"path": key[len(folder) :], "sha256": sha, "size_bytes": len(body)}
