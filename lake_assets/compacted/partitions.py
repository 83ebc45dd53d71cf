"""What a table has to become, partition by partition: plain values that every line's plan gives.

A partition is named by its hive path. ``plan_id`` is made of a partition's inputs only, so work
that was done once is recognised whoever did it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import polars as pl

from lake_assets.s3.hive import hive_path
from lake_assets.staging.manifests import Place, StagedFile

__all__ = [
    "CODE_VERSION",
    "WHOLE_TABLE",
    "CompactionSettings",
    "Compression",
    "PartitionPlan",
    "Table",
    "TablePlan",
    "partition_name",
]

#: Changes when the same staged rows would give other files; every partition is then written again.
CODE_VERSION = "compacted/2"

#: Name of the one partition of a table without partition columns.
WHOLE_TABLE = "all"

Compression = Literal["zstd", "snappy", "gzip", "none"]


class Table(Place, Protocol):
    """What compacting and publishing need to know of a table."""

    @property
    def id(self) -> str:
        """``source.name``."""
        ...


@dataclass(frozen=True, slots=True)
class CompactionSettings:
    """Bounds of one compaction, in bytes."""

    memory_bytes: int
    target_file_bytes: int
    workers: int = 4
    rows_per_file: int | None = None
    compression: Compression = "zstd"


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One hive partition as it has to become."""

    name: str
    """``_month=2026-09``, ``year=2024/month=01``; ``all`` in a table without partitions."""
    values: tuple[str | None, ...]
    files: tuple[StagedFile, ...]
    keep: tuple[pl.Series, ...]
    """Which rows of each file count (Boolean Series)."""
    plan_id: str

    @property
    def rows_in(self) -> int:
        """Staged rows of this partition."""
        return sum(file.rows for file in self.files)

    @property
    def rows(self) -> int:
        """Rows that count; the others have a newer row of the same key somewhere in the table."""
        return sum(int(keep.sum()) for keep in self.keep)


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A whole table as its staging manifests want it."""

    generation: int
    inputs: str
    """Names the set of staging manifests."""
    config_id: str
    partition_by: tuple[str, ...]
    partitions: Mapping[str, PartitionPlan]
    """By name."""
    linked: frozenset[frozenset[str]]
    """Partitions that must be published together: a record moved, or an export was corrected."""
    schema: pl.Schema
    export_ids: frozenset[str]
    n_files: int
    forgets: bool = False
    """Whether an export that is no longer staged leaves the table, by rule."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the commit says besides the counts; keys start with ``lake.``."""

    @property
    def n_exports(self) -> int:
        """Exports that the table is made of."""
        return len(self.export_ids)

    @property
    def rows_in(self) -> int:
        """Rows of all exports that count."""
        return sum(partition.rows_in for partition in self.partitions.values())

    @property
    def rows(self) -> int:
        """Rows that the table will have."""
        return sum(partition.rows for partition in self.partitions.values())


def partition_name(columns: Sequence[str], values: Sequence[str | None]) -> str:
    """The hive path of a partition, also its Dagster partition key.

    Example:
        >>> partition_name(["year", "month"], ["2024", None])
        'year=2024/month=__HIVE_DEFAULT_PARTITION__'
    """
    return hive_path(dict(zip(columns, values, strict=True))) or WHOLE_TABLE
