"""A snapshot that says it is finished and cannot be taken; its neighbours can."""

from dataclasses import dataclass
from datetime import datetime

from lake_assets.errors import BadInputError

__all__ = ["RefusedSnapshot"]


@dataclass(frozen=True, slots=True)
class RefusedSnapshot:
    """A finished snapshot that is not whole, or not of a kind that can be taken."""

    key: str
    """Address of its folder, or of the one file that names it."""
    error: BadInputError
    exported_at: datetime | None = None
    """UTC; None where that is not known."""
