"""What a Delta log says: live files, schema, proof, history, rows. No data file is read here.

``storage_options`` are deltalake's and Polars' (``aws_access_key_id`` …); the caller makes them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from lake_assets.delta.handle import existing_table, open_table, plain_options, store_errors
from lake_assets.delta.records import PROOF_PREFIX, DataFile
from lake_assets.errors import StorageError

__all__ = [
    "Standing",
    "commits",
    "files_of",
    "history",
    "last_proof",
    "live_files",
    "partition_columns",
    "rows_of",
    "scan",
    "standing",
    "table_schema",
    "table_version",
]

GENERATION_KEY = "lake.generation"


@dataclass(frozen=True, slots=True)
class Standing:
    """A table as one look at its log shows it."""

    version: int
    files: tuple[DataFile, ...]
    """The live ones by path; see ``live_files``."""
    proof: Mapping[str, str] | None
    """See ``last_proof``."""

    @property
    def rows(self) -> int:
        """Live rows."""
        return sum(file.rows for file in self.files)


def live_files(
    uri: str, storage_options: Mapping[str, str] | None = None, version: int | None = None
) -> list[DataFile]:
    """The files a reader of the table reads, ordered by path; none when there is no table.

    Their ``stats`` hold only ``numRecords``: deltalake does not hand the statistics text out again.

    Raises:
        StorageError: The store refused, or a file carries no row count (not written by
        ``publish``).
    """
    table = open_table(uri, storage_options, version)
    return [] if table is None else _counted(uri, table, storage_options)


def _counted(
    uri: str, table: DeltaTable, storage_options: Mapping[str, str] | None
) -> list[DataFile]:
    with store_errors(uri, "read", storage_options):
        files = files_of(table)
    if uncounted := [file.path for file in files if file.rows < 0]:
        msg = (
            f"{len(uncounted)} live files of {uri} have no row count in the log, "
            f"first {uncounted[0]}; publish their partitions again"
        )
        raise StorageError(msg)
    return files


def files_of(table: DeltaTable) -> list[DataFile]:
    """The live files of an open table by path; ``rows`` is -1 where the log does not say."""
    columns = table.metadata().partition_columns
    actions = pa.table(table.get_add_actions())
    names = ["path", "size_bytes", "num_records", *(["partition"] if columns else [])]
    return sorted(
        (_data_file(row, columns) for row in actions.select(names).to_pylist()),
        key=lambda file: file.path,
    )


def table_schema(uri: str, storage_options: Mapping[str, str] | None = None) -> pl.Schema | None:
    """The columns of the table as polars types, partition columns included; None without a table.

    Raises:
        StorageError: The store refused.
    """
    table = open_table(uri, storage_options)
    return None if table is None else pl.Schema(table.schema())


def partition_columns(
    uri: str, storage_options: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The partition columns of the table, in order; none without a table.

    Raises:
        StorageError: The store refused.
    """
    table = open_table(uri, storage_options)
    return () if table is None else tuple(table.metadata().partition_columns)


def table_version(uri: str, storage_options: Mapping[str, str] | None = None) -> int | None:
    """The newest version, None without a table.

    Raises:
        StorageError: The store refused.
    """
    table = open_table(uri, storage_options)
    return None if table is None else table.version()


def history(
    uri: str, limit: int | None = None, storage_options: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """What each commit says of itself, newest first; custom metadata beside the fixed fields.

    Commits whose log entry was cleaned up after a checkpoint are no longer told of.

    Args:
        uri: The table.
        limit: At most so many commits; None for all that the log still has.
        storage_options: For the store.

    Raises:
        StorageError: The store refused.
    """
    return list(islice(commits(uri, storage_options), limit))


def last_proof(uri: str, storage_options: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """The proof of the newest publish.

    That is the ``lake.`` metadata of the newest commit that carries ``lake.generation``.
    None without a table, and when the log no longer holds such a commit.

    Raises:
        StorageError: The store refused.
    """
    return _newest_proof(uri, open_table(uri, storage_options), storage_options)


def _newest_proof(
    uri: str, table: DeltaTable | None, storage_options: Mapping[str, str] | None
) -> dict[str, str] | None:
    for commit in _commits(uri, table, storage_options):
        if GENERATION_KEY in commit:
            return {key: value for key, value in commit.items() if key.startswith(PROOF_PREFIX)}
    return None


def rows_of(
    uri: str, storage_options: Mapping[str, str] | None = None, version: int | None = None
) -> int:
    """How many rows the table has, from the log alone; 0 when there is no table.

    Raises:
        StorageError: As ``live_files``.
    """
    return sum(file.rows for file in live_files(uri, storage_options, version))


def standing(uri: str, storage_options: Mapping[str, str] | None = None) -> Standing | None:
    """Version, live files and proof of the table, all of one version; None without a table.

    Raises:
        StorageError: As ``live_files``.
    """
    table = open_table(uri, storage_options)
    if table is None:
        return None
    files = _counted(uri, table, storage_options)
    return Standing(table.version(), tuple(files), _newest_proof(uri, table, storage_options))


def scan(
    uri: str, storage_options: Mapping[str, str] | None = None, version: int | None = None
) -> pl.LazyFrame:
    """The table as a LazyFrame, fixed to the version it has now (or to ``version``).

    Raises:
        StorageError: The store refused, or there is no table or no such version.
    """
    table = existing_table(uri, storage_options, version)
    return pl.scan_delta(table, version=table.version())


def commits(uri: str, storage_options: Mapping[str, str] | None) -> Iterator[dict[str, Any]]:
    """What each commit says of itself, newest first, read one by one as they are asked for.

    Not ``DeltaTable.history``: it reads all that were asked for, and while it waits for the store
    no other Python thread runs (a store in the same process, as in the tests, never answers).
    """
    return _commits(uri, open_table(uri, storage_options), storage_options)


def _commits(
    uri: str, table: DeltaTable | None, storage_options: Mapping[str, str] | None
) -> Iterator[dict[str, Any]]:
    for version in range(-1 if table is None else table.version(), -1, -1):
        address = f"{uri.rstrip('/')}/_delta_log/{version:020}.json"
        with store_errors(uri, "read the history of", storage_options):
            try:
                lines = pl.scan_lines(
                    address, name="line", glob=False, storage_options=plain_options(storage_options)
                )
                found = lines.filter(pl.col("line").str.starts_with('{"commitInfo"')).collect()
            except FileNotFoundError:
                return  # cleaned up, and so is all before it
            told = json.loads(found["line"][0])["commitInfo"] if found.height else {}
        yield {**told, "version": version}


def _data_file(row: dict[str, Any], columns: list[str]) -> DataFile:
    rows = -1 if row["num_records"] is None else row["num_records"]
    return DataFile(
        # get_add_actions encodes the path as the log does; given back to deltalake like that it
        # would be encoded twice, name no live file, and the old rows would stay beside the new
        # ones.
        path=unquote(row["path"]),
        size_bytes=row["size_bytes"],
        rows=rows,
        partition=tuple(_partition_text(row["partition"][column]) for column in columns),
        stats=json.dumps({"numRecords": rows} if rows >= 0 else {}),
    )


def _partition_text(value: object) -> str | None:
    # str() of the types a partition column can have (string, integer, date) is Delta's own text
    # form.
    return None if value is None else str(value)
