"""How verbs of ``lake fs`` speak: lines for people, JSON for scripts, problems on stderr.

Names come from strangers: on a terminal their control characters are shown, not obeyed.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lake_assets.s3.remove import Problem

__all__ = ["confirm", "finish", "human_size", "line", "print_array", "print_json", "sized"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
#: Addresses that a question names before it only counts.
_NAMED = 5


def line(text: str, *, err: bool = False) -> None:
    """One line, whatever letters a name is made of."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    # A file name that is not UTF-8 has letters that no stream takes.
    print(text.encode("utf-8", "backslashreplace").decode(), file=stream)


def print_json(value: object) -> None:
    """One JSON value in one line."""
    print(_json(value))


def print_array(values: Iterable[object]) -> None:
    """A JSON array, one element in a line, written as they come."""
    values = iter(values)
    first = next(values, None)  # what cannot be listed fails before anything is printed
    if first is None:
        print("[]")
        return
    print(f"[{_json(first)}", end="")
    for value in values:
        print(f",\n {_json(value)}", end="")
    print("]")


def human_size(size_bytes: float) -> str:
    """Bytes for people.

    Example:
        >>> human_size(999), human_size(1_500_000)
        ('999 B', '1.5 MB')
    """
    unit = 0
    while size_bytes >= _STEP and unit < len(_UNITS) - 1:
        size_bytes /= _STEP
        unit += 1
    return f"{size_bytes:.1f} {_UNITS[unit]}" if unit else f"{size_bytes:.0f} B"


def sized(count: int, size_bytes: int) -> str:
    """How many objects and how much.

    Example:
        >>> sized(1, 20), sized(2000, 5000)
        ('1 object, 20 B', '2,000 objects, 5.0 kB')
    """
    return f"{count:,} object{'' if count == 1 else 's'}, {human_size(size_bytes)}"


def confirm(question: str, urls: Sequence[str], *, yes: bool) -> bool:
    """Whether a person agrees to what would be lost.

    Raises:
        SettingsError: Nobody can be asked, and ``--yes`` was not said.
    """
    from lake_assets.errors import SettingsError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise SettingsError(f"{question} Nobody can be asked here; say --yes. Nothing was done")
    for url in urls[:_NAMED]:
        line(f"  {url}", err=True)
    if len(urls) > _NAMED:
        line(f"  and {len(urls) - _NAMED:,} more", err=True)
    return typer.confirm(question, err=True)


def finish(problems: Iterable["Problem"]) -> None:
    """Name what failed on stderr; exit code 1 where anything did."""
    failed = False
    for problem in problems:
        failed = True
        line(f"lake: {problem.url}: {problem.reason}", err=True)
    if failed:
        raise typer.Exit(1)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if text.isascii() or _is_utf8(text) else json.dumps(value)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
