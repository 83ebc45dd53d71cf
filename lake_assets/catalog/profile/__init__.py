"""Profiles: mergeable statistics of every column, computed while data is written."""

from lake_assets.catalog.profile.columns import ColumnProfile
from lake_assets.catalog.profile.drift import ColumnDrift, DriftReport, DriftThresholds, drift
from lake_assets.catalog.profile.index_rows import bucket_rows, profile_rows
from lake_assets.catalog.profile.profiler import Profiler
from lake_assets.catalog.profile.profiles import (
    Profile,
    merge,
    profile_from,
    profile_from_document,
    sketch_bytes,
    to_document,
)
from lake_assets.catalog.profile.report import (
    drift_markdown,
    profile_html,
    profile_markdown,
    svg_histogram,
)
from lake_assets.catalog.profile.stored import (
    PROFILES,
    profile_key,
    put_profile,
    read_profile,
    read_profiles,
)

__all__ = [
    "PROFILES",
    "ColumnDrift",
    "ColumnProfile",
    "DriftReport",
    "DriftThresholds",
    "Profile",
    "Profiler",
    "bucket_rows",
    "drift",
    "drift_markdown",
    "merge",
    "profile_from",
    "profile_from_document",
    "profile_html",
    "profile_key",
    "profile_markdown",
    "profile_rows",
    "put_profile",
    "read_profile",
    "read_profiles",
    "sketch_bytes",
    "svg_histogram",
    "to_document",
]
