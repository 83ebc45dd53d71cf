"""``lake ui``: Dagster's web interface on a lake, with its sensors and schedules."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lake_assets.cli.options import Config, Exports, Root

__all__ = ["ui"]


def ui(
    root: Root = None,
    config: Config = None,
    exports: Exports = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Open the asset graph of this very lake: UI, sensors and schedules, until Ctrl-C."""
    from lake_assets.defs.instance import instance_home
    from lake_assets.s3 import parse_url
    from lake_assets.settings import load_settings

    settings = load_settings(config, root=root, exports=exports)
    lake = parse_url(settings.root).text
    environment = {
        **os.environ,
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME") or str(instance_home(lake)),
        "LAKE_ROOT": lake,
        "LAKE_EXPORTS": parse_url(settings.exports_url).text,
    }
    if config:
        environment["LAKE_CONFIG"] = str(Path(config).absolute())
    print(f"lake {lake}\nUI   http://{host}:{port}  (Ctrl-C stops it)")
    print(
        "Sensors and the nightly schedule start switched off: Automation turns them on.", flush=True
    )
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "lake_assets.definitions",
        "-h",
        host,
        "-p",
        str(port),
    ]
    os.execve(sys.executable, command, environment)  # noqa: S606 (our own interpreter, no shell)
