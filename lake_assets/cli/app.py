"""The command tree and the options that every verb takes."""

from typing import Annotated

import typer

from lake_assets.cli import config, demo, fs, query, run, ui

__all__ = ["app"]

app = typer.Typer(
    help="S3 exports in, a Delta lake out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_run = typer.Typer(help="Bring exports to the lake in one process.", no_args_is_help=True)
_run.command("datamart")(run.datamart)
app.add_typer(_run, name="run")
app.add_typer(fs.app, name="fs")
app.add_typer(config.app, name="config")
app.command("query")(query.query)
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
