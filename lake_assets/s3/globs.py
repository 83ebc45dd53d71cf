"""Patterns over keys: ``*``, ``?`` and ``[…]`` stay within one segment, ``**`` goes beyond.

Pure. A key is matched as text, so the same pattern finds the same keys in a folder and in a bucket.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lake_assets.errors import SettingsError

__all__ = ["Selection", "glob_regex", "literal_prefix", "select"]

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys take part: any of ``include`` (all where it is empty), and none of ``exclude``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, key: str) -> bool:
        """Whether a key, counted from the root of the work, takes part."""
        if self.include and not any(_rule(pattern).fullmatch(key) for pattern in self.include):
            return False
        return not any(_rule(pattern).fullmatch(key) for pattern in self.exclude)

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.include or self.exclude)


def select(include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Selection:
    """A selection by patterns.

    A pattern without a slash is the name of a file at any depth, one with a slash at its end a
    folder at any depth, any other a path from the root (a slash at its start says so too).

    Example:
        >>> some = select(["*.json"], ["tmp/", "/top.json"])
        >>> [some.takes(key) for key in ("a/x.json", "a/tmp/x.json", "top.json", "a/top.json")]
        [True, False, False, True]

    Raises:
        SettingsError: A pattern is empty, or nothing could match it.
    """
    chosen = Selection(tuple(include), tuple(exclude))
    for pattern in chosen.include + chosen.exclude:
        _rule(pattern)
    return chosen


@lru_cache(maxsize=256)
def glob_regex(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, for ``fullmatch``.

    Raises:
        SettingsError: A range in it runs backwards, such as ``[z-a]``.

    Example:
        >>> bool(glob_regex("a/**/x-?.json").fullmatch("a/b/c/x-1.json"))
        True
    """
    found, at = "", 0
    while at < len(pattern):
        text, at = _token(pattern, at)
        found += text
    try:
        return re.compile(found, re.DOTALL)
    except re.error as error:
        raise SettingsError(
            f"{pattern!r} is no pattern: {error.msg}; write a set as [a-z], a bracket as [[]"
        ) from error


def literal_prefix(pattern: str) -> str:
    """What every match starts with.

    Example:
        >>> literal_prefix("data/2026-*/x.json")
        'data/2026-'
    """
    wild = _WILD.search(pattern)
    return pattern[: wild.start()] if wild else pattern


def _token(pattern: str, at: int) -> tuple[str, int]:
    """The expression of the next piece of a pattern, and where the one after it starts."""
    starts_segment = at == 0 or pattern[at - 1] == "/"
    if starts_segment and pattern.startswith("**/", at):
        return "(?:[^/]*/)*", at + 3
    if starts_segment and pattern[at:] == "**":
        return ".*", at + 2
    char = pattern[at]
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    # The first letter of a set may be its own closing bracket.
    end = pattern.find("]", at + 2) if char == "[" else -1
    if end < 0:
        return re.escape(char), at + 1
    inside = pattern[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
    if inside.startswith("!"):
        inside = "^" + inside[1:]
    elif inside.startswith("^"):
        inside = "\\" + inside
    return f"(?!/)[{_set(inside)}]", end + 1


def _set(inside: str) -> str:
    """The set with its closing bracket escaped, and without the doubled letters re may warn of."""
    return re.sub(r"([&~|\]-])(?=\1)", r"\\\1", inside).replace("]", r"\]")


@lru_cache(maxsize=256)
def _rule(pattern: str) -> re.Pattern[str]:
    if not pattern.strip("/"):
        raise SettingsError(f"{pattern!r} is no pattern; write *.json, folder/, path/from/root")
    anchored = pattern.startswith("/") or "/" in pattern.rstrip("/")
    whole = pattern.lstrip("/") + ("**" if pattern.endswith("/") else "")
    return glob_regex(whole if anchored else f"**/{whole}")
