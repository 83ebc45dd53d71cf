"""Content-addressed objects: bytes named by their sha256, written once, checked on every read.

For what is small and belongs to the lake itself: configurations, graph snapshots, schemas, logs,
sketches. Data files stay where they are and are referred to (``references``). Nothing here
overwrites or deletes: an object that nobody refers to any more is the business of ``lake gc``,
which sets it aside (``removal``) before it goes for good. What is set aside is read as before, so
a writer who refers to an object in the very moment in which it is swept loses nothing.
"""

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from lake_assets.errors import BodyMismatchError, SettingsError, SourceChangedError, StorageError
from lake_assets.s3 import ObjectInfo, Store, sha256_of

__all__ = ["Objects", "StoredObject", "open_verified"]

#: Where objects lie below a root.
FOLDER = "catalog/objects/sha256/"
#: Where those lie that are set aside: ``ab/<id>-<32 hex digits of that time>``.
ASIDE = "catalog/objects/aside/"
#: Bodies up to this size are held in memory while they are read; larger ones lie on local disk.
MEMORY_BYTES = 8 * 1024**2
#: Objects are written from memory in one PUT.
MAX_BYTES = 64 * 1024**2
#: Times that an object is written anew which goes in the very moment; one is enough.
_TRIES = 3

_ID = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]{0,64}")
_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the store, as ``put`` left it."""

    id: str
    """sha256 of its bytes: 64 lower-case hex digits."""
    size_bytes: int
    is_new: bool
    """False where the same bytes were there already; they stay as they are."""


class Objects:
    """The content-addressed objects below one root; threads and processes may share it.

    Args:
        store: The root.
        max_bytes: Largest object that is taken; ``put`` holds one in memory.
    """

    def __init__(self, store: Store, *, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes

    def put(self, source: bytes | BinaryIO | Path) -> StoredObject:
        """Keep bytes, a binary file from where it stands, or the file at a path.

        Raises:
            SettingsError: It is larger than ``max_bytes``; such a file is referred to instead.
            BodyMismatchError: What is stored under its id is not as long as it.
            StorageError: The store or the local file refuses.
        """
        body = self._body(source)
        id_ = hashlib.sha256(body).hexdigest()
        for _ in range(_TRIES):
            if self._store.create(_key(id_), body):
                return StoredObject(id_, len(body), is_new=True)
            there = self._store.head(_key(id_))
            if there is None:  # `lake gc` set it aside in between
                continue
            if there.size_bytes == len(body):
                return StoredObject(id_, len(body), is_new=False)
            raise BodyMismatchError(
                f"object {id_} exists in {self._store.url} but is damaged: expected "
                f"{len(body)} bytes, found {there.size_bytes}; move {_key(id_)} away and put it "
                "again"
            )
        raise StorageError(
            f"object {id_} comes and goes in {self._store.url}; end what removes it, put it again"
        )

    def get(self, id_: str) -> bytes:
        """The bytes of an object, hashed again.

        Raises:
            BodyMismatchError: The stored bytes do not have this hash.
            StorageError: There is no such object.
            SettingsError: It is no id.
        """
        try:
            return self._store.get(_key(id_), sha256=id_)
        except BodyMismatchError as error:
            raise self._damaged(id_) from error
        except SourceChangedError:
            with self.open(id_) as file:  # set aside, or not there
                return file.read()

    def open(self, id_: str, *, memory_bytes: int = MEMORY_BYTES) -> BinaryIO:
        """The bytes of an object as a seekable file, hashed before the first one is handed out.

        Raises:
            BodyMismatchError: The stored bytes do not have this hash.
            StorageError: There is no such object.
            SettingsError: It is no id.
        """
        gone: SourceChangedError | None = None
        for _ in range(_TRIES):
            info = self.head(id_) or self._set_aside(id_)
            if info is None:
                continue
            try:
                return open_verified(self._store, info, sha256=id_, memory_bytes=memory_bytes)
            except BodyMismatchError as error:
                raise self._damaged(id_) from error
            except SourceChangedError as error:  # it was set aside, or put back, in between
                gone = error
        raise self._missing(id_) from gone

    def head(self, id_: str) -> ObjectInfo | None:
        """Size and time of an object; None where there is none. Its bytes are not read.

        One that is set aside is not told of: who wants to refer to it puts it again.
        """
        return self._store.head(_key(id_))

    def list(self, prefix: str = "", suffix: str = "") -> Iterator[str]:
        """The ids that begin and end so, sorted, page by page; ``prefix`` narrows the listing.

        Raises:
            SettingsError: Prefix or suffix hold anything but lower-case hex digits.
        """
        for part in (prefix, suffix):
            if not _HEX.fullmatch(part):
                raise SettingsError(f"no id begins or ends with {part!r}; write lower-case hex")
        below = f"{prefix[:2]}/{prefix}" if len(prefix) >= 2 else prefix  # noqa: PLR2004 (ab/abcd…)
        for info in self._store.list(FOLDER + below):
            id_ = info.key.rpartition("/")[2]
            if _ID.fullmatch(id_) and id_.endswith(suffix):
                yield id_

    def url_of(self, id_: str) -> str:
        """The address of an object, there or not.

        Raises:
            SettingsError: It is no id.
        """
        return f"{self._store.url}/{_key(id_)}"

    def _body(self, source: bytes | BinaryIO | Path) -> bytes:
        if isinstance(source, bytes):
            body = source
        elif isinstance(source, Path):
            try:
                with source.open("rb") as file:
                    body = file.read(self._max_bytes + 1)
            except OSError as error:
                raise StorageError(f"cannot read {source}: {error.strerror or error}") from error
        else:
            body = source.read(self._max_bytes + 1)
        if len(body) > self._max_bytes:
            raise SettingsError(
                f"an object holds at most {self._max_bytes} bytes, this is larger; "
                "leave the file where it is and register it by reference"
            )
        return body

    def _set_aside(self, id_: str) -> ObjectInfo | None:
        """A copy that `lake gc` keeps for those who refer to it meanwhile."""
        return next(self._store.list(f"{ASIDE}{id_[:2]}/{id_}-"), None)

    def _damaged(self, id_: str) -> BodyMismatchError:
        return BodyMismatchError(
            f"object {id_} in {self._store.url} is damaged: its bytes do not have this sha256; "
            f"restore {_key(id_)} from a copy"
        )

    def _missing(self, id_: str) -> StorageError:
        return StorageError(f"object {id_} is not in {self._store.url}; was it put elsewhere?")


def open_verified(
    store: Store, info: ObjectInfo, *, sha256: str, memory_bytes: int = MEMORY_BYTES
) -> BinaryIO:
    """A body that has ``sha256`` as a seekable file; what is read is what was hashed.

    The copy that is handed out is the caller's own: a file that is changed in place while it is
    read changes nothing of it.

    Raises:
        BodyMismatchError: The stored bytes have another hash.
        SourceChangedError: The object was replaced since it was looked up.
    """
    digest = hashlib.sha256()
    if info.size_bytes <= memory_bytes:
        file: BinaryIO = io.BytesIO(store.get(info.key, listed=info))
        found = sha256_of(file)
    else:
        spooled = tempfile.TemporaryFile()  # noqa: SIM115 (it is handed out)
        file = cast("BinaryIO", spooled)
        try:
            with store.open(info, memory_bytes=memory_bytes) as body:
                while block := body.read(_BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
        except BaseException:  # Ctrl-C as well: the copy goes
            file.close()
            raise
        file.seek(0)
        found = digest.hexdigest()
    if found != sha256:
        file.close()
        raise BodyMismatchError(
            f"{store.url}/{info.key} was changed in place: recorded is {sha256}, its bytes have "
            f"{found}; restore it, or register what is there now"
        )
    return file


def _key(id_: str) -> str:
    if not _ID.fullmatch(id_):
        raise SettingsError(f"{id_!r} is no object id; it is the sha256, 64 lower-case hex digits")
    return f"{FOLDER}{id_[:2]}/{id_}"
