"""What the documents say that no stage and no run wrote: registrations, and verifications.

``registry`` documents are those of ``lake_assets.catalog.Catalog``: a dataset stands where the
graph has an asset, a job where it has a run. Pure: nothing is read here.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from lake_assets.catalog import Document

__all__ = [
    "CHECK_NAME",
    "registered_at",
    "registration_blob",
    "registration_rows",
    "verification_rows",
]

Row = tuple[Any, ...]

#: Name in ``checks`` of what a verification found.
CHECK_NAME = "lake_is_whole"
#: What a registered object is, in ``blobs``.
_KINDS = {
    "configs": "config", "files": "file", "histograms": "histograms", "job_infos": "job_info",
    "logs": "log", "menus": "menu", "tables": "table", "tdigests": "tdigests",
}  # fmt: skip


def registration_blob(document: Document) -> Iterator[tuple[str, str]]:
    """(id, kind) of the object that a registration put; none where it refers to a file."""
    content = document.content
    if "object" in content and "uri" not in document.facts:
        what = str(content["what"])
        yield content["object"], _KINDS.get(what, what)


def registration_rows(document: Document, url: str) -> Iterator[tuple[str, Row]]:
    """(table, row) for all that a registration says.

    Args:
        document: Of the registry.
        url: Where it lies.

    Raises:
        KeyError: It lacks what its sort has.
    """
    id_, content, facts = document.id, document.content, document.facts
    what, at = content["what"], registered_at(document)
    dataset = content["uuid"] if what == "dataset" else content.get("dataset")
    asset = f"dataset/{dataset}" if dataset else "catalog"
    job = content["uuid"] if what == "job" else content.get("job")
    partition = content.get("key") if what == "partition" else content.get("partition")
    object_, size = content.get("object"), content.get("size_bytes")
    rows = _count(content.get("info"))
    yield (
        "materializations",
        (
            id_, "registry", asset, partition, job, None, what, id_, None, object_,
            content.get("config"), content.get("menu"), None, None, None, None, at, at, rows, size,
            None,
        ),
    )  # fmt: skip
    yield (
        "registrations",
        (
            id_, what, content.get("uuid") or object_ or id_, content.get("name") or None, dataset,
            job, partition, object_, content.get("kind"), size, facts.get("uri"), _said(content),
            url, at,
        ),
    )  # fmt: skip
    if what == "files":
        row = (
            id_, object_, facts.get("uri"), None, facts.get("etag"), size, rows, content["kind"],
            "output", partition,
        )  # fmt: skip
        yield "files", row
    for parent in content.get("parents", ()):
        yield "lineage", (id_, None, None, None, asset, f"dataset/{parent}", None)


def registered_at(document: Document) -> datetime:
    """When it was registered; the store itself, when it was made."""
    facts = document.facts
    return datetime.fromisoformat(facts.get("registered_at") or facts["created_at"])


def verification_rows(document: Document) -> Iterator[tuple[str, Row]]:
    """(table, row) for what a verification looked at and found.

    Raises:
        KeyError: It lacks what a verification has.
    """
    id_, content, facts = document.id, document.content, document.facts
    at, run = datetime.fromisoformat(facts["written_at"]), content["run_id"]
    yield (
        "materializations",
        (
            id_, "verification", content["asset"], None, run, content["level"], content["status"],
            id_, None, None, None, None, None, None, None, None,
            at - timedelta(seconds=facts["seconds"]), at, None, None, None,
        ),
    )  # fmt: skip

    def row(asset: str, *, passed: bool, result: str, found: Mapping[str, str]) -> Row:
        severity = "ERROR" if result in {"missing", "changed", "truncated"} else "WARN"
        return (
            id_, asset, CHECK_NAME, passed, severity, at, run, content["level"], result,
            found.get("uri"), found.get("sha256") or None,
        )  # fmt: skip

    damaged = {item["asset"] for item in content["findings"] if item["is_damage"]}
    for asset in content["tables"]:
        if asset not in damaged:
            yield "checks", row(asset, passed=True, result="ok", found={})
    for item, place in zip(content["findings"], facts["findings"], strict=True):
        said = {"uri": place["uri"], "sha256": item["sha256"]}
        passed = not item["is_damage"]
        yield "checks", row(item["asset"], passed=passed, result=item["kind"], found=said)


def _said(content: Mapping[str, Any]) -> str | None:
    info = content.get("info")
    return json.dumps(info, sort_keys=True, ensure_ascii=False) if info else None


def _count(info: Mapping[str, Any] | None) -> int | None:
    """Rows, where whoever registered it said how many."""
    rows = (info or {}).get("rows")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None
