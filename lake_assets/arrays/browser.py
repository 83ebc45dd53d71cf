"""A folder or bucket to look around in: children as attributes and items, arrays at their ends.

Nothing is fetched before it is asked for, and a listing only as far as it is looked at. What an
attribute is called is a rule of ``attribute_names``; an item is always called by its exact name.
"""

import difflib
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lake_assets.arrays.anything import any_at
from lake_assets.arrays.attribute_names import attribute_of, name_of
from lake_assets.arrays.describing import describe_at, glance_at_folder, glance_at_object
from lake_assets.arrays.one import Reading
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import OrderPolicy
from lake_assets.arrays.records import Description
from lake_assets.errors import (
    ArrayFormatError,
    LakeError,
    MissingObjectError,
    SourceChangedError,
)
from lake_assets.s3 import Access, Folder, Location, ObjectInfo
from lake_assets.s3.address import Address
from lake_assets.s3.filesystem import is_folder
from lake_assets.s3.objects import SIDECAR
from lake_assets.s3.url import text_of

__all__ = ["Browser", "browse"]

#: Children that are shown.
_SHOWN = 20
#: Children that an error names, and that it looks at for a name like the one asked for.
_NAMED, _LIKELY = 10, 1000
#: Names that the tab key offers: ten pages of a listing.
_OFFERED = 10_000
#: No names in a folder of this machine: they would lead elsewhere.
_DOTS = frozenset({"", ".", ".."})


def browse(url: Location, *, access: Access | None = None) -> "Browser":
    """A browser of a folder, a bucket or a prefix; nothing is asked of the store yet.

    Args:
        url: Where to begin, also as a path of universal_pathlib.
        access: How to reach the bucket; by default as the path, else as ``use_access`` and the
            environment say.

    Raises:
        SettingsError: It is no address.

    Example:
        >>> import tempfile, numpy as np
        >>> from lake_assets.arrays import write_raw
        >>> root = tempfile.mkdtemp()
        >>> _ = write_raw(f"{root}/exp-1/bold", np.arange(6).reshape(2, 3))
        >>> b = browse(root)
        >>> list(b), b.exp_DASH_1.bold.load()[1].tolist(), hasattr(b, "exp_1")
        (['exp-1/'], [3, 4, 5], False)
    """
    place = place_of(url, access)
    return Browser(place, is_folder=not place.key or text_of(url).endswith("/"))


@dataclass(frozen=True, slots=True)
class _Row:
    """What is shown of one child."""

    name: str
    kind: str
    size_bytes: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        size = "" if self.size_bytes is None else f"{self.size_bytes:,} B"
        shape = "" if self.shape is None else str(self.shape)
        return (self.name, self.kind, size, shape, self.dtype or "")


class Browser:
    """One place: an object, a folder, or both under one name.

    ``b["a-b"]`` is always exactly the child of that name (``b["a-b/"]`` the folder alone), and
    ``b.a_DASH_b`` the same one as an attribute; a name with slashes goes several levels down.
    """

    __slots__ = ("_is_folder", "_place")

    def __init__(self, place: Place, *, is_folder: bool = False) -> None:
        self._place = place
        self._is_folder = is_folder

    @property
    def url(self) -> str:
        """Its address; a slash at its end where it is the folder alone."""
        slash = "/" if self._is_folder and self._place.key else ""
        return f"{self._place.url}{slash}"

    def load(self, *, allow_pickle: bool = False, order_policy: OrderPolicy = "auto") -> Any:  # noqa: ANN401 (whatever is there)
        """What is here, as ``read_any`` reads it: an array, a lazy one, a dict of a folder's.

        Raises:
            MissingObjectError: Nothing is there any more.
            ArrayFormatError: It is not what it says it is.
        """
        reading = Reading(order_policy, allow_pickle)
        return any_at(self._place, reading, is_folder=self._is_folder)

    def describe(self) -> Sequence[Description]:
        """What is here, as ``describe`` says it: all arrays below, too, without reading them."""
        return describe_at(self._place, is_folder=self._is_folder)

    def keys(self) -> Iterator[str]:
        """Names of the children, by key and page by page; a folder's ends in a slash.

        A name that is an object and a folder comes twice, as ``x`` and as ``x/``.
        """
        for item in self._items():
            yield item.key[len(self._place.prefix) :]

    def __iter__(self) -> Iterator[str]:
        """As ``keys``."""
        return self.keys()

    def __len__(self) -> int:
        """How many children there are; lists all of them."""
        return sum(1 for _ in self._items())

    def __bool__(self) -> bool:
        """True, also without children."""
        return True

    def __contains__(self, name: object) -> bool:
        """Whether there is a child of exactly this name."""
        return isinstance(name, str) and self._child(name) is not None

    def __getitem__(self, name: str) -> "Browser":
        """The child of exactly this name."""
        if not isinstance(name, str):
            raise KeyError(f"children of {self.url} have names, not {name!r}; list(…) gives them")
        child = self._child(name)
        if child is None:
            raise KeyError(f"{self.url} has no {name!r}; {self._known(name)}")
        return child

    def __getattr__(self, attribute: str) -> "Browser":
        """The child that is called so as an attribute."""
        if attribute.startswith("_"):  # no child is; Python and notebooks ask for many of these
            raise AttributeError(f"a browser has no attribute {attribute!r}")
        name = name_of(attribute, _RESERVED)
        spelled = attribute_of(name, _RESERVED)
        if spelled != attribute:
            raise AttributeError(f"{attribute!r} is no attribute of a name; {name!r} is {spelled}")
        child = self._child(name)
        if child is None:
            raise AttributeError(f"{self.url} has no {name!r}; {self._known(name)}")
        return child

    def __dir__(self) -> list[str]:
        """Its own attributes and those of the first 10,000 children."""
        names = (name.removesuffix("/") for name in islice(self.keys(), _OFFERED))
        found = {attribute_of(name, _RESERVED) for name in names} - {None}
        return [*object.__dir__(self), *sorted(name for name in found if name)]

    def _ipython_key_completions_(self) -> list[str]:
        return list(islice(self.keys(), _OFFERED))

    def __repr__(self) -> str:
        """What is here and its first children; asks the store."""
        try:
            title, rows = self._shown()
        except LakeError as error:  # a notebook shows it in place of what is there
            return f"{self.url}: cannot be looked at: {error}"
        cells = [row.cells for row in rows[:_SHOWN]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        return "\n".join([title, *lines, *(["  …"] if len(rows) > _SHOWN else [])])

    def _repr_html_(self) -> str:
        try:
            title, rows = self._shown()
        except LakeError:
            return f"<pre>{html.escape(repr(self))}</pre>"
        head = "".join(f"<th>{name}</th>" for name in ("name", "kind", "size", "shape", "dtype"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells) + "</tr>"
            for row in rows[:_SHOWN]
        )
        more = "<p>…</p>" if len(rows) > _SHOWN else ""
        table = f"<table><tr>{head}</tr>{body}</table>{more}" if rows else ""
        return f"<p><code>{html.escape(title)}</code></p>{table}"

    def _items(self) -> Iterator[ObjectInfo | Folder]:
        store = self._place.objects.store
        for item in store.browse(self._place.prefix):
            file = item.key.removesuffix(SIDECAR)
            is_sidecar = not self._place.objects.is_s3 and file != item.key and store.head(file)
            if not is_sidecar:
                yield item

    def _child(self, name: str) -> "Browser | None":
        """The child of exactly this name, if it is there: one request, or two."""
        says_folder = name.endswith("/")
        child = self._place.at(name[:-1] if says_folder else name)
        in_folder = not child.objects.is_s3
        if not child.key or (in_folder and not _DOTS.isdisjoint(child.key.split("/"))):
            return None
        if not says_folder and child.objects.store.head(child.key) is not None:
            return Browser(child)
        is_there = is_folder(Address(child.objects.url, child.prefix, child.access))
        return Browser(child, is_folder=says_folder) if is_there else None

    def _known(self, name: str) -> str:
        """What there is instead, for an error; likely names first."""
        names = list(islice(self.keys(), _LIKELY))
        like = difflib.get_close_matches(name, names, _NAMED, 0.6)
        others = [other for other in names if other not in like]
        said = ", ".join(map(repr, [*like, *others][:_NAMED]))
        return (
            f"there are {said}{' and more' if len(names) > _NAMED else ''}" if said else "no child"
        )

    def _shown(self) -> tuple[str, list[_Row]]:
        """A line on the place itself, and up to one child more than is shown."""
        place, said = self._place, list[str]()
        found = None if self._is_folder or not place.key else place.objects.look(place.key)
        if found is not None:
            said.append(_words(_row_of(place, "")))
        array = glance_at_folder(place)
        items = [] if array else list(islice(self._items(), _SHOWN + 1))
        if array:
            said.append(_words(_Row("", array[0], None, array[1], array[2])))
        elif items or found is None:
            said.append("folder" if items else "nothing is here")
        start = len(place.prefix)
        rows = in_threads(lambda item: _row_of(place.at(item.key[start:]), item.key[start:]), items)
        return f"{self.url}: {' and '.join(said)}", list(rows)


def _row_of(place: Place, name: str) -> _Row:
    if name.endswith("/"):
        return _Row(name, "folder")
    size = None
    try:
        found = place.objects.look(place.key)
        if found is None:
            return _Row(name, "gone")
        size = found.size_bytes
        known = glance_at_object(place, found)
    except LakeError as error:  # it does not end the listing
        return _Row(name, _state_of(error), size)
    if known is None:
        return _Row(name, "object", found.size_bytes)
    return _Row(name, known.kind, found.size_bytes, known.shape, known.dtype)


def _state_of(error: LakeError) -> str:
    if isinstance(error, ArrayFormatError):
        return "broken"
    if isinstance(error, MissingObjectError | SourceChangedError):
        return "gone or replaced"
    return f"unreadable: {error}"


def _words(row: _Row) -> str:
    return " ".join(cell for cell in row.cells if cell)


#: Attributes that are the browser's own: a child of such a name gets a ``_`` at its end.
_RESERVED = frozenset(name for name in vars(Browser) if not name.startswith("_"))
