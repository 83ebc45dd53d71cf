"""Google Cloud and Azure as a store, over obstore: for reading and writing where it takes the URL.

NOT TESTED against either cloud: the code is held to the store's contract over obstore's memory and
S3 stores. Credentials are those that obstore finds in the environment. Keys that obstore's paths
cannot spell (``..``, ``//``) are refused, and one in the bucket stops its listing. Only
``open_store`` takes these addresses: transfers, ``lake fs`` and the lake itself are of folders and
S3.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from lake_assets.errors import SourceChangedError, StorageError
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion
from lake_assets.s3.verified_body import Expected, VerifiedReads, fetch_right, write_hashed

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["CloudStore", "open_cloud"]

#: Objects a chunk of a listing.
_PAGE = 1000
_BLOCK_BYTES = 1024**2
#: Tries for one body; obstore retries requests, it never looks at the bytes.
_TRIES = 3
_REFUSED = (PermissionDeniedError, UnauthenticatedError)


def open_cloud(url: str) -> "CloudStore":
    """The store at ``gs://bucket[/prefix]``, ``az://container[/prefix]`` or ``abfss://…``.

    Raises:
        StorageError: obstore cannot make a store of the address and the environment.
    """
    from obstore.store import from_url

    scheme, _, rest = url.partition("://")
    place, _, prefix = rest.partition("/")
    try:
        store = from_url(f"{scheme}://{place}")
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise StorageError(f"cannot reach {scheme}://{place}: {reason}") from error
    return CloudStore(f"{scheme}://{place}", prefix.strip("/"), store)


class CloudStore(VerifiedReads):
    """The objects below a prefix of a bucket or container."""

    def __init__(self, place: str, prefix: str, store: "ObjectStore") -> None:
        self.url = f"{place}/{prefix}".rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._store = store

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """The objects whose key starts with ``prefix``, in the order of the cloud, by key."""
        above = (self._prefix + prefix).rpartition("/")[0]  # obstore knows whole segments only
        offset = self._prefix + start_after if start_after else None
        with self._errors("list", prefix):
            chunks = obstore.list(self._store, above or None, offset=offset, chunk_size=_PAGE)
            for chunk in chunks:
                infos = (self._info(item) for item in chunk)
                yield from (info for info in infos if info.key and info.key.startswith(prefix))

    def browse(self, prefix: str = "") -> Iterator[ObjectInfo | Folder]:
        """One level below ``prefix``, held in memory."""
        above = (self._prefix + prefix).rpartition("/")[0]
        start = len(self._prefix)
        with self._errors("list", prefix):
            level = obstore.list_with_delimiter(self._store, above or None)
        found: list[ObjectInfo | Folder] = [self._info(item) for item in level["objects"]]
        found += [Folder(f"{folder[start:]}/") for folder in level["common_prefixes"]]
        yield from sorted(
            (item for item in found if item.key.startswith(prefix) and item.key != prefix),
            key=attrgetter("key"),
        )

    def versions(self, prefix: str = "") -> Iterator[ObjectVersion]:
        """Not offered by obstore."""
        raise StorageError(f"cannot list the versions of {self.url}/{prefix}: only s3:// has them")

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object; None where there is none."""
        with self._errors("look up", key):
            try:
                return self._info(obstore.head(self._store, self._prefix + key))
            except FileNotFoundError:
                return None

    def put(self, key: str, body: bytes) -> None:
        """Write one object, whole or not at all."""
        with self._errors("write", key):
            obstore.put(self._store, self._prefix + key, body)

    def create(self, key: str, body: bytes) -> bool:
        """Write one object unless the key exists, by the cloud's own condition."""
        with self._errors("create", key):
            try:
                obstore.put(self._store, self._prefix + key, body, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Remove one object."""
        with self._errors("delete", key):
            try:
                obstore.delete(self._store, self._prefix + key)
            except FileNotFoundError:
                return

    def _fetch(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> None:
        fetch_right(
            f"{self.url}/{key}",
            file,
            lambda: self._fetch_once(key, file, listed, sha256),
            tries=_TRIES,
        )

    def _fetch_once(
        self, key: str, file: IO[bytes], listed: ObjectInfo | None, sha256: str | None
    ) -> str:
        """Stream one body into ``file``; what is wrong with it, or nothing."""
        changed = SourceChangedError(
            f"{self.url}/{key} was replaced since it was listed; run again"
        )
        with self._errors("read", key):
            try:
                got = obstore.get(self._store, self._prefix + key)
            except FileNotFoundError as error:
                raise SourceChangedError(f"{self.url}/{key} is gone; list again") from error
            except PreconditionError as error:
                raise changed from error
            info = self._info(got.meta)
            if listed and info.etag != listed.etag:
                raise changed
            blocks = map(memoryview, got.stream(min_chunk_size=_BLOCK_BYTES))
            return write_hashed(blocks, file, Expected(info.size_bytes, sha256, info.etag))

    def _info(self, item: Mapping[str, Any]) -> ObjectInfo:
        etag = (item["e_tag"] or "").strip('"')
        key = item["path"][len(self._prefix) :]
        return ObjectInfo(key, item["size"], etag, item["last_modified"])

    @contextmanager
    def _errors(self, verb: str, key: str) -> Iterator[None]:
        """Name the object in what obstore refuses."""
        asked = f"cannot {verb} {self.url}/{key}".rstrip("/")
        try:
            yield
        except StorageError:
            raise
        except (BaseError, ValueError, FileNotFoundError) as error:
            reason = str(error).partition("\n")[0]
            # A listing that is refused is a generic error with the answer in its text.
            if isinstance(error, _REFUSED) or re.search(r"\b40[13] [A-Z]", reason):
                reason = "the store refused the credentials"
            elif "NoSuchBucket" in str(error):
                reason = "there is no such bucket"
            raise StorageError(f"{asked}: {reason}") from error
