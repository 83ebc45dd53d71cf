"""Profiles: mergeable statistics of every column, computed while data is written."""

from lake_assets.catalog.profile.bars import Bar, bars
from lake_assets.catalog.profile.columns import ColumnProfile
from lake_assets.catalog.profile.drift import ColumnDrift, DriftReport, DriftThresholds, drift
from lake_assets.catalog.profile.figures import profile_figures
from lake_assets.catalog.profile.index_rows import (
    BUCKETS_SCHEMA,
    PROFILES_SCHEMA,
    bucket_rows,
    profile_rows,
)
from lake_assets.catalog.profile.paths import column_path, is_within, outermost
from lake_assets.catalog.profile.plot import profile_svg
from lake_assets.catalog.profile.profiler import Profiler
from lake_assets.catalog.profile.profiles import (
    Profile,
    merge,
    profile_from,
    profile_from_document,
    to_document,
)
from lake_assets.catalog.profile.report import (
    chosen_columns,
    column_facts,
    drift_markdown,
    profile_html,
    profile_markdown,
    profile_table,
    svg_histogram,
    top_values,
)
from lake_assets.catalog.profile.stored import (
    PROFILES,
    profile_counts,
    profile_document,
    profile_key,
    put_profile,
    read_profile,
    read_profiles,
)

__all__ = [
    "BUCKETS_SCHEMA",
    "PROFILES",
    "PROFILES_SCHEMA",
    "Bar",
    "ColumnDrift",
    "ColumnProfile",
    "DriftReport",
    "DriftThresholds",
    "Profile",
    "Profiler",
    "bars",
    "bucket_rows",
    "chosen_columns",
    "column_facts",
    "column_path",
    "drift",
    "drift_markdown",
    "is_within",
    "merge",
    "outermost",
    "profile_counts",
    "profile_document",
    "profile_figures",
    "profile_from",
    "profile_from_document",
    "profile_html",
    "profile_key",
    "profile_markdown",
    "profile_rows",
    "profile_svg",
    "profile_table",
    "put_profile",
    "read_profile",
    "read_profiles",
    "svg_histogram",
    "to_document",
    "top_values",
]
