"""``lake run``: exports to Delta tables in this process, without a server."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.options import Config, Exports, Json, Root

if TYPE_CHECKING:
    from lake_assets.lake import RunReport

__all__ = ["datamart", "print_report"]

#: Keys of one kind that the text report names; the JSON names all.
_NAMED = 10
_UNCHANGED = "nothing was changed: the lake holds all of this already"
#: Columns of the text report where no terminal says how wide it is.
_PLAIN_WIDTH = 120


def datamart(  # noqa: PLR0913 (one argument for each option)
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
    """Pega datamart exports to typed, deduplicated Delta tables. Running it again changes nothing."""
    from lake_assets.lake import open_datamart, run_datamart
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root, exports=exports)
    changes = {"folder": datamart_folder, "require_meta": require_meta}
    changed = settings.datamart.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    lake = open_datamart(settings.model_copy(update={"datamart": changed}))
    report = run_datamart(lake, tables=table or (), progress=_progress)
    if os.environ.get("DAGSTER_HOME"):
        from lake_assets.defs.runless import report_run

        report_run(lake, report)
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        print_report(report)
    for error in report.errors:
        print(f"lake: {error}", file=sys.stderr)
    if report.errors:
        raise typer.Exit(1)
    if report.quarantined:
        raise typer.Exit(3)


def print_report(report: "RunReport", *, unchanged: str = _UNCHANGED) -> None:
    """What went in, what came out, what waits, what was refused and why."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("table", no_wrap=True)
    for name in ("files", "rows in", "dropped", "rows", "version", "waiting", "quarantined"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name, table in report.tables.items():
        dropped = ", ".join(f"{count:,} {rule}" for rule, count in table.rows_dropped.items())
        grid.add_row(
            name,
            f"{table.files:,}",
            f"{table.rows_in:,}",
            dropped or "–",
            f"{table.rows:,}",
            "–" if table.version is None else str(table.version),
            str(len(table.waiting)) if table.waiting else "–",
            str(len(table.quarantined)) if table.quarantined else "–",
        )
    console.print(grid)
    for name, table in report.tables.items():
        for wait in table.waiting[:_NAMED]:
            said = escape(f"{name}: {wait.key}: {wait.reason}")
            console.print(f"[yellow]waits[/] {said}", highlight=False)
        if len(table.waiting) > _NAMED:
            console.print(f"  … and {len(table.waiting) - _NAMED} more of {name} (--json has all)")
        for refused in table.quarantined:
            said = escape(f"{name} export {refused.export_id}: {refused.reason}")
            console.print(f"[red]quarantined[/] {said}", highlight=False)
            for key in refused.held_back[:_NAMED]:
                console.print(f"  waits with it: {key}", highlight=False, markup=False)
        for column, count in table.rescued.items():
            said = escape(f"{name}: {count} values of {column} are in _rescued_data")
            console.print(f"[yellow]rescued[/] {said}")
    if report.n_ignored:
        said = f"ignored: {report.n_ignored} files of no declared table, e.g. {report.ignored[0]}"
        console.print(said, highlight=False, markup=False)
    if not any(
        table.files or table.waiting or table.quarantined for table in report.tables.values()
    ):
        console.print(
            "[yellow]no export of any table was found[/]; check --exports and --datamart-folder"
        )
    if not report.changed:
        console.print(unchanged)


def _progress(table: str, stage: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if stage == "lake" else "\r"
        print(f"\x1b[2K{table}: {stage} {done}/{total}", end=end, file=sys.stderr, flush=True)
