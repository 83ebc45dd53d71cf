"""Opening a Delta table; the store's errors as ours: with the uri, on one line, no secrets."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from lake_assets.errors import LakeError, StorageError

__all__ = ["existing_table", "open_table", "plain_options", "store_errors"]

_SECRET_OPTION = re.compile("key|secret|token|password", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MESSAGE_CHARACTERS = 500


def open_table(
    uri: str, storage_options: Mapping[str, str] | None, version: int | None = None
) -> DeltaTable | None:
    """The table as it is now (or was at ``version``), None when there is none.

    Raises:
        StorageError: The store refused, ``uri`` is a file, the log is damaged, or it has no such
            version.
    """
    with store_errors(uri, "open", storage_options):
        try:
            return DeltaTable(uri, version=version, storage_options=plain_options(storage_options))
        except TableNotFoundError:
            return None


def existing_table(
    uri: str, storage_options: Mapping[str, str] | None, version: int | None = None
) -> DeltaTable:
    """Like ``open_table``, for callers who have nothing to say without a table.

    Raises:
        StorageError: As ``open_table``, and when there is no table at ``uri``.
    """
    if (table := open_table(uri, storage_options, version)) is None:
        msg = f"there is no Delta table at {uri}; publish into it first, or check the address"
        raise StorageError(msg)
    return table


def plain_options(storage_options: Mapping[str, str] | None) -> dict[str, str] | None:
    """The options as deltalake's type wants them."""
    return None if storage_options is None else dict(storage_options)


@contextmanager
def store_errors(uri: str, doing: str, storage_options: Mapping[str, str] | None) -> Iterator[None]:
    """Turn what deltalake raises into ``StorageError``. A lost commit (CommitFailedError) passes.

    Raises:
        StorageError: With the uri and what was being done, without any key, secret or token.
    """
    try:
        yield
    except (LakeError, CommitFailedError):
        raise
    except (DeltaError, OSError, OverflowError, pl.exceptions.PolarsError) as error:
        found, leaks = _described(error, storage_options or {})
        msg = f"cannot {doing} the Delta table {uri}: {found}; check bucket, path and credentials"
        raise StorageError(msg) from (None if leaks else error)


def _described(error: Exception, options: Mapping[str, str]) -> tuple[str, bool]:
    text = " ".join(_COLOUR.sub("", str(error)).split())
    secrets = [value for name, value in options.items() if value and _SECRET_OPTION.search(name)]
    leaks = any(secret in text for secret in secrets)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text[:_MESSAGE_CHARACTERS], leaks
