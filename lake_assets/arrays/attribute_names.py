"""Names of objects as names of attributes: each has exactly one, and no two have the same. Pure.

What is an identifier stays as it is. Else ``.`` is ``_DOT_``, ``-`` is ``_DASH_``, a space
``_SPACE_``, another character ``_x2b_`` (its code point), a leading digit gets ``NUM_``, a leading
``_`` gets ``X``, and what Python or the browser itself calls so gets a ``_`` at its end.
"""

import keyword
import re
import unicodedata
from collections.abc import Collection

__all__ = ["attribute_of", "name_of"]

_WORDS = {".": "DOT", "-": "DASH", " ": "SPACE"}
_CHARACTERS = {word: character for character, word in _WORDS.items()}
_ESCAPE = re.compile(r"_(?:(DOT|DASH|SPACE)|x([0-9a-f]{1,6}))_")
_NUMBER = re.compile(r"(NUM_)*[0-9]")
_UNDER = re.compile(r"X*_")


def attribute_of(name: str, reserved: Collection[str] = ()) -> str | None:
    """The attribute of a name; None for the empty one, which has none.

    Args:
        name: One segment of a key.
        reserved: Attributes that are something else.

    Example:
        >>> [attribute_of(name) for name in ("a_b", "a-b", "x.npy", "1st", "_x", "class")]
        ['a_b', 'a_DASH_b', 'x_DOT_npy', 'NUM_1st', 'X_x', 'class_']
    """
    if not name:
        return None
    # Python reads identifiers in their normal form (NFKC): ``ﬁ`` would be another name.
    is_plain = unicodedata.normalize("NFKC", name) == name
    for escaped in ("", "_"):
        body = "".join(_escaped(char, escaped, is_plain=is_plain) for char in name)
        if not body[0].isascii() and not body[0].isidentifier():  # only inside of a name
            body = f"_x{ord(body[0]):x}_{body[1:]}"
        if _NUMBER.match(body):
            body = f"NUM_{body}"
        if _UNDER.match(body):
            body = f"X{body}"
        if _is_taken(body.rstrip("_"), reserved):
            body = f"{body}_"
        if unicodedata.normalize("NFKC", body) == body and name_of(body, reserved) == name:
            break
    return body


def name_of(attribute: str, reserved: Collection[str] = ()) -> str:
    """The name whose attribute it is, or would be if ``attribute_of`` gave it back.

    Example:
        >>> name_of("a_DASH_b"), name_of("a_b")
        ('a-b', 'a_b')
    """
    if attribute.endswith("_") and _is_taken(attribute.rstrip("_"), reserved):
        attribute = attribute[:-1]
    if attribute.startswith("X") and _UNDER.match(attribute):
        attribute = attribute[1:]
    if attribute.startswith("NUM_") and _NUMBER.match(attribute):
        attribute = attribute[4:]
    return _ESCAPE.sub(_character, attribute)


def _escaped(char: str, also: str, *, is_plain: bool) -> str:
    if char in _WORDS:
        return f"_{_WORDS[char]}_"
    fits = f"x{char}".isidentifier() and (is_plain or char.isascii())
    return char if fits and char != also else f"_x{ord(char):x}_"


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return _CHARACTERS[found[1]]
    code = int(found[2], 16)
    return chr(code) if code <= 0x10FFFF else found[0]  # noqa: PLR2004 (the last of Unicode)


def _is_taken(word: str, reserved: Collection[str]) -> bool:
    return keyword.iskeyword(word) or word in reserved
