"""Arguments and options that verbs of ``lake fs`` share, and what they are turned into.

Nothing heavy is imported here: the command tree is built at every start.
"""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.completion import cut_off

if TYPE_CHECKING:
    from lake_assets.s3.address import Address
    from lake_assets.s3.client import Access
    from lake_assets.s3.store import ObjectInfo

__all__ = [
    "AsJson",
    "Exclude",
    "Include",
    "Url",
    "Yes",
    "access",
    "complete_url",
    "parse_age",
    "parse_size",
    "place",
    "set_access",
    "where",
]

_access: ContextVar["Access | None"] = ContextVar("access", default=None)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*([smhdw])")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: Suggestions of one press of the tab key.
_SUGGESTED = 50


def complete_url(context: typer.Context, incomplete: str) -> list[str]:
    """What an address may go on with: files and folders, buckets, keys of one level."""
    if context.parent:
        said = context.parent.params
        set_access(
            profile=said.get("profile"),
            endpoint_url=said.get("endpoint_url"),
            region=said.get("region"),
            anonymous=bool(said.get("anonymous")),
        )
    before = cut_off()
    return [found.removeprefix(before) for found in _completions(before + incomplete)]


def _completions(incomplete: str) -> list[str]:
    from lake_assets.errors import LakeError
    from lake_assets.s3.address import parse_address

    try:
        if incomplete.startswith("s3://") and "/" not in incomplete[5:]:
            from lake_assets.s3.buckets import list_buckets

            names = [f"s3://{bucket.name}/" for bucket in list_buckets(access())]
            return [name for name in names if name.startswith(incomplete)][:_SUGGESTED]
        head, slash, start = incomplete.rpartition("/")
        address = parse_address(head + slash or "./", access())
        found: list[str] = []
        for item in address.open().browse(address.prefix):
            name = item.key[len(address.prefix) :]
            if name.startswith(start):
                found.append(head + slash + name)
            if len(found) == _SUGGESTED:
                break
    except (LakeError, OSError):  # no suggestion is better than an error in the middle of a line
        return []
    return found


Url = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="Folder, file, s3://bucket/key.", autocompletion=complete_url
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Only paths that match; may be repeated."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="No path that matches; may be repeated."),
]


def set_access(
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="AWS profile. [AWS_PROFILE]")
    ] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the store. [AWS_ENDPOINT_URL]")
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Region. [AWS_REGION]")] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Sign nothing: public buckets.")
    ] = False,
) -> None:
    """Look at, copy, sync and remove what lies in folders and buckets."""
    # Encryption that a store ignored, tags that it refused: the other verbs have their reports.
    logging.getLogger("lake_assets.s3").setLevel(logging.WARNING)
    if not (profile or endpoint_url or region or anonymous):
        _access.set(None)
        return
    from lake_assets.s3.client import Access

    _access.set(
        Access(profile=profile, endpoint_url=endpoint_url, region=region, anonymous=anonymous)
    )


def access() -> "Access | None":
    """How buckets are reached, as the options before the verb say."""
    return _access.get()


def place(url: str) -> "Address":
    """The address of an argument."""
    from lake_assets.s3.address import parse_address

    return parse_address(url, access())


def parse_size(text: str) -> int:
    """Bytes of ``10MB`` (powers of 1,000), ``10MiB`` (of 1,024), ``10``.

    Raises:
        SettingsError: It is no size.
    """
    from lake_assets.errors import SettingsError

    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise SettingsError(f"{text!r} is no size; write 500, 10kB, 8MiB, 1.5GB")
    return round(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def parse_age(text: str) -> timedelta:
    """How long ``90s``, ``30m``, ``12h``, ``7d``, ``2w`` is.

    Raises:
        SettingsError: It is no span of time.
    """
    from lake_assets.errors import SettingsError

    found = _AGE.fullmatch(text.strip())
    if not found:
        raise SettingsError(f"{text!r} is no span of time; write 90s, 30m, 12h, 7d, 2w")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def where(
    *, larger: str | None, smaller: str | None, newer: str | None, older: str | None
) -> Callable[["ObjectInfo"], bool]:
    """Whether an object is of the size and age that was asked for."""
    least = parse_size(larger) if larger else 0
    most = parse_size(smaller) if smaller else None
    since, until = _moment(newer), _moment(older)

    def fits(info: "ObjectInfo") -> bool:
        return (
            info.size_bytes >= least
            and (most is None or info.size_bytes <= most)
            and (since is None or info.modified_at >= since)
            and (until is None or info.modified_at <= until)
        )

    return fits


def _moment(text: str | None) -> datetime | None:
    """A time that was named: by a date, or by how long ago it was."""
    if text is None:
        return None
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) - parse_age(text)
    return named if named.tzinfo else named.replace(tzinfo=UTC)
