"""The pages of a bucket's listing, read without boto3's general parser.

boto3 signs, sends, retries and reports errors; only the body of a good answer is parsed here,
which is most of what a listing of 100,000 keys costs. Every key that S3 can hold passes, ``a//b``
and ``../x`` too: obstore's listing, the other fast way, fails at the first of them and shows a
folder marker ``a/`` as an object ``a``. What the keys mean does not belong here.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from lake_assets.errors import StorageError
from lake_assets.s3.store import Folder, ObjectInfo, ObjectVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)

__all__ = ["Place", "browse_pages", "list_pages", "teach_listing", "version_pages"]

#: With a star the handler runs before boto3's own, which parses each body to see whether it is an
#: error with status 200; were it to run later, that would cost time and nothing else.
_EVENT = "before-parse.*.ListObjectsV2"
#: Where the handler leaves the page in boto3's answer.
_PAGE = "LakePage"
_FIELDS = ("Key", "LastModified", "ETag", "Size")
#: One object as S3 spells it; whatever needs XML to be understood does not fit.
_ROW = re.compile(
    r"<Contents>\s*<Key>([^<&]*)</Key>\s*<LastModified>([^<&]*)</LastModified>\s*"
    r"<ETag>(?:\"|&quot;)?([^<&\"]*)(?:\"|&quot;)?</ETag>\s*"
    r"(?:<Checksum(?:Algorithm|Type)>[^<]*</Checksum(?:Algorithm|Type)>\s*)*<Size>([0-9]+)</Size>\s*"
    r"(?:<Owner>(?:\s|<ID>[^<]*</ID>|<DisplayName>[^<]*</DisplayName>|<DisplayName ?/>)*</Owner>\s*"
    r"|<StorageClass>[^<]*</StorageClass>\s*)*</Contents>"
)
#: Set while a listing of ours is asked for: others who share the client get boto3's own answer.
_asking = threading.local()


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix of a bucket that keys count from."""

    client: "S3Client"
    bucket: str
    prefix: str
    """Empty, or ends in a slash."""


@dataclass(frozen=True, slots=True)
class _Page:
    #: Key, size, ETag (in quotes or not), time.
    objects: list[tuple[str, int, str, str | datetime]]
    folders: list[str]
    next_token: str | None


def teach_listing(client: "S3Client") -> None:
    """Let ``client`` answer listings of this module the fast way; other calls stay as they are."""
    client.meta.events.register(_EVENT, _take_page, unique_id="lake-assets-listing")


def list_pages(place: Place, prefix: str, *, start_after: str = "") -> Iterator[list[ObjectInfo]]:
    """The objects whose key starts with ``prefix``, up to 1,000 a page; folder markers left out."""
    asked = {"StartAfter": place.prefix + start_after} if start_after else {}
    for page in _pages(place, prefix, asked):
        yield list(_infos(page, len(place.prefix)))


def browse_pages(place: Place, prefix: str) -> Iterator[list[ObjectInfo | Folder]]:
    """The objects and folders of one level, sorted by key."""
    start = len(place.prefix)
    for page in _pages(place, prefix, {"Delimiter": "/"}):
        level: list[ObjectInfo | Folder] = [Folder(key[start:]) for key in page.folders]
        level += _infos(page, start)
        yield sorted(level, key=attrgetter("key"))


def version_pages(place: Place, prefix: str) -> Iterator[list[ObjectVersion]]:
    """All versions and delete markers, by key, the newest of a key first."""
    pages = place.client.get_paginator("list_object_versions").paginate(
        Bucket=place.bucket, Prefix=place.prefix + prefix
    )
    start = len(place.prefix)
    for page in pages:
        found = [_version(item, start) for item in page.get("Versions", ())]
        found += [_version(item, start) for item in page.get("DeleteMarkers", ())]
        found.sort(key=lambda v: (v.key, not v.is_latest, -v.modified_at.timestamp()))
        yield [v for v in found if v.key and not v.key.endswith("/")]


def _pages(place: Place, prefix: str, asked: Mapping[str, str]) -> Iterator[_Page]:
    token: str | None = None
    while True:
        more = {"ContinuationToken": token} if token else {}
        with _our_question():
            answer: Mapping[str, Any] = place.client.list_objects_v2(
                Bucket=place.bucket, Prefix=place.prefix + prefix, **asked, **more
            )
        page = answer.get(_PAGE) or _page_of(answer)
        yield page
        if page.next_token is None:
            return
        if page.next_token == token:  # else it would never end
            raise StorageError(
                f"cannot list s3://{place.bucket}/{place.prefix}{prefix}: the store gives the same "
                "page again and again; it does not know ListObjectsV2"
            )
        token = page.next_token


@contextmanager
def _our_question() -> Iterator[None]:
    _asking.by_us = True
    try:
        yield
    finally:
        _asking.by_us = False


def _infos(page: _Page, start: int) -> Iterator[ObjectInfo]:
    for full, size, etag, modified in page.objects:
        key = full[start:]
        if key and not key.endswith("/"):
            yield ObjectInfo(key, size, etag.strip('"'), _time(modified))


def _time(value: str | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:  # a store with a spelling of its own
        from botocore.utils import parse_timestamp

        found = parse_timestamp(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _take_page(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Parse the body of a good answer and leave boto3 an empty one (its event ``before-parse``)."""
    if not getattr(_asking, "by_us", False) or response_dict["status_code"] != 200:  # noqa: PLR2004 (HTTP)
        return
    try:
        page = _parse(response_dict["body"])
    except (ET.ParseError, ValueError, TypeError):
        return  # boto3 says what is wrong with it
    if page is not None:
        customized_response_dict[_PAGE] = page
        response_dict["body"] = b"<ListBucketResult/>"


def _parse(body: bytes) -> _Page | None:
    """The page in a body; None where it is another document."""
    text = body.decode()
    rows = _ROW.findall(text)
    if len(rows) < text.count("<Contents"):  # spelled otherwise than S3 does it
        rows = None
    # What is left between the rows is short; it tells what all of it is.
    root = ET.fromstring(body if rows is None else _ROW.sub("", text))  # noqa: S314 (as boto3 does)
    space, found, _ = root.tag.rpartition("ListBucketResult")
    if not found:
        return None
    if rows is None:
        rows = list(_rows(root, space))
    folders = [item.text or "" for item in root.iterfind(f"{space}CommonPrefixes/{space}Prefix")]
    keys = [row[0] for row in rows]
    if root.findtext(f"{space}EncodingType") == "url":
        keys, folders = _unquoted(keys), _unquoted(folders)
    objects: list[tuple[str, int, str, str | datetime]] = [
        (key, int(size), etag, time) for key, (_, time, etag, size) in zip(keys, rows, strict=True)
    ]
    return _Page(objects, folders, root.findtext(f"{space}NextContinuationToken") or None)


def _rows(root: ET.Element, space: str) -> Iterator[tuple[str, str, str, str]]:
    for item in root.iterfind(f"{space}Contents"):
        key, time, etag, size = (item.findtext(f"{space}{name}") or "" for name in _FIELDS)
        yield key, time, etag, size


def _unquoted(keys: list[str]) -> list[str]:
    """All keys in one go, which is a third of the work of one by one."""
    plain = unquote_plus("\n".join(keys)).split("\n")
    # A line break in a key is rare enough to begin again for it.
    return plain if len(plain) == len(keys) else [unquote_plus(key) for key in keys]


def _page_of(answer: Mapping[str, Any]) -> _Page:
    """The page in an answer that boto3 parsed."""
    return _Page(
        [
            (item["Key"], item["Size"], item["ETag"], item["LastModified"])
            for item in answer.get("Contents", ())
        ],
        [item["Prefix"] for item in answer.get("CommonPrefixes", ())],
        answer.get("NextContinuationToken"),
    )


def _version(item: Mapping[str, Any], start: int) -> ObjectVersion:
    return ObjectVersion(
        key=item["Key"][start:],
        version_id=item["VersionId"],
        is_latest=item["IsLatest"],
        is_deleted="ETag" not in item,
        size_bytes=item.get("Size", 0),
        etag=item.get("ETag", "").strip('"'),
        modified_at=item["LastModified"],
    )
