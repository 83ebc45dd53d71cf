"""What a transfer did, object by object. Values only."""

import os
from dataclasses import dataclass

from lake_assets.errors import TransferError
from lake_assets.s3.transfer_config import ObjectRef

__all__ = ["Failure", "TransferReport"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One object that did not go through; nothing of it was left behind."""

    ref: ObjectRef
    reason: str
    """For people; names the object."""
    error: Exception

    def __str__(self) -> str:
        """Key and reason."""
        return f"{self.ref.key}: {self.reason}"


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What was moved, what needed no move and what failed; each in the order it was asked for."""

    done: tuple[ObjectRef, ...] = ()
    skipped: tuple[ObjectRef, ...] = ()
    failed: tuple[Failure, ...] = ()
    bytes: int = 0
    """Of the objects in ``done``."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def raise_if_failed(self) -> None:
        """Raise one error that names the first failures.

        Raises:
            TransferError: At least one object failed.
        """
        if self.failed:
            some = "; ".join(str(failure) for failure in self.failed[:3])
            more = len(self.failed) - 3
            tail = f"; and {more} more" if more > 0 else ""
            raise TransferError(f"{len(self.failed)} objects failed: {some}{tail}")

    def as_tuple_of_paths(self) -> tuple[list[str], list[str], list[str]]:
        """Local paths done, skipped, failed: what S3Handler's ``download_objects`` returned."""
        failed = [os.fspath(failure.ref.local_path) for failure in self.failed]
        done, skipped = ([os.fspath(r.local_path) for r in refs] for refs in self._moved())
        return done, skipped, failed

    def as_tuple_of_keys(self) -> tuple[list[str], list[str], list[str]]:
        """Keys done and skipped, local paths failed: as S3Handler's ``upload_objects`` returned."""
        failed = [os.fspath(failure.ref.local_path) for failure in self.failed]
        done, skipped = ([r.key for r in refs] for refs in self._moved())
        return done, skipped, failed

    def _moved(self) -> tuple[tuple[ObjectRef, ...], tuple[ObjectRef, ...]]:
        return self.done, self.skipped
