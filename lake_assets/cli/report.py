"""A run as text for people: the table of figures, then what waits, what was refused, and why."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from lake_assets.lake import RunReport, TableReport

__all__ = ["print_report"]

#: Keys of one kind that the text names; the JSON names all.
_NAMED = 10
#: Columns of the text where no terminal says how wide it is.
_PLAIN_WIDTH = 120
_UNCHANGED = "nothing was changed: the lake holds all of this already"


def print_report(report: "RunReport", *, unchanged: str = _UNCHANGED) -> None:
    """Print what went in, what came out, what waits, what was refused and why.

    Args:
        report: Of a run.
        unchanged: What to say where the run changed nothing.
    """
    console = Console(
        soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH
    )
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


def _figures(report: "RunReport") -> Table:
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
            str(len(table.waiting) or "–"),
            str(len(table.quarantined) or "–"),
        )
    return grid


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
