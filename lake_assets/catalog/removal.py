"""Removing objects without a moment in which one is lost that somebody has just referred to.

A writer finds an object there, and refers to it in a document that it writes a little later. If
the object were deleted in between, the document would name nothing, and no order of marking and
deleting prevents that: stores delete unconditionally, and an ETag does not tell a later writer of
the same bytes. So an object that nothing names is *set aside* first: copied beside the others,
then taken from its place. Who comes after that finds it gone and writes it anew; who came before
reads the copy. A copy goes for good when it is older than a writer takes from an object to its
document (the grace period) and no document names it then; one that is named goes back to its
place. Every copy has a name of its own, so that two collections at once never meet on one.
"""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from lake_assets.catalog.objects import ASIDE, FOLDER
from lake_assets.errors import SourceChangedError
from lake_assets.s3 import ObjectInfo, Store

__all__ = ["AsideCopies", "aside_copies", "object_id", "put_back", "set_aside"]


@dataclass(frozen=True, slots=True)
class AsideCopies:
    """What becomes of the copies."""

    needed: tuple[ObjectInfo, ...]
    """One of each object that is named and not in its place."""
    spent: tuple[ObjectInfo, ...]
    """Old enough, and either named by nothing or back in their place."""


def object_id(info: ObjectInfo) -> str:
    """The id of a listed object, in its place or set aside."""
    return info.key.rpartition("/")[2].partition("-")[0]


def set_aside(store: Store, info: ObjectInfo) -> None:
    """Copy an object aside, then take it from its place; one that is gone already stays gone.

    Raises:
        StorageError: The store refuses; the object is in its place, or aside, or both.
    """
    id_ = object_id(info)
    try:
        body = store.get(info.key)
    except SourceChangedError:
        if store.head(info.key) is None:  # another collection was faster
            return
        raise
    store.put(f"{ASIDE}{id_[:2]}/{id_}-{uuid.uuid4().hex}", body)
    store.delete(info.key)


def put_back(store: Store, copy: ObjectInfo) -> None:
    """Give an object its place again, unless it is there; the copy stays until it is spent.

    Raises:
        BodyMismatchError: The copy is damaged.
        StorageError: The store refuses.
    """
    id_ = object_id(copy)
    store.create(f"{FOLDER}{id_[:2]}/{id_}", store.get(copy.key, sha256=id_))


def aside_copies(
    copies: Collection[ObjectInfo],
    *,
    in_place: Collection[str],
    named: Collection[str],
    before: datetime,
) -> AsideCopies:
    """Sort copies by what becomes of them. Pure.

    Args:
        copies: All that are set aside.
        in_place: Ids of the objects in their places.
        named: Ids that documents name, read after the copies were listed.
        before: Copies that were made later are left alone, needed ones apart.
    """
    by_id: dict[str, ObjectInfo] = {}
    for copy in copies:
        by_id.setdefault(object_id(copy), copy)
    needed = tuple(copy for id_, copy in by_id.items() if id_ in named and id_ not in in_place)
    return AsideCopies(needed, tuple(_spent(copies, needed, before)))


def _spent(
    copies: Collection[ObjectInfo], needed: Collection[ObjectInfo], before: datetime
) -> Iterator[ObjectInfo]:
    waiting = {object_id(copy) for copy in needed}
    for copy in copies:
        if copy.modified_at < before and object_id(copy) not in waiting:
            yield copy
