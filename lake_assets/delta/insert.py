"""Insert: one commit that adds files to exactly the version that the caller looked at.

For tables that only grow, whose writers first look at which rows are there. ``publish`` states what
partitions hold and works that out anew when others commit; here the rows themselves would be wrong
then (a row twice), so the caller is told and looks again.
"""

import time
from collections.abc import Mapping, Sequence

import polars as pl
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from lake_assets.delta.handle import open_table, plain_options, store_errors
from lake_assets.delta.log import files_of
from lake_assets.delta.records import DataFile, check_address
from lake_assets.delta.schema import delta_schema, new_fields

__all__ = ["insert"]


def insert(  # noqa: PLR0913 (each is a word of the commit)
    uri: str,
    schema: pl.Schema,
    files: Sequence[DataFile],
    *,
    seen: int | None,
    storage_options: Mapping[str, str] | None = None,
    proof: Mapping[str, str] | None = None,
    instead: bool = False,
) -> int | None:
    """Add files to an unpartitioned table, if nobody committed since version ``seen``.

    Args:
        uri: The table: a folder or ``s3://…``.
        schema: All columns; ones that the table does not have yet are added in a commit before.
        files: Lie in the table's folder already.
        seen: The version that the caller looked at; None where there was no table.
        storage_options: For the store.
        proof: Goes into the commit's metadata.
        instead: The files hold the table's rows in another arrangement, and replace its files.

    Returns:
        The version made; None where somebody else committed meanwhile: nothing was added then.

    Raises:
        SettingsError: Not every reader would find a table at this address.
        SchemaChangeError: A column cannot be held, or has another type in the table.
        StorageError: The store refused.
    """
    check_address(uri)
    adds = [_add(file, data_change=not instead) for file in files]
    told = CommitProperties(custom_metadata=dict(proof or {}), max_commit_retries=0)
    table = open_table(uri, storage_options)
    if (None if table is None else table.version()) != seen:
        return None
    try:
        with store_errors(uri, "insert into", storage_options):
            if table is None:
                return _create(uri, schema, adds, told, storage_options)
            version = table.version()
            if fields := new_fields(pl.Schema(table.schema()), schema):
                table.alter.add_columns(
                    fields, commit_properties=CommitProperties(max_commit_retries=0)
                )
                version = table.version()
            gone = [_remove(file) for file in files_of(table)] if instead else []
            table.create_write_transaction(
                [*gone, *adds], mode="append", schema=table.schema(), commit_properties=told
            )
            return version + 1
    except CommitFailedError:  # it is refused without retries: the log has a later version
        return None


def _create(
    uri: str,
    schema: pl.Schema,
    adds: Sequence[AddAction],
    told: CommitProperties,
    storage_options: Mapping[str, str] | None,
) -> int | None:
    try:
        create_table_with_add_actions(
            uri,
            delta_schema(schema),
            list(adds),
            mode="error",
            storage_options=plain_options(storage_options),
            commit_properties=told,
        )
    except CommitFailedError:
        return None
    except DeltaError:
        if open_table(uri, storage_options) is None:
            raise
        return None  # somebody else created it
    return 0


def _add(file: DataFile, *, data_change: bool) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size_bytes,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=data_change,
        stats=file.stats,
    )


def _remove(file: DataFile) -> RemoveAction:
    return RemoveAction(
        path=file.path,
        data_change=False,
        deletion_timestamp=time.time_ns() // 1_000_000,
        size=file.size_bytes,
        partition_values={},
    )
