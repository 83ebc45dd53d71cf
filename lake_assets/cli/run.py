"""``lake run``: exports to Delta tables in this process, without a server."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.options import Config, Exports, Json, Root

if TYPE_CHECKING:
    from lake_assets.lake import Datamart, RunReport

__all__ = ["datamart"]


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
        _tell_dagster(lake, report)
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        from lake_assets.cli.report import print_report

        print_report(report)
    for error in report.errors:
        print(f"lake: {error}", file=sys.stderr)
    if report.errors:
        raise typer.Exit(1)
    if report.quarantined:
        raise typer.Exit(3)


def _tell_dagster(lake: "Datamart", report: "RunReport") -> None:
    """Report to the instance at DAGSTER_HOME; the lake is up to date whether it listens or not."""
    from dagster import DagsterError

    from lake_assets.defs.runless import report_run

    try:
        report_run(lake, report)
    except (DagsterError, OSError) as error:
        said = str(error).splitlines()[0]
        print(f"lake: warning: Dagster was not told: {said} (DAGSTER_HOME)", file=sys.stderr)


def _progress(table: str, stage: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if stage == "lake" else "\r"
        print(f"\x1b[2K{table}: {stage} {done}/{total}", end=end, file=sys.stderr, flush=True)
