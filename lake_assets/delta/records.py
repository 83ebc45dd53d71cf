"""What is published and what came of it: plain values, checked before anything is written.

A table's readers do not all look at the log alone: Polars takes the partition values from the
file's *path* and parses every ``a=b`` in it. So the path of a file is checked here against its
partition, and the table's address against what all readers can open.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

import polars as pl

from lake_assets.errors import SettingsError

__all__ = ["Commit", "DataFile", "Partition", "Publication", "check_address", "check_publication"]

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
PROOF_PREFIX = "lake."
# Seen with polars 2.1 on deltalake 1.6: any other character is encoded once too often by one of the
# two in a table's address, globbed (*) or taken for a Hive key (=).
_ADDRESS = re.compile(r"[A-Za-z0-9_.~!$&'()+,;@:/-]*")
_NAME = re.compile(r"(?:[A-Za-z0-9_.~!$&'()+,;@:-]|%[0-9A-Fa-f]{2})+")
# Polars decodes the value of a Hive folder, not its name.
_PARTITION_COLUMN = re.compile(r"[A-Za-z0-9_.~-]+")
_PARTITION_TYPES = (pl.String, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Date)

Partition: TypeAlias = tuple[str | None, ...]
"""The values of one partition as text, in the order of the partition columns."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One parquet file of a table, as its add action describes it.

    Attributes:
        path: Relative to the table, as stored, never percent-encoded once more for the log. In a
            partitioned table ``column=value/…/name`` with the values quoted as in a URL and null as
            ``__HIVE_DEFAULT_PARTITION__``.
        size_bytes: The exact size: Polars panics on reading when it is another.
        rows: How many rows the file has.
        partition: Its values in the order of the partition columns. ``''`` cannot occur: it is null
            in Delta.
        stats: The statistics JSON of the add action; see ``column_statistics``.
    """

    path: str
    size_bytes: int
    rows: int
    partition: Partition
    stats: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What one commit shall make true.

    Attributes:
        schema: All columns, partition columns included. Columns the table has beyond these are
            kept.
        partition_by: The partition columns, in the table's order.
        replace: For each partition named, the files that shall be live in it afterwards; an empty
            sequence empties the partition. A partition that is not named stays as it is.
        transaction: ``(app_id, generation)`` of the plan. A table that holds a greater generation
            of this app_id refuses it.
        proof: Goes into the commit's metadata; every key starts with ``lake.``.
        data_change: False for a commit that only rearranges rows, so that streaming readers skip
            it.
    """

    schema: pl.Schema
    partition_by: Sequence[str]
    replace: Mapping[Partition, Sequence[DataFile]]
    transaction: tuple[str, int]
    proof: Mapping[str, str]
    data_change: bool = True
    restate: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """What one publish did.

    Attributes:
        version: The table's version after it.
        committed: False when the table already held exactly this and nothing was written.
        added: Paths that became live.
        removed: Paths that are live no more.
    """

    version: int
    committed: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]


def check_address(uri: str) -> None:
    """Refuse a table address under which not every reader finds the files.

    Raises:
        SettingsError: A space, ``%``, ``=``, a letter beyond ASCII or the like is in it.
    """
    path = uri.split("://", 1)[1] if "://" in uri else str(Path(uri).absolute())
    if not _ADDRESS.fullmatch(path):
        odd = "".join(sorted(set(_ADDRESS.sub("", path))))
        msg = (
            f"a Delta table cannot be kept at {uri!r}: {odd!r} in its address makes Polars look "
            "for the files elsewhere; choose a root of ASCII letters, digits and _.-/"
        )
        raise SettingsError(msg)


def check_publication(publication: Publication) -> None:
    """Refuse what could not be read back as it was meant.

    Raises:
        SettingsError: Partition columns, values, paths, sizes, row counts or proof keys do not fit
            together.
    """
    _check_partition_columns(publication.schema, publication.partition_by)
    if unprefixed := [key for key in publication.proof if not key.startswith(PROOF_PREFIX)]:
        msg = f"the proof keys {unprefixed!r} do not start with {PROOF_PREFIX!r}; rename them"
        raise SettingsError(msg)
    types = [publication.schema[name] for name in publication.partition_by]
    paths: set[str] = set()
    for partition, files in publication.replace.items():
        _check_partition(partition, publication.partition_by, types)
        for file in files:
            _check_file(file, partition, publication.partition_by)
            if file.path in paths:
                msg = f"{file.path} is named twice in one publication; name each file once"
                raise SettingsError(msg)
            paths.add(file.path)


def _check_partition_columns(schema: pl.Schema, partition_by: Sequence[str]) -> None:
    if len(set(partition_by)) != len(partition_by) or not set(partition_by) < set(schema):
        msg = (
            f"partition columns {list(partition_by)} must be different columns of the schema and "
            f"leave at least one data column; the schema has {list(schema)}"
        )
        raise SettingsError(msg)
    for name in partition_by:
        if not _PARTITION_COLUMN.fullmatch(name):
            msg = (
                f"partition column {name!r}: Polars cannot read it from a folder name; "
                "rename it to ASCII letters, digits and _.-"
            )
            raise SettingsError(msg)
        if schema[name] not in _PARTITION_TYPES:
            msg = (
                f"partition column {name!r} is {schema[name]}; "
                "only strings, integers and dates can be one"
            )
            raise SettingsError(msg)


def _check_partition(
    partition: Partition, partition_by: Sequence[str], types: Sequence[pl.DataType]
) -> None:
    if len(partition) != len(partition_by):
        msg = f"partition {partition!r} does not have one value for each of {list(partition_by)}"
        raise SettingsError(msg)
    for name, value, dtype in zip(partition_by, partition, types, strict=True):
        if value is not None and (value in ("", NULL_FOLDER) or not _is_plain(value, dtype)):
            msg = (
                f"partition value {value!r} of {name!r} ({dtype}) would be read back as something "
                "else; use None for null, and numbers and dates in their shortest ISO form"
            )
            raise SettingsError(msg)


def _is_plain(value: str, dtype: pl.DataType) -> bool:
    try:
        if dtype == pl.Date:
            return date.fromisoformat(value).isoformat() == value
        return dtype == pl.String or str(int(value)) == value
    except ValueError:
        return False


def _check_file(file: DataFile, partition: Partition, partition_by: Sequence[str]) -> None:
    folders, name = file.path.split("/")[:-1], file.path.rsplit("/", 1)[-1]
    if file.partition != partition:
        problem = f"is of partition {file.partition!r} but listed under {partition!r}"
    elif partition_by and not _are_folders_of(folders, partition, partition_by):
        problem = (
            f"does not lie in the Hive folder of {dict(zip(partition_by, partition, strict=True))}"
        )
    elif folders[:1] == ["_delta_log"] or {"", ".", ".."} & {*folders, name}:
        problem = "is not a plain path below the table"
    elif not all(_NAME.fullmatch(part) for part in ([name] if partition_by else [*folders, name])):
        problem = "has a character in its name that not every reader finds; quote it"
    elif file.size_bytes <= 0 or json.loads(file.stats).get("numRecords") != file.rows:
        problem = (
            f"has {file.size_bytes} bytes, {file.rows} rows and the statistics {file.stats[:80]}"
        )
    else:
        return
    msg = f"data file {file.path!r} {problem}"
    raise SettingsError(msg)


def _are_folders_of(folders: list[str], partition: Partition, partition_by: Sequence[str]) -> bool:
    if len(folders) != len(partition_by):
        return False
    for folder, column, value in zip(folders, partition_by, partition, strict=True):
        name, _, text = folder.partition("=")
        held = None if text == NULL_FOLDER else unquote(text)
        if name != column or held != value or not _NAME.fullmatch(text):
            return False
    return True
