"""The configuration: one YAML file, environment variables, and the defaults in between.

Explicit arguments win over ``LAKE_ROOT`` and ``LAKE_EXPORTS``, these over the file
(``LAKE_CONFIG``, else ``lake.yaml`` in the working directory), the file over the defaults.
Nothing is read at import.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from lake_assets.database_settings import SnapshotSettings
from lake_assets.errors import SettingsError
from lake_assets.profile_settings import DriftSettings
from lake_assets.schedule_settings import ScheduleSettings
from lake_assets.size import Size

__all__ = ["DatamartSettings", "LakeSettings", "TableSettings", "load_settings"]

#: Characters of a wrong value that a message shows.
_SHOWN = 80
#: Where pydantic's words are none that a writer of YAML knows.
_SAID = {
    "extra_forbidden": "is not a setting; check the spelling",
    "missing": "is missing; set it",
    "tuple_type": "is a list, like [a, b]",
}
#: Names of databases that mean something else in the lake, or in its SQL.
_TAKEN = (
    *("arrays", "catalog", "datamart"),
    *("information_schema", "memory", "pg_catalog", "system", "temp"),
)


def _alternatives(value: object) -> object:
    """``key: [a, b]`` is one alternative, ``key: [[a], [b, c]]`` are two."""
    if isinstance(value, str):
        return [[value]]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [value]
    return value


def _keys_can_be_filled(keys: tuple[tuple[str, ...], ...] | None) -> object:
    for columns in keys or ():
        if all(column.endswith("?") for column in columns) or "" in columns or "?" in columns:
            raise ValueError("a key needs a column that is never null: one without `?`")
    if keys == ():
        raise ValueError("a key needs a column")
    return keys


def _sentinel(pattern: str) -> str:
    before, name, after = pattern.partition("{name}")
    if not name or not before + after or "/" in pattern or "{name}" in after:
        raise ValueError("holds {name} once and more than that, without a slash, like .{name}.meta")
    return pattern


def _not_taken(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(f"is a name that is taken ({', '.join(_TAKEN)}); take another one")
    return name


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""Of a database or a table: a folder of the lake, and what SQL calls it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TableSettings(_Model):
    """One datamart table: changes to a built-in one, or one's own (then with ``class``)."""

    class_name: str | None = Field(
        None,
        alias="class",
        pattern=r"^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$",
        description="Pega class, compared whole",
    )
    dataset: str | None = Field(None, description="data set without px/py/pz; any when absent")
    key: Annotated[
        tuple[tuple[str, ...], ...] | None,
        BeforeValidator(
            _alternatives, json_schema_input_type=str | list[str] | list[list[str]] | None
        ),
        AfterValidator(_keys_can_be_filled),
    ] = Field(
        None,
        description="columns of the key; `name?` may be null; a list of lists are alternatives",
    )
    time: str | None = Field(None, description="column whose month is the hive partition")
    columns: tuple[str, ...] | None = Field(None, description="columns that the table always has")
    types: dict[str, Literal["string", "float", "int", "datetime"]] = Field(
        default_factory=dict, description="types of columns that have another one by their name"
    )
    strict: bool = Field(
        default=False, description="refuse an export with any value that does not fit"
    )
    hidden: tuple[str, ...] = Field((), description="columns whose values no profile records")
    drift: DriftSettings | None = Field(None, description="in place of that of all tables")


class DatamartSettings(_Model):
    """Where Pega's files lie and how they are taken."""

    folder: str = Field("datamart", description="folder below the exports; only it is read")
    sentinel: Annotated[str, AfterValidator(_sentinel)] = Field(
        ".{name}.meta", description="name of the ready marker beside the file {name}"
    )
    require_meta: bool = Field(default=True, description="a file without a marker waits")
    rescue_share: float = Field(
        0.05,
        ge=0,
        le=1,
        strict=True,
        description="share of a column that may be rescued before an export is refused",
    )
    profile: bool = Field(
        default=True, strict=True, description="profile the rows while they are written"
    )
    drift: DriftSettings = Field(
        default_factory=DriftSettings,  # pyright: ignore[reportArgumentType] (all have defaults)
        description="from where an export counts as drifted",
    )
    tables: dict[Name, TableSettings] = Field(
        default_factory=dict, description="changes to built-in tables, and one's own"
    )


class LakeSettings(_Model):
    """Everything that can be set. Sizes are upper bounds in bytes."""

    root: str = Field(".lake", min_length=1, description="the lake: a folder or s3://bucket/prefix")
    exports: str | None = Field(None, description="what holds the datamart folder; folder or s3://")
    memory: Size = Field(512 * 2**20, description="what one stage may hold of a table's data")
    target_file_size: Size = Field(128 * 10**6, description="of a lake file, compressed")
    max_payload_size: Size = Field(8 * 2**30, description="of one export file, uncompressed")
    max_row_size: Size = Field(64 * 2**20, description="of one row of an export file")
    workers: int = Field(4, ge=1, le=64, strict=True, description="export files read at once")
    datamart: DatamartSettings = Field(
        default_factory=DatamartSettings  # pyright: ignore[reportArgumentType] (all have defaults)
    )
    databases: dict[Annotated[Name, AfterValidator(_not_taken)], dict[Name, SnapshotSettings]] = (
        Field(
            default_factory=dict,
            description="tables made of database snapshots, by database",
            json_schema_extra={"propertyNames": {"not": {"enum": list(_TAKEN)}}},
        )
    )
    schedules: ScheduleSettings = Field(
        default_factory=ScheduleSettings,  # pyright: ignore[reportArgumentType] (all have defaults)
        description="when what is scheduled happens: cron expressions, UTC",
    )

    @field_validator("databases")
    @classmethod
    def _file_sizes_are_inherited(
        cls, databases: dict[str, dict[str, SnapshotSettings]], info: ValidationInfo
    ) -> dict[str, dict[str, SnapshotSettings]]:
        """A table that does not set ``target_file_size`` has that of the lake."""
        if "target_file_size" not in info.data:  # it is wrong, which is said already
            return databases
        size = {"target_file_size": info.data["target_file_size"]}
        return {
            database: {
                name: table
                if "target_file_size" in table.model_fields_set
                else table.model_copy(update=size)
                for name, table in tables.items()
            }
            for database, tables in databases.items()
        }

    @property
    def exports_url(self) -> str:
        """Where exports are read: as set, else those that ``lake demo`` makes below the root."""
        return self.exports or f"{self.root.rstrip('/')}/demo-exports"


def load_settings(
    config: str | None = None, *, root: str | None = None, exports: str | None = None
) -> LakeSettings:
    """The settings in force.

    Args:
        config: A YAML file; else ``LAKE_CONFIG``, else ``lake.yaml`` here, else the defaults.
        root: Wins over ``LAKE_ROOT`` and the file.
        exports: Wins over ``LAKE_EXPORTS`` and the file.

    Raises:
        SettingsError: The file is missing or wrong; one line for each mistake, with its place.
    """
    path = config or os.environ.get("LAKE_CONFIG") or None
    if path is None and Path("lake.yaml").is_file():
        path = "lake.yaml"
    values = _read(Path(path)) if path else {}
    for name, given in (("root", root), ("exports", exports)):
        if given is not None and not given.strip():
            raise SettingsError(f"--{name} is empty; is a variable not set?")
    wins = {
        "root": root or os.environ.get("LAKE_ROOT"),
        "exports": exports or os.environ.get("LAKE_EXPORTS"),
    }
    values.update({name: value for name, value in wins.items() if value})
    try:
        return LakeSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_mistakes(error, path))) from error


def _read(path: Path) -> dict[str, Any]:
    path = path.expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except OSError as error:
        raise SettingsError(
            f"cannot read the configuration {path}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(_yaml_mistake(error, path)) from error
    if doubles := list(_doubles(node)):
        raise SettingsError(
            "\n".join(f"{path}:{line}: {name} is set twice" for line, name in doubles)
        )
    if not isinstance(values, dict | None):
        raise SettingsError(f"{path}:1: found {type(values).__name__}, expected keys like `root:`")
    values = dict(values or {})
    for name in ("root", "exports"):
        if isinstance(values.get(name), str):
            values[name] = _from_file(values[name], path.absolute().parent)
    for table in _database_tables(values):
        if isinstance(table.get("source"), str):
            table["source"] = _from_file(table["source"], path.absolute().parent)
    return values


def _database_tables(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is written for each table of a database, as far as it has the shape of one."""
    databases = values.get("databases")
    for tables in databases.values() if isinstance(databases, dict) else ():
        for table in tables.values() if isinstance(tables, dict) else ():
            if isinstance(table, dict):
                yield table


def _from_file(address: str, folder: Path) -> str:
    """A folder counts from the file that names it, so that a command works from any folder."""
    if not address.strip() or "://" in address:
        return address
    path = folder / os.path.expanduser(address)  # noqa: PTH111 (Path.expanduser raises)
    return os.path.abspath(path)  # noqa: PTH100 (resolve follows links)


def _yaml_mistake(error: Exception, path: Path) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}:{mark.line + 1}" if mark else str(path)
    reason = str(getattr(error, "problem", None) or error).splitlines()[0]
    return f"{place}: not YAML: {reason}"


def _mistakes(error: ValidationError, path: str | None) -> Iterator[str]:
    lines = _line_numbers(Path(path).expanduser()) if path else {}
    placed = [(_known(item["loc"], lines), item) for item in error.errors()]
    for known, item in sorted(placed, key=lambda each: lines.get(each[0], 0)):
        where = f"{path}:{lines[known]}: " if known in lines else ""
        found = repr(item["input"])
        if len(found) > _SHOWN:
            found = f"{found[:_SHOWN]}…"
        found = "" if item["type"] == "missing" else f" (found {found})"
        name = ".".join(_names(item["loc"]))
        yield f"{where}{name}: {_says(item['type'], item['msg'])}{found}"


def _names(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(str(part) for part in loc if part != "[key]")


def _known(loc: tuple[int | str, ...], lines: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    """The key of the file that is nearest to where a mistake was found."""
    place = _names(loc)
    while place and place not in lines:
        place = place[:-1]
    return place


def _says(kind: str, message: str) -> str:
    if kind in _SAID:
        return _SAID[kind]
    return message.removeprefix("Value error, ").replace("\n", " ")


def _line_numbers(path: Path) -> Mapping[tuple[str, ...], int]:
    """The line (from 1) of each key of a YAML file, by its path of keys."""
    node = yaml.compose(path.read_text(encoding="utf-8-sig"), yaml.SafeLoader)
    return dict(_keys(node))


def _doubles(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    seen: set[tuple[str, ...]] = set()
    for place, line in _keys(node):
        if place in seen:
            yield line, ".".join(place)
        seen.add(place)


def _keys(
    node: yaml.Node | None, place: tuple[str, ...] = (), above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[tuple[str, ...], int]]:
    if not isinstance(node, yaml.MappingNode) or node in above:
        return
    for key, value in node.value:
        inner = (*place, str(key.value))
        yield inner, key.start_mark.line + 1
        yield from _keys(value, inner, (*above, node))
