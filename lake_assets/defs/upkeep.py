"""What keeps a lake well: the weekly maintenance, and the weekly verification as an asset check."""

from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from lake_assets.defs.assets.catalog import catalog_tables
from lake_assets.defs.keys import STAGE_TAG
from lake_assets.defs.metadata import bullets
from lake_assets.defs.resources import LakeResource
from lake_assets.lake.gc import GRACE, RETENTION
from lake_assets.lake.maintain import maintain
from lake_assets.lake.registry_rows import CHECK_NAME
from lake_assets.lake.verification_record import record_verification
from lake_assets.lake.verify import Level, Verified, verify
from lake_assets.schedule_settings import ScheduleSettings

__all__ = [
    "MaintenanceConfig",
    "VerificationConfig",
    "lake_is_whole",
    "lake_maintenance",
    "upkeep_schedules",
    "verification_job",
]

_CATALOG = {"lake/source": "catalog"}


class VerificationConfig(dg.Config):
    """How closely the lake is looked at."""

    level: Level = Field(
        default="list",
        description="`list`: sizes by listing; `head`: each object asked for; `bytes`: all read.",
    )
    sample: float = Field(
        default=1.0, description="Share of the objects, above 0 to 1: the same ones each time."
    )


class MaintenanceConfig(dg.Config):
    """What stays."""

    retention_days: float = Field(
        default=RETENTION.days, ge=0, description="How long versions stay readable."
    )
    grace_days: float = Field(
        default=GRACE.days, ge=0, description="Younger objects stay: writers may be at work."
    )


@dg.asset_check(
    asset=catalog_tables.key,
    name=CHECK_NAME,
    description=(
        "What the manifests and the newest version of every table need is there as it was written:"
        " nothing missing, changed or truncated. What is found is in `catalog.checks` as well."
    ),
)
def lake_is_whole(
    context: dg.AssetCheckExecutionContext, config: VerificationConfig, lake: LakeResource
) -> dg.AssetCheckResult:
    """Hold the lake against its documents, and write down what was found."""
    root = lake.open().root
    found = verify(root.url, level=config.level, sample=config.sample)
    record_verification(root, found, run_id=context.run.run_id)
    return _check_result(found)


def verification_job() -> Any:  # noqa: ANN401 (Dagster's class is private)
    """The catalog whole, and whether the lake is what it says."""
    return dg.define_asset_job(
        name="lake_verification",
        selection=dg.AssetSelection.assets(catalog_tables),
        tags={STAGE_TAG: "catalog", **_CATALOG},
        config=_verification_config(),
        description=(
            "Indexes all documents however old, then asks for every object that is needed. A"
            " damaged lake fails the check `lake_is_whole`, which names the objects."
        ),
    )


@dg.op(
    name="maintain_lake",
    description="Removes what nothing needs any more, and writes checkpoints of long logs.",
)
def _maintain_lake(
    context: dg.OpExecutionContext, config: MaintenanceConfig, lake: LakeResource
) -> None:
    """Sweep and checkpoint; what could not be done fails the step after all else is done."""
    done = maintain(
        lake.open().root.url,
        retention=timedelta(days=config.retention_days),
        grace=timedelta(days=config.grace_days),
    )
    swept = done.swept
    for key in swept.lost:
        context.log.error("%s was taken up by a writer while it was removed; verify the lake", key)
    context.log.info(
        "%d tables: %d objects removed (%d bytes freed), %d put back, %d checkpoints",
        len(done.tables), len(swept.removed), swept.size_bytes, len(swept.restored),
        len(done.checkpoints),
    )  # fmt: skip
    failed = (*done.errors, *(f"lost: {key}" for key in swept.lost), *swept.damaged)
    if failed:
        raise dg.Failure("\n".join(failed))


@dg.job(
    name="lake_maintenance",
    tags={STAGE_TAG: "maintenance", **_CATALOG},
    description=(
        "Removes superseded staging, files of versions beyond the retention and objects that"
        " nothing names, as `lake gc` does, and writes checkpoints. Nothing that a manifest or a"
        " retained version needs, nothing young. Writes nothing when there is nothing to do."
    ),
)
def lake_maintenance() -> None:
    """The weekly maintenance."""
    _maintain_lake()


def upkeep_schedules(chosen: ScheduleSettings) -> list[dg.ScheduleDefinition]:
    """Maintenance, then verification: by default on Sunday mornings."""
    return [
        dg.ScheduleDefinition(
            name="lake_maintenance_weekly",
            job=lake_maintenance,
            cron_schedule=chosen.maintenance,
            execution_timezone="UTC",
            tags=_CATALOG,
            description=(
                "On Sundays, or as `schedules` says: what nothing needs goes, long logs get"
                " checkpoints."
            ),
        ),
        dg.ScheduleDefinition(
            name="lake_verification_weekly",
            job=verification_job(),
            run_config=_verification_config(),
            cron_schedule=chosen.verification,
            execution_timezone="UTC",
            tags=_CATALOG,
            description=(
                "On Sundays, or as `schedules` says: all documents are indexed, also those that the"
                " nightly window left out, and every needed object is asked for."
            ),
        ),
    ]


def _verification_config() -> dict[str, Any]:
    asset = catalog_tables.op.name
    return {
        "ops": {
            asset: {"config": {"look_back_days": None}},
            f"{asset}_{CHECK_NAME}": {"config": {"level": "head"}},
        }
    }


def _check_result(found: Verified) -> dg.AssetCheckResult:
    damage = [f"`{item.uri}` {item.kind}: {item.found}; {item.remedy}" for item in found.damage]
    others = [f"`{item.uri}` {item.kind}" for item in found.findings if not item.is_damage]
    return dg.AssetCheckResult(
        passed=not damage,
        description=f"{len(damage)} objects are damaged" if damage else "the lake is whole",
        metadata={
            "level": found.level,
            "objects": found.objects,
            "bytes_read": found.bytes_read,
            "tables": len(found.tables),
            "damaged": len(damage),
            "damage": bullets(damage),
            "orphaned_or_changed_sources": bullets(others),
            "not_looked_at": bullets(found.notes),
            "seconds": round(found.seconds, 3),
        },
    )
