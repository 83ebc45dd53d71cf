"""The profile of a table or a partition: a value that merges, and its document.

The profile of a table is the merge of those of its partitions; nothing is read again for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

from lake_assets.catalog.documents import Document
from lake_assets.catalog.profile.columns import ColumnProfile, merge_columns
from lake_assets.errors import StorageError

__all__ = [
    "Profile",
    "filled",
    "merge",
    "profile_from",
    "profile_from_document",
    "to_document",
]

#: Version of the layout; readers refuse a higher one. Since 2 sum and histogram of a column whose
#: numbers are all counted are left out: they follow from the counts.
FORMAT = 2
_ITEMS = "[]"
#: Profiles that are merged in one go: of a hundred columns each is up to a megabyte in memory.
_MERGED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of the rows of a table, a partition or a file."""

    rows: int
    columns: Mapping[str, ColumnProfile]
    """By name; ``a.b`` is the member b of a struct a, ``a[]`` the values inside a list a."""

    def content(self) -> dict[str, Any]:
        """The exact part as JSON: the same rows give the same, in any order and split."""
        columns = {name: column.content() for name, column in self.columns.items()}
        return {"format": FORMAT, "rows": self.rows, "columns": columns}

    def sketches(self) -> dict[str, Any]:
        """The sketched part as JSON, by column. Equal rows may give others: no id from it."""
        return {name: found for name, c in self.columns.items() if (found := c.sketches())}


def merge(profiles: Iterable[Profile]) -> Profile:
    """The profile of all rows of the parts. Exact fields do not depend on order or grouping.

    A column that a part does not have is null in all rows of that part, as in a Delta table. Parts
    are drawn a few at a time, so of an iterator that makes them no more are in memory.

    Raises:
        SchemaChangeError: A column is text in one part and a number in another, or the like.
    """
    parts, merged = iter(profiles), Profile(0, {})
    while some := list(islice(parts, _MERGED_AT_ONCE)):
        merged = _merged([merged, *some]) if merged.columns or merged.rows else _merged(some)
    return merged


def filled(columns: Mapping[str, ColumnProfile], rows: int) -> Mapping[str, ColumnProfile]:
    """The columns by name, the rows (or list values) in which one was absent counted as nulls."""
    complete: dict[str, ColumnProfile] = {}
    for name in sorted(columns):
        column, expected = columns[name], rows
        if _ITEMS in name:
            parent = name[: name.rindex(_ITEMS) + len(_ITEMS)]
            expected = columns[parent].count
        missing = expected - column.count
        if missing:
            column = replace(column, count=expected, nulls=column.nulls + missing)
        complete[name] = column
    return MappingProxyType(complete)


def profile_from(content: Mapping[str, Any], sketches: Mapping[str, Any] | None) -> Profile:
    """The profile that ``Profile.content`` and ``Profile.sketches`` wrote.

    Args:
        content: The exact part.
        sketches: The other one; without it quantiles come from the histogram, and columns of more
            than 256 different values have no distinct count and no top values.

    Raises:
        StorageError: One of them is not what was written, or of a later format.
    """
    try:
        if content["format"] > FORMAT:
            raise StorageError(
                f"a profile of format {content['format']!r}, this version reads up to {FORMAT};"
                " update lake_assets"
            )
        columns = {
            name: ColumnProfile.of_content(column, (sketches or {}).get(name))
            for name, column in content["columns"].items()
        }
        return Profile(content["rows"], filled(columns, content["rows"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"this is no profile ({type(error).__name__}: {error}); profile the data again"
        ) from error


def to_document(profile: Profile, subject: Mapping[str, Any], *, written_at: datetime) -> Document:
    """A document of kind ``profile``: its id is the same for the same rows of the same subject.

    Args:
        profile: What to record; its sketches are facts, which are not part of the id.
        subject: Whose profile it is (asset, partition, …).
        written_at: UTC; a fact as well.
    """
    content = {"subject": dict(subject), "profile": profile.content()}
    facts = {"sketches": profile.sketches(), "written_at": written_at.isoformat()}
    return Document("profile", content, facts)


def profile_from_document(document: Document) -> Profile:
    """The profile of a document.

    Raises:
        StorageError: It is no profile.
    """
    if document.kind != "profile":
        raise StorageError(f"a document of kind 'profile' was asked for, found {document.kind!r}")
    return profile_from(document.content["profile"], document.facts.get("sketches"))


def _merged(parts: Sequence[Profile]) -> Profile:
    names = sorted({name for part in parts for name in part.columns})
    columns = {
        name: merge_columns(name, [p.columns[name] for p in parts if name in p.columns])
        for name in names
    }
    rows = sum(part.rows for part in parts)
    return Profile(rows, filled(columns, rows))
