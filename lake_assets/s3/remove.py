"""Removing: first what would go, as a value that a person can be shown, then doing it.

``x`` means the object ``x`` and, with ``recursive``, what lies below ``x/``: never ``x2`` or
``x.txt``. Links in a folder are removed themselves; nothing behind them is.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.address import Address, parse_address
from lake_assets.s3.client import boto_client
from lake_assets.s3.filesystem import is_folder
from lake_assets.s3.globs import Selection
from lake_assets.s3.refusals import is_answer, refusals
from lake_assets.s3.url import Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

__all__ = [
    "Problem",
    "Removal",
    "RemoveReport",
    "behind_links",
    "plan_removal",
    "remove",
    "remove_keys",
]

#: Keys of one DeleteObjects request; S3 takes no more.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """What could not be done, and why."""

    url: str
    reason: str


@dataclass(slots=True)
class Removal:
    """What would be removed; nothing has been."""

    address: Address
    keys: list[str] = field(default_factory=list)
    """Objects, folder markers, files and links; from the root of the address."""
    folders: list[str] = field(default_factory=list)
    """Directories that go with their files, the deepest first."""
    size_bytes: int = 0

    @property
    def urls(self) -> Iterator[str]:
        """The addresses of all that would go."""
        return map(self.address.url_of, (*self.keys, *self.folders))


@dataclass(slots=True)
class RemoveReport:
    """What is gone, and what is not."""

    removed: list[str] = field(default_factory=list)
    """Addresses."""
    failed: list[Problem] = field(default_factory=list)


def plan_removal(
    url: Location | Address, *, recursive: bool = False, selection: Selection | None = None
) -> Removal:
    """What ``remove`` would take away.

    Args:
        url: An object, or with ``recursive`` also a folder, a prefix or all of a bucket.
        recursive: Also what is below.
        selection: Only these paths below ``url``; folders and their markers then stay.

    Raises:
        StorageError: Nothing is there, or it is a folder and ``recursive`` was not said.
        SettingsError: It is the root of the file system.
    """
    address = parse_address(url)
    if not address.is_s3 and not address.path:
        raise SettingsError("the root of the file system is never removed; name a folder below it")
    removal = Removal(address)
    found = _single(removal)
    if recursive:
        found |= _below(removal, selection or Selection())
    if found:
        return removal
    if not recursive and is_folder(address):
        raise StorageError(f"{address.url} is a folder; say recursive (-r) to remove all below it")
    raise StorageError(f"there is nothing to remove at {address.url}")


def remove(removal: Removal) -> RemoveReport:
    """Remove what was planned; one failure does not stop the others."""
    report = remove_keys(removal.address, removal.keys)
    for folder in removal.folders:
        path = Path(removal.address.root, folder)
        try:
            path.rmdir()
            report.removed.append(str(path))
        except OSError as error:
            report.failed.append(Problem(str(path), error.strerror or str(error)))
    return report


def remove_keys(address: Address, keys: Sequence[str], *, prune: bool = False) -> RemoveReport:
    """Remove objects by key.

    Args:
        address: The root that the keys count from; with ``prune`` the folder that stays.
        keys: What to remove; what is gone already counts as removed.
        prune: Remove directories below the address, too, that lost their last file.
    """
    report = RemoveReport()
    if address.is_s3:
        client = boto_client(address.url, address.access)
        for start in range(0, len(keys), _BATCH):
            _delete_batch(client, address, keys[start : start + _BATCH], report)
        return report
    links: dict[Path, bool] = {}
    for key in keys:
        path = Path(address.root, key)
        if _is_behind_link(path.parent, address.local_path, links):
            said = "it lies behind a link, outside of this folder, and stays"
            report.failed.append(Problem(str(path), said))
            continue
        try:
            path.unlink(missing_ok=True)
            report.removed.append(str(path))
        except OSError as error:
            report.failed.append(Problem(str(path), error.strerror or str(error)))
    if prune:
        _prune(address, keys)
    return report


def behind_links(address: Address, keys: Sequence[str]) -> set[str]:
    """Those of the files below a folder that a link below it leads to: they are not its own."""
    if address.is_s3:
        return set()
    links: dict[Path, bool] = {}
    top = address.local_path
    return {k for k in keys if _is_behind_link(Path(address.root, k).parent, top, links)}


def _single(removal: Removal) -> bool:
    """Whether there is something of exactly this name that is no folder."""
    address = removal.address
    if address.says_folder:
        return False
    if not address.is_s3:
        path = address.local_path
        if not path.is_symlink() and not path.is_file():
            return False
        removal.size_bytes += path.lstat().st_size
        removal.keys.append(address.path)
        return True
    info = address.open().head(address.path)
    if info:
        removal.keys.append(info.key)
        removal.size_bytes += info.size_bytes
    return info is not None


def _below(removal: Removal, selection: Selection) -> bool:
    """Whether there is a folder of this name; what it holds is added to the removal."""
    address = removal.address
    if not address.is_s3:
        return _below_folder(removal, selection)
    found = False
    client = boto_client(address.url, address.access)
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=address.bucket, Prefix=address.prefix
    )
    with refusals(f"list {address.url}", address.bucket):
        for page in pages:  # not by the store: it leaves out the markers of folders
            for item in page.get("Contents", ()):
                found = True
                key = item["Key"]
                is_marker = key.endswith("/") and not item["Size"]
                if selection.takes(key[len(address.prefix) :]) and not (selection and is_marker):
                    removal.keys.append(key)
                    removal.size_bytes += item["Size"]
    return found or not address.path


def _below_folder(removal: Removal, selection: Selection) -> bool:
    top = removal.address.local_path
    # A link written with a slash is still a link: what it points at is somebody else's.
    if top.is_symlink() or not top.is_dir():
        return False
    root = removal.address.root
    for folder, folders, files in os.walk(top, topdown=False, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*files, *links):
            path = Path(folder, name)
            if selection.takes(path.relative_to(top).as_posix()):
                removal.keys.append(path.relative_to(root).as_posix())
                removal.size_bytes += path.lstat().st_size
        if not selection:
            removal.folders.append(Path(folder).relative_to(root).as_posix())
    return True


def _raise(error: OSError) -> None:
    raise StorageError(f"cannot list {error.filename}: {error.strerror}") from error


def _delete_batch(
    client: "S3Client", address: Address, keys: Sequence[str], report: RemoveReport
) -> None:
    objects = [{"Key": key} for key in keys]
    try:
        with refusals(f"remove from {address.root}", address.bucket):
            answer = client.delete_objects(
                Bucket=address.bucket, Delete={"Objects": objects, "Quiet": True}
            )
    except StorageError as error:
        if is_answer(error.__cause__):  # it answered: some stores know no batches
            _delete_one_by_one(client, address, keys, report)
        else:
            report.failed += [Problem(address.url_of(key), str(error)) for key in keys]
        return
    refused = {item.get("Key", ""): item for item in answer.get("Errors", ())}
    for key in keys:
        if key in refused:
            said = refused[key].get("Message") or refused[key].get("Code") or "refused"
            report.failed.append(Problem(address.url_of(key), said))
        else:
            report.removed.append(address.url_of(key))


def _delete_one_by_one(
    client: "S3Client", address: Address, keys: Sequence[str], report: RemoveReport
) -> None:
    for key in keys:
        try:
            with refusals(f"remove {address.url_of(key)}", address.bucket):
                client.delete_object(Bucket=address.bucket, Key=key)
            report.removed.append(address.url_of(key))
        except StorageError as error:
            report.failed.append(Problem(address.url_of(key), str(error)))


def _is_behind_link(folder: Path, top: Path, known: dict[Path, bool]) -> bool:
    """Whether ``folder``, or one between it and ``top``, is a link."""
    if folder == top or not folder.is_relative_to(top):
        return False
    if folder not in known:
        known[folder] = folder.is_symlink() or _is_behind_link(folder.parent, top, known)
    return known[folder]


def _prune(address: Address, keys: Sequence[str]) -> None:
    top = address.local_path
    folders = {parent for key in keys for parent in Path(address.root, key).parents}
    inside = [folder for folder in folders if folder.is_relative_to(top) and folder != top]
    for folder in sorted(inside, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()
