"""``lake plan``: what a run would stage, without writing anything."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.options import Config, GroupSize, Json, Root, database_tables

if TYPE_CHECKING:
    from rich.console import Console

    from lake_assets.export.snapshot_table import SnapshotTable
    from lake_assets.export.source import Group, SnapshotExport
    from lake_assets.lake.databases import Databases

__all__ = ["plan"]

#: Of a kind that the text names; the JSON names all.
_NAMED = 10


def plan(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="As shop.orders; all of databases by default."),
    ] = None,
    *,
    root: Root = None,
    config: Config = None,
    group_size: GroupSize = None,
    as_json: Json = False,
) -> None:
    """Snapshots that are there, finished or waiting, and the groups a run would stage. A look."""
    from lake_assets.errors import LakeError
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root)
    databases, wanted = database_tables(settings, tables or (), group_size=group_size)
    told: dict[str, dict[str, Any]] = {}
    for table in wanted:
        try:
            told[table.id] = _plan_of(databases, table)
        except LakeError as error:  # of one table; the others can be planned all the same
            told[table.id] = _head(table) | {"error": str(error)}
    if as_json:
        print(json.dumps({"tables": told}, ensure_ascii=False))
    else:
        _print_plans(told)
    errors = [f"{name}: {table['error']}" for name, table in told.items() if "error" in table]
    errors += [
        f"{name}: {item['reason']}" for name, table in told.items() for item in table["refused"]
    ]
    for error in errors:
        print(f"lake: {error}", file=sys.stderr)
    if errors:
        raise typer.Exit(1)


def _head(table: "SnapshotTable") -> dict[str, Any]:
    chosen = table.settings
    return {
        "source": chosen.source,
        "format": chosen.format,
        "mode": chosen.mode,
        "group_size_bytes": chosen.group_size,
        "refused": [],
    }


def _plan_of(databases: "Databases", table: "SnapshotTable") -> dict[str, Any]:
    from lake_assets.lake.databases import (
        find_exports,
        is_staged,
        refused_exports,
        staged_snapshots,
        wanted_exports,
    )

    found = find_exports(table)
    wanted = {snapshot.id for snapshot in wanted_exports(table, found)}
    state = staged_snapshots(databases, table)
    snapshots: list[dict[str, Any]] = []
    for snapshot in found.ready:
        told = _snapshot(snapshot) | {"wanted": snapshot.id in wanted}
        if told["wanted"]:
            is_whole = is_staged(table, snapshot, state)
            told |= {"staged": is_whole} | _groups(databases, table, snapshot, staged=is_whole)
        snapshots.append(told)
    waiting = [
        {
            "key": item.key,
            "reason": item.reason,
            "since": item.since.isoformat() if item.since else None,
        }
        for item in found.waiting
    ]
    refused = [
        {"key": item.key, "reason": str(item.error)} for item in refused_exports(table, found)
    ]
    return _head(table) | {"snapshots": snapshots, "waiting": waiting, "refused": refused}


def _snapshot(snapshot: "SnapshotExport") -> dict[str, Any]:
    return {
        "snapshot": snapshot.id,
        "exported_at": snapshot.exported_at.isoformat(),
        "source": snapshot.source,
        "n_files": len(snapshot.files),
        "size_bytes": sum(file.size_bytes for file in snapshot.files),
        "rows": snapshot.rows,
    }


def _groups(
    databases: "Databases", table: "SnapshotTable", snapshot: "SnapshotExport", *, staged: bool
) -> dict[str, Any]:
    """The groups and where each stands; a snapshot that is staged whole is not divided again."""
    from lake_assets.lake.databases import plan_export, tasks_of

    if staged:
        return {"tasks_done": None, "groups": []}
    planned = plan_export(databases, table, snapshot, record=False)
    states = tasks_of(databases, planned)
    return {
        "tasks_done": sum(state.status == "done" for state in states),
        "groups": [
            _group(group) | {"status": state.status}
            for group, state in zip(planned.groups, states, strict=True)
        ],
    }


def _group(group: "Group") -> dict[str, Any]:
    return {
        "group": group.number,
        "size_bytes": group.size_bytes,
        "n_files": len({part.file.key for part in group.parts}),
        "parts": [
            part.file.key
            if part.start is None
            else {"file": part.file.key, "start": part.start, "end": part.end}
            for part in group.parts
        ],
    }


def _print_plans(told: dict[str, dict[str, Any]]) -> None:
    from lake_assets.cli.report import people

    console = people()
    for number, (name, table) in enumerate(told.items()):
        if number:
            console.print()
        console.print(
            f"{name}  {table['format']}, {table['mode']}, {table['source']}", markup=False
        )
        if "error" in table:
            continue  # named on stderr
        _print_snapshots(console, table["snapshots"], table["group_size_bytes"])
        for wait in table["waiting"][:_NAMED]:
            console.print("  [yellow]waits[/] ", end="")
            console.print(f"{wait['key']}: {wait['reason']}", markup=False)
        if len(table["waiting"]) > _NAMED:
            console.print(f"  … and {len(table['waiting']) - _NAMED} more wait (--json has all)")
        for item in table["refused"][:_NAMED]:  # with their reasons on stderr
            console.print("  [red]refused[/] ", end="")
            console.print(item["key"], markup=False)
        if not table["snapshots"]:
            console.print("  [yellow]no finished snapshot[/]: a run would leave the table as it is")


def _print_snapshots(console: "Console", snapshots: list[dict[str, Any]], bound: int) -> None:
    from lake_assets.cli.fs_output import human_size

    passed = [told for told in snapshots if not told["wanted"]]
    wanted = [told for told in snapshots if told["wanted"]]
    if passed:
        console.print(f"  older: {len(passed)}, the last {passed[-1]['snapshot']}; not taken")
    for told in wanted[-_NAMED:]:
        rows = "" if told["rows"] is None else f", {_counted(told['rows'], 'row')}"
        size = human_size(told["size_bytes"])
        console.print(
            f"  finished {told['snapshot']}: {_counted(told['n_files'], 'file')}, {size}{rows},"
            f" exported {told['exported_at'][:19]}Z",
            markup=False,
        )
        if told["staged"]:
            console.print("    staged whole: nothing to do but publish, where that is open")
            continue
        groups = told["groups"]
        largest = human_size(max((group["size_bytes"] for group in groups), default=0))
        console.print(
            f"    groups: {len(groups):,}, each of at most {human_size(bound)}, the largest"
            f" {largest}; staged: {told['tasks_done']:,}"
        )
        _print_groups(console, groups, bound)
    if len(wanted) > _NAMED:
        console.print(f"  … and {len(wanted) - _NAMED} before (--json has all)")


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _print_groups(console: "Console", groups: list[dict[str, Any]], bound: int) -> None:
    from lake_assets.cli.fs_output import human_size
    from lake_assets.cli.report import figures_grid

    grid = figures_grid("    group", "files", "size", "state")
    for group in groups[:_NAMED]:
        over = " (cannot be split)" if group["size_bytes"] > bound else ""
        grid.add_row(
            f"    {group['group']}",
            f"{group['n_files']:,}",
            f"{human_size(group['size_bytes'])}{over}",
            group["status"],
        )
    if groups:
        console.print(grid)
    if len(groups) > _NAMED:
        console.print(f"    … and {len(groups) - _NAMED:,} more (--json has all)")
