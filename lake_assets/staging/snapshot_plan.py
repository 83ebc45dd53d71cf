"""The plan of a snapshot: which groups of files make it, written once, and what it is named by.

``work`` names the rows that come out (files, settings, code), ``id`` also how the work is divided.
A plan belongs to the files as they were listed; when one of them changes there is another plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lake_assets.catalog import Document, content_id, read_document, write_document
from lake_assets.database_settings import ColumnType, parse_column_type
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.export.source import FilePart, Group, SnapshotExport
from lake_assets.s3 import Store
from lake_assets.staging.manifests import export_folder

__all__ = ["CODE_VERSION", "SnapshotPlan", "plan_snapshot", "snapshot_work"]

#: Changes when the same input would give other rows; every snapshot is then staged again.
CODE_VERSION = "snapshot-staging/2"


@dataclass(frozen=True)
class SnapshotPlan:
    """How one snapshot of one table is staged."""

    table: SnapshotTable
    snapshot: SnapshotExport
    groups: tuple[Group, ...]
    columns: Mapping[str, ColumnType]
    """Declared and inferred types."""
    work: str
    """16 hex digits: these bytes under these settings."""

    @cached_property
    def id(self) -> str:
        """16 hex digits: the same, divided in this way."""
        return content_id([self.work, [group.id for group in self.groups]])[:16]

    @property
    def folder(self) -> str:
        """Key below which everything staged of the snapshot lies, with its slash."""
        return export_folder(self.table, self.snapshot.id)

    @property
    def tasks_folder(self) -> str:
        """Key below which the records of this plan's tasks lie, with its slash."""
        return f"{self.folder}plan-{self.id}/"


def snapshot_work(table: SnapshotTable, snapshot: SnapshotExport) -> str:
    """Names a piece of work: these files, these settings, this code (16 hex digits)."""
    return content_id([snapshot.digest, table.staging_config_id, CODE_VERSION])[:16]


def plan_snapshot(
    root: Store,
    table: SnapshotTable,
    snapshot: SnapshotExport,
    *,
    groups: Callable[[], tuple[Group, ...]],
    infer: Callable[[], Mapping[str, ColumnType]] | None,
) -> SnapshotPlan:
    """The plan of a snapshot, as it was recorded before, else made and recorded now.

    Args:
        root: The lake's store.
        table: The table.
        snapshot: The files as they are listed now.
        groups: Divides the files; may have to read footers.
        infer: The types of undeclared columns; may have to read everything. None: a plan to look
            at, which is not recorded and knows the declared types only.
    """
    work = snapshot_work(table, snapshot)
    key = f"{export_folder(table, snapshot.id)}plan-{work}-{table.settings.group_size}.json"
    if root.head(key) is None:
        if infer is None:
            return SnapshotPlan(table, snapshot, groups(), table.columns, work)
        plan = SnapshotPlan(table, snapshot, groups(), infer(), work)
        write_document(root, key, _document(plan))
    content = read_document(root, key).content
    columns = {name: parse_column_type(text) for name, text in content["columns"].items()}
    recorded = [_group(snapshot, number, item) for number, item in enumerate(content["groups"])]
    return SnapshotPlan(table, snapshot, tuple(recorded), columns, work)


def _document(plan: SnapshotPlan) -> Document:
    number = {file.key: number for number, file in enumerate(plan.snapshot.files)}
    content = {
        "asset": f"staging/{plan.table.path}",
        "partition": plan.snapshot.id,
        "code_version": CODE_VERSION,
        "config_id": plan.table.staging_config_id,
        "work": plan.work,
        "group_size_bytes": plan.table.settings.group_size,
        "n_files": len(plan.snapshot.files),
        "columns": {name: _type_text(found) for name, found in plan.columns.items()},
        "groups": [
            {"parts": _parts(group, number), "size_bytes": group.size_bytes}
            for group in plan.groups
        ],
    }
    return Document("plan", content, {"source": plan.snapshot.source})


def _parts(group: Group, number: Mapping[str, int]) -> list[int | list[int]]:
    """Files by their number among the snapshot's, with the range where only one is read."""
    return [
        number[part.file.key]
        if part.start is None or part.end is None
        else [number[part.file.key], part.start, part.end]
        for part in group.parts
    ]


def _group(snapshot: SnapshotExport, number: int, recorded: dict[str, Any]) -> Group:
    parts = tuple(
        FilePart(snapshot.files[item])
        if isinstance(item, int)
        else FilePart(snapshot.files[item[0]], item[1], item[2])
        for item in recorded["parts"]
    )
    return Group(number, parts, recorded["size_bytes"])


def _type_text(found: ColumnType) -> str:
    return f"decimal({found.precision},{found.scale})" if found.kind == "decimal" else found.kind
