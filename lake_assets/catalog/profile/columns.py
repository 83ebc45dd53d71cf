"""The profile of one column: a value, with its JSON form in an exact and a sketched part.

Exact is what the same rows always give, in any order and any split: it may be part of an id. The
sketches are not (KLL draws random numbers, the others depend on the order), so they are apart.
"""

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lake_assets.catalog.profile.numbers import Counted, NumberStats, merge_numbers
from lake_assets.catalog.profile.quantiles import Quantiles, QuantileSketch
from lake_assets.catalog.profile.top_values import TopValues
from lake_assets.catalog.profile.values import Values, ValueSketch
from lake_assets.errors import SchemaChangeError

__all__ = ["LENGTH_KINDS", "ColumnProfile", "merge_columns"]

#: Kinds whose ``numbers`` are lengths: characters, bytes, values of a list.
LENGTH_KINDS = frozenset({"text", "binary", "list"})
#: Kinds that have ``values``.
_VALUED = frozenset({"number", "decimal", "time", "boolean", "text", "binary"})
#: Kinds whose values are the numbers themselves.
_COUNTED = frozenset({"number", "time"})
#: Kinds that say nothing but how many values there are; a column without a value is ``null``.
_EMPTY = "null"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What is known of the values of one column."""

    kind: str
    """number, decimal, time (microseconds), boolean, text, binary, list, struct, null; hidden."""
    dtypes: tuple[str, ...]
    """As Polars names them; several where partitions differ."""
    count: int
    """All values, with the nulls: the rows, or for ``a[]`` the values inside the lists of ``a``."""
    nulls: int
    least: str | None = None
    """First text by code points, cut to 256 characters; other kinds have theirs in ``numbers``."""
    greatest: str | None = None
    numbers: NumberStats | None = None
    """Of the values, or of their lengths (``LENGTH_KINDS``)."""
    values: Values | None = None
    quantiles: Quantiles | None = None
    """None where ``values`` is complete and says it exactly, and of lengths."""

    @property
    def null_share(self) -> float:
        """Nulls and NaN as a share of all values; 0 without values."""
        nans = self.numbers.nans if self.numbers else 0
        return (self.nulls + nans) / self.count if self.count else 0.0

    @property
    def distinct(self) -> int | None:
        """How many different values; None for lists, structs, or where the sketches are absent."""
        return None if self.values is None else self.values.distinct

    def quantile(self, share: float) -> float | None:
        """The number that a ``share`` (0 to 1) of the finite numbers does not exceed.

        Exact while a column has at most 256 different values; else within the sketches' error
        (rank 0.66 %, in the tails 0.1 %); of lengths, and without sketches, of the histogram.
        None without numbers.

        Raises:
            ValueError: ``share`` is not between 0 and 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a quantile is between 0 and 1, got {share!r}")
        if self.numbers is None or not self.numbers.finite:
            return None
        if self.quantiles is not None:
            return self.quantiles.at(share)
        counts = self.exact_counts()
        if counts is None:
            return _of_buckets(self.numbers, share, whole=self.kind in LENGTH_KINDS)
        return _of_counts(counts, share)

    def exact_counts(self) -> dict[float, int] | None:
        """How often each number occurs, ascending; None where that is not known or no number."""
        if self.values is None or self.kind not in _COUNTED:
            return None
        if not self.values.top.is_complete:
            return None
        return {float(value): n for value, n in sorted(self.values.top.counts)}

    def content(self) -> dict[str, Any]:
        """The exact part, as JSON. All counts of the values are in it where they are complete."""
        complete = self.values is not None and self.values.top.is_complete
        return {
            "kind": self.kind,
            "dtypes": [*self.dtypes],
            "count": self.count,
            "nulls": self.nulls,
            "min": self.least,
            "max": self.greatest,
            "numbers": None if self.numbers is None else self.numbers.content(),
            "values": self.values.top.content() if self.values and complete else None,
        }

    def sketches(self) -> dict[str, Any]:
        """The sketched part, as JSON; empty where the exact part says all."""
        found: dict[str, Any] = {}
        if self.values is not None and self.values.sketch is not None:
            found["top"] = self.values.top.content()
            found["hll"] = _text(self.values.sketch)
        if self.quantiles is not None:
            found["kll"] = _text(self.quantiles.kll)
            found["tdigest"] = _text(self.quantiles.digest)
        return found

    @classmethod
    def of_content(
        cls, content: Mapping[str, Any], sketches: Mapping[str, Any] | None
    ) -> "ColumnProfile":
        """Read back both parts; without the sketches what they say is None."""
        values = quantiles = None
        sketches = sketches or {}
        if content["values"] is not None:
            values = Values(TopValues.of_content(content["values"]), None)
        elif "top" in sketches:
            values = Values(TopValues.of_content(sketches["top"]), _bytes(sketches["hll"]))
        if "kll" in sketches:
            quantiles = Quantiles(_bytes(sketches["kll"]), _bytes(sketches["tdigest"]))
        numbers, counted = content["numbers"], _counted(content["kind"], values)
        return cls(
            kind=content["kind"],
            dtypes=tuple(content["dtypes"]),
            count=content["count"],
            nulls=content["nulls"],
            least=content["min"],
            greatest=content["max"],
            numbers=None if numbers is None else NumberStats.of_content(numbers, counted),
            values=values,
            quantiles=quantiles,
        )


def merge_columns(name: str, parts: Iterable[ColumnProfile]) -> ColumnProfile:
    """The profile of one column from those of its partitions, of which there is at least one.

    Raises:
        SchemaChangeError: The parts are of different kinds (text here, number there).
    """
    each = list(parts)
    kinds = sorted({part.kind for part in each} - {_EMPTY})
    if len(kinds) > 1:
        raise SchemaChangeError(
            f"column {name!r} is of one kind in all profiles that can be merged, found {kinds};"
            " profile the partitions apart"
        )
    known = [part for part in each if part.kind != _EMPTY]
    dtypes = {dtype for part in known for dtype in part.dtypes}
    ends = [end for part in known for end in (part.least, part.greatest) if end is not None]
    numbers = [part.numbers for part in known if part.numbers is not None]
    values, kind = _merge_values(known), kinds[0] if kinds else _EMPTY
    return ColumnProfile(
        kind=kind,
        dtypes=tuple(sorted(dtypes)) if known else each[0].dtypes,
        count=sum(part.count for part in each),
        nulls=sum(part.nulls for part in each),
        least=min(ends, default=None),
        greatest=max(ends, default=None),
        numbers=merge_numbers(numbers, _counted(kind, values)) if numbers else None,
        values=values,
        quantiles=_merge_quantiles(known, values),
    )


def _counted(kind: str, values: Values | None) -> Counted | None:
    """The numbers of a column by how often each occurs, where its values say that."""
    if kind not in _COUNTED or values is None or not values.top.is_complete:
        return None
    return Counted(dict(values.top.counts), "integer" if kind == "time" else "float")


def _merge_values(parts: list[ColumnProfile]) -> Values | None:
    if not parts or parts[0].kind not in _VALUED or any(part.values is None for part in parts):
        return None
    seen = ValueSketch()
    for part in parts:
        if part.values is not None:
            seen.take(part.values)
    return seen.freeze()


def _merge_quantiles(parts: list[ColumnProfile], values: Values | None) -> Quantiles | None:
    """The sketches, unless the values say it all or a part lacks them."""
    of_values = bool(parts) and parts[0].kind in {"number", "time", "decimal"}
    if not of_values or values is None:
        return None
    if values.top.is_complete and all(part.quantiles is None for part in parts):
        return None
    merged = QuantileSketch()
    for part in parts:
        counts = part.exact_counts()
        if part.quantiles is not None:
            merged.take(part.quantiles)
        elif counts is not None:
            merged.add_counts(counts)
        elif part.numbers is not None and part.numbers.finite:
            return None
    return merged.freeze()


def _of_counts(counts: Mapping[float, int], share: float) -> float:
    wanted, so_far, value = math.ceil(share * sum(counts.values())), 0, 0.0
    for value, count in counts.items():  # noqa: B007 (the last one where rounding leaves none)
        so_far += count
        if so_far >= wanted:
            break
    return value


def _of_buckets(numbers: NumberStats, share: float, *, whole: bool) -> float:
    """Within the bucket that holds the rank, by the rank's place in it."""
    buckets = numbers.buckets
    wanted, so_far, value = share * buckets.total, 0, 0.0
    for (lower, upper), count in zip(buckets.edges(), buckets.counts, strict=True):
        if so_far + count >= wanted:
            place = (wanted - so_far) / count
            value = lower * (1 - place) + upper * place
            value = math.floor(value) if whole and upper - lower >= 1 else lower if whole else value
            break
        so_far += count
    assert numbers.least is not None  # noqa: S101 (there are finite values: ``quantile`` looked)
    assert numbers.greatest is not None  # noqa: S101 (as above)
    return min(max(value, float(numbers.least)), float(numbers.greatest))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
