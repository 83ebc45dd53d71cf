"""The configuration: one YAML file, environment variables, and the defaults in between.

Explicit arguments win over ``LAKE_ROOT`` and ``LAKE_EXPORTS``, these over the file (``LAKE_CONFIG``,
else ``lake.yaml`` in the working directory), the file over the defaults. Nothing is read at import.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lake_assets.errors import SettingsError

__all__ = ["DatamartSettings", "LakeSettings", "TableSettings", "load_settings"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{value!r} is no size; write 128MB, 512MiB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _alternatives(value: object) -> object:
    """``key: [a, b]`` is one alternative, ``key: [[a], [b, c]]`` are two."""
    if isinstance(value, str):
        return [[value]]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [value]
    return value


Size = Annotated[int, BeforeValidator(_size), Field(ge=1)]
"""Bytes; text like 128MB or 512MiB is understood."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TableSettings(_Model):
    """One datamart table: changes to a built-in one, or a table of one's own (then with ``class``)."""

    class_name: str | None = Field(None, alias="class", description="Pega class, compared whole")
    dataset: str | None = Field(None, description="data set without px/py/pz; any when absent")
    key: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_alternatives)] | None = Field(
        None, description="columns of the key; `name?` may be null; a list of lists are alternatives"
    )
    time: str | None = Field(None, description="column whose month is the hive partition")
    columns: tuple[str, ...] | None = Field(None, description="columns that the table always has")
    types: dict[str, Literal["string", "float", "int", "datetime"]] = Field(default_factory=dict)
    strict: bool = Field(False, description="refuse an export with any value that does not fit")


class DatamartSettings(_Model):
    """Where Pega's files lie and how they are taken."""

    folder: str = Field("datamart", description="folder below the exports; only it is read")
    sentinel: str = Field(".{name}.meta", pattern=r"\{name\}", description="name of the ready marker")
    require_meta: bool = Field(True, description="a file without a marker waits")
    rescue_share: float = Field(
        0.05, ge=0, le=1, description="share of a column that may be rescued before an export is refused"
    )
    tables: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], TableSettings] = Field(
        default_factory=dict
    )


class LakeSettings(_Model):
    """Everything that can be set. Sizes are upper bounds in bytes."""

    root: str = Field(".lake", description="the lake: a folder or s3://bucket/prefix")
    exports: str | None = Field(None, description="what holds the datamart folder; folder or s3://")
    memory: Size = Field(512 * 2**20, description="what one stage may hold of a table's data")
    target_file_size: Size = Field(128 * 10**6, description="of a lake file, compressed")
    max_payload_size: Size = Field(8 * 2**30, description="of one export file, uncompressed")
    max_row_size: Size = Field(64 * 2**20, description="of one row of an export file")
    workers: int = Field(4, ge=1, le=64, description="export files read at once")
    datamart: DatamartSettings = Field(default_factory=DatamartSettings)  # pyright: ignore[reportArgumentType]

    @property
    def exports_url(self) -> str:
        """Where exports are read: as set, else the exports that ``lake demo`` makes below the root."""
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
    path = config or os.environ.get("LAKE_CONFIG")
    if path is None and Path("lake.yaml").is_file():
        path = "lake.yaml"
    values = _read(Path(path)) if path else {}
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
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the configuration {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict | None):
        raise SettingsError(f"{path} holds {type(values).__name__}, expected keys like `root:`")
    values = dict(values or {})
    for name in ("root", "exports"):  # relative to the file, so that a command works from any folder
        if isinstance(values.get(name), str) and "://" not in values[name]:
            values[name] = str((path.resolve().parent / Path(values[name]).expanduser()).resolve())
    return values


def _mistakes(error: ValidationError, path: str | None) -> Iterator[str]:
    lines = _line_numbers(Path(path)) if path else {}
    for item in error.errors():
        place = tuple(str(part) for part in item["loc"])
        while place and place not in lines:
            place = place[:-1]
        where = f"{path}:{lines[place]}: " if place in lines else ""
        name = ".".join(str(part) for part in item["loc"])
        message = "is not a setting; check the spelling" if item["type"] == "extra_forbidden" else item["msg"]
        yield f"{where}{name}: {message} (found {item['input']!r})"


def _line_numbers(path: Path) -> Mapping[tuple[str, ...], int]:
    """The line (from 1) of each key of a YAML file, by its path of keys."""
    lines: dict[tuple[str, ...], int] = {}

    def visit(node: yaml.Node, place: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                lines[inner] = key.start_mark.line + 1
                visit(value, inner)

    node = yaml.compose(path.read_text(encoding="utf-8"))
    if node is not None:
        visit(node, ())
    return lines
