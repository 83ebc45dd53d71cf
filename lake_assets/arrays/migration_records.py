"""What migrations left at a target, below it and above it: which copy is whose.

A record lies in ``_migration`` below the target of its migration, one for each array. Records of
other migrations count as well: into a folder of this target, or into one that holds it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from lake_assets.arrays.migrated import Migrated
from lake_assets.arrays.nodes import RECORDS, is_record
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.errors import StorageError
from lake_assets.s3 import ObjectInfo

__all__ = ["Claims", "Records", "records_at"]

_TEXTS = ("source", "target", "status", "kind")


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known of copies at a target, in it and around it."""

    own: Mapping[str, Migrated]
    """Of migrations into this very target, by name."""
    others: tuple[Migrated, ...]
    """Of other migrations: copies that lie in this target, or are folders that it lies in."""
    damaged: tuple[Migrated, ...]
    """A failed item for each record that cannot be read."""

    def without(self, names: set[str]) -> tuple[Migrated, ...]:
        """The damaged ones but for those of names here: what those tell of is known."""
        known = {f"/{RECORDS}/{name}" for name in names}
        return tuple(
            item for item in self.damaged if item.source.removeprefix(item.target) not in known
        )


def records_at(goal: Place) -> Records:
    """The records of a target, in one listing of it and one of ``_migration`` in each folder above.

    Raises:
        StorageError: The target cannot be listed, or a record cannot be fetched.
    """
    start = len(goal.prefix)
    inside = [i for i in goal.objects.store.list(goal.prefix) if is_record(i.key[start:])]
    found = [(goal, info) for info in inside] + list(_around(goal))
    own: dict[str, Migrated] = {}
    others: list[Migrated] = []
    damaged: list[Migrated] = []
    for (place, info), said in zip(found, in_threads(_read, found), strict=True):
        name = info.key[len(place.prefix) :]
        if isinstance(said, str):
            url = f"{place.url}/{name}"
            damaged.append(
                Migrated(url, goal.url, "failed", "record", info.size_bytes, reason=said)
            )
        elif place is goal and name.count("/") == 1:
            own[name.partition("/")[2]] = said
        elif f"{said.target}/".startswith(f"{goal.url}/") or goal.url.startswith(f"{said.target}/"):
            others.append(said)
    return Records(own, tuple(others), tuple(damaged))


class Claims:
    """The source that each target belongs to; threads may share it."""

    def __init__(self, copies: Iterable[Migrated]) -> None:
        self._sources: dict[str, str] = {}
        self._holding: dict[str, str] = {}
        self._lock = Lock()
        for copy in copies:
            self._add(copy.target, copy.source)

    def refusal(self, target: str, source: str) -> str | None:
        """Take a target for a source; else why it cannot be had, for a person."""
        with self._lock:
            claims = [self._sources.get(url) for url in (target, *_above(target))]
            claims.append(self._holding.get(target))
            other = next((claim for claim in claims if claim not in {None, source}), None)
            if other is None:
                self._add(target, source)
                return None
        return (
            f"its target {target} is, holds or lies in that of {other}; rename one of them, give"
            " another target, or remove the copy that is there"
        )

    def is_known(self, target: str) -> bool:
        """Whether it is said whose a target is."""
        return target in self._sources

    def _add(self, target: str, source: str) -> None:
        self._sources[target] = source
        for above in _above(target):
            self._holding.setdefault(above, source)


def _around(goal: Place) -> Iterator[tuple[Place, ObjectInfo]]:
    """The records of migrations into folders that the target lies in."""
    for url in _above(goal.url):
        if url.endswith("/") or not url:
            break
        place = place_of(url, goal.access)
        try:
            for info in place.objects.store.list(f"{place.at(RECORDS).key}/"):
                if is_record(info.key[len(place.prefix) :]):
                    yield place, info
        except StorageError:  # whoever may not look there has rights at the target alone
            return


def _read(found: tuple[Place, ObjectInfo]) -> Migrated | str:
    """What a record says, or what is wrong with it, for a person."""
    place, info = found
    body = place.objects.store.get(info.key)
    try:
        return _parsed(json.loads(body))
    except (ValueError, TypeError) as error:
        return (
            f"it is no whole record of a migration ({type(error).__name__}: {error}); remove it:"
            " what it tells of is then copied and compared again"
        )


def _parsed(said: dict[str, Any]) -> Migrated:
    item = Migrated(**said)
    texts = [getattr(item, name) for name in _TEXTS]
    if not all(isinstance(text, str) and text for text in texts):
        raise TypeError(f"{_TEXTS} are {texts}")
    return replace(item, shape=None if item.shape is None else tuple(map(int, item.shape)))


def _above(target: str) -> Iterator[str]:
    """The folders that a target lies in, the nearest first."""
    while "/" in target:
        target = target.rpartition("/")[0]
        yield target
