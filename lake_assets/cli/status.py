"""``lake status``: where every task of a snapshot stands, and what of the table is published."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.options import Config, GroupSize, Json, Root, TableName, database_tables

if TYPE_CHECKING:
    from lake_assets.export.snapshot_table import SnapshotTable
    from lake_assets.export.source import SnapshotExport
    from lake_assets.lake.databases import Databases
    from lake_assets.staging.manifests import StagingState
    from lake_assets.staging.snapshot_plan import SnapshotPlan

__all__ = ["status"]

#: Tasks that the text names at least; the JSON names all.
_NAMED = 20
_STATES = ("done", "in_progress", "open", "failed", "quarantined")


def status(
    table: TableName,
    *,
    root: Root = None,
    config: Config = None,
    snapshot: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the source. [the newest finished one]")
    ] = None,
    group_size: GroupSize = None,
    as_json: Json = False,
) -> None:
    """Every task of a snapshot with its state, tries and reason; what is staged and published."""
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root)
    databases, (wanted,) = database_tables(settings, [table], group_size=group_size)
    told = _status_of(databases, wanted, snapshot)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print_status(told)


def _status_of(
    databases: "Databases", table: "SnapshotTable", snapshot: str | None
) -> dict[str, Any]:
    from lake_assets.lake.databases import (
        find_exports,
        is_staged,
        pending_snapshots,
        refused_exports,
        tasks_of,
    )

    found = find_exports(table)
    state, proof = pending_snapshots(databases, table)
    told: dict[str, Any] = {
        "table": table.id,
        "snapshot": None,
        "staged": False,
        "tasks": [],
        "counts": dict.fromkeys(_STATES, 0),
        "waiting": [{"key": item.key, "reason": item.reason} for item in found.waiting],
        "staged_snapshots": [name for name, one in state.exports.items() if one.manifests],
        "lake": _lake(databases, table) | {"holds_all_that_is_staged": proof is not None},
    }
    if snapshot is None and (refused := refused_exports(table, found)):
        raise refused[0].error  # the newest, or may be
    export = _chosen(table, found.ready, snapshot)
    if export is None:
        return told
    whole = is_staged(table, export, state)
    plan = _plan(databases, table, export, state if whole else None)
    tasks = [
        task.as_dict()
        | {"files": len({part.file.key for part in group.parts})}
        | {"size_bytes": group.size_bytes}
        for task, group in zip(tasks_of(databases, plan), plan.groups, strict=True)
    ]
    counts = {name: sum(task["status"] == name for task in tasks) for name in _STATES}
    return told | {"snapshot": export.id, "staged": whole, "tasks": tasks, "counts": counts}


def _chosen(
    table: "SnapshotTable", ready: "tuple[SnapshotExport, ...]", name: str | None
) -> "SnapshotExport | None":
    from lake_assets.errors import SettingsError

    if name is None:
        return ready[-1] if ready else None
    for export in ready:
        if export.id == name:
            return export
    known = ", ".join(export.id for export in ready[-_NAMED:]) or "none"
    raise SettingsError(
        f"{table.id} has no finished snapshot {name!r} at {table.settings.source}; there is:"
        f" {known}"
    )


def _plan(
    databases: "Databases",
    table: "SnapshotTable",
    export: "SnapshotExport",
    state: "StagingState | None",
) -> "SnapshotPlan":
    """The plan by which it was staged (the group size may have been another), else the present."""
    from lake_assets.catalog import read_document
    from lake_assets.lake.databases import plan_export

    plan = plan_export(databases, table, export, record=False)
    if state is None:
        return plan
    manifest = state.exports[export.id].manifests[-1]
    records = read_document(databases.root, manifest).facts["records"]
    prefix = f"{plan.folder}plan-{plan.work}-"
    for info in databases.root.list(prefix):
        if not records or records[0].startswith(f"plan-{plan.id}/"):
            break
        size = int(info.key[len(prefix) :].removesuffix(".json"))
        chosen = table.settings.model_copy(update={"group_size": size})
        plan = plan_export(databases, replace(table, settings=chosen), export, record=False)
    return plan


def _lake(databases: "Databases", table: "SnapshotTable") -> dict[str, Any]:
    from lake_assets import delta
    from lake_assets.lake import table_uri
    from lake_assets.s3 import storage_options

    uri = table_uri(databases.root.url, table)
    options = storage_options(uri)
    standing = delta.standing(uri, options)
    proof = (standing and standing.proof) or {}
    return {
        "version": standing.version if standing else None,
        "rows": standing.rows if standing else 0,
        "snapshot": proof.get("lake.snapshot"),
        "rolled_back_to": proof.get("lake.rolled_back_to"),
    }


def _print_status(told: dict[str, Any]) -> None:
    from lake_assets.cli.report import people

    console = people()
    if told["snapshot"] is None:
        console.print(f"{told['table']}: [yellow]no finished snapshot[/]")
    else:
        _print_tasks(told)
    for wait in told["waiting"][:_NAMED]:
        console.print("[yellow]waits[/] ", end="")
        console.print(f"{wait['key']}: {wait['reason']}", markup=False)
    lake = told["lake"]
    if lake["version"] is None:
        console.print("lake: nothing is published yet")
        return
    held = f", newest snapshot {lake['snapshot']}" if lake["snapshot"] else ""
    if lake["rolled_back_to"] is not None:
        state = f"rolled back to version {lake['rolled_back_to']}"
    elif lake["holds_all_that_is_staged"]:
        state = "all that is staged"
    else:
        state = "what is staged is newer and not published yet"
    console.print(
        f"lake: version {lake['version']}, {lake['rows']:,} rows{held}; {state}", markup=False
    )


def _print_tasks(told: dict[str, Any]) -> None:
    from lake_assets.cli.fs_output import human_size
    from lake_assets.cli.report import figures_grid, people

    console = people()
    counts = ", ".join(f"{n:,} {state}" for state, n in told["counts"].items() if n) or "no tasks"
    whole = "staged whole" if told["staged"] else "not staged yet"
    console.print(f"{told['table']} snapshot {told['snapshot']}: {counts}; {whole}", markup=False)
    told_of = [task for task in told["tasks"] if task["status"] not in {"done", "open"}]
    others = [task for task in told["tasks"] if task["status"] in {"done", "open"}]
    shown = [*told_of, *others[: max(0, _NAMED - len(told_of))]]
    grid = figures_grid("task", "files", "size", "tries")
    grid.add_column("state", no_wrap=True)
    for task in sorted(shown, key=lambda task: task["task"]):
        worker = f" by {task['worker']}" if task["worker"] else ""
        grid.add_row(
            str(task["task"]),
            f"{task['files']:,}",
            human_size(task["size_bytes"]),
            str(task["tries"] or "–"),
            f"{task['status']}{worker}",
        )
    if shown:
        console.print(grid)
    if len(shown) < len(told["tasks"]):
        n_more = len(told["tasks"]) - len(shown)
        console.print(f"… and {n_more:,} more, open or done (--json has all)")
    for task in told_of:
        if task["reason"]:
            console.print(f"task {task['task']}: {task['reason']}", markup=False)
