"""A snapshot that is not finished yet, and what it lacks; nothing of it is read."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["WaitingSnapshot"]


@dataclass(frozen=True, slots=True)
class WaitingSnapshot:
    """A snapshot that cannot be taken yet: its writer is still at work, or stopped half-way."""

    key: str
    """Address of its folder, or of the one file that names it."""
    reason: str
    since: datetime | None = None
    """UTC, of the newest thing that is there already; None where nothing is."""
