"""Options that more than one verb takes, and how an opened lake comes out of them."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lake_assets.export.snapshot_table import SnapshotTable
    from lake_assets.lake.databases import Databases
    from lake_assets.settings import LakeSettings

__all__ = [
    "Config",
    "Exports",
    "GroupSize",
    "Json",
    "Root",
    "TableName",
    "database_tables",
    "published_table",
]

_TABLE = re.compile(r"\w+\.\w+")

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
GroupSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Upper bound of what a staging task reads, like 64MB; for this call."
    ),
]
TableName = Annotated[
    str, typer.Argument(metavar="TABLE", help="Of the lake, as shop.orders.", show_default=False)
]


def database_tables(
    settings: "LakeSettings", names: Sequence[str] = (), *, group_size: str | None = None
) -> "tuple[Databases, tuple[SnapshotTable, ...]]":
    """The opened lake, and the tables of ``databases`` that were named; all where none was.

    Args:
        settings: In force.
        names: ``shop.orders``; one that is named twice counts once.
        group_size: In place of the tables' own.

    Raises:
        SettingsError: No table is configured, one does not exist, or the size is none.
    """
    from lake_assets.errors import SettingsError
    from lake_assets.lake.databases import open_databases

    if not settings.databases:
        raise SettingsError(
            "no database table is configured; add it under databases: in lake.yaml, or name the"
            " file by --config"
        )
    if group_size is not None:
        settings = _with_group_size(settings, group_size)
    databases = open_databases(settings)
    wanted = tuple(databases.table(name) for name in dict.fromkeys(names))
    return databases, wanted or databases.tables


def published_table(root_url: str, name: str, *, version: int | None = None) -> int:
    """The newest version of a table of the lake, whatever line it is of.

    Args:
        root_url: The lake.
        name: ``shop.orders``.
        version: One that the table must have had.

    Raises:
        SettingsError: There is no such table or version; the message has those that there are.
        StorageError: The root cannot be listed.
    """
    from lake_assets import delta
    from lake_assets.errors import SettingsError
    from lake_assets.lake import table_uri, tables_of
    from lake_assets.s3 import storage_options

    newest = None
    if _TABLE.fullmatch(name):  # not ../x; and no listing of all files for a table that is there
        uri = table_uri(root_url, name)
        newest = delta.table_version(uri, storage_options(uri))
    if newest is None:
        known = ", ".join(tables_of(root_url, ())) or "none; nothing was published yet"
        raise SettingsError(f"there is no table {name!r} in {root_url}; there is: {known}")
    if version is not None and version > newest:
        raise SettingsError(f"{name} has the versions 0 to {newest}, not {version}")
    return newest


def _with_group_size(settings: "LakeSettings", text: str) -> "LakeSettings":
    from pydantic import TypeAdapter, ValidationError

    from lake_assets.errors import SettingsError
    from lake_assets.size import Size

    try:
        size = TypeAdapter(Size).validate_python(text)
    except ValidationError as error:
        raise SettingsError(
            f"--group-size {text!r} is no size; write 128MB, 512MiB or a number of bytes"
        ) from error
    return settings.model_copy(
        update={
            "databases": {
                database: {
                    name: table.model_copy(update={"group_size": size})
                    for name, table in tables.items()
                }
                for database, tables in settings.databases.items()
            }
        }
    )
