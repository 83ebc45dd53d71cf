"""Which columns of an export a column of a lake table is made of.

Source columns come as they are; derived ones from the columns that their expressions name, seen
through other derived columns. What a user's ``transform`` or ``reader`` does is not looked into.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lake_assets.database_settings import SqlExpression
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, canonical
from lake_assets.export.snapshot_table import SNAPSHOT_COLUMN, SnapshotTable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ColumnOrigin", "column_lineage", "column_parents", "with_partition_columns"]

_RESCUED, _EXPORT, _SOURCE_KEY, _MONTH = INTERNAL_COLUMNS
#: In the order in which they are made; each may use those before it.
_DERIVED = ("record_id", "create_time", "update_time")

OriginKind = Literal["identity", "derived", "export"]
Stage = Literal["staging", "compacted", "lake"]
#: Where each stage reads.
_BEFORE: dict[Stage, str] = {"staging": "export", "compacted": "staging", "lake": "compacted"}


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """What one column of a table is made of."""

    column: str
    kind: OriginKind
    """``export``: of the export itself (its name, the file's), not of a column."""
    inputs: tuple[str, ...]
    """Columns of the export."""
    how: str
    """For people: the expression, or what is done."""


def column_lineage(
    table: TableSpec | SnapshotTable, columns: Iterable[str]
) -> tuple[ColumnOrigin, ...]:
    """Where each column of a table comes from, in the order of the columns.

    Args:
        table: As it is configured now.
        columns: Of the published table.
    """
    names = list(columns)
    if isinstance(table, TableSpec):
        made = _datamart(table, [name for name in names if name not in INTERNAL_COLUMNS])
    else:
        made = _database(table, names)
    return tuple(
        made.get(name) or ColumnOrigin(name, "identity", (name,), "as exported") for name in names
    )


def with_partition_columns(
    table: TableSpec | SnapshotTable, columns: Iterable[str]
) -> tuple[str, ...]:
    """The columns of a table, and those that are not in its files but in the names of folders."""
    by = (_MONTH,) if isinstance(table, TableSpec) else table.partition_by
    return tuple(dict.fromkeys((*columns, *by)))


def column_parents(
    table: TableSpec | SnapshotTable, stage: Stage, columns: Iterable[str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """(asset, column) of the stage before that each column of a stage is made of.

    Staging derives from the columns of the export; later stages take every column as it is.

    Args:
        table: As it is configured now.
        stage: Whose columns they are.
        columns: All of them, partition columns too.
    """
    asset = f"{_BEFORE[stage]}/{table.path}"
    if stage != "staging":
        return {name: ((asset, name),) for name in columns}
    origins: Sequence[ColumnOrigin] = column_lineage(table, columns)
    return {each.column: tuple((asset, name) for name in each.inputs) for each in origins}


def _datamart(spec: TableSpec, source: list[str]) -> dict[str, ColumnOrigin]:
    times = tuple(name for name in source if canonical(name) == canonical(spec.time))
    found = (
        ColumnOrigin(_RESCUED, "derived", tuple(source), "values that do not fit their type"),
        ColumnOrigin(_EXPORT, "export", (), "id of the export, from its file names"),
        ColumnOrigin(_SOURCE_KEY, "export", (), "key of the export file"),
        ColumnOrigin(_MONTH, "derived", times, "month (%Y-%m) of the first filled time column"),
    )
    return {origin.column: origin for origin in found}


def _database(table: SnapshotTable, names: list[str]) -> dict[str, ColumnOrigin]:
    settings = table.settings
    made: dict[str, ColumnOrigin] = {}
    named = [(alias, getattr(settings, alias)) for alias in _DERIVED]
    for alias, made_of in (*named, *settings.partition_by.items()):
        if made_of is None:
            continue
        roots = (
            column
            for root in _roots(made_of)
            # A column made of the one of its own name means the export's.
            for column in (made[root].inputs if root in made and root != alias else (root,))
        )
        inputs = tuple(dict.fromkeys(roots))
        plain = inputs == (alias,) and isinstance(made_of, str)
        made[alias] = ColumnOrigin(
            alias, "identity" if plain else "derived", inputs, _told(made_of, plain=plain)
        )
    if settings.mode == "history":
        made[SNAPSHOT_COLUMN] = ColumnOrigin(SNAPSHOT_COLUMN, "export", (), "id of the snapshot")
    if _RESCUED in names and _RESCUED not in made:
        source = tuple(name for name in names if name not in made and name != _RESCUED)
        made[_RESCUED] = ColumnOrigin(
            _RESCUED, "derived", source, "values that do not fit their type"
        )
    return made


def _roots(made_of: "str | SqlExpression | pl.Expr") -> list[str]:
    if isinstance(made_of, str):
        return [made_of]
    expression = made_of.expr if isinstance(made_of, SqlExpression) else made_of
    return expression.meta.root_names()


def _told(made_of: "str | SqlExpression | pl.Expr", *, plain: bool) -> str:
    if isinstance(made_of, str):
        return "as exported" if plain else f"column {made_of}"
    return made_of.sql if isinstance(made_of, SqlExpression) else str(made_of)
