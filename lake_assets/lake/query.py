"""SQL over the lake's tables, read-only and unable to read anything else.

DuckDB runs on frames that were registered for it: external access is off and the configuration is
locked, so no statement can open a file, an address or an extension. (Polars' SQL can read any.)
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from lake_assets.errors import QueryError, StorageError
from lake_assets.export.pega_tables import DATAMART_TABLES, TableSpec
from lake_assets.lake.read import scan_table, scan_uri, table_uri, tables_of

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
    root_url: str, sql: str, *, tables: Sequence[TableSpec] = DATAMART_TABLES
) -> pl.DataFrame:
    """The result of one SELECT over the lake's tables by name, ``FROM datamart.model_snapshot``.

    Args:
        root_url: The lake.
        sql: One statement in DuckDB's dialect. Only tables whose name occurs in it are opened.
        tables: The declared tables; one without a first commit is there with no rows.

    Raises:
        QueryError: It is not one reading statement, names an unknown table, or does not run.
        StorageError: A table cannot be read.
    """
    import duckdb

    declared = {spec.id: spec for spec in tables}
    names = tables_of(root_url, tables)
    connection = duckdb.connect(":memory:", config=_CLOSED)
    try:
        # A statement that names none (SHOW TABLES, a table without its schema) sees them all.
        for name in [name for name in names if _mentions(sql, name)] or names:
            spec = declared.get(name)
            frame = scan_table(root_url, spec) if spec else scan_uri(table_uri(root_url, name))
            _register(connection, name, frame)
        connection.execute("SET lock_configuration = true")
        _check_reading(connection, sql)
        return connection.execute(sql).pl()
    except pl.exceptions.PolarsError as error:
        text = str(error).partition(". Hint")[0]
        raise QueryError(f"the result cannot be shown: {text}; cast that column to text") from error
    except duckdb.Error as error:
        text = str(error).partition("\n\nLINE")[0].partition("\nDid you mean")[0]
        if _UNREADABLE.search(text):  # a file of the table, not the statement
            raise StorageError(
                f"a file of a table cannot be read: {text.splitlines()[0]}"
            ) from error
        hint = (
            f"; the tables are {', '.join(names)}"
            if isinstance(error, duckdb.CatalogException)
            else ""
        )
        raise QueryError(f"{text}{hint}") from error
    finally:
        connection.close()


def _mentions(sql: str, name: str) -> bool:
    source, _, table = name.partition(".")
    return re.search(rf'\b"?{source}"?\s*\.\s*"?{table}\b', sql, re.IGNORECASE) is not None


def _register(connection: "duckdb.DuckDBPyConnection", name: str, frame: pl.LazyFrame) -> None:
    source, _, table = name.partition(".")
    view = f"{source}__{table}"
    connection.register(view, frame)  # filters and columns are pushed down into the scan
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
    # The names are folders of the lake, quoted; nothing a statement says gets here.
    connection.execute(f'CREATE VIEW "{source}"."{table}" AS SELECT * FROM "{view}"')  # noqa: S608


def _check_reading(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name not in _READ_ONLY:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise QueryError(f"give one SELECT; found {kinds}. The lake is read-only here")
