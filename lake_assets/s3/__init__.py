"""Object storage: one face for ``s3://`` and folders. Nothing here knows what the objects mean."""

from lake_assets.s3.client import open_store, storage_options
from lake_assets.s3.store import ObjectInfo, Store, sha256_of
from lake_assets.s3.url import StoreUrl, join_url, parse_url, quote_segment, unquote_segment

__all__ = [
    "ObjectInfo",
    "Store",
    "StoreUrl",
    "join_url",
    "open_store",
    "parse_url",
    "quote_segment",
    "sha256_of",
    "storage_options",
    "unquote_segment",
]
