"""Write typed rows to staging: one parquet file and one index file for each hive partition.

Names come from the bytes, so the same rows written twice are one object.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import polars as pl

from lake_assets.catalog.profile import Profiler
from lake_assets.export.pega_tables import TableSpec
from lake_assets.s3 import Store, quote_segment
from lake_assets.staging.keys import index_frame, month_of

__all__ = ["StagingWriter", "is_staged_content", "parquet_bytes", "put_content"]

#: Far less than any grace period of `lake gc`; a clock that is wrong by more writes once too often.
_FRESH = timedelta(hours=1)


@dataclass(slots=True)
class StagingWriter:
    """Collects the rows of one export and writes them whenever ``buffer_bytes`` are together.

    Not for several threads. ``outputs`` is what the manifest lists, in the order of the rows.
    """

    root: Store
    folder: str
    spec: TableSpec
    buffer_bytes: int
    profiler: Profiler | None = None
    """Shown the rows as they were exported, without the columns that say where they are from."""
    outputs: list[dict[str, Any]] = field(default_factory=list, init=False)
    rows: int = field(default=0, init=False)
    _frames: list[pl.DataFrame] = field(default_factory=list, init=False)
    _held_bytes: int = field(default=0, init=False)

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows; earlier ones may be written now."""
        if frame.height:
            self._frames.append(frame)
            self._held_bytes += int(frame.estimated_size())
        if self._held_bytes >= self.buffer_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if not self._frames:
            return
        frame = pl.concat(self._frames, how="diagonal")
        self._frames, self._held_bytes = [], 0
        if self.profiler is not None:
            self.profiler.add(frame.drop("_export_id", "_source_key"))
        frame = frame.with_columns(month_of(frame, self.spec))
        parts = frame.partition_by("_month", as_dict=True, include_key=False, maintain_order=True)
        for (month,), part in parts.items():
            self.outputs.append(self._write(part, None if month is None else str(month)))
            self.rows += part.height

    def _write(self, frame: pl.DataFrame, month: str | None) -> dict[str, Any]:
        place = quote_segment(month) if month else "__HIVE_DEFAULT_PARTITION__"
        index = index_frame(frame, self.spec)
        body, index_body = parquet_bytes(frame, level=1), parquet_bytes(index, level=1)
        path, sha = put_content(self.root, f"{self.folder}_month={place}/", body)
        index_path, index_sha = put_content(
            self.root, f"{self.folder}_month={place}/", index_body, suffix=".index.parquet"
        )
        return {
            "path": path[len(self.folder) :],
            "sha256": sha,
            "size_bytes": len(body),
            "rows": frame.height,
            "frame_bytes": int(frame.estimated_size()),
            "month": month,
            "columns": {name: str(dtype) for name, dtype in frame.schema.items()},
            "index": {
                "path": index_path[len(self.folder) :],
                "sha256": index_sha,
                "size_bytes": len(index_body),
                "frame_bytes": int(index.estimated_size()),
            },
        }


def parquet_bytes(
    frame: pl.DataFrame,
    *,
    level: int,
    row_group_rows: int | None = None,
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = "zstd",
    note: Mapping[str, str] | None = None,
    statistics: bool = True,
) -> bytes:
    """The frame as a parquet file; the same frame gives the same bytes.

    Args:
        frame: The rows.
        level: Of zstd; the others have none.
        row_group_rows: Upper bound of a row group; Polars decides by default.
        compression: Of the pages.
        note: Kept in the footer.
        statistics: Bounds of each row group in the footer; what is read whole needs none.
    """
    buffer = io.BytesIO()
    frame.write_parquet(
        buffer,
        compression="uncompressed" if compression == "none" else compression,
        compression_level=level if compression == "zstd" else None,
        row_group_size=row_group_rows,
        metadata=dict(note) if note else None,
        statistics=statistics,
    )
    return buffer.getvalue()


def put_content(
    store: Store, folder: str, body: bytes, *, suffix: str = ".parquet"
) -> tuple[str, str]:
    """Write ``body`` under a name made of its sha256; what is there already stays as it is.

    One that has been there for long is written again: its age restarts, so that a `lake gc` that
    took it for garbage spares it.

    Returns:
        The key and the sha256 (hex) of the bytes.
    """
    sha = hashlib.sha256(body).hexdigest()
    key = f"{folder}{sha[:32]}{suffix}"
    if not store.create(key, body):
        there = store.head(key)
        if there is None or abs(datetime.now(UTC) - there.modified_at) > _FRESH:
            store.put(key, body)
    return key, sha


def is_staged_content(key: str) -> bool:
    """Whether a key of the lake is that of staged rows or of their index: ``put_content``'s."""
    return key.startswith("staging/") and key.endswith(".parquet")
