"""What the graph asks of a line: how its exports come in and what their tables have to become.

The datamart and the databases each answer in a module of their own; assets, sensors, checks, jobs
and schedules are made of these answers, so that both lines are the same graph.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import dagster as dg
import polars as pl

from lake_assets.compacted.compact import CompactedPartition
from lake_assets.compacted.partitions import Table
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import Published
from lake_assets.lake.drift import Judged
from lake_assets.lake.validate import Conserved
from lake_assets.s3 import Store

__all__ = [
    "Line",
    "LineRun",
    "LineTable",
    "OpenTable",
    "SourceView",
    "Staged",
    "StagingNeeds",
    "TableNeeds",
    "TableProofs",
]


@dataclass(frozen=True, slots=True)
class SourceView:
    """What lies at a table's source, as the sensor observes it."""

    digest: str
    """Changes with whatever ``facts`` say."""
    facts: Mapping[str, Any]
    """Metadata of the observation."""


@dataclass(frozen=True, slots=True)
class StagingNeeds:
    """What staging has to do with the exports of a table as they are now."""

    exports: tuple[str, ...]
    """Those that belong to the table: what is staged, then what is finished at its source."""
    work: Mapping[str, str]
    """Those that staging has not seen as they are now: id → name of the work."""


@dataclass(frozen=True, slots=True)
class TableNeeds:
    """What the table has to become after its staging."""

    partitions: tuple[str, ...]
    """Hive partitions that it has, or will have."""
    work: tuple[object, ...] | None
    """Names what is to be done; None where everything staged is published."""
    to_compact: frozenset[str] | None = None
    """Of the partitions; None means all that are known, also those that vanish."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of staging one partition."""

    key: str
    facts: Mapping[str, Any]
    """Metadata of its materialization."""
    warnings: tuple[str, ...] = ()
    failed: str | None = None
    """Why it is not done though its input may be good: a store that refused."""


class OpenTable(Protocol):
    """One table of an opened lake; methods that reach a store raise ``LakeError``."""

    @property
    def table(self) -> Table:
        """Its names."""
        ...

    @property
    def root(self) -> Store:
        """The lake's store."""
        ...

    def source_view(self) -> SourceView:
        """What lies at its source."""
        ...

    def staging_needs(self) -> StagingNeeds:
        """What is to be staged."""
        ...

    def table_needs(self) -> TableNeeds | None:
        """What is to be compacted and published; None where nothing is staged."""
        ...

    def stage(
        self, keys: Collection[str], *, run_id: str, tell: Callable[[str], None]
    ) -> Iterator[Staged]:
        """Bring exports to staging; bad input is an outcome."""
        ...

    def compact(self, names: Collection[str]) -> Iterator[tuple[str, CompactedPartition | None]]:
        """Compact hive partitions; None for one of which nothing is staged."""
        ...

    def publish(self) -> tuple[Published | None, tuple[str, ...]]:
        """The table as published now (None where it is not there), and what holds back the rest."""
        ...

    def scan(self) -> pl.LazyFrame:
        """The published rows; none of a table without a first commit."""
        ...

    def refused(self) -> list[tuple[str, str]]:
        """The finished exports that are not loaded, and why."""
        ...

    def proofs(self) -> "TableProofs":
        """What the checks ask."""
        ...

    def drift(self, keys: Collection[str]) -> Sequence[Judged]:
        """These partitions of the profiled stage against those before; the newest if none."""
        ...


class TableProofs(Protocol):
    """What can be proven of a table; each is computed when it is asked for."""

    def rescued(self) -> Mapping[str, int]:
        """Staged values by column that did not fit and are in ``_rescued_data``."""
        ...

    def conserved(self) -> Conserved:
        """The row counts of the newest commit against the live rows."""
        ...

    def duplicate_keys(self) -> int:
        """Keys that have several rows."""
        ...

    def schema_differences(self) -> list[str]:
        """What of the columns is not as declared."""
        ...


@dataclass(frozen=True, slots=True)
class LineTable:
    """What the graph says of a table before anything is opened."""

    table: Table
    descriptions: Mapping[str, str]
    """Of its assets, by stage."""
    export_kinds: frozenset[str]
    code_version: str
    """Of its staging."""
    checks: tuple[str, ...]
    """Those of ``checks`` that make sense for it."""
    drift_at: Literal["staging", "lake"] | None = None
    """Stage at which one export is held against those before; None where nothing is profiled."""


@dataclass(frozen=True, slots=True)
class LineRun:
    """What the library did in one run, as Dagster is told it."""

    partitions: Mapping[str, Sequence[str]]
    """Keys by the name of their set."""
    events: tuple[dg.AssetMaterialization, ...]
    refused: tuple[str, ...] = ()
    """Why exports are not loaded."""
    errors: tuple[str, ...] = ()
    """Why tables were not brought up to date."""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A way from exports to tables."""

    name: str
    """Begins the names of its sensors, jobs and schedule."""
    tables: tuple[LineTable, ...]
    open: Callable[[LakeResource], Callable[[Table], OpenTable]]
    """Open the lake once, then tables of it."""
    catch_up: Callable[[LakeResource, str], LineRun]
    """Bring everything that is open to the tables; the text is the run's id."""
    sensor_description: str
    downstream: Mapping[str, Sequence[dg.AssetKey]] = field(default_factory=dict)
    """Lake assets that are made from a table, by its id."""
