"""``lake history``, ``rollback`` and ``export``: published tables, whatever line they are of."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lake_assets.cli.options import Config, Json, Root, TableName, published_table

if TYPE_CHECKING:
    from lake_assets.lake.versions import TableVersion

__all__ = ["export", "history", "rollback"]


def history(
    table: TableName,
    *,
    root: Root = None,
    config: Config = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Versions at most.")] = 20,
    as_json: Json = False,
) -> None:
    """The versions of a table, newest first: when, what, how many rows."""
    from lake_assets.lake import versions

    url = _root(config, root)
    published_table(url, table)
    found = versions.history(url, table, limit=limit)
    if as_json:
        told = {"table": table, "versions": [version.as_dict() for version in found]}
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print_history(found)


def rollback(
    table: TableName,
    *,
    version: Annotated[
        int, typer.Option(min=0, help="What the table is to hold again (`lake history`).")
    ],
    root: Root = None,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Make a table hold again what it held at a version, in one new commit; nothing is lost."""
    from lake_assets import delta
    from lake_assets.cli.fs_output import confirm
    from lake_assets.lake import table_uri, versions
    from lake_assets.s3 import storage_options

    url = _root(config, root)
    newest = published_table(url, table, version=version)
    uri = table_uri(url, table)
    question = f"Let {table} (now version {newest}) hold again what it held at version {version}?"
    if not confirm(question, (), yes=yes):
        print("nothing was changed")
        raise typer.Exit(1)
    now = versions.rollback(url, table, version)
    rows = delta.rows_of(uri, storage_options(uri), now)
    if as_json:
        told = {"table": table, "version": now, "rolled_back_to": version}
        print(json.dumps(told | {"changed": now != newest, "rows": rows}, ensure_ascii=False))
    elif now == newest:
        print(f"nothing was changed: {table} version {now} holds the files of version {version}")
    else:
        print(f"{table} version {now} holds what version {version} held: {rows:,} rows")


def export(  # noqa: PLR0913 (one argument for each option)
    table: TableName,
    *,
    format: Annotated[  # noqa: A002 (the option's name)
        Literal["parquet", "csv", "ndjson"], typer.Option(help="Of the file.")
    ] = "parquet",
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress CSV or NDJSON.")] = False,
    out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="File, folder/ or s3://…; [TABLE.FORMAT here]"),
    ] = None,
    version: Annotated[int | None, typer.Option(min=0, help="Of the table. [newest]")] = None,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """All rows of a table as one file; it appears whole or not at all."""
    from lake_assets.cli.fs_output import human_size
    from lake_assets.lake.export_table import export_table

    url = _root(config, root)
    published_table(url, table, version=version)
    done = export_table(url, table, out, format=format, gzip=gzip, version=version)
    if as_json:
        told = {"table": table, "path": done.path, "version": done.version}
        print(json.dumps(told | {"rows": done.rows, "size_bytes": done.size_bytes}))
    else:
        size = human_size(done.size_bytes)
        print(f"{done.path}: {done.rows:,} rows of {table} version {done.version}, {size}")


def _root(config: str | None, root: str | None) -> str:
    from lake_assets.s3 import parse_url
    from lake_assets.settings import load_settings

    return parse_url(load_settings(config, root=root).root).text


def _print_history(found: "tuple[TableVersion, ...]") -> None:
    from lake_assets.cli.fs_output import human_size
    from lake_assets.cli.report import figures_grid, people

    grid = figures_grid("version", "committed (UTC)", "rows", "files", "size")
    grid.add_column("by")
    grid.add_column("snapshot")
    for each in found:
        grid.add_row(
            str(each.version),
            f"{each.committed_at:%Y-%m-%d %H:%M:%S}",
            f"{each.rows:,}",
            f"{each.files:,}",
            human_size(each.size_bytes),
            each.operation,
            each.proof.get("lake.snapshot", "–"),
        )
    people().print(grid)
