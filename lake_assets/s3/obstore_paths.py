"""Which keys obstore can name; the others are boto3's."""

import re

__all__ = ["can_spell"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def can_spell(path: str) -> bool:
    """Whether obstore takes a key: it knows no empty or dotted segment, no control character.

    Example:
        >>> can_spell("a/b c%/ü"), can_spell("a//b"), can_spell("a/../b")
        (True, False, False)
    """
    return {"", ".", ".."}.isdisjoint(path.split("/")) and not _CONTROL.search(path)
