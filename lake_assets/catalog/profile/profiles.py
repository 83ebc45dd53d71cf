"""The profile of a table or a partition: a value that merges, and its document.

The profile of a table is the merge of those of its partitions; nothing is read again for it.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from lake_assets.catalog.documents import Document, canonical_json
from lake_assets.catalog.profile.columns import ColumnProfile, merge_columns
from lake_assets.errors import StorageError

__all__ = [
    "Profile",
    "filled",
    "has_sketches",
    "merge",
    "profile_from",
    "profile_from_document",
    "sketch_bytes",
    "to_document",
]

#: Version of the layout; readers refuse a higher one.
FORMAT = 1
_ITEMS = "[]"


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


def merge(profiles: Iterable[Profile]) -> Profile:
    """The profile of all rows of the parts. Exact fields do not depend on order or grouping.

    A column that a part does not have is null in all rows of that part, as in a Delta table.

    Raises:
        SchemaChangeError: A column is text in one part and a number in another, or the like.
    """
    parts = list(profiles)
    names = sorted({name for part in parts for name in part.columns})
    columns = {
        name: merge_columns(name, [p.columns[name] for p in parts if name in p.columns])
        for name in names
    }
    rows = sum(part.rows for part in parts)
    return Profile(rows, filled(columns, rows))


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


def has_sketches(profile: Profile) -> bool:
    """Whether ``sketch_bytes`` says anything: some column has more values than are counted."""
    return any(column.has_sketches for column in profile.columns.values())


def sketch_bytes(profile: Profile) -> bytes:
    """The sketches of all columns in one blob. Equal data may give other bytes: no id from it."""
    each = {name: found for name, c in profile.columns.items() if (found := c.sketches())}
    return zlib.compress(canonical_json({"format": FORMAT, "columns": each}), 1)


def profile_from(content: Mapping[str, Any], sketches: bytes | None) -> Profile:
    """The profile that ``Profile.content`` and ``sketch_bytes`` wrote.

    Args:
        content: The exact part.
        sketches: The blob; without it quantiles come from the histogram, and columns of more than
            256 different values have no distinct count and no top values.

    Raises:
        StorageError: One of them is not what was written, or of a later format.
    """
    try:
        blob = json.loads(zlib.decompress(sketches)) if sketches else {"columns": {}, "format": 0}
        if max(content["format"], blob["format"]) > FORMAT:
            raise StorageError(
                f"a profile of format {content['format']!r}, this version reads up to {FORMAT};"
                " update lake_assets"
            )
        columns = {
            name: ColumnProfile.of_content(column, blob["columns"].get(name))
            for name, column in content["columns"].items()
        }
        return Profile(content["rows"], filled(columns, content["rows"]))
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise StorageError(
            f"this is no profile ({type(error).__name__}: {error}); profile the data again"
        ) from error


def to_document(
    profile: Profile, subject: Mapping[str, Any], sketch_id: str | None, *, written_at: datetime
) -> Document:
    """A document of kind ``profile``.

    Args:
        profile: What to record.
        subject: Whose profile it is (asset, partition, …); part of the id.
        sketch_id: Where ``sketch_bytes`` was stored, None if nowhere; a fact, not part of the id.
        written_at: UTC; a fact as well.
    """
    content = {"subject": dict(subject), "profile": profile.content()}
    facts = {"sketch_id": sketch_id, "written_at": written_at.isoformat()}
    return Document("profile", content, facts)


def profile_from_document(document: Document, sketches: bytes | None) -> Profile:
    """The profile of a document; ``sketches`` is the blob its fact ``sketch_id`` names.

    Raises:
        StorageError: It is no profile.
    """
    if document.kind != "profile":
        raise StorageError(f"a document of kind 'profile' was asked for, found {document.kind!r}")
    return profile_from(document.content["profile"], sketches)
