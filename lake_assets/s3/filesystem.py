"""Looking at folders and buckets alike: what is there, how much of it, and what is known of one.

Only reading; removing is in ``remove``, copying and moving in ``copy``. An address without a slash
at its end means the object of that name and the folder of that name, never a look-alike.
"""

import os
import re
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.access import Access, located
from lake_assets.s3.address import Address, parse_address
from lake_assets.s3.client import boto_client
from lake_assets.s3.globs import Selection, glob_regex, literal_prefix
from lake_assets.s3.refusals import code_of, refusals
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.url import Location

__all__ = ["Entry", "Usage", "exists", "find", "glob", "is_folder", "ls", "stat", "tree", "usage"]

_WILD_SEGMENT = re.compile(r"[^/]*[*?\[]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    url: str
    name: str
    """Below what was asked; a folder's ends in a slash."""
    kind: Literal["object", "folder"]
    size_bytes: int | None = None
    modified_at: datetime | None = None
    """UTC."""
    etag: str | None = None
    details: dict[str, object] = field(default_factory=dict)
    """What only ``stat`` asks for: content type, metadata, encryption, storage class, mode."""

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        known: dict[str, object] = {"url": self.url, "name": self.name, "type": self.kind}
        if self.kind == "object":
            modified = self.modified_at.isoformat() if self.modified_at else None
            known |= {"size_bytes": self.size_bytes, "modified_at": modified, "etag": self.etag}
        return known | self.details


@dataclass(slots=True)
class Usage:
    """How much lies at one place."""

    url: str
    n_objects: int = 0
    size_bytes: int = 0


def ls(url: Location | Address, *, recursive: bool = False) -> Iterator[Entry]:
    """The object of that name, and one level (or all) of the folder of that name.

    Raises:
        StorageError: Nothing is there, or the store refuses.
    """
    address = parse_address(url)
    store = address.open()
    found = False
    listed = _own(address)
    if listed:
        found = True
        yield _entry(address, listed, address.name)
    level = store.list(address.prefix) if recursive else store.browse(address.prefix)
    for item in level:
        found = True
        name = item.key[len(address.prefix) :]
        if isinstance(item, ObjectInfo):
            yield _entry(address, item, name)
        else:
            yield Entry(address.url_of(item.key), name, "folder")
    if not found and not is_folder(address):
        raise _missing(address)


def tree(url: Location | Address, *, depth: int | None = None) -> Iterator[tuple[str, Entry]]:
    """All below ``url``, folder by folder, each with the lines that a drawing has before it.

    Args:
        url: A folder, a bucket or a prefix.
        depth: How many levels; all by default.

    Raises:
        StorageError: Nothing is there, or the store refuses.
    """
    address = parse_address(url)
    yield from _branches(address, "", depth, _real(address))


def find(
    url: Location | Address,
    selection: Selection | None = None,
    *,
    where: Callable[[ObjectInfo], bool] = bool,
) -> Iterator[Entry]:
    """The objects at and below ``url`` whose path is selected and of which ``where`` is true.

    Raises:
        StorageError: Nothing is there, or the store refuses.
    """
    address = parse_address(url)
    found = False
    for info in _members(address):
        found = True
        name = info.key[len(address.prefix) :] or address.name
        if (selection is None or selection.takes(name)) and where(info):
            yield _entry(address, info, name)
    if not found and not is_folder(address):
        raise _missing(address)


def glob(
    pattern: Location, access: Access | None = None, *, folders: bool = False
) -> Iterator[Entry]:
    """The objects whose address matches: ``*``, ``?``, ``[…]`` within a segment, ``**`` beyond.

    Only what starts with the pattern's plain beginning is listed.

    Args:
        pattern: An address with wildcards anywhere but in the bucket.
        access: How to reach the bucket; the environment says it by default.
        folders: Folders that match too, as a shell shows them: level by level, so what lies deeper
            is not listed. A slash at the pattern's end: folders alone.

    Raises:
        StorageError: The store refuses. Nothing found is no error.
        SettingsError: The pattern is empty, or has its wildcards in the bucket, or a ``**`` where
            folders are asked for.
    """
    pattern, access = located(pattern, access)
    if not pattern:
        raise SettingsError("an empty pattern finds nothing; write folder/*.json")
    wild = _WILD_SEGMENT.search(pattern, pattern.find("://") + 3 if "://" in pattern else 0)
    start = wild.start() if wild else len(pattern)
    head, tail = pattern[:start], pattern[start:]
    if tail and head.endswith("://"):
        raise SettingsError(
            f"{pattern!r} has a wildcard in the bucket; list the buckets, then glob in one of them"
        )
    address = parse_address(head or "./", access)
    if folders:
        yield from _matching_levels(address, tail)
        return
    if not tail:
        own = _own(address)
        if own:
            yield _entry(address, own, address.name)
        return
    fits = glob_regex(tail)
    for info in address.open().list(address.prefix + literal_prefix(tail)):
        name = info.key[len(address.prefix) :]
        if fits.fullmatch(name):
            yield _entry(address, info, name)


def exists(url: Location | Address) -> bool:
    """Whether there is an object, a folder or a bucket of that name.

    Raises:
        StorageError: The store refuses, so that nobody knows.
    """
    address = parse_address(url)
    try:
        return _own(address) is not None or is_folder(address)
    except StorageError as error:
        if code_of(error.__cause__) == "NoSuchBucket":
            return False
        raise


def stat(url: Location | Address) -> Entry:
    """All that is known of one object, or that there is a folder.

    Raises:
        StorageError: Nothing is there, or the store refuses.
    """
    address = parse_address(url)
    own = _own(address)
    if own is None:
        if not is_folder(address):
            raise _missing(address)
        return Entry(address.url_of(address.prefix), f"{address.name}/", "folder")
    details = _head_details(address) if address.is_s3 else _file_details(address)
    return replace(_entry(address, own, address.name), details=details)


def usage(url: Location | Address, *, depth: int = 0) -> list[Usage]:
    """Objects and bytes at and below ``url``: for the whole, and for each folder down to ``depth``.

    Raises:
        StorageError: Nothing is there, or the store refuses.
    """
    address = parse_address(url)
    total = Usage(address.url)
    places: dict[str, Usage] = {}
    for info in _members(address):
        below = info.key[len(address.prefix) :].split("/")[:-1][:depth]
        folders = ["/".join(below[: n + 1]) + "/" for n in range(len(below))]
        for folder in folders:
            places.setdefault(folder, Usage(address.url_of(address.prefix + folder)))
        for place in (total, *(places[folder] for folder in folders)):
            place.n_objects += 1
            place.size_bytes += info.size_bytes
    if not total.n_objects and not is_folder(address):
        raise _missing(address)
    return [*(places[folder] for folder in sorted(places)), total]


def is_folder(address: Address) -> bool:
    """Whether there is a folder: a directory, a marker or any key below, or a bucket's root."""
    if not address.is_s3:
        return address.local_path.is_dir()
    store = address.open()
    if any(True for _ in store.browse(address.prefix)):
        return True
    # Listings leave the markers out that consoles make for empty folders.
    return not address.path or store.head(address.prefix) is not None


def _matching_levels(address: Address, tail: str) -> Iterator[Entry]:
    """What matches a pattern below an address, one level at a time."""
    if "**" in tail.split("/"):
        raise SettingsError(f"{tail!r}: ** finds objects at any depth; leave it out for folders")
    if not tail:  # a plain name
        if exists(address):
            yield stat(address)
        return
    segment, slash, rest = tail.partition("/")
    fits = glob_regex(segment)
    for item in address.open().browse(address.prefix + literal_prefix(segment)):
        name = item.key[len(address.prefix) :]
        if not fits.fullmatch(name.rstrip("/")):
            continue
        if isinstance(item, ObjectInfo):
            if not slash:
                yield _entry(address, item, name)
        elif rest:
            yield from _matching_levels(address.at(item.key), rest)
        else:
            yield Entry(address.url_of(item.key), name, "folder")


def _members(address: Address) -> Iterator[ObjectInfo]:
    """The object of this name and every object below it; keys count from the root."""
    own = _own(address)
    if own:
        yield own
    yield from address.open().list(address.prefix)


def _own(address: Address) -> ObjectInfo | None:
    return None if address.says_folder else address.open().head(address.path)


def _entry(address: Address, info: ObjectInfo, name: str) -> Entry:
    url = address.url_of(info.key)
    return Entry(url, name, "object", info.size_bytes, info.modified_at, info.etag)


def _missing(address: Address) -> StorageError:
    return StorageError(f"there is nothing at {address.url}; look with `lake fs ls` one level up")


def _branches(
    address: Address, indent: str, depth: int | None, above: tuple[str, ...]
) -> Iterator[tuple[str, Entry]]:
    level = list(ls(address))
    for number, entry in enumerate(level, start=1):
        is_last = number == len(level)
        yield indent + ("└── " if is_last else "├── "), entry
        if entry.kind == "object" or depth == 1:
            continue
        inner = address.at(address.prefix + entry.name)
        real = _real(inner)
        if not set(real) & set(above):  # a link to a folder above would go round for ever
            deeper = indent + ("    " if is_last else "│   ")
            below = None if depth is None else depth - 1
            yield from _branches(inner, deeper, below, above + real)


def _real(address: Address) -> tuple[str, ...]:
    return () if address.is_s3 else (os.path.realpath(address.local_path),)


def _head_details(address: Address) -> dict[str, object]:
    client = boto_client(address.url, address.access)
    with refusals(f"look up {address.url}", address.bucket):
        item = client.head_object(Bucket=address.bucket, Key=address.path)
    known = {
        "content_type": item.get("ContentType"),
        "content_encoding": item.get("ContentEncoding"),
        "encryption": item.get("ServerSideEncryption"),
        "kms_key_id": item.get("SSEKMSKeyId"),
        "storage_class": item.get("StorageClass", "STANDARD"),
        "version_id": item.get("VersionId"),
        "metadata": item.get("Metadata", {}),
    }
    return {name: value for name, value in known.items() if value is not None}


def _file_details(address: Address) -> dict[str, object]:
    found = os.lstat(address.local_path)
    details: dict[str, object] = {"mode": modes.filemode(found.st_mode)}
    if modes.S_ISLNK(found.st_mode):
        details["link_to"] = os.readlink(address.local_path)
    changed = datetime.fromtimestamp(found.st_ctime, tz=UTC)
    return details | {"changed_at": changed.isoformat()}
