"""Publish: one commit after which the named partitions hold exactly the given files.

The removals and additions are worked out on a table opened fresh, and the commit is refused by the
log when anybody committed since (also when nothing of it overlaps); then they are worked out again.
"""

import logging
import random
import time
from collections.abc import Mapping, Sequence

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from lake_assets.delta.handle import open_table, plain_options, store_errors
from lake_assets.delta.log import files_of
from lake_assets.delta.records import (
    Commit,
    DataFile,
    Publication,
    check_address,
    check_publication,
)
from lake_assets.delta.schema import delta_schema, new_fields
from lake_assets.errors import (
    BodyMismatchError,
    PublishConflictError,
    SchemaChangeError,
    StalePlanError,
)

__all__ = ["publish"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 20
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0


def publish(
    uri: str, publication: Publication, storage_options: Mapping[str, str] | None = None
) -> Commit:
    """Make the files of ``publication`` the live ones of the partitions it names, in one commit.

    A table that does not exist is created with the data in its version 0. New columns are added
    first, in a commit of their own. Repeating a publish writes nothing. The files must already lie
    in the table's folder with exactly the given sizes; that is not looked up.

    Args:
        uri: The table: a folder or ``s3://…``.
        publication: What shall be live afterwards.
        storage_options: For the store.

    Returns:
        What was done. After a commit whose answer got lost, the repeat says ``committed=False``.

    Raises:
        SettingsError: The publication or the address could not be read back; nothing was written.
        SchemaChangeError: A column cannot be held or has another type in the table, or the table is
            partitioned by other columns; nothing was written.
        StalePlanError: The table holds a later generation of this app_id; nothing was written.
        BodyMismatchError: A path is live with another size or in another partition; nothing was
            written.
        PublishConflictError: Other writers won every attempt; the files are not visible.
        StorageError: The store refused.
    """
    check_address(uri)
    delta_schema(publication.schema)
    check_publication(publication)
    lost: CommitFailedError | None = None
    for attempt in range(_ATTEMPTS):
        try:
            table = open_table(uri, storage_options)
            with store_errors(uri, "publish into", storage_options):
                if table is None:
                    done = _create(uri, publication, storage_options)
                else:
                    done = _replace(table, publication)
        except CommitFailedError as error:
            lost = error
        else:
            if done is not None:
                return done
        wait_s = random.uniform(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt))  # noqa: S311 (no secret)
        logger.debug("commit %d of %s was lost (%s), again in %.2f s", attempt, uri, lost, wait_s)
        time.sleep(wait_s)
    msg = (
        f"other writers won all {_ATTEMPTS} commits of {uri} ({lost}); "
        "publish again when it is quieter"
    )
    raise PublishConflictError(msg) from lost


def _create(
    uri: str,
    publication: Publication,
    storage_options: Mapping[str, str] | None,
) -> Commit | None:
    """Create the table with the data in version 0; None when somebody else created it meanwhile."""
    files = [file for partition in publication.replace.values() for file in partition]
    try:
        create_table_with_add_actions(
            uri,
            delta_schema(publication.schema),
            _add_actions(files, publication),
            mode="error",
            partition_by=list(publication.partition_by),
            storage_options=plain_options(storage_options),
            commit_properties=_commit_properties(publication),
        )
    except CommitFailedError:
        raise
    except DeltaError:
        if open_table(uri, storage_options) is None:
            raise
        return None
    return Commit(0, committed=True, added=tuple(file.path for file in files), removed=())


def _replace(table: DeltaTable, publication: Publication) -> Commit:
    """Commit the difference between the open table and the publication, if there is one."""
    _refuse_stale(table, publication.transaction)
    _refuse_other_partitioning(table, publication.partition_by)
    fields = new_fields(pl.Schema(table.schema()), publication.schema)
    add, remove = _difference(files_of(table), publication)
    if fields:
        # Nobody can commit unseen between this and the data: both commits demand the version this
        # handle has.
        table.alter.add_columns(fields, commit_properties=CommitProperties(max_commit_retries=0))
    version = table.version()
    if add or remove or publication.restate:
        table.create_write_transaction(
            [*_remove_actions(remove, publication), *_add_actions(add, publication)],
            # Never "overwrite": its partition filters delete the cross product of the values.
            mode="append",
            schema=table.schema(),
            partition_by=list(publication.partition_by),
            commit_properties=_commit_properties(publication),
        )
        version += 1  # The handle stays where it was; without retries it is the next one or none.
    return Commit(
        version,
        committed=bool(fields or add or remove or publication.restate),
        added=tuple(file.path for file in add),
        removed=tuple(file.path for file in remove),
    )


def _refuse_stale(table: DeltaTable, transaction: tuple[str, int]) -> None:
    app_id, generation = transaction
    held = table.transaction_version(app_id)
    if held is not None and held > generation:
        msg = (
            f"{table.table_uri} holds generation {held} of {app_id!r}, this plan is generation "
            f"{generation}; "
            "plan again from the present state"
        )
        raise StalePlanError(msg)


def _refuse_other_partitioning(table: DeltaTable, partition_by: Sequence[str]) -> None:
    columns = table.metadata().partition_columns
    if columns != list(partition_by):
        msg = (
            f"{table.table_uri} is partitioned by {columns}, this publication by "
            f"{list(partition_by)}; "
            "a table keeps its partition columns, publish into a new one"
        )
        raise SchemaChangeError(msg)


def _difference(
    live: Sequence[DataFile], publication: Publication
) -> tuple[list[DataFile], list[DataFile]]:
    """The files to add and to remove; never one path in both: Delta would write both actions."""
    wanted = {file.path: file for files in publication.replace.values() for file in files}
    by_path = {file.path: file for file in live}
    for path, file in wanted.items():
        held = by_path.get(path)
        if held and (held.size_bytes, held.partition) != (file.size_bytes, file.partition):
            msg = (
                f"{path} is live with {held.size_bytes} bytes in {held.partition!r}, to be "
                "published with "
                f"{file.size_bytes} bytes in {file.partition!r}; name files by their content"
            )
            raise BodyMismatchError(msg)
    add = [file for path, file in wanted.items() if path not in by_path]
    remove = [f for f in live if f.partition in publication.replace and f.path not in wanted]
    return add, remove


def _add_actions(files: Sequence[DataFile], publication: Publication) -> list[AddAction]:
    now_ms = _now_ms()
    return [
        AddAction(
            path=file.path,
            size=file.size_bytes,
            partition_values=_partition_values(file, publication),
            modification_time=now_ms,
            data_change=publication.data_change,
            stats=file.stats,
        )
        for file in files
    ]


def _remove_actions(files: Sequence[DataFile], publication: Publication) -> list[RemoveAction]:
    now_ms = _now_ms()
    return [
        RemoveAction(
            path=file.path,
            data_change=publication.data_change,
            deletion_timestamp=now_ms,
            size=file.size_bytes,
            partition_values=_partition_values(file, publication),
        )
        for file in files
    ]


def _partition_values(file: DataFile, publication: Publication) -> dict[str, str | None]:
    return dict(zip(publication.partition_by, file.partition, strict=True))


def _commit_properties(publication: Publication) -> CommitProperties:
    return CommitProperties(
        custom_metadata=dict(publication.proof),
        # With retries deltalake commits a stale difference: two first publishes of one partition
        # both stay live, and of two creators of a table the second appends to the first.
        max_commit_retries=0,
        app_transactions=[Transaction(*publication.transaction)],
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
