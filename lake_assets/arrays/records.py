"""What was written and what is there, as values for reports and metadata."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Description", "Written"]


@dataclass(frozen=True, slots=True)
class Written:
    """One array, tree or document after it was written."""

    url: str
    kind: str
    """raw, npy, chunks, sparse, tree, json, pickle, bytes, zarr."""
    shape: tuple[int, ...] | None
    """None for what has none: trees, documents."""
    dtype: str | None
    n_bytes: int
    """In memory."""
    stored_bytes: int
    """In the store, all objects together."""
    codec: str | None = None
    """None where nothing is compressed."""
    crc32c: str | None = None
    """Of the body, where it is one object."""
    n_objects: int = 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "shape": None if self.shape is None else list(self.shape)}


@dataclass(frozen=True, slots=True)
class Description:
    """What is at a place, found out without reading the array."""

    url: str
    kind: str
    """As ``Written.kind``; ``folder`` for a prefix of unlike things."""
    shape: tuple[int, ...] | None
    dtype: str | None
    codec: str | None
    stored_bytes: int
    n_objects: int
    chunks: tuple[int, ...] | None = None
    """Lengths of the first chunk, where it is chunked."""
    metadata: dict[str, str] | None = None
    """The user's own."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        said = asdict(self)
        for name in ("shape", "chunks"):
            said[name] = None if said[name] is None else list(said[name])
        return said
