"""What the readers of database files share: how to read, and the rows with what did not fit.

Belongs here: the values between ``read_part`` and the readers of the formats, and how a frame with
its ``_rescued_data`` is put together. Does not: what a text means in a type (``declared_types``).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.payload import PayloadLimits
from lake_assets.export.source import SourceFormat

__all__ = ["RESCUED_COLUMN", "Column", "PartRows", "Reading", "assemble", "check_names"]

#: Holds the texts that did not fit the type of their column: a JSON object, column → text.
RESCUED_COLUMN = "_rescued_data"

_LIMITS = PayloadLimits()


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of one snapshot are read."""

    format: SourceFormat
    """``parquet``, ``rds``, ``ndjson``, ``csv`` or ``dynamodb``."""
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    """Declared types, and for csv and ndjson those of ``infer_columns``."""
    chunk_bytes: int = _LIMITS.chunk_bytes
    """Text, or unpacked parquet, handed on at once; more where a row or row group is larger."""
    max_row_bytes: int = _LIMITS.max_row_bytes
    """Largest row of a text file, in bytes."""
    max_payload_bytes: int = 1024**4
    """Largest unpacked text of a file: the guard against bombs. Files are streamed, so generous."""

    @property
    def limits(self) -> PayloadLimits:
        """The same bounds for ``text_chunks``."""
        return PayloadLimits(self.chunk_bytes, self.max_row_bytes, self.max_payload_bytes)


@dataclass(frozen=True, slots=True)
class PartRows:
    """Some rows of a part, in their order; ``present = non-null values + rescued``."""

    frame: pl.DataFrame
    """Typed columns; last ``_rescued_data`` (String), only where a value was rescued.

    A column without any value and without a declared type is ``Null``, which joins with any type.
    """
    rescued: Mapping[str, int]
    """Values per column that went to ``_rescued_data``; only columns that have some."""
    present: Mapping[str, int]
    """Values per source column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column and the texts, by row, that its type could not hold."""

    values: pl.Series
    lost: Mapping[int, str] = field(default_factory=dict)


def assemble(columns: Iterable[Column], height: int) -> PartRows:
    """Join columns of one height to rows, with ``_rescued_data`` where a text was lost."""
    columns = list(columns)
    lost = {column.values.name: column.lost for column in columns if column.lost}
    frame = pl.DataFrame([column.values for column in columns], height=height)
    present = {
        name: height - frame[name].null_count() + len(lost.get(name, ())) for name in frame.columns
    }
    if lost:
        frame = frame.with_columns(_rescued(lost, height))
    return PartRows(frame, {name: len(texts) for name, texts in lost.items()}, present)


def check_names(key: str, names: Iterable[str]) -> None:
    """Refuse column names that a table cannot have.

    Raises:
        BadInputError: A name is empty, there twice, or ``_rescued_data``.
    """
    seen: set[str] = set()
    for name in names:
        if not name or name == RESCUED_COLUMN or name in seen:
            problem = "repeated" if name in seen else "reserved" if name else "empty"
            raise BadInputError(
                key,
                expected="column names that a table can have",
                found=f"the {problem} name {name!r}",
                remedy="rename it in the export",
            )
        seen.add(name)


def _rescued(lost: Mapping[str, Mapping[int, str]], height: int) -> pl.Series:
    by_row: dict[int, dict[str, str]] = {}
    for name, found in lost.items():
        for row, text in found.items():
            by_row.setdefault(row, {})[name] = text
    texts: list[str | None] = [None] * height
    for row, members in by_row.items():
        texts[row] = json.dumps(members, ensure_ascii=False)
    return pl.Series(RESCUED_COLUMN, texts, dtype=pl.String)
