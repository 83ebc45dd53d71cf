"""``lake fs``: the verbs that only look. Those that write are in ``fs_write``, ``fs_remove``."""

import sys
from datetime import UTC
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli import fs_options, fs_remove, fs_write
from lake_assets.cli.fs_options import AsJson, Exclude, Url, access, complete_url, place
from lake_assets.cli.fs_output import human_size, line, print_array, print_json, sized

if TYPE_CHECKING:
    from lake_assets.s3.filesystem import Entry

__all__ = ["cat", "du", "find", "glob", "ls", "stat", "tree"]

#: What of a body is held in memory while it is verified.
_MEMORY_BYTES = 32 * 1024**2
_BLOCK_BYTES = 1024**2

Urls = Annotated[
    list[str],
    typer.Argument(metavar="URL...", help="Files, s3://bucket/key.", autocompletion=complete_url),
]


def ls(
    url: Url = ".",
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All levels.")] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="Time and size, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List a folder, a bucket or a prefix; `s3://` alone lists the buckets."""
    from lake_assets.s3.filesystem import ls as entries

    if url.rstrip("/") == "s3:":
        fs_remove.buckets(as_json=as_json)
        return
    found = entries(place(url), recursive=recursive)
    if as_json:
        print_array(entry.as_dict() for entry in found)
        return
    for entry in found:
        line(_long(entry) if long else entry.name)


def tree(
    url: Url = ".",
    *,
    depth: Annotated[
        int | None, typer.Option("--depth", "-L", min=1, help="Only so many levels.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what lies below a folder, a bucket or a prefix."""
    from lake_assets.s3.filesystem import tree as branches

    found = branches(place(url), depth=depth)
    if as_json:
        print_array(entry.as_dict() for _, entry in found)
        return
    n_folders, n_objects, n_bytes = 0, 0, 0
    first = next(found, None)
    line(url)
    while first:
        lead, entry = first
        n_folders += entry.kind == "folder"
        n_objects += entry.kind == "object"
        n_bytes += entry.size_bytes or 0
        line(lead + entry.name)
        first = next(found, None)
    line(f"\n{n_folders:,} folder{'' if n_folders == 1 else 's'}, {sized(n_objects, n_bytes)}")


def glob(
    patterns: Annotated[
        list[str],
        typer.Argument(
            metavar="PATTERN...", help="Addresses with *, ?, [..] in a segment, ** through all."
        ),
    ],
    *,
    folders: Annotated[
        bool, typer.Option("--folders", "-d", help="Folders too, as a shell's ls shows them.")
    ] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="Time and size, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the objects whose address matches; nothing found is no error. Quote the pattern."""
    from lake_assets.s3.filesystem import glob as matches

    found = chain.from_iterable(matches(pattern, access(), folders=folders) for pattern in patterns)
    if as_json:
        print_array(entry.as_dict() for entry in found)
        return
    for entry in found:
        line(_long(entry, entry.url) if long else entry.url)


def find(  # noqa: PLR0913 (one argument for each option)
    url: Url = ".",
    *,
    include: Annotated[
        list[str] | None,
        typer.Option("--name", "--include", metavar="GLOB", help="Only these; may be repeated."),
    ] = None,
    exclude: Exclude = None,
    larger: Annotated[
        str | None, typer.Option(metavar="SIZE", help="At least so big: 500, 10MB, 1GiB.")
    ] = None,
    smaller: Annotated[str | None, typer.Option(metavar="SIZE", help="At most so big.")] = None,
    newer: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Written since: 2026-01-31, 12h, 7d.")
    ] = None,
    older: Annotated[str | None, typer.Option(metavar="WHEN", help="Written before.")] = None,
    long: Annotated[bool, typer.Option("--long", "-l", help="Time and size, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search by name, size and time, all levels down; nothing found is no error."""
    from lake_assets.s3.filesystem import find as search
    from lake_assets.s3.globs import select

    fits = fs_options.where(larger=larger, smaller=smaller, newer=newer, older=older)
    found = search(place(url), select(include or (), exclude or ()), where=fits)
    if as_json:
        print_array(entry.as_dict() for entry in found)
        return
    for entry in found:
        line(_long(entry, entry.url) if long else entry.url)


def stat(
    url: Url,
    *,
    owner: Annotated[bool, typer.Option("--owner", help="Whose it is, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """All that is known of one object: size, times, ETag, type, metadata, encryption."""
    from lake_assets.s3.filesystem import stat as look

    known = look(place(url)).as_dict()
    if owner:
        from lake_assets.s3.owner import owner_of

        found = owner_of(place(url))
        known |= {"owner": found.name, "owner_id": found.id}
    if as_json:
        print_json(known)
        return
    for name, value in known.items():
        line(f"{name:16} {value}")


def du(
    url: Url = ".",
    *,
    depth: Annotated[int, typer.Option("--depth", "-d", min=0, help="Folders, too.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Count objects and bytes; the last line is the whole."""
    from lake_assets.s3.filesystem import usage

    found = usage(place(url), depth=depth)
    if as_json:
        print_array(
            {"url": each.url, "objects": each.n_objects, "size_bytes": each.size_bytes}
            for each in found
        )
        return
    for each in found:
        line(f"{human_size(each.size_bytes):>10}  {each.n_objects:>9,}  {each.url}")


def cat(urls: Urls) -> None:
    """Write bodies to stdout, each only after it was verified whole."""
    from lake_assets.errors import StorageError

    for address in [place(url) for url in urls]:
        store = address.open()
        info = None if address.says_folder else store.head(address.path)
        if info is None:
            raise StorageError(f"there is no object {address.url}")
        with store.open(info, memory_bytes=_MEMORY_BYTES) as file:
            while block := file.read(_BLOCK_BYTES):
                sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _long(entry: "Entry", name: str = "") -> str:
    when = entry.modified_at.astimezone(UTC) if entry.modified_at else None
    time = f"{when:%Y-%m-%d %H:%M:%SZ}" if when else ""
    size = "" if entry.size_bytes is None else f"{entry.size_bytes:,}"
    return f"{time:20} {size:>16}  {name or entry.name}"


app = typer.Typer(no_args_is_help=True)
app.callback()(fs_options.set_access)
for _verb in (ls, tree, glob, find, stat, du, cat):
    app.command(_verb.__name__)(_verb)
app.command("search", hidden=True)(find)
for _verb in (fs_write.get, fs_write.put, fs_write.sync, fs_write.cp, fs_write.mv):
    app.command(_verb.__name__)(_verb)
for _verb in (fs_remove.rm, fs_remove.mb, fs_remove.rb, fs_remove.buckets, fs_remove.presign):
    app.command(_verb.__name__)(_verb)
