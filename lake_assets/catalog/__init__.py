"""What is stored and proven: immutable documents, named by the hash of what they say."""

from lake_assets.catalog.documents import (
    Document,
    canonical_json,
    content_id,
    read_document,
    write_document,
)

__all__ = ["Document", "canonical_json", "content_id", "read_document", "write_document"]
