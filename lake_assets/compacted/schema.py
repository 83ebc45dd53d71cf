"""The columns of a lake table: what the exports brought, what the table always has, what we add."""

from collections.abc import Iterable, Mapping

import polars as pl

from lake_assets.errors import SchemaChangeError
from lake_assets.export.pega_tables import (
    INTERNAL_COLUMNS,
    TYPE_NAMES,
    TableSpec,
    canonical,
    column_type,
)

__all__ = ["column_order", "empty_schema", "lake_schema", "spelled"]

_TYPES = {str(dtype): dtype for dtype in TYPE_NAMES.values()}


def lake_schema(
    spec: TableSpec, staged: Iterable[Mapping[str, str]], *, published: Iterable[str] = ()
) -> pl.Schema:
    """The schema of the table that these staged files make.

    Delta takes names that differ only in case for one column, so the table has one spelling of
    them: the published one, else that of the first file.

    Args:
        spec: The table; its known columns are added as far as no spelling of them is there.
        staged: Column → type of each staged file, oldest export first.
        published: The columns that the table has already.

    Raises:
        SchemaChangeError: Two files give one column different types.
    """
    spelling = {name.casefold(): name for name in published}
    found: dict[str, str] = {}
    for columns in staged:
        for column, dtype in columns.items():
            name = spelling.setdefault(column.casefold(), column)
            if found.setdefault(name, dtype) != dtype:
                raise SchemaChangeError(
                    f"{spec.id}: column {name!r} is {found[name]} in one staged export and"
                    f" {dtype} in another; exports staged under an older configuration must be"
                    " staged again: make them available, or take the change of type back"
                )
    source = [name for name in found if name not in INTERNAL_COLUMNS]
    absent = [spelling.get(name.casefold(), name) for name in _absent(spec, source)]
    names = column_order(spec, dict.fromkeys([*source, *absent]))
    schema = {
        name: _TYPES[found[name]] if name in found else column_type(spec, name) for name in names
    }
    schema.update(dict.fromkeys(INTERNAL_COLUMNS, pl.String()))
    return pl.Schema(schema)


def empty_schema(spec: TableSpec) -> pl.Schema:
    """The schema of a table that no export has come for yet."""
    return lake_schema(spec, [])


def spelled(columns: Iterable[str], schema: Iterable[str]) -> dict[str, str]:
    """Those of the columns that the schema spells in another case, and how it spells them.

    Example:
        >>> spelled(["pyModelID", "pyName"], ["pyModelId", "pyName"])
        {'pyModelID': 'pyModelId'}
    """
    spelling = {name.casefold(): name for name in schema}
    found = {name: spelling.get(name.casefold(), name) for name in columns}
    return {name: other for name, other in found.items() if name != other}


def column_order(spec: TableSpec, names: Iterable[str]) -> list[str]:
    """Known columns in the order of the declaration, then the others by name."""
    place = {canonical(name): i for i, name in enumerate(spec.known)}
    return sorted(names, key=lambda name: (place.get(canonical(name), len(place)), name))


def _absent(spec: TableSpec, source: list[str]) -> list[str]:
    """Known columns of which no export has any spelling, spelled as the exports spell theirs."""
    present = {canonical(name) for name in source}
    # The 2021 samples carry no px/py/pz at all: one style for the whole table.
    plain = bool(source) and not any(canonical(name) != name.lower() for name in source)
    return [
        name.removeprefix(name[:2]) if plain and canonical(name) != name.lower() else name
        for name in spec.known
        if canonical(name) not in present
    ]
