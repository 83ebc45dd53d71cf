"""``lake fs``: copying, moving and syncing."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lake_assets.cli.fs_options import (
    AsJson,
    Exclude,
    Include,
    Url,
    Yes,
    access,
    complete_url,
    parse_size,
    place,
)
from lake_assets.cli.fs_output import confirm, finish, human_size, line, print_json
from lake_assets.cli.interrupt import two_interrupts

if TYPE_CHECKING:
    from lake_assets.s3.globs import Selection
    from lake_assets.s3.move_bytes import CopyReport
    from lake_assets.s3.sync import SyncReport
    from lake_assets.s3.transfer_config import TransferConfig

__all__ = ["cp", "get", "mv", "put", "sync"]

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE... TARGET",
        help="Folders, files, s3://bucket/key.",
        autocompletion=complete_url,
    ),
]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="What to copy.", autocompletion=complete_url)
]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="Where to.", autocompletion=complete_url)
]
Recursive = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="All below SOURCE goes below TARGET."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write over what is there.")]
Encryption = Annotated[
    Literal["AES256", "aws:kms", "none"], typer.Option(help="Asked of the store for new objects.")
]
KmsKey = Annotated[str | None, typer.Option("--kms-key-id", metavar="ID", help="Key of aws:kms.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests under way at once.")]
Bandwidth = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Bytes a second at most: 500kB, 10MB.")
]


@dataclass(frozen=True, slots=True)
class _How:
    """What the options of a copy said."""

    recursive: bool
    overwrite: bool
    selection: "Selection"
    config: "TransferConfig"
    as_json: bool


def get(  # noqa: PLR0913 (one argument for each option)
    source: Source,
    target: Target = ".",
    *,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    include: Include = None,
    exclude: Exclude = None,
    concurrency: Concurrency = 16,
    bandwidth: Bandwidth = None,
    as_json: AsJson = False,
) -> None:
    """Fetch an object, or all below a prefix, to this machine; each file arrives verified."""
    from lake_assets.errors import SettingsError

    if place(target).is_s3:
        raise SettingsError(f"get brings objects to a folder, {target} is none; use cp")
    config = _config("none", None, concurrency, bandwidth)
    how = _How(recursive, overwrite, _selected(include, exclude), config, as_json)
    _copy([source, target], how)


def _writer(name: str, said: str, act: Callable[[list[str], _How], None]) -> Callable[..., None]:
    """A verb that copies in its own way; the options of all these verbs are these."""

    def run(  # noqa: PLR0913 (one argument for each option)
        paths: Paths,
        *,
        recursive: Recursive = False,
        overwrite: Overwrite = False,
        include: Include = None,
        exclude: Exclude = None,
        encryption: Encryption = "AES256",
        kms_key_id: KmsKey = None,
        concurrency: Concurrency = 16,
        bandwidth: Bandwidth = None,
        as_json: AsJson = False,
    ) -> None:
        config = _config(encryption, kms_key_id, concurrency, bandwidth)
        act(paths, _How(recursive, overwrite, _selected(include, exclude), config, as_json))

    run.__name__, run.__doc__ = name, said
    return run


def _put(paths: list[str], how: _How) -> None:
    from lake_assets.errors import SettingsError

    for source in paths[:-1]:
        if place(source).is_s3:
            raise SettingsError(f"put brings files of this machine, {source} is none; use cp")
    _copy(paths, how)


def _copy(paths: list[str], how: _How, *, moving: bool = False) -> None:
    from lake_assets.errors import SettingsError
    from lake_assets.s3.copy import copy, move

    if len(paths) < 2:  # noqa: PLR2004 (a source and a target)
        raise SettingsError("give a source and a target")
    act = move if moving else copy
    with two_interrupts():
        report = act(
            [place(path) for path in paths[:-1]],
            place(paths[-1]),
            recursive=how.recursive,
            overwrite=how.overwrite,
            selection=how.selection,
            config=how.config,
        )
    if how.as_json:
        print_json(report.as_dict())
    else:
        _print_copy(report, "moved" if moving else "copied")
    finish(report.failed)


put = _writer("put", "Bring files, or all below folders, of this machine to a bucket.", _put)
cp = _writer(
    "cp",
    "Copy; from bucket to bucket the store does it. What is there is not written over unasked.",
    _copy,
)
mv = _writer(
    "mv",
    "Move: copy, and remove each source whose copy is proven to be there.",
    partial(_copy, moving=True),
)


def sync(  # noqa: PLR0913 (one argument for each option)
    source: Url,
    target: Url,
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove what only TARGET has; asks first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Change nothing, say what would be done.")
    ] = False,
    include: Include = None,
    exclude: Exclude = None,
    compare: Annotated[
        Literal["content", "size", "exists"], typer.Option(help="What counts as the same.")
    ] = "content",
    encryption: Encryption = "AES256",
    kms_key_id: KmsKey = None,
    concurrency: Concurrency = 16,
    bandwidth: Bandwidth = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make TARGET like SOURCE: folders, buckets or prefixes. A second run changes nothing."""
    from lake_assets.s3.sync import sync as run

    refused = False

    def approve(urls: Sequence[str]) -> bool:
        nonlocal refused
        refused = not confirm(f"Remove {len(urls):,} objects from {target}?", urls, yes=yes)
        return not refused

    with two_interrupts():
        report = run(
            place(source),
            place(target),
            delete=delete,
            dry_run=dry_run,
            include=include or (),
            exclude=exclude or (),
            compare=compare,
            config=_config(encryption, kms_key_id, concurrency, bandwidth),
            approve=approve,
        )
    if refused:
        raise typer.Exit(1)
    _print_sync(report, as_json=as_json)
    finish(report.failed)


def _print_copy(report: "CopyReport", done: str) -> None:
    for url in report.copied:
        line(f"{done} {url}")
    for url in report.skipped:
        line(f"there already {url}")
    _print_sum(report, f"{len(report.copied):,} {done}, {len(report.skipped):,} there already")


def _print_sync(report: "SyncReport", *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
        return
    would = "would be " if report.dry_run else ""
    for url in report.copied:
        line(f"{would}copied {url}")
    for url in report.deleted:
        line(f"{would}removed {url}")
    counts = f"{len(report.copied):,} copied, {len(report.deleted):,} removed"
    _print_sum(report, f"{would}{counts}, {len(report.skipped):,} the same")


def _print_sum(report: "CopyReport | SyncReport", counts: str) -> None:
    """The last line is for people, so it stays out of pipes."""
    failed = f", {len(report.failed):,} failed" if report.failed else ""
    moved = f"{human_size(report.size_bytes)} in {report.seconds:.1f} s"
    if sys.stdout.isatty():
        line(f"{counts}{failed}; {moved}")


def _selected(include: list[str] | None, exclude: list[str] | None) -> "Selection":
    from lake_assets.s3.globs import select

    return select(include or (), exclude or ())


def _config(
    encryption: Literal["AES256", "aws:kms", "none"],
    kms_key_id: str | None,
    concurrency: int,
    bandwidth: str | None,
) -> "TransferConfig":
    from lake_assets.s3.transfer_config import TransferConfig

    return TransferConfig(
        access=access(),
        max_concurrency=concurrency,
        encryption=None if encryption == "none" else encryption,
        kms_key_id=kms_key_id,
        bandwidth_limit_bytes_per_s=parse_size(bandwidth) if bandwidth else None,
    )
