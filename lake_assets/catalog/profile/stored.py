"""Where profiles lie: one document for each manifest, found by the manifest's key.

The document has what the same rows always give; the sketches, which may differ, are an object that
it names. Both are written before the manifest, so a manifest of a profiled stage always has them,
and what a killed writer leaves is found and taken up, or swept, for no manifest names it.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from lake_assets.catalog.documents import Document, read_document, write_document
from lake_assets.catalog.objects import Objects
from lake_assets.catalog.profile.profiles import (
    Profile,
    has_sketches,
    profile_from_document,
    sketch_bytes,
    to_document,
)
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store

__all__ = ["PROFILES", "profile_key", "put_profile", "read_profile", "read_profiles"]

#: Below it the documents lie by the keys of their manifests.
PROFILES = "catalog/profiles/"
#: Documents read at once: small objects, so only their latency counts.
_READERS = 16


def profile_key(manifest: str) -> str:
    """Where the profile of what a manifest records lies."""
    return f"{PROFILES}{manifest}"


def put_profile(store: Store, key: str, manifest: Document, profile: Profile) -> None:
    """Write the profile of what a manifest, which is written next, will record.

    A second time, or from two processes at once, the first one stays.

    Args:
        store: The lake's store.
        key: Of the manifest.
        manifest: It.
        profile: Of the rows that it records.
    """
    sketch = Objects(store).put(sketch_bytes(profile)).id if has_sketches(profile) else None
    content = manifest.content
    subject = {
        "asset": content["asset"],
        "partition": content["partition"],
        "manifest_id": manifest.id,
    }
    document = to_document(profile, subject, sketch, written_at=datetime.now(UTC))
    if write_document(store, profile_key(key), document):
        return
    if read_document(store, profile_key(key)).content["subject"] != subject:
        # Of a manifest that was never written, or is replaced.
        store.delete(profile_key(key))
        write_document(store, profile_key(key), document)


def read_profile(store: Store, manifest: str) -> Profile | None:
    """The profile of what a manifest records; None where it was written without one.

    Raises:
        StorageError: The profile or its sketches cannot be read, or are not what was written.
    """
    if store.head(profile_key(manifest)) is None:
        return None
    document = read_document(store, profile_key(manifest))
    sketch = document.facts["sketch_id"]
    return profile_from_document(document, Objects(store).get(sketch) if sketch else None)


def read_profiles(store: Store, manifests: Collection[str]) -> Iterator[Profile | None]:
    """``read_profile`` of many, in their order."""
    return fan_out(lambda key: read_profile(store, key), manifests, workers=_READERS)
