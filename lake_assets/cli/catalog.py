"""``lake lineage``, ``verify``, ``gc``, ``why-stale`` and ``catalog``: what the documents say."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lake_assets.cli.options import Config, Json, Root, TableName

if TYPE_CHECKING:
    from lake_assets.export.pega_tables import TableSpec
    from lake_assets.export.snapshot_table import SnapshotTable
    from lake_assets.lake.gc import Garbage, Swept
    from lake_assets.lake.lineage_graph import Lineage
    from lake_assets.lake.verify import Verified
    from lake_assets.s3 import Store
    from lake_assets.settings import LakeSettings

__all__ = ["app", "export_openlineage", "gc", "index", "lineage", "verify", "why_stale"]

#: Lines of each kind that the text names; the JSON names all.
_NAMED = 20

app = typer.Typer(no_args_is_help=True, help="The record of what was made, and from what.")

Tables = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="TABLE", help="Of the lake; may be repeated. [all]"),
]
Exports = Annotated[
    str | None,
    typer.Option("--exports", metavar="URL", help="What holds the datamart folder. [LAKE_EXPORTS]"),
]


def lineage(
    what: Annotated[
        str,
        typer.Argument(
            metavar="URI|TABLE",
            help="shop.orders, shop.orders@3, a file's address, key or name, or its sha256.",
        ),
    ],
    *,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What a table or file is made of, and what was made of it, from export to table version."""
    from lake_assets.lake.lineage import lineage as lineage_of

    found = lineage_of(_root(config, root), what)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_lineage(found)


def verify(
    *,
    level: Annotated[
        Literal["list", "head", "bytes"],
        typer.Option(help="Sizes by listing; each object asked for; or all bytes read."),
    ] = "list",
    table: Tables = None,
    sample: Annotated[
        float, typer.Option(metavar="P", help="Share of the objects, the same ones each time.")
    ] = 1.0,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Missing, changed, truncated and orphaned objects, by name; exit code 1 on damage."""
    from lake_assets.lake.verify import verify as verified

    found = verified(_root(config, root), level=level, tables=table or (), sample=sample)
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_verified(found)
    if found.damage:
        raise typer.Exit(1)


def gc(  # noqa: PLR0913 (one argument for each option)
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would go.")
    ] = False,
    retention: Annotated[
        str, typer.Option(metavar="AGE", help="How long versions stay readable.")
    ] = "7d",
    grace: Annotated[
        str, typer.Option(metavar="AGE", help="Younger objects stay: writers may be at work.")
    ] = "1d",
    table: Tables = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Remove what no manifest and no readable version needs: superseded, never published, left."""
    from lake_assets.cli.fs_options import parse_age
    from lake_assets.cli.fs_output import confirm, sized
    from lake_assets.lake.gc import Swept, find_garbage, freed_bytes, sweep

    url, kept, young = _root(config, root), parse_age(retention), parse_age(grace)
    found = find_garbage(url, tables=table or (), retention=kept, grace=young)
    swept = Swept((), found, (), (), (), 0.0)
    if not dry_run:
        said = sized(len(found), freed_bytes(found))
        keys = [item.key for item in found]
        if found and not confirm(f"Remove {said} of {url}?", keys, yes=yes):
            print("nothing was removed")
            raise typer.Exit(1)
        swept = sweep(url, found, retention=kept, grace=young)
    told = found if dry_run else swept.removed
    if as_json:
        print(
            json.dumps(
                {
                    "dry_run": dry_run,
                    "removed": [item.as_dict() for item in told],
                    "size_bytes": freed_bytes(told),
                    "lost": list(swept.lost),
                    "restored": list(swept.restored),
                    "damaged": list(swept.damaged),
                },
                ensure_ascii=False,
            )
        )
    else:
        _print_garbage(told, dry_run=dry_run)
        for id_ in swept.restored:
            print(f"put back object {id_}: a document refers to it")
    if swept.lost or swept.damaged:
        _end_with_findings(swept)


def why_stale(
    table: TableName,
    *,
    exports: Exports = None,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What changed since a table was brought up to date: input, settings or code."""
    from lake_assets.export.pega_tables import TableSpec
    from lake_assets.lake.databases import open_databases
    from lake_assets.lake.datamart import open_datamart
    from lake_assets.lake.stale import why_database_is_stale, why_datamart_is_stale
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root, exports=exports)
    wanted = _configured(settings, table)
    found = (
        why_datamart_is_stale(open_datamart(settings), wanted)
        if isinstance(wanted, TableSpec)
        else why_database_is_stale(open_databases(settings), wanted)
    )
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
        return
    for reason in found.reasons:
        print(f"{reason.kind}  {reason.subject}: {reason.what}")
        for file in reason.files[:_NAMED]:
            print(f"  {file}")
        if len(reason.files) > _NAMED:
            print(f"  … and {len(reason.files) - _NAMED:,} more (--json has all)")
    if not found.is_stale:
        print(f"{found.table} is not stale: same inputs, settings and code")


@app.command()
def index(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Look for documents of any age. [the last 7 days]")
    ] = False,
    root: Root = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring the tables catalog.* up to date; with DAGSTER_HOME, record its finished runs before."""
    from lake_assets.lake.catalog_tables import LOOK_BACK, index_catalog
    from lake_assets.s3 import open_store

    store = open_store(_root(config, root))
    recorded, troubles = _record_runs(store) if os.environ.get("DAGSTER_HOME") else (0, [])
    done = index_catalog(store, look_back=None if everything else LOOK_BACK)
    for trouble in (*troubles, *done.damaged):
        print(f"lake: warning: {trouble}", file=sys.stderr)
    if as_json:
        print(
            json.dumps(
                {
                    "runs_recorded": recorded,
                    "documents": done.documents,
                    "rows": done.rows,
                    "damaged": list(done.damaged),
                },
                ensure_ascii=False,
            )
        )
    else:
        rows = ", ".join(f"{count:,} {name}" for name, count in done.rows.items() if count)
        print(f"{done.documents:,} new documents" + (f": {rows}" if rows else ""))


@app.command("export-openlineage")
def export_openlineage(
    *,
    table: Tables = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to; a file appears whole. [stdout]")
    ] = None,
    exports: Exports = None,
    root: Root = None,
    config: Config = None,
) -> None:
    """Every publish as OpenLineage 2 run events, one JSON event in a line."""
    from lake_assets.lake.databases import open_databases
    from lake_assets.lake.datamart import open_datamart
    from lake_assets.lake.openlineage import run_events
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root, exports=exports)
    chosen: list[TableSpec | SnapshotTable] = [
        _configured(settings, name) for name in dict.fromkeys(table or ())
    ]
    if not chosen:
        chosen = [*open_datamart(settings).tables, *open_databases(settings).tables]
    store = _store(settings)
    events = (event for each in chosen for event in run_events(store, each))
    lines = (json.dumps(event, ensure_ascii=False) for event in events)
    if out is None:
        for line in lines:
            print(line)
        return
    from lake_assets.s3.address import parse_address

    body = "".join(f"{line}\n" for line in lines)
    address = parse_address(out)
    address.open().put(address.path, body.encode())
    print(f"{out}: {body.count(chr(10)):,} events of {len(chosen)} tables")


def _record_runs(store: "Store") -> tuple[int, list[str]]:
    """Record what the instance at DAGSTER_HOME ran; the tables do not wait for it."""
    import dagster as dg

    from lake_assets.defs.recording import record_open_runs
    from lake_assets.errors import first_line

    try:
        with dg.DagsterInstance.get() as instance:
            return record_open_runs(instance, store)
    except (dg.DagsterError, OSError) as error:
        return 0, [f"no run of Dagster was recorded: {first_line(error)} (DAGSTER_HOME)"]


def _root(config: str | None, root: str | None) -> str:
    from lake_assets.s3 import parse_url
    from lake_assets.settings import load_settings

    return parse_url(load_settings(config, root=root).root).text


def _store(settings: "LakeSettings") -> "Store":
    from lake_assets.s3 import open_store, parse_url

    return open_store(parse_url(settings.root).text)


def _configured(settings: "LakeSettings", name: str) -> "TableSpec | SnapshotTable":
    """A table of either line as it is configured."""
    from lake_assets.errors import SettingsError
    from lake_assets.lake.databases import open_databases
    from lake_assets.lake.datamart import open_datamart

    known: dict[str, TableSpec | SnapshotTable] = {
        table.id: table
        for table in (*open_databases(settings).tables, *open_datamart(settings).tables)
    }
    if name not in known:
        raise SettingsError(f"no table {name!r} in the configuration; there is: {', '.join(known)}")
    return known[name]


def _print_lineage(found: "Lineage") -> None:
    from lake_assets.cli.fs_output import human_size, line

    kinds: dict[str, list[Any]] = {}
    for node in found.nodes:
        kinds.setdefault(node.kind, []).append(node)
    order = ("export", "quarantine", "staged by", "staging", "compacted by", "lake", "table")
    arriving: dict[str, int] = {}
    for edge in found.edges:
        arriving[edge.target] = arriving.get(edge.target, 0) + (edge.rows or 0)
    for kind in order:
        nodes = kinds.get(kind, [])
        if not nodes:
            continue
        line(f"{kind} ({len(nodes):,})")
        for node in sorted(nodes, key=lambda item: item.id)[:_NAMED]:
            figures = [
                f"{node.rows:,} rows" if node.rows is not None else "",
                human_size(node.size_bytes) if node.size_bytes is not None else "",
                f"sha256 {node.sha256[:12]}" if node.sha256 else "",
                node.about,
            ]
            mark = "*" if node.id in found.asked else " "
            line(f" {mark} {node.id}  {', '.join(item for item in figures if item)}")
        if len(nodes) > _NAMED:
            line(f"   … and {len(nodes) - _NAMED:,} more (--json has all)")
    for gap in found.gaps[:_NAMED]:
        line(f"gap  no document says any more what {gap} was made of")


def _print_verified(found: "Verified") -> None:
    from lake_assets.cli.fs_output import human_size, line

    shown: dict[str, int] = {}
    for each in found.findings:
        shown[each.kind] = shown.get(each.kind, 0) + 1
        if shown[each.kind] <= _NAMED:
            table = f"{each.table}: " if each.table else ""
            line(f"{each.kind}  {table}{each.uri} {each.found}; {each.remedy}")
    for kind, count in shown.items():
        if count > _NAMED:
            line(f"  … and {count - _NAMED:,} more {kind} (--json has all)")
    for note in found.notes:
        line(f"note  {note}")
    verdict = "whole" if not found.damage else f"damaged: {len(found.damage):,} objects"
    read = f", {human_size(found.bytes_read)} read" if found.bytes_read else ""
    line(f"{len(found.tables)} tables, {found.objects:,} objects by {found.level}{read}: {verdict}")


def _print_garbage(told: "tuple[Garbage, ...]", *, dry_run: bool) -> None:
    from lake_assets.cli.fs_output import line, sized
    from lake_assets.lake.gc import freed_bytes

    for item in told:
        line(f"{'would remove' if dry_run else 'removed'} {item.key}: {item.reason}")
    said = sized(len(told), freed_bytes(told))
    line(f"{'would remove' if dry_run else 'removed'} {said}" if told else "nothing to remove")


def _end_with_findings(swept: "Swept") -> None:
    from lake_assets.cli.fs_output import line

    for damage in swept.damaged:
        line(f"lake: {damage}", err=True)
    for key in swept.lost:
        said = "was taken up by a writer while it was removed; see `lake verify` for what to do"
        line(f"lake: {key} {said}", err=True)
    raise typer.Exit(1)
