"""Whose an object is: what the store says of it, or the owner of a file."""

from dataclasses import dataclass

from lake_assets.errors import MissingObjectError, SettingsError, StorageError
from lake_assets.s3.address import Address, parse_address
from lake_assets.s3.client import boto_client
from lake_assets.s3.refusals import refusals
from lake_assets.s3.url import Location

__all__ = ["Owner", "owner_of"]


@dataclass(frozen=True, slots=True)
class Owner:
    """An account of the store, or a user of this machine."""

    id: str
    """The account's canonical id; the number of a file's user."""
    name: str | None
    """None where the store gives none (AWS stopped in 2025), or the user has none."""


def owner_of(url: Location | Address) -> Owner:
    """Who owns one object or file. Costs a listing of one key, which needs the right to list.

    Raises:
        SettingsError: A folder, a prefix or a bucket was given.
        MissingObjectError: There is no such object.
        StorageError: The store refuses, or names no owners.
    """
    address = parse_address(url)
    if address.says_folder:
        raise SettingsError(f"{address.url} is no object; owners are those of single objects")
    return _of_object(address) if address.is_s3 else _of_file(address)


def _of_object(address: Address) -> Owner:
    client = boto_client(address.url, address.access)
    with refusals(f"ask for the owner of {address.url}", address.bucket):
        # The key itself sorts before all that begins with it.
        answer = client.list_objects_v2(
            Bucket=address.bucket, Prefix=address.path, MaxKeys=1, FetchOwner=True
        )
    item = next(iter(answer.get("Contents", ())), None)
    if item is None or item["Key"] != address.path:
        raise MissingObjectError(f"there is no object {address.url}; owners are those of objects")
    said = item.get("Owner", {})
    if not said.get("ID"):
        raise StorageError(f"the store of {address.root} names no owners")
    return Owner(said["ID"], said.get("DisplayName") or None)


def _of_file(address: Address) -> Owner:
    path = address.local_path
    try:
        number = path.stat().st_uid
    except OSError as error:
        raise MissingObjectError(f"cannot look at {address.url}: {error.strerror}") from error
    try:
        return Owner(str(number), path.owner())
    except (KeyError, NotImplementedError):  # no such user here, or a system without users
        return Owner(str(number), None)
