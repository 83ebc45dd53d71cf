"""What a database snapshot is made of: files, and the parts of them that one task reads.

Values only; who finds them is ``find_snapshots``, who reads them ``read_part``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lake_assets.catalog import content_id

__all__ = ["FilePart", "Group", "SnapshotExport", "SourceFile", "SourceFormat"]

SourceFormat = Literal["dynamodb", "rds", "parquet", "ndjson", "csv", "manifest", "python"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One data file of a snapshot, as the listing and the export's own manifest name it."""

    key: str
    """Path below the root of the source's store."""
    size_bytes: int
    """Stored bytes."""
    etag: str
    """As listed; reading the file when it has another one is an error that names the file."""
    rows: int | None = None
    """What the export's own manifest says; None where it says nothing."""
    md5: str | None = None
    """32 hex digits of the stored bytes, where the export's own manifest says them."""


@dataclass(frozen=True, slots=True)
class SnapshotExport:
    """One finished snapshot of one table."""

    id: str
    """Names the snapshot among those of its table; also its Dagster partition key."""
    exported_at: datetime
    """UTC; the snapshot with the latest one is the newest, the greater id among equals."""
    source: str
    """Address of the store that keys count from: a folder or ``s3://…``."""
    format: SourceFormat
    """How the files are read: ``parquet``, ``ndjson``, ``csv``, ``dynamodb`` or ``python``."""
    files: tuple[SourceFile, ...]
    """Sorted by key; empty files (no rows by their format) are left out."""
    rows: int | None = None
    """Rows of the whole snapshot, where the export's own manifest says them."""

    @property
    def digest(self) -> str:
        """64 hex digits that change with the files and their bytes, not with where they lie."""
        return content_id([[file.key, file.size_bytes, file.etag] for file in self.files])


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or the range of it that one task reads.

    ``start`` and ``end`` are row groups [start, end) of a parquet file and bytes [start, end) of an
    uncompressed text file: of these, the lines that *begin* inside the range. Both None: all of it.
    """

    file: SourceFile
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What one staging task reads."""

    number: int
    """From 0, in the order of the keys."""
    parts: tuple[FilePart, ...]
    size_bytes: int
    """Stored bytes that the parts make up."""

    @property
    def id(self) -> str:
        """16 hex digits made of what is read: the same files and ranges give the same id."""
        return content_id(
            [[p.file.key, p.file.size_bytes, p.file.etag, p.start, p.end] for p in self.parts]
        )[:16]
