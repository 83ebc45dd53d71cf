"""Where profiles lie: one document beside each manifest, found by the manifest's key.

Its content is what the same rows always give; the sketches, which may differ, are facts, and in no
id. It is written before the manifest, so a manifest of a profiled stage always has it; what a
killed writer leaves is taken up by the next one.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from lake_assets.catalog.documents import Document, read_document, write_document
from lake_assets.catalog.profile.profiles import (
    Profile,
    profile_from_document,
    to_document,
)
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store

__all__ = [
    "PROFILES",
    "profile_counts",
    "profile_document",
    "profile_key",
    "put_profile",
    "read_profile",
    "read_profiles",
]

#: Below it the documents lie by the keys of their manifests.
PROFILES = "catalog/profiles/"
#: Documents read at once: small objects, so only their latency counts.
_READERS = 16


def profile_key(manifest: str) -> str:
    """Where the profile of what a manifest records lies."""
    return f"{PROFILES}{manifest}"


def put_profile(store: Store, key: str, manifest: Document, profile: Profile) -> None:
    """Write the profile of what a manifest, which is written next, will record.

    A second time, or from two processes at once, the first one stays. So does the one of another
    manifest that lies at ``key`` already.

    Args:
        store: The lake's store.
        key: Of the manifest.
        manifest: It.
        profile: Of the rows that it records.
    """
    content = manifest.content
    subject = {
        "asset": content["asset"],
        "partition": content["partition"],
        "manifest_id": manifest.id,
    }
    document = to_document(profile, subject, written_at=datetime.now(UTC))
    if write_document(store, profile_key(key), document):
        return
    there = read_document(store, profile_key(key)).content["subject"]
    if there != subject and not _is_of(store, key, there["manifest_id"]):
        # Of a manifest that was never written, or is replaced.
        store.delete(profile_key(key))
        write_document(store, profile_key(key), document)


def profile_counts(store: Store, document: Document, key: str) -> bool:
    """Whether the profile at ``key`` is of the manifest that lies beside it.

    It is not while its writer is about to write the manifest, or where that writer was killed.

    Raises:
        StorageError: The manifest cannot be read.
    """
    manifest = key.removeprefix(PROFILES)
    return _is_of(store, manifest, document.content["subject"]["manifest_id"])


def profile_document(store: Store, manifest: str) -> Document | None:
    """The document of the profile of what a manifest records; None where it has none.

    Raises:
        StorageError: It cannot be read, or is not what was written.
    """
    key = profile_key(manifest)
    return None if store.head(key) is None else read_document(store, key)


def read_profile(store: Store, manifest: str) -> Profile | None:
    """The profile of what a manifest records; None where it was written without one.

    Raises:
        StorageError: The profile cannot be read, or is not what was written.
    """
    document = profile_document(store, manifest)
    return None if document is None else profile_from_document(document)


def read_profiles(store: Store, manifests: Collection[str]) -> Iterator[Profile | None]:
    """``read_profile`` of many, in their order."""
    return fan_out(lambda key: read_profile(store, key), manifests, workers=_READERS)


def _is_of(store: Store, manifest: str, id_: str) -> bool:
    return store.head(manifest) is not None and read_document(store, manifest).id == id_
