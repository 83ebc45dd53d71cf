"""RDS and Aurora snapshot exports to S3: parquet files below ``<task>/<db>/<schema.table>/``.

Belongs here: whether the export of one table is finished, as its task, its table's status and the
``_success`` markers say. Does not: reading parquet, and what timestamps as text become.

Finished means: ``export_info_<task>.json`` says COMPLETE, ``export_tables_info_<task>_*.json`` says
so of the table, and each folder with parts has its marker (compared without case). An empty table
has only the marker. Gaps in the numbers of the parts are normal. Keys count from the table's own
folder, so an export that was copied elsewhere is the same snapshot there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.export_json import field, json_object, parse_time
from lake_assets.export.source import SnapshotExport, SourceFile
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.s3 import Folder, ObjectInfo, Store, join_url, open_store, parse_url

__all__ = ["read_rds_export"]

_INFO, _TABLES = "export_info_", "export_tables_info_"
_COMPLETE = "COMPLETE"
_MARKER = "_success"
_PARQUET = ".parquet"
#: From the folder of a table's parts up to its task's; a bucket may hold other JSON further up.
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class _Task:
    store: Store
    """The task's folder."""
    folder: str
    """Of the table, below the task's; empty where ``source`` is the task itself."""
    info: dict[str, Any]
    name: str
    """Address of export_info."""


def read_rds_export(source: str) -> SnapshotExport | WaitingSnapshot:
    """The snapshot of one table, or what it waits for.

    Args:
        source: The table's folder ``<task>/<db>/<schema.table>``, or the task's if it exported a
            single table.

    Raises:
        SettingsError: ``source`` is a task of several tables, or a folder above or below a table's.
        BadInputError: A JSON file of the export is not what AWS writes.
        StorageError: The place cannot be listed.
    """
    task = _task_of(source)
    if task is None:
        return WaitingSnapshot(source, f"no {_INFO}<task>.json is there or above it yet")
    status = field(task.info, "status", str, task.name)
    if status != _COMPLETE:
        return WaitingSnapshot(task.store.url, f"its export task is {status}")
    tables = list(_tables(task.store))
    if not tables:
        return WaitingSnapshot(task.store.url, f"no {_TABLES}*.json is there yet")
    folder = task.folder or _only_folder(task, tables)
    if folder.count("/") != 1:
        raise SettingsError(
            f"{source} is not the folder of a table; name <task>/<db>/<schema.table>, "
            f"below {task.store.url}"
        )
    for target, of_table in tables:
        # Another name may stand in the folder: AWS replaces characters. Then the markers decide.
        if _is_folder_of(folder, target) and of_table != _COMPLETE:
            return WaitingSnapshot(
                join_url(task.store.url, folder), f"the export of {target} is {of_table}"
            )
    return _snapshot(task, open_store(join_url(task.store.url, folder)))


def _task_of(source: str) -> _Task | None:
    """The task that ``source`` is in, from the folder upwards."""
    parsed = parse_url(source)
    path = PurePosixPath(parsed.path)
    for level in range(_LEVELS + 1):
        above = path if level == 0 else path.parents[level - 1]
        text = "" if str(above) == "." else str(above)
        store = open_store(f"s3://{parsed.bucket}/{text}" if parsed.is_s3 else text)
        keys = [key for key in _keys(store, _INFO) if key.endswith(".json")]
        if len(keys) > 1:
            raise SettingsError(
                f"{store.url} holds {len(keys)} export tasks ({', '.join(keys)}); name the folder "
                "of the table within one, or write {snapshot} for the folder of the task"
            )
        if keys:
            name = f"{store.url}/{keys[0]}"
            folder = "/".join(path.parts[len(path.parts) - level :]) if level else ""
            return _Task(store, folder, json_object(store.get(keys[0]), name), name)
        if level >= len(path.parents):
            break
    return None


def _tables(store: Store) -> Iterator[tuple[str, str]]:
    """Target and status of each table, from all the files that name them."""
    for key in _keys(store, _TABLES):
        name = f"{store.url}/{key}"
        for entry in field(json_object(store.get(key), name), "perTableStatus", list, name):
            if not isinstance(entry, dict):
                raise BadInputError(
                    name,
                    expected="an object for each table",
                    found=repr(entry)[:80],
                    remedy="export again",
                )
            yield field(entry, "target", str, name), field(entry, "status", str, name)


def _only_folder(task: _Task, tables: list[tuple[str, str]]) -> str:
    """The folder of the one table that the task exported."""
    folders = [
        f"{database.key}{table.key.removeprefix(database.key)}".rstrip("/")
        for database in task.store.browse()
        if isinstance(database, Folder)
        for table in task.store.browse(database.key)
        if isinstance(table, Folder)
    ]
    if len(tables) == 1 and len(folders) == 1:
        return folders[0]
    targets = ", ".join(sorted(target for target, _ in tables))
    raise SettingsError(
        f"{task.store.url} exported {len(tables)} tables ({targets}) to {len(folders)} folders; "
        f"name the folder of one as `source`, like {(folders or ['<db>/<schema.table>'])[0]}"
    )


def _is_folder_of(folder: str, target: str) -> bool:
    """Whether ``shop/public.orders`` is where ``shop.public.orders`` went."""
    return target in {folder.replace("/", ".", 1), folder.rpartition("/")[2]}


def _snapshot(task: _Task, store: Store) -> SnapshotExport | WaitingSnapshot:
    files: list[SourceFile] = []
    marked: set[str] = set()
    newest: dict[str, ObjectInfo] = {}
    for info in store.list():
        batch, _, name = info.key.rpartition("/")
        if name.lower() == _MARKER:
            marked.add(batch)
        elif name.lower().endswith(_PARQUET) and not name.startswith((".", "_")):
            files.append(SourceFile(info.key, info.size_bytes, info.etag))
            if batch not in newest or newest[batch].modified_at < info.modified_at:
                newest[batch] = info
    lacking = sorted(newest.keys() - marked)
    if lacking:
        return WaitingSnapshot(
            join_url(store.url, lacking[0]),
            f"{len(lacking)} of {len(newest)} folders with parts have no {_MARKER} yet",
            max(newest[batch].modified_at for batch in lacking),
        )
    if not marked:
        return WaitingSnapshot(store.url, f"neither parts nor a {_MARKER} are there")
    return SnapshotExport(
        id=field(task.info, "exportTaskIdentifier", str, task.name),
        exported_at=parse_time(field(task.info, "snapshotTime", str, task.name), task.name),
        source=store.url,
        format="parquet",
        files=tuple(sorted(files, key=lambda file: file.key)),
    )


def _keys(store: Store, prefix: str) -> list[str]:
    return [i.key for i in store.browse(prefix) if isinstance(i, ObjectInfo)]
