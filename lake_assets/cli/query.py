"""``lake query``: SQL over the lake's tables."""

import sys
from typing import Annotated

import typer

from lake_assets.cli.options import Config, Root

__all__ = ["query"]


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT, tables as datamart.model_snapshot; - reads stdin.")],
    root: Root = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
) -> None:
    """Query the published tables. Read-only; nothing outside the lake can be read."""
    from lake_assets.errors import SettingsError
    from lake_assets.lake import open_datamart
    from lake_assets.lake import query as run_query
    from lake_assets.settings import load_settings

    if as_json and as_csv:
        raise SettingsError("--json and --csv exclude each other; give one")
    lake = open_datamart(load_settings(config, root=root))
    frame = run_query(lake.root.url, sys.stdin.read() if sql == "-" else sql, tables=lake.tables)
    if as_json:
        print(frame.write_json())
    elif as_csv:
        print(frame.write_csv(), end="")
    else:
        import polars as pl

        with pl.Config(
            tbl_rows=50, tbl_cols=-1, fmt_str_lengths=60, tbl_hide_column_data_types=True,
            tbl_hide_dataframe_shape=True, tbl_formatting="UTF8_FULL_CONDENSED", tbl_width_chars=160,
        ):
            print(frame)
        print(f"{frame.height} rows")
