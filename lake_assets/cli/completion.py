"""Completion of addresses in bash, which takes ``s3://bucket`` for three words: ``s3 : //bucket``.

What is offered for a word is in ``fs_options``.
"""

from collections.abc import MutableMapping
from contextvars import ContextVar

__all__ = ["cut_off", "join_words"]

#: What bash ends words at (COMP_WORDBREAKS) and addresses and options are written with.
_BREAKS = frozenset({":", "="})
_cut_off: ContextVar[str] = ContextVar("cut_off", default="")


def join_words(environ: MutableMapping[str, str]) -> None:
    """Put the words together again in what bash hands over; other shells need nothing.

    The last word stays as it is, for bash replaces no more than that: ``cut_off`` has the rest.
    """
    if environ.get("_LAKE_COMPLETE") != "complete_bash":
        return
    number = int(environ["COMP_CWORD"])
    words = environ["COMP_WORDS"].split("\n")[: number + 1]
    joined: list[str] = []
    glued = False
    for word in words:
        if joined and (glued or word in _BREAKS):
            joined[-1] += word
        else:
            joined.append(word)
        glued = word in _BREAKS
    last = words[-1]
    if len(joined) < len(words) and last not in _BREAKS:
        _cut_off.set(joined[-1].removesuffix(last) if joined[-1] != last else "")
        joined[-1] = last
        environ["COMP_WORDS"] = "\n".join(joined)
        environ["COMP_CWORD"] = str(len(joined) - 1)


def cut_off() -> str:
    """What stands before the word that is completed and belongs to it, such as ``s3:``."""
    return _cut_off.get()
