"""The versions of a published table: what each is, and going back to one of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lake_assets import delta
from lake_assets.errors import SettingsError, StorageError
from lake_assets.lake.read import table_uri
from lake_assets.s3 import open_store, storage_options

__all__ = ["TableVersion", "history", "rollback", "version_as_of"]

#: Files that an error names; more are only counted.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a table."""

    version: int
    committed_at: datetime
    """UTC."""
    operation: str
    rows: int
    files: int
    size_bytes: int
    proof: Mapping[str, str]
    """What the commit says of its input and its counts; keys start with ``lake.``."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "version": self.version,
            "committed_at": self.committed_at.isoformat(),
            "operation": self.operation,
            "rows": self.rows,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "proof": dict(self.proof),
        }


def history(root_url: str, name: str, *, limit: int | None = 20) -> tuple[TableVersion, ...]:
    """The versions of a table, newest first.

    Args:
        root_url: The lake.
        name: ``source.table``.
        limit: At most so many; None for all that the log still has.

    Raises:
        StorageError: The store refused.
    """
    uri = table_uri(root_url, name)
    options = storage_options(uri)
    found: list[TableVersion] = []
    for commit in delta.history(uri, limit, options):
        files = delta.live_files(uri, options, commit["version"])
        found.append(
            TableVersion(
                version=commit["version"],
                committed_at=datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC),
                operation=_operation(commit),
                rows=sum(file.rows for file in files),
                files=len(files),
                size_bytes=sum(file.size_bytes for file in files),
                proof={k: str(v) for k, v in commit.items() if k.startswith("lake.")},
            )
        )
    return tuple(found)


def version_as_of(root_url: str, name: str, moment: datetime) -> int | None:
    """The version that a table had at a moment; None where it did not exist yet.

    Raises:
        StorageError: The store refused.
    """
    uri = table_uri(root_url, name)
    for commit in delta.history(uri, None, storage_options(uri)):
        if datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC) <= moment:
            return int(commit["version"])
    return None


def rollback(root_url: str, name: str, version: int) -> int:
    """Make a table hold what it held at an earlier version, in one new commit.

    The table stays so until there is something new to publish: the commit says that it answers the
    inputs of the newest publish. Columns that were added since stay, and are null.

    Args:
        root_url: The lake.
        name: ``source.table``.
        version: The version to go back to.

    Returns:
        The version that the table has now; the newest one where it holds the same files already.

    Raises:
        SettingsError: There is no such table or version.
        StorageError: Files of that version are not there any more, or the store refused.
        PublishConflictError: Other writers kept winning the commit.
    """
    uri = table_uri(root_url, name)
    options = storage_options(uri)
    newest = delta.table_version(uri, options)
    if newest is None:
        raise SettingsError(f"there is no table {name!r} in {root_url}")
    if not 0 <= version <= newest:
        raise SettingsError(f"{name} has the versions 0 to {newest}, not {version}")
    commits = delta.history(uri, None, options)
    last = next((c for c in commits if "lake.generation" in c), None)
    then = next((c for c in commits if "lake.generation" in c and c["version"] <= version), None)
    if last is None or then is None:
        raise SettingsError(
            f"{name} version {version} was not published by this project, or its log entry is gone;"
            " it can be read, not restored"
        )
    wanted = delta.live_files(uri, options, version)
    _refuse_missing(root_url, name, version, wanted)
    replace: dict[delta.Partition, tuple[delta.DataFile, ...]] = {
        file.partition: () for file in delta.live_files(uri, options)
    }
    for file in wanted:
        replace[file.partition] = (*replace.get(file.partition, ()), file)
    schema = delta.table_schema(uri, options) or pl.Schema()
    proof = {key: str(value) for key, value in then.items() if key.startswith("lake.")}
    proof |= {key: str(last[key]) for key in ("lake.generation", "lake.inputs", "lake.config")}
    proof["lake.rolled_back_to"] = str(version)
    publication = delta.Publication(
        schema=schema,
        partition_by=delta.partition_columns(uri, options),
        replace=replace,
        transaction=(f"lake_assets/{name.replace('.', '/')}", int(last["lake.generation"])),
        proof=proof,
    )
    return delta.publish(uri, publication, options).version


def _operation(commit: Mapping[str, Any]) -> str:
    if "lake.rolled_back_to" in commit:
        return f"rollback to {commit['lake.rolled_back_to']}"
    return "publish" if "lake.generation" in commit else str(commit.get("operation", "")).lower()


def _refuse_missing(root_url: str, name: str, version: int, files: list[delta.DataFile]) -> None:
    store, folder = open_store(root_url), f"lake/{name.replace('.', '/')}/"
    there = {info.key[len(folder) :]: info.size_bytes for info in store.list(folder)}
    gone = [file.path for file in files if there.get(file.path) != file.size_bytes]
    if gone:
        raise StorageError(
            f"{name} version {version}: {len(gone)} of {len(files)} files are not there any more"
            f" ({json.dumps(gone[:_NAMED])} …); a vacuum removed them, the version cannot be"
            " restored"
        )
