"""Upkeep of a Delta log: checkpoints, and deleting the files that no kept version needs.

Only the *lite* vacuum, which deletes what the log says was removed. A full vacuum deletes every
file the log does not name, and files written but not yet published lie in the table's folder.
"""

from collections.abc import Mapping

from deltalake.exceptions import CommitFailedError

from lake_assets.delta.handle import existing_table, store_errors
from lake_assets.errors import PublishConflictError, SettingsError

__all__ = ["checkpoint", "vacuum"]


def checkpoint(uri: str, storage_options: Mapping[str, str] | None = None) -> None:
    """Write a checkpoint of the current version, so that readers need not replay the log.

    Raises:
        StorageError: The store refused, or there is no table.
    """
    table = existing_table(uri, storage_options)
    with store_errors(uri, "checkpoint", storage_options):
        table.create_checkpoint()


def vacuum(
    uri: str,
    retention_hours: int,
    dry_run: bool = True,  # noqa: FBT001, FBT002 (named by callers)
    storage_options: Mapping[str, str] | None = None,
) -> list[str]:
    """The files removed from the table longer ago than the retention; deleted unless a dry run.

    Deleting makes the older versions unreadable and fails readers that are still on them; a week
    (168 hours) is Delta's own default. Files that were never published are never touched.

    Args:
        uri: The table.
        retention_hours: Keep what was removed more recently than this.
        dry_run: Only list.
        storage_options: For the store.

    Returns:
        Their paths relative to the table, sorted.

    Raises:
        SettingsError: The retention is negative.
        PublishConflictError: Another writer was faster.
        StorageError: The store refused, or there is no table.
    """
    if retention_hours < 0:
        msg = f"retention_hours is {retention_hours}; give 0 or more"
        raise SettingsError(msg)
    table = existing_table(uri, storage_options)
    with store_errors(uri, "vacuum", storage_options):
        try:
            paths = table.vacuum(
                retention_hours, dry_run=dry_run, enforce_retention_duration=False, full=False
            )
        except CommitFailedError as error:
            msg = f"another writer committed to {uri} during the vacuum ({error}); vacuum again"
            raise PublishConflictError(msg) from error
    return sorted(paths)
