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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from lake_assets.catalog.objects import ASIDE, FOLDER, MAX_BYTES
from lake_assets.errors import BodyMismatchError, SourceChangedError
from lake_assets.fanout import fan_out
from lake_assets.s3 import ObjectInfo, Store

__all__ = ["AsideCopies", "PutBack", "aside_copies", "object_id", "put_back", "set_aside"]

R = TypeVar("R")


#: Bodies held at once: so many of this size, or one larger one (an object has 64 MiB at most).
_WORKERS = 8
_SMALL_BYTES = MAX_BYTES // _WORKERS


@dataclass(frozen=True, slots=True)
class AsideCopies:
    """What becomes of the copies."""

    needed: tuple[tuple[ObjectInfo, ...], ...]
    """All copies of each object that is named and not in its place."""
    spent: tuple[ObjectInfo, ...]
    """Old enough, and either named by nothing or back in their place."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """An object that was to have its place again."""

    id: str
    damage: str | None
    """Why it has not: every copy of it is damaged. None: it has."""


def object_id(info: ObjectInfo) -> str:
    """The id of a listed object, in its place or set aside."""
    return info.key.rpartition("/")[2].partition("-")[0]


def set_aside(store: Store, objects: Iterable[ObjectInfo]) -> None:
    """Copy objects aside, then take each from its place; one that is gone already stays gone.

    Raises:
        StorageError: The store refuses; every object is in its place, or aside, or both.
    """
    for _ in _side_by_side(lambda one: _set_aside(store, one[0]), ((info,) for info in objects)):
        pass


def put_back(store: Store, needed: Iterable[Sequence[ObjectInfo]]) -> Iterator[PutBack]:
    """Give objects their places again, where they are not there; copies stay until they are spent.

    Args:
        store: The lake's store.
        needed: All copies of each object; the first one that is whole is taken.

    Raises:
        StorageError: The store refuses.
    """
    return _side_by_side(lambda copies: _put_back(store, copies), needed)


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
    by_id: dict[str, list[ObjectInfo]] = {}
    for copy in copies:
        by_id.setdefault(object_id(copy), []).append(copy)
    waiting = [id_ for id_ in by_id if id_ in named and id_ not in in_place]
    needed = tuple(tuple(by_id.pop(id_)) for id_ in waiting)
    rest = (copy for each in by_id.values() for copy in each)
    return AsideCopies(needed, tuple(copy for copy in rest if copy.modified_at < before))


def _side_by_side(
    work: Callable[[Sequence[ObjectInfo]], R], groups: Iterable[Sequence[ObjectInfo]]
) -> Iterator[R]:
    """Small objects at once, large ones one after the other: memory is that of one large one."""
    small: list[Sequence[ObjectInfo]] = []
    large: list[Sequence[ObjectInfo]] = []
    for group in groups:
        (small if group[0].size_bytes <= _SMALL_BYTES else large).append(group)
    yield from fan_out(work, small, workers=_WORKERS)
    yield from map(work, large)


def _set_aside(store: Store, info: ObjectInfo) -> None:
    id_ = object_id(info)
    try:
        body = store.get(info.key)
    except SourceChangedError:
        if store.head(info.key) is None:  # another collection was faster
            return
        raise
    store.put(f"{ASIDE}{id_[:2]}/{id_}-{uuid.uuid4().hex}", body)
    store.delete(info.key)


def _put_back(store: Store, copies: Sequence[ObjectInfo]) -> PutBack:
    id_ = object_id(copies[0])
    damage = None
    for copy in copies:
        try:
            store.create(f"{FOLDER}{id_[:2]}/{id_}", store.get(copy.key, sha256=id_))
        except BodyMismatchError as error:
            damage = str(error)
        else:
            return PutBack(id_, None)
    return PutBack(id_, damage)
