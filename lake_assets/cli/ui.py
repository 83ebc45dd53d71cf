"""``lake ui``: Dagster's web interface on a lake, with its sensors and schedules."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from lake_assets.cli.options import Config, Exports, Root
from lake_assets.errors import SettingsError

__all__ = ["ui"]


def ui(
    *,
    root: Root = None,
    config: Config = None,
    exports: Exports = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    module: Annotated[
        str, typer.Option(metavar="MODULE", help="Python module with the definitions to show.")
    ] = "lake_assets.definitions",
) -> None:
    """Open the asset graph of this very lake: UI, sensors and schedules, until Ctrl-C."""
    from lake_assets.defs.instance import instance_home
    from lake_assets.s3 import parse_url
    from lake_assets.settings import load_settings

    _refuse_taken(host, port)
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
        module,
        "-h",
        host,
        "-p",
        str(port),
    ]
    os.execve(sys.executable, command, environment)  # noqa: S606 (our own interpreter, no shell)


def _refuse_taken(host: str, port: int) -> None:
    """A second Dagster on one instance would start its daemon and fail later, for ever."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port} ({error.strerror or error}); another `lake ui`?"
                " give --port"
            ) from error
