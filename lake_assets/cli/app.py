"""The command tree and the options that every verb takes."""

from typing import Annotated

import typer

from lake_assets.cli import (
    arrays,
    catalog,
    config,
    demo,
    fs,
    plan,
    profile,
    query,
    run,
    status,
    tables,
    ui,
    validate,
)

__all__ = ["app"]

app = typer.Typer(
    help="S3 exports in, a Delta lake out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_run = typer.Typer(invoke_without_command=True)
_run.callback()(run.everything)
_run.command("datamart")(run.datamart)
_run.command("snapshot")(run.snapshot)
app.command("plan")(plan.plan)
app.add_typer(_run, name="run")
app.add_typer(fs.app, name="fs")
app.add_typer(arrays.app, name="arrays")
app.add_typer(config.app, name="config")
app.command("status")(status.status)
app.command("validate")(validate.validate)
app.command("query")(query.query)
app.command("history")(tables.history)
app.command("rollback")(tables.rollback)
app.command("profile")(profile.profile)
app.command("export")(tables.export)
app.command("lineage")(catalog.lineage)
app.command("why-stale")(catalog.why_stale)
app.command("verify")(catalog.verify)
app.command("gc")(catalog.gc)
app.add_typer(catalog.app, name="catalog")
app.command("demo")(demo.demo)
app.command("ui")(ui.ui)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer calls it)
    if wanted:
        from importlib.metadata import version

        print(f"lake_assets {version('lake_assets')}")
        raise typer.Exit


@app.callback()
def _lake(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """S3 exports in, a Delta lake out."""
