"""Arrays that were there before: cottoncandy's objects, rewritten once, verified."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from lake_assets.arrays.migration import Migrated, Migration, migrate
from lake_assets.defs.metadata import bullets
from lake_assets.defs.resources import LakeResource
from lake_assets.s3 import StoreUrl, join_url, parse_url

__all__ = ["MigrationConfig", "migrated"]

_CHECK = "all_migrated"


class MigrationConfig(dg.Config):
    """Which tree is rewritten, and where to."""

    source: str | None = Field(
        default=None, description="Folder or s3://bucket/prefix of the tree; it is never changed."
    )
    target: str | None = Field(
        default=None,
        description="Where the copies go; by default `arrays/migrated/` of the lake, below bucket"
        " (`_folder` for a folder) and path of the source.",
    )
    to_format: Literal["zarr", "npy"] = Field(default="zarr", description="Of dense arrays.")
    dry_run: bool = Field(default=False, description="Only say what would be done.")


@dg.asset(
    key=["arrays", "cottoncandy", "migrated"],
    group_name="arrays",
    kinds={"zarr", "s3"},
    tags={"lake/source": "cottoncandy", "lake/table": "migrated"},
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK,
            asset=dg.AssetKey(["arrays", "cottoncandy", "migrated"]),
            description="Every array of the tree was rewritten and read back the same.",
        )
    ],
)
def migrated(
    context: dg.AssetExecutionContext, config: MigrationConfig, lake: LakeResource
) -> Iterator[dg.MaterializeResult]:
    """One value is one of cottoncandy's arrays, as zarr or npy.

    *Config*: `source` is the tree; without one nothing is done. *Stored at*:
    `arrays/migrated/<bucket, or _folder>/<path of the source>/`, or `target`. *Fresh when*: every
    array of the source is in it; one that is there already is not written again. A bad object is
    named by the check, the others go on.
    """
    if config.source is None:
        status = {"status": "no source is configured"}
        yield dg.MaterializeResult(
            metadata=status, check_results=[dg.AssetCheckResult(check_name=_CHECK, passed=True)]
        )
        return
    source = parse_url(config.source)
    target = config.target or _default_target(parse_url(lake.settings().root).text, source)
    done = migrate(source.text, target, to_format=config.to_format, dry_run=config.dry_run)
    context.log.info("%s of %s arrays were migrated", done.count("migrated"), len(done.items))
    yield dg.MaterializeResult(metadata=_facts(done), check_results=[_checked(done)])


def _default_target(root: str, source: StoreUrl) -> str:
    """A place for this source alone: no bucket is called ``_folder``."""
    path = [name for name in source.path.split("/") if name]
    return join_url(root, "arrays", "migrated", source.bucket or "_folder", *path)


def _facts(done: Migration) -> dict[str, Any]:
    counts = done.as_dict()
    return {
        "dagster/uri": done.target,
        "status": "migrated" if done.count("migrated") else "unchanged",
        "source": dg.MetadataValue.path(done.source),
        **counts["counts"],
        "source_bytes": counts["source_bytes"],
        "stored_bytes": counts["target_bytes"],
        "arrays": bullets([f"`{item.target}` {item.shape} {item.dtype}" for item in done.items]),
        "left_out": _named(item for item in done.items if item.status == "skipped"),
    }


def _checked(done: Migration) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=_CHECK,
        passed=done.ok,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failed": _named(done.failed)},
    )


def _named(items: Iterable[Migrated]) -> dg.MarkdownMetadataValue:
    return bullets([f"`{item.source}`: {item.reason}" for item in items])
