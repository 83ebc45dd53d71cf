"""The configuration: one YAML file, environment variables, and the defaults in between.

Explicit arguments win over ``LAKE_ROOT`` and ``LAKE_EXPORTS``, these over the file
(``LAKE_CONFIG``, else ``lake.yaml`` in the working directory), the file over the defaults.
Nothing is read at import.
"""

import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lake_assets.errors import SettingsError

__all__ = ["DatamartSettings", "LakeSettings", "TableSettings", "load_settings"]

_UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("B", 1000), ("IB", 1024))
}
#: Characters of a wrong value that a message shows.
_SHOWN = 80
#: Sizes end up in 64-bit counters.
_MAX_SIZE = 2**63 - 1


def _size(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is no size; write 128MB, 512MiB or a number of bytes")  # noqa: TRY004 (pydantic reports ValueError)
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("is no size; write 128MB, 512MiB or a number of bytes")
    return int(Decimal(match[1]) * _UNITS[match[2].upper()])


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


Size = Annotated[int, BeforeValidator(_size), Field(ge=1, le=_MAX_SIZE)]
"""Bytes; text like 128MB or 512MiB is understood."""


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
        BeforeValidator(_alternatives),
        AfterValidator(_keys_can_be_filled),
    ] = Field(
        None,
        description="columns of the key; `name?` may be null; a list of lists are alternatives",
    )
    time: str | None = Field(None, description="column whose month is the hive partition")
    columns: tuple[str, ...] | None = Field(None, description="columns that the table always has")
    types: dict[str, Literal["string", "float", "int", "datetime"]] = Field(default_factory=dict)
    strict: bool = Field(
        default=False, description="refuse an export with any value that does not fit"
    )


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
    tables: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], TableSettings] = Field(
        default_factory=dict
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
    datamart: DatamartSettings = Field(default_factory=DatamartSettings)  # pyright: ignore[reportArgumentType]

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
    return values


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
    for item in error.errors():
        parts = [str(part) for part in item["loc"] if part != "[key]"]
        place = tuple(parts)
        while place and place not in lines:
            place = place[:-1]
        where = f"{path}:{lines[place]}: " if place in lines else ""
        found = repr(item["input"])
        if len(found) > _SHOWN:
            found = f"{found[:_SHOWN]}…"
        yield f"{where}{'.'.join(parts)}: {_says(item['type'], item['msg'])} (found {found})"


def _says(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a setting; check the spelling"
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
