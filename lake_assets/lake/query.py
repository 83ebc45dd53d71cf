"""SQL over the lake's tables, read-only and unable to read anything else.

DuckDB runs on frames that were registered for it: external access is off and the configuration is
locked, so no statement can open a file, an address or an extension. (Polars' SQL can read any.)
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from lake_assets import delta
from lake_assets.compacted.schema import empty_schema
from lake_assets.errors import QueryError, StorageError
from lake_assets.export.pega_tables import DATAMART_TABLES, TableSpec
from lake_assets.lake.read import scan_table, scan_uri, table_uri, tables_of
from lake_assets.lake.versions import version_as_of
from lake_assets.s3 import storage_options

if TYPE_CHECKING:
    import duckdb

__all__ = ["query"]

# No file, no address, no extension, and no variable of the Python program that calls.
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}
#: How polars says, through DuckDB, that a data file is not there or not whole.
_UNREADABLE = re.compile(r"FileNotFoundError|No such file|ComputeError|ObjectStore|parquet:")
_READ_ONLY = frozenset({"SELECT", "EXPLAIN", "PRAGMA"})


def query(
    root_url: str,
    sql: str,
    *,
    tables: Sequence[TableSpec] = DATAMART_TABLES,
    versions: Mapping[str, int] | None = None,
    as_of: datetime | None = None,
    expected: Collection[str] = (),
) -> pl.DataFrame:
    """The result of one SELECT over the lake's tables by name, ``FROM datamart.model_snapshot``.

    Args:
        root_url: The lake.
        sql: One statement in DuckDB's dialect. Only tables whose name occurs in it are opened.
        tables: The declared tables; one without a first commit is there with no rows.
        versions: Versions of tables by name; the others are read as of ``as_of``, else newest.
        as_of: Tables as they were then (with time zone). One that was not there yet is not there,
            or has no rows where it is declared.
        expected: Names of tables that some run will publish; asked for before, they are told so.

    Raises:
        QueryError: It is not one reading statement, names an unknown table or version, or does not
            run.
        StorageError: A table cannot be read.
    """
    import duckdb

    names = tables_of(root_url, tables)
    wanted = _checked_versions(root_url, versions or {}, names)
    declared = {spec.id: spec for spec in tables}
    absent: list[str] = []
    connection = duckdb.connect(":memory:", config=_CLOSED)
    try:
        # A statement that names none (SHOW TABLES, a table without its schema) sees them all.
        for name in [name for name in names if _mentions(sql, name)] or names:
            frame = _frame(root_url, name, declared.get(name), wanted.get(name), as_of)
            if frame is None:
                absent.append(name)
            else:
                _register(connection, name, frame)
        connection.execute("SET lock_configuration = true")
        _check_reading(connection, sql)
        return connection.execute(sql).pl()
    except pl.exceptions.PolarsError as error:
        text = str(error).partition(". Hint")[0]
        raise QueryError(f"the result cannot be shown: {text}; cast that column to text") from error
    except duckdb.CatalogException as error:
        there = [name for name in names if name not in absent]
        hint = f"; the tables are {', '.join(there) or 'none'}"
        hint += f"; not there yet at {as_of}: {', '.join(absent)}" if absent else ""
        later = [name for name in expected if name not in names]
        hint += f"; not published yet: {', '.join(later)}" if later else ""
        raise _refusal(error, hint) from error
    except duckdb.Error as error:
        raise _refusal(error) from error
    finally:
        connection.close()


def _refusal(error: "duckdb.Error", hint: str = "") -> QueryError | StorageError:
    text = str(error).partition("\n\nLINE")[0].partition("\nDid you mean")[0]
    if _UNREADABLE.search(text):  # a file of the table, not the statement
        return StorageError(f"a file of a table cannot be read: {text.splitlines()[0]}")
    return QueryError(f"{text}{hint}")


def _frame(
    root_url: str, name: str, spec: TableSpec | None, version: int | None, as_of: datetime | None
) -> pl.LazyFrame | None:
    """The rows of a table at a version, else at a moment, else now; None: not there then."""
    if version is None and as_of is not None:
        version = version_as_of(root_url, name, as_of)
        if version is None:
            return pl.LazyFrame(schema=empty_schema(spec)) if spec else None
    if spec is not None:
        return scan_table(root_url, spec, version=version)
    return scan_uri(table_uri(root_url, name), version=version)


def _checked_versions(
    root_url: str, versions: Mapping[str, int], names: Sequence[str]
) -> dict[str, int]:
    """Each version is one that its table has; a slip is told before anything is read."""
    for name, version in versions.items():
        if name not in names:
            raise QueryError(
                f"there is no table {name!r} of which to read version {version}; the tables are"
                f" {', '.join(names)}"
            )
        uri = table_uri(root_url, name)
        newest = delta.table_version(uri, storage_options(uri))
        if newest is None:
            raise QueryError(f"{name} has no version {version}: nothing of it is published yet")
        if not 0 <= version <= newest:
            raise QueryError(f"{name} has the versions 0 to {newest}, not {version}")
    return dict(versions)


def _mentions(sql: str, name: str) -> bool:
    source, _, table = name.partition(".")
    return re.search(rf'\b"?{source}"?\s*\.\s*"?{table}\b', sql, re.IGNORECASE) is not None


def _register(connection: "duckdb.DuckDBPyConnection", name: str, frame: pl.LazyFrame) -> None:
    source, _, table = name.partition(".")
    view = f"{source}__{table}"
    connection.register(view, frame)  # filters and columns are pushed down into the scan
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
    # The names are folders of the lake, quoted; nothing a statement says gets here.
    connection.execute(f'CREATE VIEW "{source}"."{table}" AS SELECT * FROM "{view}"')  # noqa: S608 (quoted)


def _check_reading(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name not in _READ_ONLY:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise QueryError(f"give one SELECT; found {kinds}. The lake is read-only here")
