"""Pickles, refused unless they are allowed, and then restricted to plain containers and numpy.

Unpickling runs what the bytes say. A restricted read refuses every name off a list of types that
hold data, so that a pickle of cottoncandy's (dicts, lists, arrays) reads and a program does not.
"""

import io
import pickle
from typing import Any, ClassVar

from lake_assets.errors import ArrayFormatError, UnsafeDataError

__all__ = ["ALLOWED", "is_pickle", "load_pickle"]

ALLOWED = frozenset(
    {
        *(("builtins", name) for name in ("bytearray", "complex", "frozenset", "range", "set")),
        *(("builtins", name) for name in ("slice", "int", "float", "str", "bytes", "list", "dict")),
        *(("__builtin__", name) for name in ("bytearray", "complex", "frozenset", "set", "slice")),
        ("_codecs", "encode"),  # how protocol 2 writes bytes
        *(("collections", name) for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("uuid", "UUID"),
        *(("numpy", name) for name in ("dtype", "ndarray")),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (
                ("multiarray", "_reconstruct"),
                ("multiarray", "scalar"),
                ("numeric", "_frombuffer"),
            )
        ),
    }
)
"""(module, name) pairs that a restricted read may look up."""

_FIRST, _LAST = 2, 5


class _Restricted(pickle.Unpickler):
    allowed: ClassVar[frozenset[tuple[str, str]]] = ALLOWED

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (pickle's own signature)
        if (module, name) not in self.allowed:
            raise UnsafeDataError(
                f"refusing to unpickle {module}.{name}: only plain containers, dates and numpy "
                "arrays are read; pass trusted=True if you wrote this object yourself"
            )
        return super().find_class(module, name)


def is_pickle(body: memoryview) -> bool:
    """Whether bytes begin and end as a pickle of protocol 2 to 5 does."""
    return (
        len(body) > 3  # noqa: PLR2004 (mark, protocol, content, stop)
        and body[0] == 0x80  # noqa: PLR2004 (pickle's PROTO)
        and _FIRST <= body[1] <= _LAST
        and body[-1] == ord(".")
    )


def load_pickle(body: memoryview, name: str, *, allow_pickle: bool, trusted: bool = False) -> Any:  # noqa: ANN401 (any object)
    """The object of a pickle.

    Args:
        body: The whole of it.
        name: Its address, for messages.
        allow_pickle: Without it every pickle is refused.
        trusted: Let it run whatever it says: only for bytes of your own.

    Raises:
        UnsafeDataError: Pickles are not allowed, or this one wants more than plain data.
        ArrayFormatError: It is broken.
    """
    if not allow_pickle:
        raise UnsafeDataError(
            f"{name} is a pickle, which can run code when it is read; pass allow_pickle=True to "
            "read its plain data, or rewrite it as JSON or arrays where it came from"
        )
    file = io.BytesIO(body)
    try:
        return (pickle.Unpickler(file) if trusted else _Restricted(file)).load()  # noqa: S301 (asked for)
    except UnsafeDataError as error:
        raise UnsafeDataError(f"{name}: {error}") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError,
            KeyError, ImportError) as error:  # fmt: skip
        raise ArrayFormatError(f"{name} is no whole pickle: {error!r}") from error
