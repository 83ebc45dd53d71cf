"""Catalog documents: canonical JSON, an id that says what was made, facts that say where and when.

Every manifest of the pipeline is such a document. ``content`` is what the same work gives again
anywhere (its sha256 is the id); ``facts`` are locations, ETags, times and run ids.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake_assets.errors import StorageError
from lake_assets.s3 import Store

__all__ = ["Document", "canonical_json", "content_id", "read_document", "write_document"]

#: Version of the layout of every document; readers refuse a higher one.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Document:
    """One immutable record.

    ``kind`` is ``staging``, ``quarantine``, ``compacted`` or ``registry``.
    """

    kind: str
    content: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """sha256 (hex) of the canonical JSON of kind and content: no location, no time."""
        return content_id({"kind": self.kind, "content": self.content})


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with one spelling for one value.

    A lone surrogate (a file name that is not UTF-8 has them) is written as its JSON escape.

    Raises:
        ValueError: It holds NaN or an infinity.

    Example:
        >>> canonical_json({"b": 1, "a": [None, "é"]}).decode()
        '{"a":[null,"é"],"b":1}'
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode(errors="backslashreplace")


def content_id(value: object) -> str:
    """sha256 (64 hex digits) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def write_document(store: Store, key: str, document: Document) -> bool:
    """Write a document once; False where the key is taken, whose document then stays as it is."""
    return store.create(key, _body(document))


def _body(document: Document) -> bytes:
    """Canonical JSON of the whole, for which the content is made a text only once."""
    content, kind = canonical_json(document.content), canonical_json(document.kind)
    named = hashlib.sha256(b'{"content":%b,"kind":%b}' % (content, kind)).hexdigest()
    facts = canonical_json(document.facts)
    return b'{"content":%b,"facts":%b,"format":%d,"id":"%b","kind":%b}' % (
        content,
        facts,
        FORMAT,
        named.encode(),
        kind,
    )


def read_document(store: Store, key: str) -> Document:
    """The document at ``key``, its id checked against its content.

    Raises:
        StorageError: It is no document, of a later format, or its content is not what its id says.
    """
    try:
        body = json.loads(store.get(key))
        if body["format"] > FORMAT:
            raise StorageError(
                f"{store.url}/{key} has format {body['format']}, this version reads up to {FORMAT};"
                " update lake_assets"
            )
        document = Document(body["kind"], body["content"], body["facts"])
        intact = document.id == body["id"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise StorageError(
            f"{store.url}/{key} is no catalog document ({type(error).__name__}: {error});"
            " restore it"
        ) from error
    if not intact:
        raise StorageError(f"{store.url}/{key} was altered: its id no longer fits; restore it")
    return document
