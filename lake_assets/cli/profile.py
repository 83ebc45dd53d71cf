"""``lake profile``: what the columns of a table hold, from what its stages counted on the way."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.options import Config, Json, Root, TableName, published_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from lake_assets.catalog.profile import ColumnProfile, Profiler
    from lake_assets.lake.profiles import TableProfile
    from lake_assets.settings import LakeSettings

__all__ = ["profile"]

_BARS = 20
#: Characters of the longest bar.
_BAR_WIDTH = 40
#: Characters of a cell of the table; a whole line is wider than most terminals already.
_CELL = 26
_TO_THE_RIGHT = frozenset({"null", "distinct", "min", "median", "max", "mean"})
#: Partitions that the text names; the JSON names all.
_NAMED = 5


def profile(  # noqa: PLR0913 (one argument for each option)
    table: TableName,
    *,
    column: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated.")
    ] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="year=2024/month=01, or the id of an export; may be repeated."
        ),
    ] = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="A page with a plot a column.")
    ] = None,
    compute: Annotated[
        bool, typer.Option("--compute", help="First profile the partitions that lack one.")
    ] = False,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Counts, nulls, ends, quantiles, top values and histograms of a table's columns."""
    from lake_assets.catalog.profile import chosen_columns
    from lake_assets.lake.profiles import complete_profiles, table_profile
    from lake_assets.s3 import open_store, parse_url
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root)
    url = parse_url(settings.root).text
    published_table(url, table)
    store = open_store(url)
    computed = (
        complete_profiles(store, table, lambda: _profiler(settings, table)) if compute else ()
    )
    found = table_profile(store, table, partition or ())
    list(chosen_columns(found.profile, column or None))  # a slip is told before anything is
    if html is not None:
        _write_page(html, found, column)
    if as_json:
        print(json.dumps(_told(found, column, computed), ensure_ascii=False))
        return
    _print_head(found, computed)
    _print_columns(found, column)
    if html is not None:
        print(f"{html}: a page of {found.table}")


def _profiler(settings: "LakeSettings", table: str) -> "Profiler":
    """What profiles a table of either line; also of one that is not configured any more."""
    from lake_assets.catalog.profile import Profiler
    from lake_assets.lake.databases import open_databases
    from lake_assets.lake.datamart import open_datamart

    datamart, databases = open_datamart(settings), open_databases(settings)
    for spec in datamart.tables:
        if spec.id == table:
            return datamart.profiler(spec)
    for each in databases.tables:
        if each.id == table:
            return databases.profiler(each)
    return Profiler()


def _told(
    found: "TableProfile", columns: "Collection[str] | None", computed: tuple[str, ...]
) -> dict[str, object]:
    from lake_assets.catalog.profile import profile_figures

    return {
        "table": found.table,
        "version": found.version,
        "partitions": list(found.parts),
        "missing": list(found.missing),
        "computed": list(computed),
        **profile_figures(found.profile, columns or None),
    }


def _write_page(address: str, found: "TableProfile", columns: "Collection[str] | None") -> None:
    from lake_assets.catalog.profile import profile_html
    from lake_assets.s3.address import parse_address

    title = f"{found.table}, version {found.version}: {', '.join(found.parts[:_NAMED])}"
    body = profile_html(found.profile, title, columns or None)
    place = parse_address(address)
    place.open().put(place.path, body.encode())


def _print_head(found: "TableProfile", computed: tuple[str, ...]) -> None:
    from lake_assets.cli.fs_output import line

    if computed:
        line(f"profiled now: {_named(computed)}")
    said = f"{found.table} version {found.version}: {found.profile.rows:,} rows"
    line(f"{said} in {_named(found.parts)}")
    if found.missing:
        line(f"without a profile, and not counted: {_named(found.missing)} (--compute adds them)")


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _print_columns(found: "TableProfile", columns: "Collection[str] | None") -> None:
    from lake_assets.catalog.profile import chosen_columns, profile_table
    from lake_assets.cli.fs_output import line

    if columns:
        for name, column in chosen_columns(found.profile, columns):
            _print_column(name, column)
        return
    rows = [
        tuple(cell if len(cell) <= _CELL else f"{cell[: _CELL - 1]}…" for cell in row)
        for row in profile_table(found.profile)
    ]
    widths = [max(len(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            f"{cell:>{width}}" if name in _TO_THE_RIGHT else f"{cell:<{width}}"
            for cell, width, name in zip(row, widths, rows[0], strict=True)
        )
        line("  ".join(cells).rstrip())


def _print_column(name: str, column: "ColumnProfile") -> None:
    from lake_assets.catalog.profile import bars, column_facts, top_values
    from lake_assets.cli.fs_output import line

    line(f"\n{name}")
    for fact, text in column_facts(column).items():
        if text:
            line(f"  {fact:20} {text}")
    drawn = bars(column, _BARS)
    top = max((bar.count for bar in drawn), default=0) or 1
    width = max((len(bar.label) for bar in drawn), default=0)
    for bar in drawn:
        tall = "█" * max(round(bar.count / top * _BAR_WIDTH), 1 if bar.count else 0)
        line(f"  {bar.label:>{width}} {tall} {bar.count:,.0f}")
    for value, count in top_values(column, _BARS // 2):
        line(f"  {count:>12} × {value}")
