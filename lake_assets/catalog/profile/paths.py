"""Names of columns in a profile: ``a.b`` is the member b of a struct a, ``a[]`` what is in a list.

A name that has such a mark in it is quoted as JSON quotes texts, so no two columns share a path.
"""

import json

__all__ = ["column_path", "is_within", "outermost"]

_MARKS = '."['
_DECODER = json.JSONDecoder()


def column_path(parent: str, name: str) -> str:
    r"""The path of a column, or of the member ``name`` of the struct at ``parent``.

    Example:
        >>> column_path("", "a"), column_path("a", "b"), column_path("", "a.b")
        ('a', 'a.b', '"a.b"')
    """
    if any(mark in name for mark in _MARKS):
        # No bracket stays in a quoted name, so "[]" in a path is always a list.
        name = json.dumps(name, ensure_ascii=False).replace("[", "\\u005b")
    return f"{parent}.{name}" if parent else name


def outermost(path: str) -> str:
    """The name of the table's column that a path is of, or lies in.

    Example:
        >>> outermost("a"), outermost("a.b[].c"), outermost('"a.b".c'), outermost("a[]")
        ('a', 'a', 'a.b', 'a')
    """
    if path.startswith('"'):
        return str(_DECODER.raw_decode(path)[0])
    return path.partition(".")[0].partition("[")[0]


def is_within(path: str, column: str) -> bool:
    """Whether a path is that of a column, or of what is inside it.

    Args:
        path: Of a profile.
        column: A path, or the plain name of a column of the table.

    Example:
        >>> [is_within('"a.b".c', each) for each in ('"a.b"', "a.b", '"a.b".c', "a")]
        [True, True, True, False]
    """
    return (
        path == column
        or path.startswith((f"{column}.", f"{column}["))
        or (path.startswith('"') and outermost(path) == column)
    )
