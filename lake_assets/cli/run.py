"""``lake run``: exports to Delta tables in this process, without a server."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lake_assets.cli.interrupt import two_interrupts
from lake_assets.cli.options import Config, Exports, GroupSize, Json, Root, database_tables
from lake_assets.cli.progress import LogProgress, clear_progress, show_progress

if TYPE_CHECKING:
    from lake_assets.export.snapshot_table import SnapshotTable
    from lake_assets.lake import Datamart, RunReport
    from lake_assets.lake.databases import Databases
    from lake_assets.lake.snapshot_run import SnapshotReport, Until

__all__ = ["datamart", "everything", "snapshot"]


def everything(
    context: typer.Context,
    *,
    exports: Exports = None,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring exports to the lake in one process: all that is configured, or one line of it."""
    from lake_assets.errors import SettingsError
    from lake_assets.lake import open_datamart
    from lake_assets.settings import load_settings

    if context.invoked_subcommand is not None:
        if exports or root or config or as_json:
            line = context.invoked_subcommand
            raise SettingsError(f"options go behind the line: lake run {line} --root …")
        return
    settings = load_settings(config, root=root, exports=exports)
    if settings.exports is None and not settings.databases:
        raise SettingsError(
            "nothing is configured to run: set exports: or databases: in lake.yaml (--config), or"
            " give --exports"
        )
    # Both are opened before either runs: a mistake in one is told before work is done.
    databases = database_tables(settings) if settings.databases else None
    lake = open_datamart(settings) if settings.exports is not None else None
    report = _run_datamart(lake) if lake else None
    snapshots = _run_snapshots(*databases) if databases else None
    if as_json:
        lines = {
            **({"datamart": report.as_dict()} if report else {}),
            **({"snapshot": _snapshots_dict(snapshots)} if snapshots else {}),
        }
        changed = any(line["changed"] for line in lines.values())
        print(json.dumps(lines | {"changed": changed}, ensure_ascii=False))
    else:
        _print_datamart(lake, report)
        _print_snapshots(databases and databases[0], snapshots)
    _finish(report, snapshots)


def datamart(  # noqa: PLR0913 (one argument for each option)
    *,
    exports: Exports = None,
    root: Root = None,
    config: Config = None,
    datamart_folder: Annotated[
        str | None, typer.Option(help="Folder below --exports; only it is read. [datamart]")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table; may be repeated.")
    ] = None,
    require_meta: Annotated[
        bool | None,
        typer.Option(
            "--require-meta/--no-require-meta", help="A file waits for its .meta sentinel. [yes]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Pega datamart exports to typed, deduplicated Delta tables. A second run changes nothing."""
    from lake_assets.lake import open_datamart
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root, exports=exports)
    changes = {"folder": datamart_folder, "require_meta": require_meta}
    changed = settings.datamart.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    lake = open_datamart(settings.model_copy(update={"datamart": changed}))
    report = _run_datamart(lake, table or ())
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print_datamart(lake, report)
    _finish(report, None)


def snapshot(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="As shop.orders; all of databases by default."),
    ] = None,
    *,
    root: Root = None,
    config: Config = None,
    until: Annotated[
        Literal["staging", "compacted", "lake"], typer.Option(help="The last stage.")
    ] = "lake",
    group_size: GroupSize = None,
    as_json: Json = False,
) -> None:
    """Database snapshots to Delta tables, whole or not at all. A second run changes nothing."""
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root)
    databases, wanted = database_tables(settings, tables or (), group_size=group_size)
    reports = _run_snapshots(databases, wanted, until)
    if as_json:
        print(json.dumps(_snapshots_dict(reports), ensure_ascii=False))
    else:
        _print_snapshots(databases, reports)
        if until != "lake":
            print(f"stopped after {until}: nothing was published")
    _finish(None, reports)


def _run_datamart(lake: "Datamart", tables: Sequence[str] = ()) -> "RunReport":
    from lake_assets.lake import run_datamart
    from lake_assets.lake.run_record import record_run_report, recorded_run

    with recorded_run(lake.settings) as run:
        report = run_datamart(lake, tables=tables, progress=show_progress, run_id=run.id)
    record_run_report(lake.root, report.tables.values(), run=run)
    if os.environ.get("DAGSTER_HOME"):
        from lake_assets.defs.runless import report_run

        _tell_dagster(lambda: report_run(lake, report))
    return report


def _run_snapshots(
    databases: "Databases", tables: "Sequence[SnapshotTable]", until: "Until" = "lake"
) -> "Mapping[str, SnapshotReport]":
    from lake_assets.lake.run_record import record_run_report, recorded_run
    from lake_assets.lake.snapshot_run import run_databases

    names = [table.id for table in tables]
    try:
        with two_interrupts(), recorded_run(databases.settings) as run:
            reports = run_databases(
                databases, tables=names, until=until, progress=LogProgress(), run_id=run.id
            )
    finally:
        clear_progress()
    record_run_report(databases.root, reports.values(), run=run)
    if os.environ.get("DAGSTER_HOME"):
        from lake_assets.defs.runless import report_snapshot_run

        _tell_dagster(lambda: report_snapshot_run(reports, databases))
    return reports


def _snapshots_dict(reports: "Mapping[str, SnapshotReport]") -> dict[str, Any]:
    return {
        "tables": {name: report.as_dict() for name, report in reports.items()},
        "changed": any(report.changed for report in reports.values()),
    }


def _print_datamart(lake: "Datamart | None", report: "RunReport | None") -> None:
    from lake_assets.cli.report import people, print_report

    if lake is None or report is None:
        return
    print_report(report)
    for name, table in report.tables.items():
        if table.version and not (table.changed or table.error):
            id_ = lake.table(name).id
            if note := _rolled_back(lake.root.url, id_):
                people().print(f"{id_} {note}", markup=False)


def _print_snapshots(
    databases: "Databases | None", reports: "Mapping[str, SnapshotReport] | None"
) -> None:
    from lake_assets.cli.report import print_snapshots

    if databases is None or reports is None:
        return
    notes: dict[str, str | None] = {}
    for name, report in reports.items():
        if report.error or report.changed:
            continue
        if report.snapshots or report.waiting:
            notes[name] = _rolled_back(databases.root.url, name)
        else:
            source = databases.table(name).settings.source
            notes[name] = f"has no snapshot at {source}; is that the right place?"
    print_snapshots(reports, {name: note for name, note in notes.items() if note})


def _rolled_back(root_url: str, name: str) -> str | None:
    """What explains that a table is not what its exports are."""
    from lake_assets import delta
    from lake_assets.lake import table_uri
    from lake_assets.s3 import storage_options

    uri = table_uri(root_url, name)
    version = (delta.last_proof(uri, storage_options(uri)) or {}).get("lake.rolled_back_to")
    if version is None:
        return None
    return f"was rolled back to version {version}, and stays so until something new is exported"


def _finish(report: "RunReport | None", snapshots: "Mapping[str, SnapshotReport] | None") -> None:
    """Name what failed on stderr, and end with the exit code that says so."""
    errors = list(report.errors) if report else []
    errors += [f"{name}: {one.error}" for name, one in (snapshots or {}).items() if one.error]
    for error in errors:
        print(f"lake: {error}", file=sys.stderr)
    if errors:
        raise typer.Exit(1)
    if report and report.quarantined:
        raise typer.Exit(3)


def _tell_dagster(report: Callable[[], None]) -> None:
    """Report to the instance at DAGSTER_HOME; the lake is up to date whether it listens or not."""
    from dagster import DagsterError

    from lake_assets.errors import LakeError, first_line

    try:
        report()
    except (DagsterError, LakeError, OSError) as error:
        said = first_line(error)
        print(f"lake: warning: Dagster was not told: {said} (DAGSTER_HOME)", file=sys.stderr)
