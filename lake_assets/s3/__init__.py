"""Object storage: one face for ``s3://`` and folders. Nothing here knows what the objects mean.

Transfers are loaded with the first look at their names: who only lists or reads starts faster.
"""

from typing import TYPE_CHECKING

from lake_assets.s3.access import Access
from lake_assets.s3.changes import Changes, ListingState
from lake_assets.s3.client import open_store, storage_options, use_access
from lake_assets.s3.hive import date_of_key, filter_hive, hive_path, hive_values, list_hive
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion, Store, sha256_of
from lake_assets.s3.url import (
    Location,
    StoreUrl,
    join_url,
    parse_url,
    quote_segment,
    unquote_segment,
)

if TYPE_CHECKING:
    from lake_assets.s3.report import TransferReport
    from lake_assets.s3.transfer import Transfer
    from lake_assets.s3.transfer_config import ObjectRef, TransferConfig

__all__ = [
    "Access",
    "Changes",
    "Folder",
    "ListingState",
    "Location",
    "ObjectInfo",
    "ObjectRef",
    "ObjectVersion",
    "Store",
    "StoreUrl",
    "Transfer",
    "TransferConfig",
    "TransferReport",
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

_LATER = {
    "ObjectRef": "transfer_config",
    "Transfer": "transfer",
    "TransferConfig": "transfer_config",
    "TransferReport": "report",
}


def __getattr__(name: str) -> object:
    """What is loaded later (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
