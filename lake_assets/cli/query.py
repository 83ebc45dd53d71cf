"""``lake query``: SQL over the lake's tables."""

import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.options import Config, Root

if TYPE_CHECKING:
    import polars as pl

__all__ = ["print_frame", "query"]


def query(  # noqa: PLR0913 (one argument for each option)
    sql: Annotated[
        str, typer.Argument(help="One SELECT, tables as datamart.model_snapshot; - reads stdin.")
    ],
    *,
    root: Root = None,
    config: Config = None,
    version: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE=N", help="shop.orders=3: as it was then; may be repeated."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="All tables as at 2024-12-31T20:00 (UTC) or …+01:00."),
    ] = None,
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
    settings = load_settings(config, root=root)
    lake = open_datamart(settings)
    if next(iter(lake.root.list("lake/")), None) is None:
        print(f"lake: warning: nothing is published at {lake.root.url}", file=sys.stderr)
    frame = run_query(
        lake.root.url,
        sys.stdin.read() if sql == "-" else sql,
        tables=lake.tables,
        versions=_versions(version or ()),
        as_of=_moment(as_of),
        expected=[f"{name}.{table}" for name, held in settings.databases.items() for table in held],
    )
    _print_result(frame, "json" if as_json else "csv" if as_csv else "text")


def _print_result(frame: "pl.DataFrame", form: str) -> None:
    if form == "json":
        rows = [_json_value(row) for row in frame.to_dicts()]
        print(json.dumps(rows, ensure_ascii=False, allow_nan=False))
    elif form == "csv":
        print(_flat(frame).write_csv(), end="")
    else:
        print_frame(frame)
        print(f"{frame.height} rows")


def _versions(given: Sequence[str]) -> dict[str, int]:
    from lake_assets.errors import SettingsError

    found: dict[str, int] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not name or not number.isdecimal():
            raise SettingsError(f"--version {text!r} is no table and version; write shop.orders=3")
        if found.setdefault(name, int(number)) != int(number):
            raise SettingsError(f"--version names two versions of {name}; give one")
    return found


def _moment(text: str | None) -> datetime | None:
    from lake_assets.errors import SettingsError

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--as-of {text!r} is no time; write 2024-12-31T20:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def print_frame(frame: "pl.DataFrame") -> None:
    """A result as a table for people."""
    import polars as pl

    with pl.Config(
        tbl_rows=50,
        tbl_cols=-1,
        fmt_str_lengths=60,
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_formatting="UTF8_FULL_CONDENSED",
        tbl_width_chars=160,
    ):
        print(frame)


def _flat(frame: "pl.DataFrame") -> "pl.DataFrame":
    """CSV knows no lists and no structs: they become their JSON text."""
    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(name, [json.dumps(_json_value(value)) for value in frame[name].to_list()])
        for name in nested
    )


def _json_value(value: object) -> object:
    """JSON has no decimals, times or NaN: sums (128 bit in DuckDB) become numbers, others text."""
    if isinstance(value, dict):
        return {name: _json_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, str | int) or _is_finite(value):
        return value
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)
