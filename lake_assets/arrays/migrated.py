"""What became of a tree that was migrated, as values: an item for each array, and the whole."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Format", "Migrated", "Migration", "Status"]

Format = Literal["zarr", "npy"]
Status = Literal["migrated", "unchanged", "planned", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of one array or document."""

    source: str
    target: str
    status: Status
    kind: str
    """Of the source: object, chunks, sparse, zarr; ``record`` for a record that is damaged."""
    source_bytes: int
    """In the store."""
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    target_bytes: int | None = None
    target_state: str | None = None
    """Of the copy that was compared: the ETag of an object, the checksum of a zarr version."""
    reason: str | None = None
    """Why it was skipped or failed."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What became of a tree."""

    source: str
    target: str
    to_format: Format
    items: tuple[Migrated, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what is no array is skipped, and no failure."""
        return not self.failed

    @property
    def failed(self) -> tuple[Migrated, ...]:
        """The bad ones."""
        return tuple(item for item in self.items if item.status == "failed")

    def count(self, status: Status) -> int:
        """How many are of a status."""
        return sum(item.status == status for item in self.items)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("migrated", "unchanged", "planned", "skipped", "failed")
        return {
            "source": self.source,
            "target": self.target,
            "format": self.to_format,
            "counts": {name: self.count(name) for name in names},
            "source_bytes": sum(item.source_bytes for item in self.items),
            "target_bytes": sum(item.target_bytes or 0 for item in self.items),
            "items": [asdict(item) for item in self.items],
        }
