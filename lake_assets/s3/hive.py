"""Hive paths: ``name=value`` folders in keys, built, read, and used to choose what is listed.

What a value means beyond text and dates does not belong here.

Escaping is that of ``quote_segment``: ASCII, reversible, ``%XX`` of UTF-8. Polars, pyarrow and
DuckDB read it back; Spark and Hive do so for ASCII values (they take each ``%XX`` for one letter).
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from urllib.parse import unquote

from lake_assets.errors import SettingsError
from lake_assets.s3.store import Folder, ObjectInfo, Store
from lake_assets.s3.url import quote_segment, unquote_segment

__all__ = [
    "HIVE_NULL",
    "Where",
    "date_of_key",
    "filter_hive",
    "hive_path",
    "hive_values",
    "list_hive",
]

#: The folder value that stands for null; Hive, Spark, Delta and Polars agree on it.
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"

Where = Mapping[str, str | Collection[str | None] | Callable[[str | None], bool] | None]
"""For each column the value it must have, those it may have, or a test of it."""

_DATE = re.compile(r"(year|month|day)=([0-9]{1,4})")
_DIGITS = {"year": (4, 4), "month": (1, 2), "day": (1, 2)}


def date_of_key(key: str) -> date | None:
    """The date that ``year=``, ``month=`` and ``day=`` of a key say, in any order and place.

    Other segments may stand in between, numbers may be unpadded, the key may be url-encoded.

    Returns:
        None where one of the three is absent or said twice differently, or where there is no such
        date; a key is never an error.

    Example:
        >>> date_of_key("sales/year=2026/region=eu/month=1/day=15/part-0.parquet")
        datetime.date(2026, 1, 15)
        >>> date_of_key("sales/fiscalyear=2026/month=13/day=15/part-0.parquet") is None
        True
    """
    # As events and manifests write a key: the slashes too.
    text = key if "/" in key else unquote(key, errors="replace")
    found: dict[str, int] = {}
    for segment in text.split("/"):
        match = _DATE.fullmatch(unquote(segment, errors="replace"))
        if match is None:
            continue
        name, digits = match[1], match[2]
        shortest, longest = _DIGITS[name]
        if not shortest <= len(digits) <= longest or found.setdefault(name, int(digits)) != int(
            digits
        ):
            return None
    try:
        return date(found["year"], found["month"], found["day"])
    except (KeyError, ValueError):
        return None


def hive_path(values: Mapping[str, object], *, base: str = "", name: str = "") -> str:
    """The key ``base/column=value/…/name``, escaped; None and the empty text become Hive's null.

    Args:
        values: Columns in the order of the folders; a value is written as ``str`` writes it.
        base: Folders above, taken as they are.
        name: A file name, taken as it is.

    Raises:
        SettingsError: A column has no name, or ``name`` is no file name.

    Example:
        >>> hive_path({"month": "2026-09", "place": "a/b=c"}, base="sales", name="0.parquet")
        'sales/month=2026-09/place=a%2Fb%3Dc/0.parquet'
    """
    if "" in values:
        raise SettingsError("a hive column needs a name")
    if "/" in name:
        raise SettingsError(f"{name!r} is no file name; put its folders into base")
    folders = [f"{quote_segment(column)}={_quoted(value)}" for column, value in values.items()]
    return "/".join(part for part in [base.strip("/"), *folders, name] if part)


def hive_values(key: str) -> dict[str, str | None]:
    """The columns and values that the folders of a key say, in their order; None for Hive's null.

    The last segment is the file and says nothing, so a bare folder must end in a slash. Of a column
    that occurs twice the innermost folder counts. A broken escape stays as it is written.

    Example:
        >>> hive_values("sales/month=2026-09/place=a%2Fb%3Dc/0.parquet")
        {'month': '2026-09', 'place': 'a/b=c'}
        >>> hive_values("sales/place=__HIVE_DEFAULT_PARTITION__/0.parquet")
        {'place': None}
    """
    pairs = (_pair(segment) for segment in key.split("/")[:-1])
    return {pair[0]: pair[1] for pair in pairs if pair}


def filter_hive(
    listing: Iterable[ObjectInfo], predicate: Callable[[Mapping[str, str | None]], bool]
) -> Iterator[ObjectInfo]:
    """The objects of a listing whose hive values ``predicate`` likes; keys without any give ``{}``.

    Values are looked at once for each folder that the listing passes.
    """
    folder, wanted = None, False
    for info in listing:
        here = info.key.rpartition("/")[0]
        if here != folder:
            folder, wanted = here, predicate(hive_values(f"{here}/"))
        if wanted:
            yield info


def list_hive(store: Store, prefix: str = "", *, where: Where) -> Iterator[ObjectInfo]:
    """The objects below ``prefix`` whose folders fit ``where``, without listing the other folders.

    Walks folder by folder until every column of ``where`` is decided, then lists what is left in
    pages: one request for each folder that is looked into. Objects of a key that lacks one of the
    columns are left out.

    Args:
        store: What to list.
        prefix: A folder, with or without its slash.
        where: Tests by column, such as ``{"year": "2026", "month": ["01", "02"]}``.

    Raises:
        StorageError: The store cannot be listed.
    """
    base = f"{prefix.rstrip('/')}/" if prefix else ""
    return _below(store, base, where, hive_values(base))


def _below(
    store: Store, folder: str, where: Where, known: Mapping[str, str | None]
) -> Iterator[ObjectInfo]:
    if not all(_fits(where[column], known[column]) for column in where.keys() & known.keys()):
        return
    if where.keys() <= known.keys():
        yield from filter_hive(store.list(folder), lambda values: _all_fit(where, values))
        return
    for item in store.browse(folder):
        if isinstance(item, Folder):
            pair = _pair(item.key[len(folder) :].rstrip("/"))
            inner = {**known, pair[0]: pair[1]} if pair else known
            yield from _below(store, item.key, where, inner)


def _all_fit(where: Where, values: Mapping[str, str | None]) -> bool:
    return all(column in values and _fits(test, values[column]) for column, test in where.items())


def _fits(test: object, value: str | None) -> bool:
    if callable(test):
        return bool(test(value))
    if test is None or isinstance(test, str):
        return value == test
    return isinstance(test, Collection) and value in test


def _pair(segment: str) -> tuple[str, str | None] | None:
    column, separator, value = segment.partition("=")
    if not (column and separator):
        return None
    return _plain(column), None if value in {HIVE_NULL, ""} else _plain(value)


def _quoted(value: object) -> str:
    text = "" if value is None else str(value)
    if text == HIVE_NULL:  # the text itself, which is not null
        return f"%5F{text[1:]}"
    return quote_segment(text) or HIVE_NULL


def _plain(segment: str) -> str:
    try:
        return unquote_segment(segment)
    except UnicodeDecodeError:  # escaped, but not from UTF-8: another's convention
        return segment
