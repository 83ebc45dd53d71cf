"""One file from folder to folder: whole or not there, and never over another one unasked."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lake_assets.errors import SourceChangedError, StorageError
from lake_assets.s3.partial import partial_of

__all__ = ["copy_file", "move_file"]


def copy_file(source: Path, target: Path, *, overwrite: bool, fsync: bool = False) -> None:
    """Copy bytes and permissions of one file under a temporary name, then rename.

    Raises:
        SourceChangedError: The file changed while it was copied.
        StorageError: The target is there already, or the system refuses.
    """
    with _errors(source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(partial_of(os.fspath(target)))
        try:
            before = source.stat()
            shutil.copyfile(source, partial)
            after, written = source.stat(), partial.stat()
            if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, written.st_size):
                raise SourceChangedError(f"{source} changed while it was copied; run again")
            shutil.copymode(source, partial)
            if fsync:
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
            _place(partial, target, overwrite=overwrite)
        finally:
            partial.unlink(missing_ok=True)


def move_file(source: Path, target: Path, *, overwrite: bool, fsync: bool = False) -> None:
    """Move one file: by name on one file system, else by a copy.

    Raises:
        SourceChangedError: The file changed while it was copied.
        StorageError: The target is there already, or the system refuses.
    """
    with _errors(source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.stat().st_dev == target.parent.stat().st_dev and not source.is_symlink():
            _place(source, target, overwrite=overwrite)
            source.unlink(missing_ok=True)
            return
    copy_file(source, target, overwrite=overwrite, fsync=fsync)
    with _errors(source, target):
        source.unlink()


def _place(file: Path, target: Path, *, overwrite: bool) -> None:
    """Give a whole file its name; a link fails where the name is taken, a rename does not."""
    if overwrite:
        file.replace(target)
    else:
        target.hardlink_to(file)


@contextmanager
def _errors(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except FileExistsError as error:
        if not error.filename2:  # a file is where a folder should be made
            raise StorageError(f"cannot write {target}: {error.strerror}") from error
        raise StorageError(f"cannot write {target}: it is there already") from error
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot bring {source} to {target}: {reason}") from error
