"""``lake fs``: removing, buckets themselves, and signed links."""

from typing import Annotated, Literal

import typer

from lake_assets.cli.fs_options import AsJson, Exclude, Include, Url, Yes, access, parse_age, place
from lake_assets.cli.fs_output import confirm, finish, line, print_array, print_json, sized

__all__ = ["buckets", "mb", "presign", "rb", "rm"]


def rm(  # noqa: PLR0913 (one argument for each option)
    url: Url,
    *,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A folder or prefix and all below it.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would go.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove an object, or all below a folder; `rm -r x` never touches x2 or x.txt."""
    from lake_assets.s3.globs import select
    from lake_assets.s3.remove import RemoveReport, plan_removal, remove

    selection = select(include or (), exclude or ())
    planned = plan_removal(place(url), recursive=recursive, selection=selection)
    doomed = list(planned.urls)
    if dry_run:
        report = RemoveReport(removed=doomed)
    else:
        said = sized(len(planned.keys), planned.size_bytes)
        if doomed and not confirm(f"Remove {said} at {url}?", doomed, yes=yes):
            raise typer.Exit(1)
        report = remove(planned)
    if as_json:
        failed = [{"url": each.url, "reason": each.reason} for each in report.failed]
        print_json({"dry_run": dry_run, "removed": report.removed, "failed": failed})
    else:
        for gone in report.removed:
            line(f"{'would remove' if dry_run else 'removed'} {gone}")
    finish(report.failed)


def mb(url: Url) -> None:
    """Make a bucket, or a folder."""
    from lake_assets.s3.buckets import make_bucket

    make_bucket(place(url))


def rb(
    url: Url,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="With all that is in it, old versions too.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove an empty bucket or folder."""
    from lake_assets.s3.buckets import remove_bucket
    from lake_assets.s3.filesystem import usage

    address = place(url)
    if force:
        total = usage(address)[-1]
        held = sized(total.n_objects, total.size_bytes)
        if not confirm(f"Remove {address.url} with {held} in it?", [], yes=yes):
            raise typer.Exit(1)
    finish(remove_bucket(address, force=force).failed)


def buckets(*, as_json: AsJson = False) -> None:
    """List the buckets that the credentials may see."""
    from lake_assets.s3.buckets import list_buckets

    found = list_buckets(access())
    if as_json:
        print_array(
            {"name": each.name, "created_at": each.created_at and each.created_at.isoformat()}
            for each in found
        )
        return
    for each in found:
        line(each.name)


def presign(
    url: Url,
    *,
    expires: Annotated[
        str, typer.Option(metavar="SPAN", help="How long it works: 90s, 30m, 12h, at most 7d.")
    ] = "1h",
    method: Annotated[Literal["get", "put"], typer.Option(help="What it allows.")] = "get",
) -> None:
    """Print a link with which anybody may read one object until it expires. It is a secret."""
    from lake_assets.s3.buckets import presign as sign

    print(sign(place(url), expires=parse_age(expires), method=method))
