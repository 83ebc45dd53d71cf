"""A run as text for people: the table of figures, then what waits, what was refused, and why."""

import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from lake_assets.lake import RunReport, TableReport
    from lake_assets.lake.snapshot_run import SnapshotReport

__all__ = ["figures_grid", "people", "print_report", "print_snapshots"]

#: Keys of one kind that the text names; the JSON names all.
_NAMED = 10
#: Columns of the text at least, and where no terminal says how wide it is.
_PLAIN_WIDTH = 120
_UNCHANGED = "nothing was changed: the lake holds all of this already"


def print_report(report: "RunReport", *, unchanged: str = _UNCHANGED) -> None:
    """Print what went in, what came out, what waits, what was refused and why.

    Args:
        report: Of a run.
        unchanged: What to say where the run changed nothing.
    """
    console = people()
    console.print(_figures(report))
    for name, table in report.tables.items():
        _print_findings(console, name, table)
    if report.n_ignored:
        said = f"ignored: {report.n_ignored} files of no declared table, e.g. {report.ignored[0]}"
        console.print(said, markup=False)
    if report.errors:
        return  # the command names them; what there is to say beyond is not known
    if not any(t.files or t.waiting or t.quarantined for t in report.tables.values()):
        console.print(
            "[yellow]no export of any table was found[/]; check --exports and --datamart-folder"
        )
    if not report.changed:
        console.print(unchanged)


def print_snapshots(
    reports: "Mapping[str, SnapshotReport]", notes: Mapping[str, str] | None = None
) -> None:
    """Print what came of each database table, and what waits; the caller names the errors.

    Args:
        reports: Of a run, by table.
        notes: What else there is to say of a table.
    """
    console = people()
    figures = ("tasks", "rows in", "dropped", "rows", "partitions", "files", "version")
    grid = figures_grid("table", *figures)
    for name, report in reports.items():
        tasks = sum(item.tasks for item in report.snapshots)
        done = sum(item.done for item in report.snapshots)
        grid.add_row(
            name,
            "–" if not tasks else f"{done} of {tasks}" if done < tasks else str(tasks),
            f"{report.rows_in:,}",
            _dropped(report.rows_dropped),
            f"{report.rows:,}",
            f"{report.partitions:,}",
            f"{report.files:,}",
            "–" if report.version is None else str(report.version),
        )
    console.print(grid)
    for name, report in reports.items():
        for wait in report.waiting[:_NAMED]:
            console.print(f"[yellow]waits[/] {escape(f'{name}: {wait.key}: {wait.reason}')}")
        if len(report.waiting) > _NAMED:
            console.print(f"  … and {len(report.waiting) - _NAMED} more of {name} (--json has all)")
    for name, note in (notes or {}).items():
        console.print(f"[yellow]note[/]  {escape(f'{name} {note}')}")
    if not any(report.changed or report.error for report in reports.values()):
        found = any(report.snapshots for report in reports.values())
        console.print(_UNCHANGED if found and not notes else "nothing was changed")


def people() -> Console:
    """Where text for people goes: the terminal, or lines of a fixed width."""
    # A narrow terminal breaks a line; rich would cut figures off.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return Console(soft_wrap=True, highlight=False, width=max(width, _PLAIN_WIDTH))


def figures_grid(name: str, *figures: str) -> Table:
    """A table of figures without lines: what each row is about, then numbers."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column(name, no_wrap=True)
    for figure in figures:
        grid.add_column(figure, justify="right", no_wrap=True)
    return grid


def _figures(report: "RunReport") -> Table:
    figures = ("files", "rows in", "dropped", "rows", "version", "waiting", "quarantined")
    grid = figures_grid("table", *figures)
    for name, table in report.tables.items():
        grid.add_row(
            name,
            f"{table.files:,}",
            f"{table.rows_in:,}",
            _dropped(table.rows_dropped),
            f"{table.rows:,}",
            "–" if table.version is None else str(table.version),
            str(len(table.waiting) or "–"),
            str(len(table.quarantined) or "–"),
        )
    return grid


def _dropped(rules: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {rule}" for rule, count in rules.items()) or "–"


def _print_findings(console: Console, name: str, table: "TableReport") -> None:
    for wait in table.waiting[:_NAMED]:
        console.print(f"[yellow]waits[/] {escape(f'{name}: {wait.key}: {wait.reason}')}")
    if len(table.waiting) > _NAMED:
        console.print(f"  … and {len(table.waiting) - _NAMED} more of {name} (--json has all)")
    for refused in table.quarantined:
        said = escape(f"{name} export {refused.export_id}: {refused.reason}")
        console.print(f"[red]quarantined[/] {said}")
        for key in refused.held_back[:_NAMED]:
            console.print(f"  waits with it: {key}", markup=False)
    for column, count in table.rescued.items():
        said = escape(f"{name}: {count} values of {column} are in _rescued_data")
        console.print(f"[yellow]rescued[/] {said}")
    if table.duplicate_keys:
        said = f"{name}: {table.duplicate_keys} keys were there twice in one row; the first counts"
        console.print(f"[yellow]repeated[/] {said}")
