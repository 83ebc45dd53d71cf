"""Asset checks: what the library proves, shown in the UI, and what is quarantined.

None of them blocks: bad input stops its own export in the library, and a lake check runs after the
commit. A failed check is the place where a person looks first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from lake_assets.defs.keys import asset_key
from lake_assets.defs.lines import Line, LineTable, OpenTable
from lake_assets.defs.metadata import bullets
from lake_assets.defs.profile_metadata import drift_facts
from lake_assets.defs.resources import LakeResource
from lake_assets.lake.drift import Judged

__all__ = ["table_checks"]

#: Findings that the description of a check spells out; its metadata has all.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Check:
    stage: Literal["staging", "lake"]
    description: str
    result: Callable[[OpenTable], dg.AssetCheckResult]


def table_checks(line: Line, item: LineTable) -> list[dg.AssetChecksDefinition]:
    """The checks of one table."""
    checks = [_definition(line, item, name) for name in item.checks]
    return checks if item.drift_at is None else [*checks, _no_drift(line, item, item.drift_at)]


def _no_drift(
    line: Line, item: LineTable, stage: Literal["staging", "lake"]
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(stage, item.table),
        name="no_drift",
        description=(
            "The newest export is like those before it: rows, share of nulls, distribution of each"
            " column, by the profiles. Thresholds: `drift` in the configuration."
        ),
    )
    def no_drift(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        chosen = context.has_partition_key or context.has_partition_key_range
        keys = context.partition_keys if chosen else ()
        return _drift_result(line.open(lake)(item.table).drift(keys))

    return no_drift


def _drift_result(judged: Sequence[Judged]) -> dg.AssetCheckResult:
    found = [
        f"{each.name}: {reason}"
        for each in judged
        for reason in (each.report.reasons if each.report else ())
    ]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(found[:_NAMED]) + more if found else "no drift",
        metadata=drift_facts(judged),
    )


def _definition(line: Line, item: LineTable, name: str) -> dg.AssetChecksDefinition:
    check = _CHECKS[name]

    @dg.asset_check(
        asset=asset_key(check.stage, item.table), name=name, description=check.description
    )
    def proven(lake: LakeResource) -> dg.AssetCheckResult:
        return check.result(line.open(lake)(item.table))

    return proven


def _nothing_quarantined(opened: OpenTable) -> dg.AssetCheckResult:
    refused = opened.refused()
    n_exports = len({export_id for export_id, _ in refused})
    return dg.AssetCheckResult(
        passed=not refused,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{n_exports} exports are quarantined" if refused else "all exports are loaded",
        metadata={
            "quarantined": n_exports,
            "reasons": bullets(
                [f"export `{export_id}`: {reason}" for export_id, reason in refused]
            ),
        },
    )


def _nothing_rescued(opened: OpenTable) -> dg.AssetCheckResult:
    found = dict(opened.proofs().rescued())
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{sum(found.values())} values are in _rescued_data" if found else None,
        metadata={"values": sum(found.values()), "columns": dg.MetadataValue.json(found)},
    )


def _rows_conserved(opened: OpenTable) -> dg.AssetCheckResult:
    counts = opened.proofs().conserved()
    return dg.AssetCheckResult(
        passed=counts.holds,
        metadata={
            "rows_in": counts.rows_in,
            "rows_dropped": counts.rows_dropped,
            "rows": counts.rows,
            "live_rows": counts.live_rows,
        },
    )


def _key_unique(opened: OpenTable) -> dg.AssetCheckResult:
    found = opened.proofs().duplicate_keys()
    return dg.AssetCheckResult(passed=found == 0, metadata={"keys_in_several_rows": found})


def _schema_as_declared(opened: OpenTable) -> dg.AssetCheckResult:
    found = opened.proofs().schema_differences()
    differences = dg.MetadataValue.md("\n".join(found) or "none")
    return dg.AssetCheckResult(passed=not found, metadata={"differences": differences})


_CHECKS = {
    "nothing_quarantined": _Check(
        "staging",
        "No finished export is refused; a refused one is named with its reason.",
        _nothing_quarantined,
    ),
    "nothing_rescued": _Check(
        "staging",
        "Every staged value fits its column; one that does not is in `_rescued_data`.",
        _nothing_rescued,
    ),
    "rows_conserved": _Check(
        "lake",
        "Rows in = rows out + rows dropped by a declared rule; the live files hold these.",
        _rows_conserved,
    ),
    "key_unique": _Check(
        "lake", "Every key has one row, over all hive partitions together.", _key_unique
    ),
    "schema_as_declared": _Check(
        "lake",
        "Every declared column is there and every column has the type of the contract.",
        _schema_as_declared,
    ),
}
