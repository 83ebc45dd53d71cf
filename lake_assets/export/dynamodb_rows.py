"""Rows of a DynamoDB export: tagged JSON to plain typed columns.

Arrow reads a chunk into structs of tags (``{"S": …, "N": …}``), which are taken apart level by
level without a loop over rows. The rule, for an attribute, a map's key and a list's elements alike:

    S, N → String (N digit by digit)   B → Binary   BOOL → Boolean   NULL → null   M → Struct
    SS, NS → List(String)   BS → List(Binary)   L → List of what its elements are

Scalars of several types in one place are String: the text, ``true``/``false``, B's base64. Anything
else mixed (a map and a text, two kinds of lists) is refused by name; declared ``json`` holds it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.database_settings import ColumnType
from lake_assets.errors import BadInputError
from lake_assets.export.arrow_json import ArrowJsonError, count_lines, is_line_each, read_arrow_json
from lake_assets.export.arrow_values import storable
from lake_assets.export.declared_types import fit_text
from lake_assets.export.dynamodb_json import plain_json, without_attributes
from lake_assets.export.json_guards import data_keys
from lake_assets.export.part_rows import Column, PartRows, Reading, assemble, check_names

__all__ = ["read_dynamodb"]

_AGAIN = "export the table again"
_SCALARS = frozenset({"S", "N", "B", "BOOL"})

#: What Arrow must have found below a tag: anything else is no DynamoDB JSON.
_SHAPES = {
    **dict.fromkeys(("S", "N", "B"), pa.types.is_string),
    **dict.fromkeys(("BOOL", "NULL"), pa.types.is_boolean),
    **dict.fromkeys(("SS", "NS", "BS", "L"), pa.types.is_list),
    "M": pa.types.is_struct,
}


def read_dynamodb(key: str, chunks: Iterator[bytes], reading: Reading) -> Iterator[PartRows]:
    """The rows of chunks of whole lines, chunk by chunk.

    Args:
        key: Names the object in errors.
        chunks: Text of the data file.
        reading: Its declared columns; the others get the type of what is there.

    Raises:
        BadInputError: A line is not one ``{"Item": …}``, a value has no or an unknown type, or an
            attribute mixes what no column can hold.
    """
    known: pa.Schema | None = None
    jsons = [name for name, column in reading.columns.items() if column.kind == "json"]
    line = 1
    for chunk in chunks:
        text, found = without_attributes(key, chunk, jsons, line) if jsons else (chunk, {})
        if text and not text.isspace():
            table = _table(key, text, known)
            known = table.schema
            if not is_line_each(text, table.num_rows):
                found = f"{table.num_rows} items in {count_lines(text)} lines"
                raise _bad(key, found, "one item a line")
            yield _rows(key, _items(key, table), found, reading.columns)
        line += chunk.count(b"\n")


def _table(key: str, text: bytes, known: pa.Schema | None) -> pa.Table:
    place = data_keys(text)
    if place and place != "Item":
        name = place.split(".")[1]
        raise _bad(
            key,
            f"other keys in every row in {place.removeprefix('Item.')!r}",
            "maps with the same keys",
            f"declare it as text: `columns: {{{name}: json}}`",
        )
    try:
        return read_arrow_json(text, known)
    except ArrowJsonError as error:
        raise _bad(key, str(error), 'one {"Item": {…}} a line, in DynamoDB JSON') from error


def _items(key: str, table: pa.Table) -> pa.StructArray:
    others = [name for name in table.column_names if name != "Item"]
    if others:
        raise _bad(
            key,
            f"the keys {', '.join(map(repr, others))}",
            "only Item in each line, as a full export has it",
            "an incremental export (Keys, NewImage) is changes, not a snapshot: make a full export",
        )
    items = table.column("Item").combine_chunks()
    if not pa.types.is_struct(items.type) or items.null_count:
        raise _bad(key, "a line without an Item", "an Item in each line")
    return cast("pa.StructArray", items)


def _rows(
    key: str,
    items: pa.StructArray,
    jsons: Mapping[str, list[str | None]],
    declared: Mapping[str, ColumnType],
) -> PartRows:
    columns: list[Column] = []
    for field, cells in zip(items.type, items.flatten(), strict=True):
        name = field.name
        column = declared.get(name)
        place = _Place(key, name)
        if column is None:
            columns.append(Column(_series(name, place.value(cells))))
        else:
            columns.append(_declared(name, place, cells, column))
    for name, texts in jsons.items():
        columns.append(Column(pl.Series(name, texts, dtype=pl.String)))
    check_names(key, (column.values.name for column in columns))
    return assemble(columns, len(items))


def _declared(name: str, place: "_Place", cells: pa.Array, column: ColumnType) -> Column:
    tags = place.tags(cells)
    only = tags.keys() - {"NULL"}
    if (only == {"BOOL"} and column.kind == "bool") or (only == {"B"} and column.kind == "binary"):
        return Column(_series(name, place.value(cells)))
    text = _series(name, _text({tag: tags[tag] for tag in sorted(only & _SCALARS)}, len(cells)))
    nested = [tags[tag].is_valid() for tag in only - _SCALARS]
    if nested:
        rows = pl.Series(_any(nested)).arg_true()
        tagged = pl.Series(cells.take(pa.array(rows.to_list(), pa.int64()))).to_list()
        plain = [plain_json(each) for each in tagged]
        text = text.scatter(rows, pl.Series(plain, dtype=pl.String))
    if column.kind != "binary":
        return fit_text(text, column)
    # Only B is bytes: the text of another type may look like base64 and is none.
    values = place.decoded(tags["B"]) if "B" in tags else pa.nulls(len(cells), pa.binary())
    series = _series(name, values)
    rows = (series.is_null() & text.is_not_null()).arg_true()
    return Column(series, dict(zip(rows, text.gather(rows), strict=True)) if rows.len() else {})


class _Place:
    """An attribute, or what is inside it: where its cells are taken apart and errors named."""

    __slots__ = ("_key", "_name", "_path")

    def __init__(self, key: str, path: str) -> None:
        self._key = key
        self._path = path
        self._name = re.split(r"\.|\[", path, maxsplit=1)[0]

    def value(self, cells: pa.Array) -> pa.Array:
        """The plain values of tagged cells."""
        tags = self.tags(cells)
        tags.pop("NULL", None)
        if not tags:
            return pa.nulls(len(cells))
        if len(tags) == 1:
            ((tag, values),) = tags.items()
            return self._plain(tag, values)
        if tags.keys() <= _SCALARS:
            return _text(tags, len(cells))
        return self._one_list(tags)

    def tags(self, cells: pa.Array) -> dict[str, pa.Array]:
        """The values by tag, of the tags that any cell has; proven to be one for each cell."""
        if pa.types.is_null(cells.type):
            return {}
        if not pa.types.is_struct(cells.type):
            raise self._bad(f"{cells.type} without a type", '{"S": …}, {"N": …} or another type')
        tags: dict[str, pa.Array] = {}
        for field, values in zip(cells.type, cells.flatten(), strict=True):
            if values.null_count == len(values):
                continue
            shape = _SHAPES.get(field.name)
            if shape is None or not shape(values.type):
                raise self._bad(f"{field.name!r} with {values.type}", "a type of DynamoDB")
            tags[field.name] = values
        n_cells, valid = len(cells) - cells.null_count, [v.is_valid() for v in tags.values()]
        n_values = sum(len(values) - values.null_count for values in tags.values())
        n_typed = _any(valid).true_count if valid else 0
        if not n_cells == n_values == n_typed:
            raise self._bad(
                f"{n_values} values in {n_cells} cells", "one type for each value, none twice"
            )
        return tags

    def decoded(self, values: pa.Array) -> pa.Array:
        """Base64 as bytes."""
        try:
            return cast("pl.Series", pl.from_arrow(values)).str.decode("base64").to_arrow()
        except pl.exceptions.ComputeError as error:
            raise self._bad("a B that is no base64", "base64") from error

    def _plain(self, tag: str, values: pa.Array) -> pa.Array:
        if tag in ("S", "N", "BOOL"):
            return values
        if tag == "B":
            return self.decoded(values)
        if tag == "M":
            return self._struct(values)
        elements = values.values
        if tag == "L":
            elements = _Place(self._key, f"{self._path}[]").value(elements)
        else:
            is_text = pa.types.is_string(elements.type)
            if not is_text and not pa.types.is_null(elements.type):
                raise self._bad(f"{tag!r} with {elements.type}", "texts in a set")
            elements = self.decoded(elements) if tag == "BS" and is_text else elements
        return _list(values, elements)

    def _struct(self, maps: pa.StructArray) -> pa.Array:
        names = [field.name for field in maps.type]
        members = [
            _Place(self._key, f"{self._path}.{name}").value(cells)
            for name, cells in zip(names, maps.flatten(), strict=True)
        ]
        if not names:
            return storable(maps)
        return pa.StructArray.from_arrays(members, names=names, mask=maps.is_null())

    def _one_list(self, tags: Mapping[str, pa.Array]) -> pa.Array:
        """Lists and sets of one type of element in one place; anything else is refused."""
        plain = {tag: self._plain(tag, values) for tag, values in tags.items()}
        lists = [each for each in plain.values() if pa.types.is_list(each.type)]
        inner = {each.type.value_type for each in lists} - {pa.null()}
        if len(lists) < len(plain) or len(inner) > 1:
            raise BadInputError(
                self._key,
                expected=f"one kind of value in {self._path!r}",
                found=f"{' and '.join(sorted(tags))}",
                remedy=f"declare it as text: `columns: {{{self._name}: json}}`",
            )
        dtype = pa.list_(inner.pop() if inner else pa.null())
        return pc.call_function("coalesce", [*(each.cast(dtype) for each in lists)])

    def _bad(self, found: str, expected: str) -> BadInputError:
        return _bad(self._key, f"{found} in {self._path!r}", expected)


def _text(tags: Mapping[str, pa.Array], height: int) -> pa.Array:
    texts = [values.cast(pa.string()) if tag == "BOOL" else values for tag, values in tags.items()]
    return pc.call_function("coalesce", texts) if texts else pa.nulls(height, pa.string())


def _any(masks: list[pa.Array]) -> pa.Array:
    found = masks[0]
    for mask in masks[1:]:
        found = pc.call_function("or", [found, mask])
    return found


def _list(lists: pa.ListArray, elements: pa.Array) -> pa.Array:
    """The same lists with other elements."""
    return pa.ListArray.from_arrays(
        lists.offsets, elements, type=pa.list_(elements.type), mask=lists.is_null()
    )


def _series(name: str, values: pa.Array) -> pl.Series:
    return cast("pl.Series", pl.from_arrow(values)).alias(name)


def _bad(key: str, found: str, expected: str, remedy: str = _AGAIN) -> BadInputError:
    return BadInputError(key, expected=expected, found=found, remedy=remedy)
