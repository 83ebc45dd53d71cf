"""Pickles, refused unless they are allowed, and then restricted to plain containers and numpy.

Unpickling runs what the bytes say. A restricted read refuses every name off a list of types that
hold data, so that a pickle of cottoncandy's (dicts, lists, arrays) reads and a program does not.
"""

import io
import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from lake_assets.arrays.pickled_numpy import NUMPY, Pending, unbuilt
from lake_assets.errors import ArrayFormatError, UnsafeDataError

__all__ = ["ALLOWED", "is_pickle", "load_pickle"]

ALLOWED = frozenset(
    {
        *(("builtins", name) for name in ("bytearray", "complex", "frozenset", "range", "set")),
        *(("builtins", name) for name in ("slice", "int", "float", "str", "bytes", "list", "dict")),
        *(("__builtin__", name) for name in ("bytearray", "bytes", "complex", "frozenset")),
        *(("__builtin__", name) for name in ("list", "set", "slice", "xrange")),
        *(("collections", name) for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("uuid", "UUID"),
    }
)
"""(module, name) pairs that a restricted read may look up, besides those that are stood in for."""

_FIRST, _LAST = 2, 5
#: Of protocols 0 and 1: containers, classes and texts.
_OLD_STARTS = b"(]}cVSXUT"
#: What broken bytes make of an unpickler.
_BROKEN = (
    pickle.UnpicklingError, struct.error, ArithmeticError, AssertionError, AttributeError,
    BufferError, EOFError, ImportError, LookupError, MemoryError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


def _encode(text: str, encoding: str = "") -> bytes:
    """How protocol 2 writes bytes; other codecs would be looked up by name."""
    if encoding != "latin1":
        raise UnsafeDataError(f"refusing to unpickle a text encoded as {encoding!r}, not latin1")
    return text.encode("latin1")


_STAND_INS: Mapping[tuple[str, str], Any] = {**NUMPY, ("_codecs", "encode"): _encode}

_Step = Callable[[Any], None]
#: pickle's own class in Python: the one whose steps can be replaced.
_UNPICKLER: Any = pickle._Unpickler  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] (written in Python)
_STEPS: Mapping[int, _Step] = _UNPICKLER.dispatch


def _with_what_it_became(step: _Step) -> _Step:
    """A step that fetches from the memo, where an array was noted before it had its state."""

    def fetch(self: Any) -> None:  # noqa: ANN401 (an unpickler)
        step(self)
        if isinstance(top := self.stack[-1], Pending):
            if unbuilt(top):
                raise UnsafeDataError("refusing an array or dtype that is used before it is made")
            self.stack[-1] = top.value

    return fetch


class _Whole(io.BytesIO):
    """Ends with an error: the unpickler in Python takes what is left for what was asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        self._check(size or 0)
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (a buffer)
        self._check(len(buffer))
        return super().readinto(buffer)

    def _check(self, size: int) -> None:
        left = self.getbuffer().nbytes - self.tell()
        if size > left:
            raise EOFError(f"{size} bytes are announced and {left} are left")


class _Restricted(_UNPICKLER):
    """Knows plain types alone, and gives no state to anything that would believe it."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (pickle's own signature)
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        if (module, name) not in ALLOWED:
            raise UnsafeDataError(
                f"refusing to unpickle {module}.{name}: only plain containers, dates and numpy "
                "arrays are read; pass trusted=True if you wrote this object yourself"
            )
        return super().find_class(module, name)

    def get_extension(self, code: int) -> None:
        raise UnsafeDataError(f"refusing to unpickle what is registered as {code} in this program")

    def load_build(self) -> None:
        made = self.stack[-2]
        if isinstance(made, Pending):
            self.stack[-2:] = [made.build(self.stack[-1])]
        elif isinstance(made, UUID):
            super().load_build()
        else:
            raise UnsafeDataError(f"refusing to set the state of a {type(made).__name__}")

    dispatch: ClassVar[dict[int, _Step]] = {
        **_STEPS,
        pickle.BUILD[0]: load_build,
        **{
            code[0]: _with_what_it_became(_STEPS[code[0]])
            for code in (pickle.GET, pickle.BINGET, pickle.LONG_BINGET)
        },
    }


def is_pickle(body: memoryview) -> bool:
    """Whether bytes are those of a pickle: by both ends from protocol 2 on, else by all its steps.

    Protocols 0 (what Python 2 wrote by default) and 1 have no mark; a bare number or constant of
    these is taken for bytes.
    """
    if len(body) < 4 or body[-1] != ord("."):  # noqa: PLR2004 (mark, protocol, content, stop)
        return False
    if body[0] == 0x80:  # noqa: PLR2004 (pickle's PROTO)
        return _FIRST <= body[1] <= _LAST
    return body[0] in _OLD_STARTS and _is_old_pickle(body)


def _is_old_pickle(body: memoryview) -> bool:
    """Whether all bytes are steps of a pickler, which notes what it made from 0 (or 1) on."""
    noted, place = None, None
    try:
        for step, argument, place in pickletools.genops(bytes(body)):  # noqa: B007 (the last one)
            if noted is None and step.name in {"PUT", "BINPUT"}:
                noted = argument
    except (ValueError, IndexError, struct.error):  # what broken bytes make of it
        return False
    return place == len(body) - 1 and noted in {0, 1}


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
    try:
        try:
            return _loaded(body, "ASCII", trusted=trusted)
        except UnicodeDecodeError:  # texts of Python 2 are bytes
            return _loaded(body, "latin1", trusted=trusted)
    except UnsafeDataError as error:
        raise UnsafeDataError(f"{name}: {error}") from error
    except _BROKEN as error:
        raise ArrayFormatError(f"{name} is no whole pickle: {error!r}") from error


def _loaded(body: memoryview, encoding: str, *, trusted: bool) -> Any:  # noqa: ANN401 (any object)
    if trusted:
        return pickle.Unpickler(io.BytesIO(body), encoding=encoding).load()  # noqa: S301 (asked for)
    return _Restricted(_Whole(body), encoding=encoding).load()
