"""What a verification found, as a document: rows of ``catalog.checks`` once it is indexed."""

import uuid
from datetime import UTC, datetime

from lake_assets.catalog import Document, write_document
from lake_assets.catalog.materialization import document_key
from lake_assets.lake.verify import Verified
from lake_assets.s3 import Store

__all__ = ["record_verification"]

#: The asset whose check a verification is.
ASSET = "lake/catalog/tables"


def record_verification(
    root: Store, verified: Verified, *, run_id: str = "", now: datetime | None = None
) -> str:
    """Write down what a verification looked at and found; gives the id of the document.

    Args:
        root: The lake's store.
        verified: What it found.
        run_id: Of the run that did it; a new one where it is empty.
        now: When it ended (UTC).

    Raises:
        StorageError: The store refused.
    """
    findings = sorted(verified.findings, key=lambda item: (item.table, item.kind, item.uri))
    tables = [f"lake/{name.replace('.', '/')}" for name in verified.tables]
    content = {
        "asset": ASSET,
        "run_id": run_id or str(uuid.uuid4()),
        "level": verified.level,
        "status": "damaged" if verified.damage else "whole",
        "tables": tables,
        "objects": verified.objects,
        "bytes_read": verified.bytes_read,
        "notes": list(verified.notes),
        "findings": [
            {
                "asset": f"lake/{item.table.replace('.', '/')}" if item.table else "catalog",
                "kind": item.kind,
                "is_damage": item.is_damage,
                "sha256": item.sha256,
                "name": item.uri.rpartition("/")[2],
            }
            for item in findings
        ],
    }
    facts = {
        "written_at": (now or datetime.now(UTC)).isoformat(timespec="microseconds"),
        "seconds": round(verified.seconds, 3),
        "findings": [{"uri": item.uri, "found": item.found} for item in findings],
    }
    document = Document("verification", content, facts)
    write_document(root, document_key(document, now), document)
    return document.id
