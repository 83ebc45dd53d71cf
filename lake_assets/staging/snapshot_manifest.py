"""The manifest of a staged snapshot: written once all its groups are, it names their manifests.

A snapshot counts when this is there. It is made of one plan's groups only, so groups of another
division never add to them.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.errors import BadInputError, SettingsError, StorageError
from lake_assets.fanout import fan_out
from lake_assets.s3 import Store
from lake_assets.staging.manifests import StagedFile, StagingState
from lake_assets.staging.snapshot_plan import CODE_VERSION, SnapshotPlan
from lake_assets.staging.tasks import done_key

__all__ = ["read_snapshot", "record_snapshot"]

#: Group manifests read at once: small objects, so only their latency counts.
_READERS = 16


def record_snapshot(
    root: Store, plan: SnapshotPlan, state: StagingState, *, run_id: str = ""
) -> str:
    """Write the manifest of a snapshot whose groups are all staged; the same again is no new one.

    Args:
        root: The lake's store.
        plan: All of whose groups are done.
        state: What is staged of the table.
        run_id: Recorded; not part of the id.

    Returns:
        The key of the manifest.

    Raises:
        StorageError: A group is not staged.
        BadInputError: The rows are not those that the export's own manifest says.
        SettingsError: A column that the configuration names is in no file.
    """
    keys = [done_key(plan, group) for group in plan.groups]
    documents = list(fan_out(lambda key: read_document(root, key), keys, workers=_READERS))
    content = _content(plan, documents)
    _check_rows(plan, content["rows_in"])
    _check_columns(plan, documents)
    facts = {
        "source": plan.snapshot.source,
        "records": [key[len(plan.folder) :] for key in keys],
        "run_id": run_id,
        "written_at": datetime.now(UTC).isoformat(),
    }
    document = Document("staging", content, facts)
    staged, number = state.exports.get(plan.snapshot.id), 1
    if staged and staged.manifests:
        if (staged.work, staged.document) == (plan.work, document.id[:16]):
            return staged.manifests[-1]
        number += int(staged.manifests[-1].rpartition("manifest-")[2][:6])
    key = f"{plan.folder}manifest-{number:06d}-{plan.work}-{document.id[:16]}.json"
    write_document(root, key, document)
    return key


def read_snapshot(root: Store, manifest: str) -> tuple[Document, tuple[StagedFile, ...]]:
    """A staged snapshot's manifest and the files of all its groups, in the order of the groups.

    Raises:
        StorageError: A group's manifest is gone or is not the recorded one.
    """
    document = read_document(root, manifest)
    folder = f"{manifest.rpartition('/')[0]}/"
    records = [f"{folder}{name}" for name in document.facts["records"]]
    groups = fan_out(lambda key: read_document(root, key), records, workers=_READERS)
    files: list[StagedFile] = []
    for key, group, wanted in zip(records, groups, document.content["groups"], strict=True):
        if group.id != wanted["id"]:
            raise StorageError(f"{root.url}/{key} is not the manifest that {manifest} names")
        files.extend(_staged_file(folder, item) for item in group.content["outputs"])
    numbers = {path: n for n, path in enumerate(dict.fromkeys(f.index_path for f in files))}
    return document, tuple(replace(f, index_number=numbers[f.index_path]) for f in files)


def _content(plan: SnapshotPlan, documents: list[Document]) -> dict[str, Any]:
    totals: dict[str, Counter[str]] = {"rescued": Counter(), "empty_keys": Counter()}
    for document in documents:
        for name, total in totals.items():
            total.update(document.content[name])
    rows_in = sum(document.content["rows_in"] for document in documents)
    rows = sum(document.content["rows"] for document in documents)
    return {
        "asset": f"staging/{plan.table.path}",
        "partition": plan.snapshot.id,
        "code_version": CODE_VERSION,
        "config_id": plan.table.staging_config_id,
        "exported_at": plan.snapshot.exported_at.isoformat(),
        "format": plan.snapshot.format,
        "n_files": len(plan.snapshot.files),
        "size_bytes": sum(file.size_bytes for file in plan.snapshot.files),
        "groups": [{"id": d.id, "rows": d.content["rows"]} for d in documents],
        "rows_in": rows_in,
        "rows": rows,
        # More than came in only by a transform that multiplies rows.
        "rows_dropped": {"transform": rows_in - rows} if rows_in > rows else {},
        "rows_added": {"transform": rows - rows_in} if rows > rows_in else {},
        "rescued": dict(sorted(totals["rescued"].items())),
        "empty_keys": dict(sorted(totals["empty_keys"].items())),
        "null_columns": sorted({n for d in documents for n in d.content["null_columns"]}),
    }


def _check_rows(plan: SnapshotPlan, rows: int) -> None:
    if plan.snapshot.rows is not None and plan.snapshot.rows != rows:
        raise BadInputError(
            plan.snapshot.source,
            expected=f"{plan.snapshot.rows} rows, as the export's own manifest says",
            found=f"{rows} in its {len(plan.snapshot.files)} files",
            remedy="export the snapshot again",
        )


def _check_columns(plan: SnapshotPlan, documents: list[Document]) -> None:
    """A column may be absent from some groups, not from all that have rows."""
    missing = [set(d.content["missing"]) for d in documents if d.content["rows"]]
    if missing and (nowhere := set.intersection(*missing)):
        raise SettingsError(
            f"databases.{plan.table.id} names the columns {sorted(nowhere)}, which no file of"
            f" snapshot {plan.snapshot.id} has; correct the configuration"
        )


def _staged_file(folder: str, item: dict[str, Any]) -> StagedFile:
    index = item.get("index") or {
        "path": "",
        "sha256": "",
        "frame_bytes": 0,
        "offset": 0,
        "rows": 0,
    }
    return StagedFile(
        path=f"{folder}{item['path']}",
        sha256=item["sha256"],
        size_bytes=item["size_bytes"],
        rows=item["rows"],
        frame_bytes=item["frame_bytes"],
        values=tuple(item["values"]),
        index_path=f"{folder}{index['path']}" if index["path"] else "",
        index_sha256=index["sha256"],
        index_frame_bytes=index["frame_bytes"],
        index_offset=index["offset"],
        index_rows=index["rows"],
        columns=_names(item["schema"]),
        copies=item.get("copies", {}),
        copies_bytes=item.get("copies_bytes", 0),
        schema=item["schema"],
    )


@lru_cache(maxsize=256)
def _names(schema: str) -> tuple[str, ...]:
    from deltalake import Schema

    return tuple(field.name for field in Schema.from_json(schema).fields)
