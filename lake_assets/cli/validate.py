"""``lake validate``: is a published table what was exported; everything is counted anew."""

import json
from typing import TYPE_CHECKING

import typer

from lake_assets.cli.options import Config, Json, Root, TableName, database_tables

if TYPE_CHECKING:
    from lake_assets.lake.validate_snapshot import Validation

__all__ = ["validate"]

#: Problems that the text names; the JSON names all.
_NAMED = 20


def validate(
    table: TableName, *, root: Root = None, config: Config = None, as_json: Json = False
) -> None:
    """Hold a table against its exports: rows, values of every column, bytes of every file.

    Exit code 1 when it is not valid.
    """
    from lake_assets.lake.validate_snapshot import validate_snapshot
    from lake_assets.settings import load_settings

    databases, (wanted,) = database_tables(load_settings(config, root=root), [table])
    found = validate_snapshot(databases, wanted)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_validation(found)
    if not found.valid:
        raise typer.Exit(1)


def _print_validation(found: "Validation") -> None:
    from lake_assets.cli.fs_output import human_size
    from lake_assets.cli.report import figures_grid, people

    console = people()
    grid = figures_grid("", "files", "size", "rows", "partitions")
    for name, side in (("export", found.source), ("staging", found.before), ("lake", found.after)):
        grid.add_row(
            name,
            f"{side.n_files:,}",
            human_size(side.total_size),
            f"{side.total_n_record:,}",
            f"{side.n_partition:,}" if side.n_partition else "–",
        )
    console.print(grid)
    for rule, rows in found.rows_dropped.items():
        console.print(f"dropped by rule: {rows:,} {rule}", markup=False)
    for problem in found.problems[:_NAMED]:
        console.print("[red]problem[/] ", end="")
        console.print(problem, markup=False)
    if len(found.problems) > _NAMED:
        console.print(f"  … and {len(found.problems) - _NAMED:,} more (--json has all)")
    version = "" if found.version is None else f" version {found.version}"
    verdict = (
        "[green]valid[/]" if found.valid else f"[red]not valid[/]: {len(found.problems)} found"
    )
    console.print(f"{found.table}{version}: {verdict}")
