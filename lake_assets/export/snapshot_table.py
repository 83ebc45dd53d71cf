"""A table of a database as the stages know it: its names, its place and its settings."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.catalog import content_id
from lake_assets.database_settings import (
    ColumnType,
    SnapshotSettings,
    SqlExpression,
    parse_column_type,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SNAPSHOT_COLUMN", "SnapshotTable", "expression_text"]

#: Partition column that tells the snapshots of a table in mode ``history`` apart.
SNAPSHOT_COLUMN = "_snapshot"


@dataclass(frozen=True, slots=True)
class SnapshotTable:
    """One table of ``databases`` in the configuration."""

    database: str
    name: str
    settings: SnapshotSettings

    @property
    def id(self) -> str:
        """``database.name``."""
        return f"{self.database}.{self.name}"

    @property
    def path(self) -> str:
        """``database/name``: its place below each stage."""
        return f"{self.database}/{self.name}"

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns of the lake table, in order; the snapshot first, where all stay."""
        own = tuple(self.settings.partition_by)
        return (SNAPSHOT_COLUMN, *own) if self.settings.mode == "history" else own

    @property
    def columns(self) -> dict[str, ColumnType]:
        """The declared types."""
        return {name: parse_column_type(text) for name, text in self.settings.columns.items()}

    @property
    def staging_config_id(self) -> str:
        """Names the settings that decide which rows a snapshot gives in staging.

        Not the size of the groups: however the work was divided, the rows are the same.
        """
        chosen = self.settings
        return content_id(
            {
                "columns": chosen.columns,
                "create_time": expression_text(chosen.create_time),
                "dedupe": chosen.dedupe if chosen.record_id is not None else "none",
                "format": chosen.format,
                "partition_by": [
                    [name, expression_text(value)] for name, value in chosen.partition_by.items()
                ],
                "reader": chosen.reader,
                "record_id": expression_text(chosen.record_id),
                "transform": chosen.transform,
                "update_time": expression_text(chosen.update_time),
            }
        )


def expression_text(value: "str | SqlExpression | pl.Expr | None") -> Any:  # noqa: ANN401 (JSON)
    """What a derived column is made of, for an id: alike in every process and version of ours."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, SqlExpression):
        return {"sql": value.sql}
    return {"polars": hashlib.sha256(value.meta.serialize()).hexdigest()}
