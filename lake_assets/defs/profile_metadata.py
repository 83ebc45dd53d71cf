"""A profile as Dagster metadata: a markdown table with small histograms, and one picture."""

import base64
from collections.abc import Sequence
from typing import Any

import dagster as dg

from lake_assets.catalog.profile import (
    Profile,
    column_path,
    drift_markdown,
    outermost,
    profile_document,
    profile_from_document,
    profile_markdown,
    profile_svg,
)
from lake_assets.compacted.partitions import Table
from lake_assets.defs.event_facts import PROFILE
from lake_assets.errors import LakeError
from lake_assets.lake.drift import Judged
from lake_assets.lake.profiles import partitions_of, table_profile
from lake_assets.s3 import Store

__all__ = ["drift_facts", "profile_facts", "profile_of_manifest", "profile_of_table"]

#: Columns of the markdown table; more are only counted.
_COLUMNS = 60
#: A table of more partitions is not merged at every publish: `lake profile` does it when asked.
_PARTITIONS = 500


def profile_of_manifest(root: Store, manifest: str) -> dict[str, Any]:
    """The profile of what a manifest records; nothing where it was written without one."""
    try:
        document = profile_document(root, manifest)
        if document is None:
            return {}
        return {**profile_facts(profile_from_document(document)), PROFILE: document.id}
    except LakeError as error:  # damaged, or swept meanwhile: the rows are there all the same
        return {"profile": dg.MetadataValue.md(str(error))}


def profile_of_table(root: Store, table: Table) -> dict[str, Any]:
    """The profile of a published table: the merge of those of its partitions."""
    try:
        n_partitions = len(partitions_of(root, table.id))
        if n_partitions <= _PARTITIONS:
            return profile_facts(table_profile(root, table.id).profile)
        said = f"`lake profile {table.id}` merges the profiles of its {n_partitions:,} partitions"
    except LakeError as error:  # profiles are off, or were; damaged, or swept meanwhile
        said = str(error)
    return {"profile": dg.MetadataValue.md(said)}


def profile_facts(profile: Profile) -> dict[str, Any]:
    """The table, and the picture where any column varies."""
    names = [path for path in profile.columns if path == column_path("", outermost(path))]
    text = profile_markdown(profile, names[:_COLUMNS])
    if len(names) > _COLUMNS:
        text += f"\n… and {len(names) - _COLUMNS} more columns\n"
    facts: dict[str, Any] = {"profile": dg.MetadataValue.md(text)}
    drawn = profile_svg(profile)
    if drawn is not None:
        body = base64.b64encode(drawn.encode()).decode()
        picture = f"![histograms](data:image/svg+xml;base64,{body})"
        facts["histograms"] = dg.MetadataValue.md(picture)
    return facts


def drift_facts(judged: Sequence[Judged]) -> dict[str, Any]:
    """What was compared with what, and what came of it."""
    parts: list[str] = []
    for each in judged:
        before = ", ".join(f"`{name}`" for name in each.before) or "nothing yet"
        found = "it has no profile\n" if each.report is None else drift_markdown(each.report)
        parts.append(f"`{each.name}` against {before}{_sampled(each)}: {found}")
    return {
        "drift": dg.MetadataValue.md("\n".join(parts) or "nothing was staged yet"),
        "judged": len(judged),
        "findings": dg.MetadataValue.json(
            {each.name: list(each.report.reasons) for each in judged if each.report}
        ),
    }


def _sampled(judged: Judged) -> str:
    if judged.sample is None:
        return ""
    looked_at, there = judged.sample
    return f", by {looked_at:,} of {there:,} partitions (`drift: partitions` in the configuration)"
