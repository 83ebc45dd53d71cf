"""Functions of the user's own that the configuration names, and files for a reader of one's own."""

import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.source import FilePart
from lake_assets.s3 import ObjectInfo, Store, join_url

__all__ = ["SourceRef", "load_function", "read_with"]

_MEMORY_BYTES = 16 * 1024**2
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A verified file for a reader of one's own."""

    url: str
    """Where it comes from."""
    size_bytes: int
    etag: str
    path: Path
    """A local copy with the verified bytes and the name of the original; gone after the call."""


def load_function(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names; the working directory is looked in, too.

    Raises:
        SettingsError: There is no such module or function.
    """
    module_name, _, path = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # a command starts without it
        sys.path.append(str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{name!r} cannot be loaded ({type(error).__name__}: {error}); it is looked for on"
            f" Python's path and in {Path.cwd()}"
        ) from error
    if not callable(found):
        raise SettingsError(f"{name!r} is {type(found).__name__}, no function")
    return found


def read_with(
    reader: Callable[[list[SourceRef]], pl.LazyFrame], store: Store, part: FilePart
) -> Iterator[pl.DataFrame]:
    """The rows of a file, read by a function of the user's that is given one reference.

    Raises:
        BadInputError: The function raised it.
        SettingsError: The function failed otherwise, or what it returned is no frame.
        SourceChangedError: The file is gone or was replaced since it was listed.
    """
    file = part.file
    listed = ObjectInfo(file.key, file.size_bytes, file.etag, _UNKNOWN_TIME)
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        path = Path(folder) / file.key.rpartition("/")[2]
        with store.open(listed, memory_bytes=_MEMORY_BYTES) as body, path.open("wb") as copy:
            shutil.copyfileobj(body, copy)
        ref = SourceRef(join_url(store.url, file.key), file.size_bytes, file.etag, path)
        try:
            frame = reader([ref]).lazy().collect()
        except BadInputError:  # the reader says that it is the file
            raise
        except Exception as error:  # a reader of the user's may raise anything
            # Not bad input for good: the same name may hold a corrected reader the next time.
            raise SettingsError(
                f"{file.key}: the reader failed with {type(error).__name__}: {error}; correct it"
                " (it gets a list of SourceRef and returns a LazyFrame) or, where it is the file,"
                " let it raise BadInputError"
            ) from error
    if file.rows is not None and frame.height != file.rows:
        raise SettingsError(
            f"{file.key}: the reader gave {frame.height} rows, the export's manifest says"
            f" {file.rows}; correct the reader, or export the file again"
        )
    yield frame
