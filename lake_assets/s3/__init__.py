"""Object storage: one face for ``s3://`` and folders. Nothing here knows what the objects mean."""

from lake_assets.s3.changes import Changes, ListingState
from lake_assets.s3.client import Access, open_store, storage_options, use_access
from lake_assets.s3.hive import date_of_key, filter_hive, hive_path, hive_values, list_hive
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion, Store, sha256_of
from lake_assets.s3.url import StoreUrl, join_url, parse_url, quote_segment, unquote_segment

__all__ = [
    "Access",
    "Changes",
    "Folder",
    "ListingState",
    "ObjectInfo",
    "ObjectVersion",
    "Store",
    "StoreUrl",
    "date_of_key",
    "filter_hive",
    "hive_path",
    "hive_values",
    "join_url",
    "list_hive",
    "open_store",
    "parse_url",
    "quote_segment",
    "sha256_of",
    "storage_options",
    "unquote_segment",
    "use_access",
]
