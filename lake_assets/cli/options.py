"""Options that more than one verb takes, and how settings come out of them."""

from typing import Annotated

import typer

__all__ = ["Config", "Exports", "Json", "Root"]

Root = Annotated[
    str | None,
    typer.Option(
        "--root", metavar="URL", help="The lake: a folder or s3://bucket/prefix. [LAKE_ROOT]"
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", help="YAML configuration. [LAKE_CONFIG, else lake.yaml]"
    ),
]
Exports = Annotated[
    str | None,
    typer.Option("--exports", metavar="URL", help="What holds the datamart folder. [LAKE_EXPORTS]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, last on stdout.")]
