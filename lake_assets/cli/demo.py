"""``lake demo``: the main job on generated exports, without a server or an account."""

import sys
import time

import typer

from lake_assets.cli.options import Config, Root

__all__ = ["demo"]

_SQL = """SELECT name, channel, responses, round(success_rate, 4) AS rate, round(auc, 3) AS auc
FROM datamart.model_performance ORDER BY responses DESC LIMIT 5"""


def demo(root: Root = None, config: Config = None) -> None:
    """Generate exports of all seven tables, bring them to a lake, and show what came out."""
    started = time.monotonic()
    print("starting Dagster …", flush=True)
    from lake_assets.cli.query import print_frame
    from lake_assets.cli.report import print_report
    from lake_assets.demo.run import run_demo
    from lake_assets.errors import SettingsError
    from lake_assets.lake import query
    from lake_assets.s3 import parse_url
    from lake_assets.settings import load_settings

    # Only --root says where: LAKE_ROOT and lake.yaml name a lake with real rows in it.
    settings = load_settings(config, root=root or ".lake")
    lake = parse_url(settings.root)
    if lake.is_s3:
        raise SettingsError(
            f"the demo makes its lake in a folder, not in {lake.text}; give --root FOLDER"
        )
    # Its own exports, whatever LAKE_EXPORTS or the file say: the demo never touches real ones.
    settings = settings.model_copy(
        update={"root": lake.text, "exports": f"{lake.text}/demo-exports"}
    )
    result = run_demo(settings, tell=lambda line: print(f"  {line}", flush=True))
    print(f"{result.runs} runs in {time.monotonic() - started:.1f} s\n")
    print_report(result.report, unchanged="run once more over them: nothing was changed")
    print(f"\n{_SQL}")
    print_frame(query(lake.text, _SQL))
    shown = root or settings.root
    print(f"\nask   lake query --root {shown} 'SELECT … FROM datamart.snapshot'")  # noqa: S608 (no SQL is run)
    print(f"see   lake ui --root {shown}    the same lake, its graph and these runs in Dagster")
    for difference in result.differences:
        print(f"not as scripted: {difference}", file=sys.stderr)
    if result.differences:
        raise typer.Exit(1)
