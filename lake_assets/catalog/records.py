"""The registry's documents and where they lie: one immutable document for each registration.

Pure. A key is made of what is registered, so the same registration twice is one document; there is
no counter and no list that two writers would both change.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake_assets.catalog.documents import Document, content_id
from lake_assets.errors import SettingsError
from lake_assets.s3 import quote_segment

__all__ = [
    "CatalogRecord",
    "Owner",
    "content_folder",
    "content_key",
    "dataset_key",
    "job_key",
    "partition_key_of",
    "record_of",
]

#: Everything of the registry lies below it.
FOLDER = "catalog/registry/"
DATASETS = f"{FOLDER}datasets/"
#: What may be registered as content; the word is the folder of its documents.
CONTENTS = (
    "configs", "files", "histograms", "job_infos", "logs", "menus", "tables", "tdigests",
)  # fmt: skip

#: File systems end at 255 bytes for a name; a longer partition key is named by its hash.
_MAX_SEGMENT = 180


@dataclass(frozen=True, slots=True)
class CatalogRecord:
    """What a call of the catalog made or found."""

    name: str
    """For people; made of the dataset, the job, the partition and the id."""
    uuid: str
    """sha256 of the content; a uuid for what is an event: store, dataset, job."""
    parent_uuid: str
    """The job, else the dataset, else the store it belongs to."""
    address: str
    """Where the content lies: a path or ``s3://bucket/key``."""
    document: str
    """Key of the document that says it, below the catalog's root."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What a content belongs to; None where it belongs to no such thing."""

    dataset_id: str | None = None
    job_id: str | None = None
    partition_key: str | None = None


def dataset_key(dataset_id: str) -> str:
    """Where a dataset's document lies."""
    return f"{DATASETS}{_segment(dataset_id)}/dataset.json"


def partition_key_of(dataset_id: str, partition_key: str) -> str:
    """Where a partition's document lies."""
    return f"{DATASETS}{_segment(dataset_id)}/partitions/{_segment(partition_key)}.json"


def job_key(dataset_id: str, job_id: str) -> str:
    """Where a job's document lies."""
    return f"{DATASETS}{_segment(dataset_id)}/jobs/{_segment(job_id)}.json"


def content_folder(what: str, owner: Owner) -> str:
    """Below which the documents of an owner's contents lie; wider where the owner is."""
    if owner.dataset_id is None:
        return f"{FOLDER}contents/{what}/"
    folder = f"{DATASETS}{_segment(owner.dataset_id)}/{what}/"
    prefix, group = ("part", owner.partition_key) if what == "files" else ("job", owner.job_id)
    return folder if group is None else f"{folder}{prefix}-{_segment(group)}/"


def content_key(document: Document) -> str:
    """Where the document of a content lies: named by its object, then by all that it says."""
    content = document.content
    owner = Owner(content["dataset"], content["job"], content["partition"])
    folder = content_folder(content["what"], owner)
    # With its address: equal files in two places are two files with one content.
    tail = content_id([content, document.facts.get("uri")])[:16]
    return f"{folder}{content['object']}-{tail}.json"


def record_of(document: Document, *, key: str, address: str, store_uuid: str) -> CatalogRecord:
    """The record that a document of the registry tells.

    Raises:
        KeyError: The document is none of the registry.
    """
    content = document.content
    what = content["what"]
    if what == "dataset":
        uuid, parent, name = content["uuid"], store_uuid, f"{content['uuid']}.dataset"
    elif what == "partition":
        uuid, parent = document.id, content["dataset"]
        name = f"{content['dataset']}.part_{content['key']}"
    elif what == "job":
        uuid, parent = content["uuid"], content["dataset"]
        name = f"{content['dataset']}.job_{content['uuid']}"
    else:
        uuid = content["object"]
        parent = content["job"] or content["dataset"] or store_uuid
        name = _content_name(content)
    return CatalogRecord(name, uuid, parent, address, key)


def _content_name(content: Mapping[str, Any]) -> str:
    parts = [
        content["dataset"],
        content["job"] and f"job_{content['job']}",
        content["partition"] is not None and f"part_{content['partition']}",
        content["object"],
        content["name"] or content["what"],
    ]
    return ".".join(part for part in parts if part)


def _segment(text: str) -> str:
    if not text:
        raise SettingsError("an empty text names no dataset, job or partition; give its name")
    quoted = quote_segment(text)
    if len(quoted) <= _MAX_SEGMENT:
        return quoted
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    # No quoted text has "%-", so no other key can be spelled like this one.
    return f"{quoted[:100]}%-{digest}"
