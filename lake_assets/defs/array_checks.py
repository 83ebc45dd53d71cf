"""Asset checks of arrays: every byte that was written is still there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from lake_assets.defs.metadata import bullets
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.stored_io_manager import array_url
from lake_assets.s3 import parse_url

if TYPE_CHECKING:
    from lake_assets.arrays.verified import StoredArray

__all__ = ["stored_whole"]


def stored_whole(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    """The check of one array asset without partitions."""

    @dg.asset_check(
        asset=key,
        name="stored_whole",
        description="Every object of the array is there, with the bytes that were written: sizes"
        " and checksums (crc32c of one object, sha256 of each of a zarr array) are compared with"
        " those stored beside it and with those of the newest materialization.",
    )
    def checked(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        from lake_assets.arrays.verified import verify_stored

        found = verify_stored(array_url(parse_url(lake.settings().root).text, key))
        problems = [*found.problems, *_differences(found, context.instance, key)]
        return dg.AssetCheckResult(
            passed=not problems,
            metadata={
                "stored_bytes": found.stored_bytes,
                "objects": found.n_objects,
                "checksum": found.checksum,
                "problems": bullets([f"`{problem}`" for problem in problems]),
            },
        )

    return checked


def _differences(
    found: "StoredArray", instance: dg.DagsterInstance, key: dg.AssetKey
) -> Iterator[str]:
    """What the newest materialization says otherwise."""
    event = instance.get_latest_materialization_event(key)
    materialized = event.asset_materialization if event else None
    for name, there in (("stored_bytes", found.stored_bytes), ("checksum", found.checksum)):
        said = materialized.metadata.get(name) if materialized else None
        if said is not None and said.value != there:
            yield f"{name} is {there}, and was {said.value} when it was materialized"
