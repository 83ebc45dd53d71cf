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

__all__ = [
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
    "profile_markdown",
    "profile_rows",
    "sketch_bytes",
    "svg_histogram",
    "to_document",
]
