"""What can be set for one table of a database: where its snapshots lie and what is made of them.

The declared types of its columns and the sizes are here too; the file that holds all of this is
read by ``settings``. Polars is loaded only where an expression or a type is asked for.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from lake_assets.profile_settings import DriftSettings
from lake_assets.size import Size

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ColumnType", "SnapshotSettings", "SqlExpression", "parse_column_type"]

#: Digits of a decimal, polars and Delta.
_MAX_PRECISION = 38
_FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
#: What ``open_store`` serves.
_SCHEMES = ("s3", "file", "gs", "az", "abfs", "abfss")
_PARTITION_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_DERIVED = ("record_id", "create_time", "update_time")
_DECIMAL = r"decimal\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)"
#: Columns that the line itself adds.
_OURS = ("_snapshot", "_rescued_data")
#: Nodes of Polars' expressions that need other rows, or make more or other columns of one.
_BEYOND_THE_ROW = frozenset({"Agg", "Correlation", "Explode", "Filter", "Over", "Quantile"}) | {
    *("Rolling", "Selector", "Slice", "SortBy", "SubPlan")
}
_CLOCK = re.compile(r"(?i)\b(NOW\s*\(|CURRENT_(DATE|TIME|TIMESTAMP)\b|LOCALTIME)")
#: Formats whose exports say themselves when they are finished.
_SELF_FINISHED = ("dynamodb", "rds", "manifest")

Simple = Literal["string", "int", "float", "bool", "date", "datetime", "binary", "json"]
_SIMPLE: tuple[Simple, ...] = get_args(Simple)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A declared type of a column."""

    kind: Simple | Literal["decimal"]
    precision: int | None = None
    """Digits of a decimal, 1 to 38; None for the other kinds."""
    scale: int | None = None
    """Digits of a decimal behind the point, 0 to ``precision``; None for the other kinds."""

    @property
    def dtype(self) -> "pl.DataType":
        """The type of the column in the lake: json is its text, datetime UTC microseconds."""
        import polars as pl

        if self.kind == "decimal":
            return pl.Decimal(self.precision, self.scale or 0)
        return {
            "string": pl.String(),
            "int": pl.Int64(),
            "float": pl.Float64(),
            "bool": pl.Boolean(),
            "date": pl.Date(),
            "datetime": pl.Datetime("us", "UTC"),
            "binary": pl.Binary(),
            "json": pl.String(),
        }[self.kind]


def parse_column_type(text: str) -> ColumnType:
    """The type that a configuration names.

    Raises:
        ValueError: It names none; the message says which there are.

    Example:
        >>> parse_column_type("decimal(12,2)")
        ColumnType(kind='decimal', precision=12, scale=2)
        >>> parse_column_type("int").dtype
        Int64
    """
    if text in _SIMPLE:
        return ColumnType(text)
    match = re.fullmatch(_DECIMAL, text)
    if match is None:
        raise ValueError(f"is no type; write {', '.join(_SIMPLE)} or decimal(12,2)")
    precision, scale = int(match[1]), int(match[2])
    if not 1 <= precision <= _MAX_PRECISION or scale > precision:
        raise ValueError(
            f"is no decimal: 1 to {_MAX_PRECISION} digits, of these 0 to all behind the point"
        )
    return ColumnType("decimal", precision, scale)


class SqlExpression(BaseModel):
    """A Polars SQL expression: one value for each row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str = Field(description="Polars SQL, like STRFTIME(create_time, '%Y')", min_length=1)

    @field_validator("sql")
    @classmethod
    def _parses(cls, sql: str) -> str:
        from polars import sql_expr
        from polars.exceptions import PolarsError

        try:
            by_row = _is_by_row(json.loads(sql_expr(sql).meta.serialize(format="json")))
        except (PolarsError, RecursionError) as error:
            raise ValueError(f"is no Polars SQL expression: {str(error)[:160]}") from error
        if not by_row:
            raise ValueError("needs more than the row itself, so it would change with group_size")
        if _CLOCK.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", sql)):
            raise ValueError("asks for the time of day, so a second run would give other rows")
        return sql

    @property
    def expr(self) -> "pl.Expr":
        """The same in Polars; the caller gives it its name."""
        import polars as pl

        return pl.sql_expr(self.sql)


def _is_by_row(node: object) -> bool:
    """Whether no part of Polars' own tree of an expression looks at other rows, or makes more.

    ``meta.is_row_separable`` is no answer: polars 2.1 says True of ``MAX(a) + b``.
    """
    if isinstance(node, dict):
        return not _BEYOND_THE_ROW.intersection(node) and all(
            _is_by_row(below)
            for name, below in node.items()
            if name not in {"Column", "Literal", "function"} or isinstance(below, dict)
        )
    if isinstance(node, list):
        return all(map(_is_by_row, node))
    return node != "Len"


def _expression(value: object) -> object:
    """A column name, ``{sql: …}``, or (in Python) a ``pl.Expr``."""
    if isinstance(value, dict):
        return SqlExpression.model_validate(value)
    if isinstance(value, SqlExpression) or (isinstance(value, str) and value):
        return value
    if type(value).__module__.startswith("polars."):
        import polars as pl

        if isinstance(value, pl.Expr):
            return value
    raise ValueError('is no expression; write the name of a column or {sql: "…"}')


if TYPE_CHECKING:
    Expression = str | SqlExpression | pl.Expr
else:
    Expression = Annotated[
        Any, PlainValidator(_expression, json_schema_input_type=str | SqlExpression)
    ]


def _source(source: str) -> str:
    scheme, separator, rest = source.rpartition("://")
    if separator and (scheme.lower() not in _SCHEMES or not rest.strip("/")):
        raise ValueError("is neither a folder nor s3://bucket/prefix")
    path = rest.partition("/")[2] if separator else source
    held = re.findall(r"\{[^{}/]*\}", source)
    if held and (held != ["{snapshot}"] or "{snapshot}" not in path.split("/")):
        raise ValueError("holds {snapshot} at most once, as a whole folder, and no other {…}")
    return source


def _type_name(text: str) -> str:
    parse_column_type(text)
    return text


def _function(text: str) -> str:
    if not re.fullmatch(_FUNCTION, text):
        raise ValueError("is no module:function, like exports.orders:read")
    return text


def _wrong_names(
    pairs: Iterable[tuple[object, object]], derived: Collection[str]
) -> Iterator[InitErrorDetails]:
    """One mistake for each partition name that cannot be, in its place below ``partition_by``."""
    seen: dict[str, str] = {}
    for name, made_of in pairs:
        said = None
        if not isinstance(name, str) or not re.fullmatch(_PARTITION_NAME, name):
            said = 'is no partition name: letters, digits and _; write {name: "the column"}'
        elif name.lower() in _OURS:
            said = "is a column that lake_assets makes itself; take another name"
        elif name.lower() in seen:
            said = f"is spelled like {seen[name.lower()]!r}; partition names differ without case"
        elif (same := name.lower()) in derived and not (
            isinstance(made_of, str) and made_of == name == same
        ):
            said = f"is a derived column; write {{{same}: {same}}} to split by it, or rename this"
        else:
            seen[name.lower()] = name
        if said:
            error = PydanticCustomError("setting", "{said}", {"said": said})
            yield InitErrorDetails(type=error, loc=(str(name),), input=name)


def _again(error: ValidationError) -> Iterator[InitErrorDetails]:
    """What a validator found, to be told together with what another one did."""
    for item in error.errors():
        known = {"type": item["type"], "loc": item["loc"], "input": item["input"]}
        yield InitErrorDetails(**known, ctx=item.get("ctx", {}))


Column = Annotated[str, Field(min_length=1)]
Function = Annotated[
    str, AfterValidator(_function), Field(json_schema_extra={"pattern": f"^{_FUNCTION}$"})
]
PartitionName = Annotated[str, Field(json_schema_extra={"pattern": f"^{_PARTITION_NAME}$"})]
TypeName = Annotated[
    str,
    AfterValidator(_type_name),
    Field(json_schema_extra={"pattern": f"^({'|'.join(_SIMPLE)}|{_DECIMAL})$"}),
]


class SnapshotSettings(BaseModel):
    """One table of a database: its snapshots, and the lake table made of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1), AfterValidator(_source)] = Field(
        description="folder or s3://bucket/prefix of the export, or of many; a folder named "
        "{snapshot} stands for one snapshot each"
    )
    format: Literal["dynamodb", "rds", "parquet", "ndjson", "csv", "manifest", "python"] = Field(
        description="how the files are written"
    )
    ready: Annotated[str, Field(pattern=r"^[^/\s]+$")] | None = Field(
        None, description="marker file in a snapshot's folder; without one its files are finished"
    )
    reader: Function | None = Field(
        None,
        validate_default=True,
        description="module:function, file references to LazyFrame; with format python only",
    )
    record_id: Expression | None = Field(None, description="what makes a record the same one")
    create_time: Expression | None = Field(None, description="when the record was made")
    update_time: Expression | None = Field(None, description="which of its rows is the newest")
    partition_by: dict[str, Expression] = Field(
        default_factory=dict, description="hive partition: columns, or names with what makes them"
    )
    sort_by: tuple[Column, ...] = Field((), description="order of the rows of a partition")
    descending: tuple[bool, ...] = Field(
        (), validate_default=True, description="for each of sort_by, or one for all"
    )
    group_size: Size = Field(100 * 10**6, description="upper bound of what a staging task reads")
    target_file_size: Size = Field(128 * 10**6, description="of a lake file, compressed")
    row_limit_per_file: int | None = Field(None, ge=1, strict=True, description="of a lake file")
    count_on: Column | None = Field(None, description="column whose non-nulls are counted")
    mode: Literal["replace", "history"] = Field(
        "replace", description="the newest snapshot is the table, or every one is kept"
    )
    dedupe: Literal["newest", "none"] = Field(
        "newest", description="newest row for each record_id, or all; without record_id all"
    )
    compression: Literal["snappy", "zstd", "gzip", "none"] = Field(
        "zstd", description="of the lake files"
    )
    transform: Function | None = Field(
        None, description="module:function, LazyFrame to LazyFrame, before the derived columns"
    )
    columns: dict[Column, TypeName] = Field(
        default_factory=dict, description="declared types; the others are inferred"
    )
    profile: bool = Field(
        default=False, strict=True, description="profile the rows while they are written"
    )
    hidden: tuple[Column, ...] = Field((), description="columns whose values no profile records")
    drift: DriftSettings = Field(
        default_factory=DriftSettings,  # pyright: ignore[reportArgumentType] (all have defaults)
        description="from where a snapshot counts as drifted",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        known = cls.model_fields
        return {k: value for k, value in values.items() if value is not None or k not in known}

    @field_validator("ready")
    @classmethod
    def _waits_only_where_nothing_else_says_it(
        cls, ready: str | None, info: ValidationInfo
    ) -> str | None:
        written = info.data.get("format")
        if ready is not None and written in _SELF_FINISHED:
            raise ValueError(f"is not for {written}: its exports say when they are finished")
        return ready

    @field_validator("reader")
    @classmethod
    def _is_that_of_format_python(cls, reader: str | None, info: ValidationInfo) -> str | None:
        written = info.data.get("format")
        if written == "python" and reader is None:
            raise ValueError("is missing; format python needs module:function")
        if written not in {"python", None} and reader is not None:
            raise ValueError(f"is for format python only; format {written} reads by itself")
        return reader

    @field_validator("sort_by")
    @classmethod
    def _sorts_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) < len(columns):
            raise ValueError("names a column twice")
        return columns

    @field_validator("descending")
    @classmethod
    def _is_one_for_each(cls, flags: tuple[bool, ...], info: ValidationInfo) -> tuple[bool, ...]:
        """Whoever reads it finds as many as there are columns, however few were written."""
        if "sort_by" not in info.data:
            return flags
        n_columns = len(info.data["sort_by"])
        if len(flags) <= 1:
            return (flags or (False,)) * n_columns
        if len(flags) != n_columns:
            raise ValueError(f"has {len(flags)} for {n_columns} of sort_by; give one, or one each")
        return flags

    @field_validator(
        "partition_by",
        mode="wrap",
        json_schema_input_type=dict[PartitionName, Expression] | list[PartitionName],
    )
    @classmethod
    def _has_names_that_can_be(
        cls, value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> dict[str, Expression]:
        """A list is a dict of columns by themselves; a name stands for one column, without case."""
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            pairs = [(name, name) for name in value]
        elif isinstance(value, dict):
            pairs = list(value.items())
        else:
            raise ValueError("is a list of columns, or names with what makes them")
        derived = {name for name in _DERIVED if info.data.get(name) is not None}
        wrong = list(_wrong_names(pairs, derived))
        try:
            checked = check(dict(pairs))
        except ValidationError as error:
            raise ValidationError.from_exception_data("", [*wrong, *_again(error)]) from error
        if wrong:
            raise ValidationError.from_exception_data("", wrong)
        return checked
