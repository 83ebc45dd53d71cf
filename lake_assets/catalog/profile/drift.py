"""Is this partition like those before it? Four measures of each column, each with its threshold.

Measures: population stability index (PSI) over histogram buckets or values, the Kolmogorov-Smirnov
distance (KS) on the quantile sketches, the share of nulls, the number of rows. The first three also
have to be beyond what chance gives at these numbers of rows (0.1 %): a fixed threshold alone calls
every small partition drifted.

Source: the thresholds are conventions (PSI 0.1 little, 0.25 significant: Siddiqi, Credit Risk
Scorecards, 2006; Yurdakul and Naranjo, Statistical properties of the PSI, J. Risk Model Validation
14(4), 2020, from which the chance of PSI is: (1/n + 1/m) · chi-square of bins - 1). The chance of
KS is the asymptotic two-sample bound, sqrt(-ln(p / 2) / 2 · (n + m) / (n · m)).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake_assets.catalog.profile.columns import LENGTH_KINDS, ColumnProfile
from lake_assets.catalog.profile.profiles import Profile, merge
from lake_assets.errors import LakeError, SettingsError

__all__ = ["ColumnDrift", "DriftReport", "DriftThresholds", "drift", "ks_distance", "psi"]

_GROUPS = 10
_CATEGORIES = 20
_POINTS = 128
#: The normal quantile of 99.9 %, and sqrt(-ln(0.001 / 2) / 2).
_NORMAL_999 = 3.0902
_KS_999 = 1.9495
#: Of two shares, on both sides: the normal quantile of 99.95 %.
_NULLS_999 = 3.2905


@dataclass(frozen=True, slots=True)
class DriftThresholds:
    """From where a measure counts as drift. None: it is not judged."""

    psi: float | None = 0.2
    ks: float | None = 0.1
    null_share: float | None = 0.1
    """Change of the share of nulls and NaN, up or down; 0.1 is ten per cent of the rows."""
    rows: float | None = 0.5
    """Change of the number of rows against the median of those before, as a share of it."""
    least_rows: int = 100
    """With fewer here or before, distributions are not compared; here and before, nor are rows."""
    times: bool = False
    """Compare dates and times too; those of a new partition are later by their nature."""
    ignored: frozenset[str] = field(default_factory=frozenset)
    """Columns that are not judged."""

    def __post_init__(self) -> None:
        """Refuse thresholds below 0."""
        for name in ("psi", "ks", "null_share", "rows"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SettingsError(f"drift threshold {name} is at least 0, got {value!r}")


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column now against the same column before."""

    column: str
    psi: float | None
    """None where there is nothing to compare, as for ``ks``."""
    ks: float | None
    """Of numbers; of texts, binaries and lists it is that of their lengths."""
    null_share: float | None
    null_share_before: float | None
    reasons: tuple[str, ...]
    """Why this column has drifted; none: it has not."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The verdict and what it rests on."""

    rows: int
    rows_before: float | None
    """Median of the profiles before; None without any."""
    table_reasons: tuple[str, ...]
    columns: tuple[ColumnDrift, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """All reasons, those of a column with its name; none: no drift."""
        each = (f"{c.column}: {reason}" for c in self.columns for reason in c.reasons)
        return (*self.table_reasons, *each)

    @property
    def ok(self) -> bool:
        """Nothing has drifted. True without a profile to compare with."""
        return not self.reasons

    def content(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "ok": self.ok,
            "reasons": [*self.reasons],
            "rows": self.rows,
            "rows_before": self.rows_before,
            "columns": {
                c.column: {
                    "psi": c.psi,
                    "ks": c.ks,
                    "null_share": c.null_share,
                    "null_share_before": c.null_share_before,
                    "reasons": [*c.reasons],
                }
                for c in self.columns
            },
        }


def drift(
    current: Profile, before: Sequence[Profile], thresholds: DriftThresholds | None = None
) -> DriftReport:
    """Compare a partition with those before it, taken together; rows with their median.

    Args:
        current: The profile to judge.
        before: Earlier ones in any order; none gives a report without a reason.
        thresholds: The defaults if None.
    """
    limits = thresholds or DriftThresholds()
    if not before:
        return DriftReport(current.rows, None, (), ())
    rows_before = float(statistics.median(profile.rows for profile in before))
    names = sorted({name for profile in (current, *before) for name in profile.columns})
    columns = []
    for name in names:
        if name not in limits.ignored:
            now = current.columns.get(name, _absent(current.rows))
            columns.append(_column(name, now, _before(name, before), limits))
    return DriftReport(
        current.rows, rows_before, _rows(current.rows, rows_before, limits), tuple(columns)
    )


def psi(current: ColumnProfile, before: ColumnProfile) -> tuple[float, float] | None:
    """The population stability index, and what chance exceeds in 0.1 % of cases.

    Numbers are grouped by tenths of ``before``, with what lies outside its range apart; texts and
    booleans by the 20 most frequent values of ``before`` and the rest. Half a row is added to
    each group, so an empty one is no infinity. None where there is nothing to compare.
    """
    if current.kind in {"text", "boolean", "binary"}:
        groups = _value_groups(current, before)
    else:
        groups = _number_groups(current, before)
    if groups is None:
        return None
    now, then = groups
    n, m, bins = int(now.sum()), int(then.sum()), now.size
    if not n or not m:
        return None
    share_now, share_then = (now + 0.5) / (n + bins / 2), (then + 0.5) / (m + bins / 2)
    index = float(((share_now - share_then) * np.log(share_now / share_then)).sum())
    freedom = bins - 1
    if not freedom:
        return index, 0.0
    spread = 2 / (9 * freedom)  # Wilson and Hilferty: the cube root of chi-square is near normal
    chi = freedom * (1 - spread + _NORMAL_999 * math.sqrt(spread)) ** 3
    return index, (1 / n + 1 / m) * chi


def ks_distance(current: ColumnProfile, before: ColumnProfile) -> tuple[float, float] | None:
    """The greatest distance of the two distributions, and what chance and sketches exceed rarely.

    None where one of them has no number.
    """
    if not (current.numbers and before.numbers):
        return None
    n, m = current.numbers.finite, before.numbers.finite
    if not n or not m:
        return None
    points = np.unique(np.concatenate([_points(current), _points(before)]))
    distance = float(np.abs(_shares(current, points) - _shares(before, points)).max())
    errors = sum(c.quantiles.rank_error for c in (current, before) if c.quantiles)
    return distance, _KS_999 * math.sqrt((n + m) / (n * m)) + errors


def _absent(rows: int) -> ColumnProfile:
    """A column that is not there is null in all rows, as in a Delta table."""
    return ColumnProfile("null", (), rows, rows)


def _before(name: str, before: Sequence[Profile]) -> ColumnProfile | str:
    """The column in all of them, or why it cannot be told."""
    having = [p for p in before if name in p.columns]
    if not having:
        return _absent(sum(p.rows for p in before))
    try:
        return merge([Profile(p.rows, _with_inner(p, name)) for p in having]).columns[name]
    except LakeError as error:
        return str(error)


def _with_inner(profile: Profile, name: str) -> dict[str, ColumnProfile]:
    """The column, and the lists it lies in, which say how many values there are."""
    parents = {name[: at + 2] for at in range(len(name)) if name.startswith("[]", at)}
    return {key: profile.columns[key] for key in {name, *parents} if key in profile.columns}


def _rows(rows: int, before: float, limits: DriftThresholds) -> tuple[str, ...]:
    few = max(rows, before) < limits.least_rows
    if limits.rows is None or few or abs(rows - before) <= limits.rows * before:
        return ()
    return (f"{rows} rows, {before:g} in the median before (allowed: ± {limits.rows:.0%})",)


def _column(
    name: str,
    now: ColumnProfile,
    then: ColumnProfile | str,
    limits: DriftThresholds,
) -> ColumnDrift:
    found = None
    if isinstance(then, str):
        found = f"not comparable: {then}"
    elif now.kind != then.kind and "null" not in (now.kind, then.kind):
        found = f"{now.kind} now, {then.kind} before"
    share, share_before = (
        c.null_share if isinstance(c, ColumnProfile) else None for c in (now, then)
    )
    if found is not None or not isinstance(then, ColumnProfile):
        return ColumnDrift(name, None, None, share, share_before, (found,) if found else ())
    absence = "the column is gone: " if not now.dtypes else ""
    absence = "the column is new: " if not then.dtypes else absence
    reasons = [f"{absence}{reason}" for reason in _nulls(now, then, limits)]
    index, distance = _distributions(now, then, limits)
    unit = "lengths" if now.kind in LENGTH_KINDS else "values"
    if index is not None and limits.psi is not None and index[0] > max(limits.psi, index[1]):
        reasons.append(f"PSI {index[0]:.3g} (allowed: {max(limits.psi, index[1]):.3g})")
    if distance is not None and limits.ks is not None and distance[0] > max(limits.ks, distance[1]):
        allowed = max(limits.ks, distance[1])
        reasons.append(f"KS distance of the {unit} {distance[0]:.3g} (allowed: {allowed:.3g})")
    return ColumnDrift(
        name,
        None if index is None else index[0],
        None if distance is None else distance[0],
        share,
        share_before,
        tuple(reasons),
    )


def _nulls(now: ColumnProfile, then: ColumnProfile, limits: DriftThresholds) -> list[str]:
    if limits.null_share is None or not now.count or not then.count:
        return []
    n, m = now.count, then.count
    both = (now.null_share * n + then.null_share * m) / (n + m)
    allowed = max(limits.null_share, _NULLS_999 * math.sqrt(both * (1 - both) * (1 / n + 1 / m)))
    if abs(now.null_share - then.null_share) <= allowed:
        return []
    shares = f"{now.null_share:.1%} nulls, {then.null_share:.1%} before"
    return [f"{shares} (allowed: ± {allowed:.0%})"]


def _distributions(
    now: ColumnProfile, then: ColumnProfile, limits: DriftThresholds
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    few = min(now.count - now.nulls, then.count - then.nulls) < limits.least_rows
    if few or "null" in (now.kind, then.kind) or (now.kind == "time" and not limits.times):
        return None, None
    return psi(now, then), ks_distance(now, then)


def _number_groups(
    now: ColumnProfile, then: ColumnProfile
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    if not (now.numbers and then.numbers and now.numbers.finite and then.numbers.finite):
        return None
    shift = max(now.numbers.buckets.shift, then.numbers.buckets.shift)
    here, there = (c.numbers.buckets.at_shift(shift) for c in (now, then) if c.numbers)
    limit = there.total / _GROUPS
    groups: list[list[int]] = [[0, 0], [0, 0]]  # below the range of before, and its first group
    merged = _paired(here.bins, here.counts, there.bins, there.counts)
    first, last = there.bins[0], there.bins[-1]
    above = [0, 0]
    for number, (count, count_before) in merged.items():
        if number < first or number > last:
            target = groups[0] if number < first else above
            target[0] += count
            continue
        if groups[-1][1] >= limit or (groups[-1][1] and count_before >= limit):
            groups.append([0, 0])
        groups[-1][0] += count
        groups[-1][1] += count_before
    kept = [group for group in (*groups, above) if group != [0, 0]]
    both = np.array(kept, np.int64)
    return both[:, 0], both[:, 1]


def _paired(
    bins: Sequence[int], counts: Sequence[int], others: Sequence[int], other_counts: Sequence[int]
) -> dict[int, tuple[int, int]]:
    here = dict(zip(bins, counts, strict=True))
    there = dict(zip(others, other_counts, strict=True))
    return {b: (here.get(b, 0), there.get(b, 0)) for b in sorted({*here, *there})}


def _value_groups(
    now: ColumnProfile, then: ColumnProfile
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    if now.values is None or then.values is None:
        return None
    here, often = dict(now.values.top.counts), then.values.top.counts[:_CATEGORIES]
    counts = [(here.get(value, 0), count) for value, count in often]
    rest = tuple(
        column.count - column.nulls - sum(pair[side] for pair in counts)
        for side, column in enumerate((now, then))
    )
    both = np.array([*counts, rest] if any(rest) else counts, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _points(column: ColumnProfile) -> NDArray[np.float64]:
    """Numbers at which the distribution is looked at, at most 1/128 apart by rank."""
    if column.quantiles is not None:
        return column.quantiles.points(_POINTS)
    counts = column.exact_counts()
    if counts is not None:
        return np.array([*counts], np.float64)
    assert column.numbers is not None  # noqa: S101 (``ks_distance`` looked)
    return np.array([upper for _, upper in column.numbers.buckets.edges()], np.float64)


def _shares(column: ColumnProfile, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which share of the numbers is not greater than each point."""
    if column.quantiles is not None:
        return column.quantiles.shares(points)
    counts = column.exact_counts()
    if counts is None:
        assert column.numbers is not None  # noqa: S101 (``ks_distance`` looked)
        buckets = column.numbers.buckets
        uppers = [upper for _, upper in buckets.edges()]
        counts = dict(zip(uppers, buckets.counts, strict=True))
    summed = np.concatenate([[0], np.cumsum([*counts.values()])])
    return summed[np.searchsorted(np.array([*counts]), points, side="right")] / summed[-1]
