"""The most frequent values of a column, with a proven bound of what is missing (Misra-Gries).

A column of at most ``CAPACITY`` different values is counted exactly: then this is its whole
distribution. Of others a value that is absent here has at most ``error`` occurrences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CAPACITY", "Scalar", "TopCounter", "TopValues"]

Scalar = str | int | float | bool

#: Values that are held; the error is at most two CAPACITY-th parts of the rows.
CAPACITY = 256


@dataclass(frozen=True, slots=True)
class TopValues:
    """Values and how often each occurs at least, the most frequent first."""

    counts: tuple[tuple[Scalar, int], ...]
    error: int
    """A value may occur so many times more than is counted; 0: all counts are exact."""

    @property
    def is_complete(self) -> bool:
        """Every value of the column is here, with its exact count."""
        return self.error == 0

    def content(self) -> dict[str, Any]:
        """JSON form."""
        return {"error": self.error, "counts": [*self.counts]}

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> "TopValues":
        """Read back what ``content`` wrote."""
        counts = tuple((value, count) for value, count in content["counts"])
        return cls(counts, content["error"])


class TopCounter:
    """Counts values from value counts. Not for several threads."""

    def __init__(self) -> None:
        self._counts: dict[Scalar, int] = {}
        self._error = 0

    def add(self, counts: Mapping[Any, int], error: int = 0) -> None:
        """Add counts; ``error``: a value not among them occurs at most so often."""
        held = self._counts
        if not held:
            held.update(counts)
        else:
            for value, count in counts.items():
                held[value] = held.get(value, 0) + count
        self._error += error
        if len(held) > CAPACITY:
            # Taken from all of them, so that the errors of all reductions together stay below
            # rows / CAPACITY: each takes more than CAPACITY times its error away.
            cut = sorted(held.values(), reverse=True)[CAPACITY]
            self._counts = {value: count - cut for value, count in held.items() if count > cut}
            self._error += cut

    @property
    def is_complete(self) -> bool:
        """All counts are exact, and no value is missing."""
        return self._error == 0

    def counts(self) -> dict[Scalar, int]:
        """A copy of the counts so far."""
        return dict(self._counts)

    def freeze(self) -> TopValues:
        """The values so far."""
        # No two values of a column have one spelling, so sorting needs no function of Python.
        counts, spelled = self._counts, dict(zip(map(str, self._counts), self._counts, strict=True))
        order = [spelled[text] for text in sorted(spelled)]
        order.sort(key=counts.__getitem__, reverse=True)
        return TopValues(tuple([(value, counts[value]) for value in order]), self._error)
