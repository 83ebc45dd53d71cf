"""Notes of unfinished multipart uploads, on this machine, so that the next run goes on with them.

A note says what was begun and of which bytes; the store says which parts it has. Losing a note
costs a fresh start, never a wrong object.
"""

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["UploadNote", "drop_note", "read_note", "write_note"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadNote:
    """One upload under way."""

    url: str
    """Of the object, endpoint included."""
    sha256: str
    """Of the whole file."""
    part_bytes: int
    said: str
    """Metadata and encryption it was begun with; another wish needs another upload."""
    upload_id: str
    has_md5: bool
    """Whether ETags of its parts are MD5s."""


def read_note(folder: Path, url: str) -> UploadNote | None:
    """The note for an object; None where there is none that can be read."""
    try:
        return UploadNote(**json.loads(_path(folder, url).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_note(folder: Path, note: UploadNote) -> None:
    """Keep a note; where that cannot be, the upload goes on without."""
    path = _path(folder, note.url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(asdict(note)))
        partial.replace(path)
    except OSError as error:
        logger.warning("an interrupted upload of %s will not be resumed: %s", note.url, error)


def drop_note(folder: Path, url: str) -> None:
    """Forget an upload that ended."""
    with suppress(OSError):
        _path(folder, url).unlink(missing_ok=True)


def _path(folder: Path, url: str) -> Path:
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"
