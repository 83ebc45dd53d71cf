"""Every error of lake_assets, in one tree.

    LakeError
    ├── SettingsError (ValueError)        a configuration or a call that cannot be right
    ├── StorageError (OSError)            the store said no: bucket, credentials, path
    │   ├── BodyMismatchError             bytes that are not the listed ones, after all tries
    │   ├── SourceChangedError            an object that was replaced between listing and reading
    │   ├── MissingObjectError (FileNotFoundError)   nothing is stored where something was asked for
    │   └── TransferError                 a transfer that must not or did not go through
    ├── BadInputError (ValueError)        an export file that must not be loaded: an outcome
    ├── ArrayFormatError (ValueError)     an object that is not the array it says it is
    │   └── UnsafeDataError               data that could run code: pickle, objects, unknown codecs
    ├── MissingExtraError (ImportError)   a package of an extra that is not installed
    ├── SchemaChangeError (ValueError)    a table column would have to change its type
    ├── ConservationError                 rows in and rows out do not add up; nothing was published
    ├── PublishConflictError              other writers kept winning the commit
    │   └── StalePlanError                the table already holds a later state than this plan
    └── QueryError (ValueError)           SQL that cannot run on the lake

A message says what was asked, what was found and what to do about it.
"""

__all__ = [
    "ArrayFormatError",
    "BadInputError",
    "BodyMismatchError",
    "ConservationError",
    "LakeError",
    "MissingExtraError",
    "MissingObjectError",
    "PublishConflictError",
    "QueryError",
    "SchemaChangeError",
    "SettingsError",
    "SourceChangedError",
    "StalePlanError",
    "StorageError",
    "TransferError",
    "UnsafeDataError",
    "first_line",
]


class LakeError(Exception):
    """Root of all errors that lake_assets raises on purpose."""


class SettingsError(LakeError, ValueError):
    """A configuration or a call that cannot be right; nothing was read or written."""


class StorageError(LakeError, OSError):
    """The store refused or does not have what was asked: bucket, credentials, path."""


class BodyMismatchError(StorageError):
    """The bytes that arrived are not the bytes that were listed or recorded, after all tries."""


class SourceChangedError(StorageError):
    """An object was replaced between listing and reading; plan again."""


class MissingObjectError(StorageError, FileNotFoundError):
    """Nothing is stored under the name that was asked for."""


class TransferError(StorageError):
    """A transfer that cannot be right as it was asked for, or an object that did not go through."""


class BadInputError(LakeError, ValueError):
    """An export file that must not be loaded. Its export is quarantined, the others go on.

    Args:
        key: The object the finding is about.
        expected: What a loadable file would have had.
        found: What is there instead.
        remedy: What a person can do about it.
    """

    def __init__(self, key: str, *, expected: str, found: str, remedy: str) -> None:
        self.key = key
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(f"{key}: expected {expected}, found {found}; {remedy}")


class ArrayFormatError(LakeError, ValueError):
    """An object that is not the array, tree or document its metadata or name says it is."""


class UnsafeDataError(ArrayFormatError):
    """Data that could run code when it is read: a pickle, Python objects, a codec off the list."""


class MissingExtraError(LakeError, ImportError):
    """A package that an extra of lake_assets brings is not installed."""


class SchemaChangeError(LakeError, ValueError):
    """A column of a published table would have to change its type."""


class ConservationError(LakeError):
    """Rows in and rows out do not add up; the partition or the table was not published."""


class PublishConflictError(LakeError):
    """Other writers kept winning the commit; nothing of this publish is visible."""


class StalePlanError(PublishConflictError):
    """The table already holds a later state than this plan; nothing was written. Plan again."""


class QueryError(LakeError, ValueError):
    """SQL that cannot run on the lake: a syntax error, an unknown table, a forbidden statement."""


def first_line(error: BaseException) -> str:
    r"""What an error says in short: the rest is for those who debug the library that raised it.

    Example:
        >>> first_line(OSError("no such bucket\nDebug: …")), first_line(TimeoutError())
        ('no such bucket', 'TimeoutError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
