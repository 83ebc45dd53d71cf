"""The type of a column of text, from all of its values: never a guess from the first rows.

A column is int, float or bool only where every value prints back as it stood; dates, times and
whatever else are declared by a person, or stay text.
"""

from collections.abc import Mapping

import polars as pl

from lake_assets.database_settings import ColumnType
from lake_assets.export.declared_types import fit_text

__all__ = ["TextTypes"]

_STRING = ColumnType("string")

#: By type, how its values are written, the narrowest type first: no leading zeros, plus signs or
#: exponents, which are as often those of an id.
_SPELLINGS: Mapping[ColumnType, str] = {
    ColumnType("bool"): r"^(?:true|false)$",
    ColumnType("int"): r"^(?:0|-?[1-9][0-9]{0,18})$",
    ColumnType("float"): r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$",
}


class TextTypes:
    """Which types the values of each column have left open, over all frames so far."""

    def __init__(self, declared: Mapping[str, ColumnType]) -> None:
        self._declared = declared
        self._open: dict[str, list[ColumnType]] = {}
        self._has_values: set[str] = set()

    def add(self, texts: pl.DataFrame) -> None:
        """Look at some more rows: String columns."""
        for text in texts:
            name = text.name
            open_ = self._open.setdefault(name, list(_SPELLINGS))
            if name in self._declared or text.null_count() == len(text):
                continue
            self._has_values.add(name)
            self._open[name] = [column for column in open_ if _all_fit(text, column)]

    def columns(self) -> dict[str, ColumnType]:
        """The type of every column, in the order of the first frame that had it.

        Declared columns come as declared, there or not; one without any value is a string.
        """
        found = {
            name: open_[0] if open_ and name in self._has_values else _STRING
            for name, open_ in self._open.items()
        }
        return {**found, **self._declared}


def _all_fit(text: pl.Series, column: ColumnType) -> bool:
    # An empty text is a value, but none of these types has it.
    return bool(text.str.contains(_SPELLINGS[column]).all()) and not fit_text(text, column).lost
