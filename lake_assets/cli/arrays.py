"""``lake arrays``: what arrays are at a place, and cottoncandy's objects as zarr or npy."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lake_assets.cli.fs_options import AsJson, Url, set_access
from lake_assets.cli.options import Json

if TYPE_CHECKING:
    from lake_assets.arrays import Description
    from lake_assets.arrays.migration import Migrated, Migration

__all__ = ["app", "migrate", "show"]

#: Bad objects that the text names; the JSON names all.
_NAMED = 20

_ABOUT = "Arrays in buckets and folders; cottoncandy's too."

app = typer.Typer(no_args_is_help=True, help=_ABOUT)
app.callback(help=_ABOUT)(set_access)


@app.command()
def show(url: Url, *, as_json: AsJson = False) -> None:
    """What is there: kind, shape, dtype, codec, bytes; one line for each array of a prefix."""
    from lake_assets.arrays import describe
    from lake_assets.cli.fs_output import line, print_array

    _use(url)
    found = describe(url)
    if as_json:
        print_array(item.as_dict() for item in found)
        return
    for item in found:
        line(_text_of(item))


@app.command()
def migrate(
    prefix: Url,
    *,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Where the copies go.")],
    to_format: Annotated[
        Literal["zarr", "npy"], typer.Option("--format", help="Of dense arrays.")
    ] = "zarr",
    order_policy: Annotated[
        Literal["auto", "trust", "ignore"],
        typer.Option("--order", help="Whether order F beside a compression is believed."),
    ] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rewrite a tree of cottoncandy's objects, verified; run it again to go on where it ended.

    Exit code 3 where an object could not be migrated: it is named, the others are done.
    """
    from lake_assets.arrays import migrate as migrate_arrays
    from lake_assets.cli.fs_output import print_json

    _use(prefix, to)
    done = migrate_arrays(
        prefix, to, to_format=to_format, dry_run=dry_run, order_policy=order_policy
    )
    if as_json:
        print_json(done.as_dict())
    else:
        _print_migration(done)
    if not done.ok:
        raise typer.Exit(3)


def _use(*urls: str) -> None:
    """Let the library reach the buckets as the options before the verb say."""
    from lake_assets.cli.fs_options import access
    from lake_assets.s3 import use_access

    said = access()
    for url in urls if said is not None else ():
        use_access(url, said)


def _print_migration(done: "Migration") -> None:
    from lake_assets.cli.fs_output import human_size, line

    for item in done.items:
        if item.status in {"migrated", "planned"}:
            line(f"{item.status}  {item.source} -> {item.target}{_shape_of(item)}")
    for status in ("skipped", "failed"):
        bad: list[Migrated] = [item for item in done.items if item.status == status]
        for item in bad[:_NAMED]:
            line(f"{status}  {item.source}: {item.reason}", err=status == "failed")
        if len(bad) > _NAMED:
            line(f"… and {len(bad) - _NAMED} more {status}; --json names all")
    said: dict[str, Any] = done.as_dict()
    counts = ", ".join(f"{n} {name}" for name, n in said["counts"].items() if n) or "nothing"
    sizes = f"{human_size(said['source_bytes'])} -> {human_size(said['target_bytes'])}"
    line(f"{counts}; {sizes}")


def _shape_of(item: "Migrated") -> str:
    return "" if item.shape is None else f"  {item.dtype} {item.shape}"


def _text_of(item: "Description") -> str:
    from lake_assets.cli.fs_output import human_size

    words = [item.url, item.kind]
    if item.shape is not None:
        words.append(f"{item.dtype} {item.shape}")
    if item.chunks is not None:
        words.append(f"chunks {item.chunks}")
    if item.codec:
        words.append(item.codec)
    words.append(human_size(item.stored_bytes))
    if item.n_objects > 1:
        words.append(f"{item.n_objects} objects")
    words += [f"{name}={value!r}" for name, value in (item.metadata or {}).items()]
    return "  ".join(words)
