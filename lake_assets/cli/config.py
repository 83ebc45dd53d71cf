"""``lake config``: is the configuration right, and what may stand in it; no data is touched."""

import json
from typing import TYPE_CHECKING, Any

import typer

from lake_assets.cli.options import Config, Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from lake_assets.settings import LakeSettings

__all__ = ["app", "check", "schema"]

app = typer.Typer(help="Check the configuration, or print its JSON Schema.", no_args_is_help=True)

#: Addresses that ``open_store`` serves beside those that ``parse_url`` knows.
_CLOUDS = ("gs", "az", "abfs", "abfss")
_NULL = {"type": "null"}
#: What a JSON Schema says of a setting, whatever its type.
_ABOUT = ("title", "description", "default")


@app.command()
def check(*, config: Config = None, as_json: Json = False) -> None:
    """Validate the configuration in force. One line for each mistake, with its place; no data."""
    from lake_assets.errors import SettingsError
    from lake_assets.settings import load_settings

    try:
        settings = load_settings(config)
        _check_what_is_beyond_a_setting(settings)
    except SettingsError as error:
        if as_json:
            print(json.dumps({"ok": False, "errors": str(error).splitlines()}, ensure_ascii=False))
        raise
    tables = [
        f"{database}.{name}" for database, held in settings.databases.items() for name in held
    ]
    if as_json:
        found = {
            "ok": True,
            "root": settings.root,
            "exports": settings.exports_url,
            "datamart_tables": list(settings.datamart.tables),
            "database_tables": tables,
        }
        print(json.dumps(found, ensure_ascii=False))
        return
    print(
        f"OK: root {settings.root}; datamart tables declared: {len(settings.datamart.tables)};"
        f" database tables: {', '.join(tables) or 'none'}"
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of the configuration file, for editors."""
    from lake_assets.settings import LakeSettings

    of_file: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **LakeSettings.model_json_schema(),
        "title": "lake_assets configuration",
    }
    _allow_null(of_file["$defs"]["SnapshotSettings"])
    _close(of_file)
    print(json.dumps(of_file, indent=2, ensure_ascii=False))


def _check_what_is_beyond_a_setting(settings: "LakeSettings") -> None:
    """Refuse what each setting allows by itself, and every verb would refuse all the same."""
    from lake_assets.delta.records import check_address
    from lake_assets.errors import SettingsError
    from lake_assets.export.pega_tables import configured_tables
    from lake_assets.s3 import join_url, parse_url

    checks: list[Callable[[], object]] = [
        lambda: configured_tables(settings.datamart.tables),
        lambda: check_address(join_url(parse_url(settings.root).text, "lake")),
    ]
    if settings.exports_url.partition("://")[0].lower() not in _CLOUDS:
        checks.append(lambda: parse_url(settings.exports_url))
    mistakes: dict[str, None] = {}  # a wrong root makes wrong exports: told once
    for check in checks:
        try:
            check()
        except SettingsError as error:
            mistakes[str(error)] = None
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def _allow_null(table: dict[str, Any]) -> None:
    """For a table of a database null stands for the default, whatever the setting."""
    for name, told in table["properties"].items():
        if name in table["required"]:
            continue
        about = {key: told.pop(key) for key in _ABOUT if key in told}
        kinds = [kind for kind in told.get("anyOf", [dict(told)]) if kind != _NULL]
        told.clear()
        told.update(about, anyOf=[*kinds, _NULL])


def _close(node: object) -> None:
    """Names that fit no pattern are refused; pydantic writes the pattern alone."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for below in node.values():
            _close(below)
    elif isinstance(node, list):
        for below in node:
            _close(below)
