"""What is stored and proven: immutable documents, named by the hash of what they say."""

from lake_assets.catalog.catalog import Catalog
from lake_assets.catalog.documents import (
    Document,
    canonical_json,
    content_id,
    read_document,
    write_document,
)
from lake_assets.catalog.objects import Objects, StoredObject
from lake_assets.catalog.records import CatalogRecord, Owner
from lake_assets.catalog.references import FileReference, open_reference, refer_to

__all__ = [
    "Catalog",
    "CatalogRecord",
    "Document",
    "FileReference",
    "Objects",
    "Owner",
    "StoredObject",
    "canonical_json",
    "content_id",
    "open_reference",
    "read_document",
    "refer_to",
    "write_document",
]
