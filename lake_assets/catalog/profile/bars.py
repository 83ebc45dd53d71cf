"""What a profile looks like to people: numbers as text, distributions as bars.

Belongs here: formatting one value, and the heights of a small histogram. Does not: tables and
pages (``report``).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.catalog.profile.columns import LENGTH_KINDS, ColumnProfile
from lake_assets.catalog.profile.top_values import Scalar

__all__ = ["Bar", "bars", "ends", "shown", "shown_value", "spark"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Outliers are counted in the outermost bars, or all others would be one bar.
_OUTLIERS = 0.005
_MAX_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it stands for, and how many values that is (a fraction where edges cut)."""

    label: str
    count: float


def bars(column: ColumnProfile, n: int = 16) -> list[Bar]:
    """At most ``n`` bars: equal widths for numbers, times and lengths, else the top values.

    The outermost half per cent on each side is in the first and the last bar. A text column with
    few values is shown by its values, one with many by its lengths.
    """
    values = column.values
    if values is not None and column.kind in {"text", "boolean"} and values.top.is_complete:
        often = values.top.counts[:n]
        return [Bar(shown_value(column, value), count) for value, count in often]
    numbers = column.numbers
    if numbers is None or not numbers.finite:
        return []
    low, high = column.quantile(_OUTLIERS), column.quantile(1 - _OUTLIERS)
    if low is None or high is None or not high > low:
        return [Bar(shown(column, low), numbers.finite)]
    width = high / n - low / n  # apart, as the difference of two floats may overflow
    heights = [0.0] * n
    for (lower, upper), count in zip(numbers.buckets.edges(), numbers.buckets.counts, strict=True):
        for index, share in _spread(lower / width - low / width, upper / width - low / width, n):
            heights[index] += count * share
    labels = (
        f"{shown(column, low + i * width)} – {shown(column, low + (i + 1) * width)}"
        for i in range(n)
    )
    return [Bar(label, height) for label, height in zip(labels, heights, strict=True)]


def spark(heights: list[float]) -> str:
    """A histogram as text; a bar that counts anything is never invisible.

    Example:
        >>> spark([0, 1, 4, 8])
        ' ▁▄█'
    """
    top = max(heights, default=0)
    if top <= 0:
        return ""
    levels = len(_BLOCKS)
    return "".join(
        _BLOCKS[min(max(round(height / top * levels) - 1, 0), levels - 1)] if height > 0 else " "
        for height in heights
    )


def shown(column: ColumnProfile, number: float | None) -> str:
    """A number of the column as people read it; a time as ISO 8601 UTC."""
    if number is None:
        return ""
    if column.kind != "time":
        return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"
    try:
        if column.dtypes[0].startswith("Duration"):
            return str(timedelta(microseconds=round(number)))
        moment = _EPOCH + timedelta(microseconds=round(number))
    except OverflowError:
        return f"{number:.4g} µs"
    if column.dtypes[0].startswith("Time"):
        return moment.time().isoformat("seconds")
    day = column.dtypes[0].startswith("Date") and not column.dtypes[0].startswith("Datetime")
    return (
        moment.date().isoformat() if day else moment.replace(tzinfo=None).isoformat(" ", "seconds")
    )


def shown_value(column: ColumnProfile, value: Scalar) -> str:
    """One value of the column, at most 40 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else shown(column, value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def ends(column: ColumnProfile) -> tuple[str, str]:
    """Smallest and greatest value as text, lengths marked as such."""
    if column.kind == "text":
        least, greatest = column.least or "", column.greatest or ""
        return shown_value(column, least), shown_value(column, greatest)
    numbers = column.numbers
    if numbers is None or numbers.least is None:
        return "", ""
    both = [
        str(end) if column.kind == "decimal" else shown(column, end)  # type: ignore[arg-type]  (its kind says what it is)
        for end in (numbers.least, numbers.greatest)
    ]
    if column.kind in LENGTH_KINDS:
        both = [f"length {end}" for end in both]
    return both[0], both[1]


def _spread(start: float, end: float, n: int) -> list[tuple[int, float]]:
    """The shares of [start, end) in the bars 0 … n - 1; what is beyond them is in the outermost."""
    first = min(max(int(start), 0), n - 1) if start > 0 else 0
    last = min(int(end), n - 1) if end > 0 else 0
    if last <= first or not end > start:
        return [(first, 1.0)]
    found = []
    for index in range(first, last + 1):
        left = start if index == first else index
        right = end if index == last else index + 1
        found.append((index, max(right - left, 0.0) / (end - start)))
    return found
