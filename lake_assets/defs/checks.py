"""Asset checks: what the library proves, shown in the UI, and what is quarantined.

None of them blocks: bad input stops its own export in the library, and a lake check runs after the
commit. A failed check is the place where a person looks first.
"""

import dagster as dg

from lake_assets.defs.keys import asset_key
from lake_assets.defs.resources import LakeResource
from lake_assets.export.pega_tables import TableSpec
from lake_assets.lake import quarantined, rescued
from lake_assets.lake.validate import conserved_rows, duplicate_keys, schema_differences

__all__ = ["table_checks"]

_NAMED = 20


def table_checks(spec: TableSpec) -> list[dg.AssetChecksDefinition]:
    """The five checks of one table."""
    return [
        _nothing_quarantined(spec),
        _nothing_rescued(spec),
        _rows_conserved(spec),
        _key_unique(spec),
        _schema(spec),
    ]


def _nothing_quarantined(spec: TableSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key("staging", spec),
        name="nothing_quarantined",
        description="No finished export is refused; a refused one is named with its reason.",
    )
    def nothing_quarantined(lake: LakeResource) -> dg.AssetCheckResult:
        refused = quarantined(lake.open(), spec)
        lines = [f"- export `{q.export_id}`: {q.reason}" for q in refused[:_NAMED]]
        return dg.AssetCheckResult(
            passed=not refused,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(refused)} exports are quarantined"
            if refused
            else "all exports are loaded",
            metadata={
                "quarantined": len(refused),
                "reasons": dg.MetadataValue.md("\n".join(lines) or "none"),
            },
        )

    return nothing_quarantined


def _nothing_rescued(spec: TableSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key("staging", spec),
        name="nothing_rescued",
        description="Every staged value fits its column; one that does not is in `_rescued_data`.",
    )
    def nothing_rescued(lake: LakeResource) -> dg.AssetCheckResult:
        found = rescued(lake.open(), spec)
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{sum(found.values())} values are in _rescued_data" if found else None,
            metadata={"values": sum(found.values()), "columns": dg.MetadataValue.json(found)},
        )

    return nothing_rescued


def _rows_conserved(spec: TableSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key("lake", spec),
        name="rows_conserved",
        description=(
            "Rows in = rows out + rows dropped by a declared rule; the live files hold these."
        ),
    )
    def rows_conserved(lake: LakeResource) -> dg.AssetCheckResult:
        counts = conserved_rows(lake.open().root.url, spec)
        return dg.AssetCheckResult(
            passed=counts.holds,
            metadata={
                "rows_in": counts.rows_in,
                "rows_dropped": counts.rows_dropped,
                "rows": counts.rows,
                "live_rows": counts.live_rows,
            },
        )

    return rows_conserved


def _key_unique(spec: TableSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key("lake", spec),
        name="key_unique",
        description="Every key has one row, over all hive partitions together.",
    )
    def key_unique(lake: LakeResource) -> dg.AssetCheckResult:
        datamart = lake.open()
        found = duplicate_keys(datamart.root.url, spec, memory_bytes=datamart.settings.memory)
        return dg.AssetCheckResult(passed=found == 0, metadata={"keys_in_several_rows": found})

    return key_unique


def _schema(spec: TableSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key("lake", spec),
        name="schema_as_declared",
        description="Every declared column is there and every column has the type of the contract.",
    )
    def schema_as_declared(lake: LakeResource) -> dg.AssetCheckResult:
        found = schema_differences(lake.open().root.url, spec)
        return dg.AssetCheckResult(
            passed=not found,
            metadata={"differences": dg.MetadataValue.md("\n".join(found) or "none")},
        )

    return schema_as_declared
