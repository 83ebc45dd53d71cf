"""DynamoDB's full exports to S3, read from the manifests that AWS writes beside the data.

Belongs here: which exports lie below an address, whether they are finished, and that their files
are all there. Does not: DynamoDB's typed JSON (``dynamodb_rows``).

An export is the folder ``…/AWSDynamoDB/<14 digits>-<8 hex>/``. It is finished once its
``manifest-summary.json`` is there. Side files (``.md5`` as real listings have them, ``.checksum``
as AWS's page says) hold the base64 MD5 of the JSON: a wrong one is an error, none is fine, as the
counts of both manifests and the listing prove the same. Keys count from the export's own folder, so
an export that was copied to another bucket or prefix is the same snapshot there.

The manifest's ``etag`` is not used: a copy has another. Its ``md5Checksum`` is kept as recorded;
whether AWS takes it of the ``.gz`` or of the JSON in it is not documented, so readers try both.
"""

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.export_json import field, json_object, parse_time
from lake_assets.export.refused_snapshot import RefusedSnapshot
from lake_assets.export.source import SnapshotExport, SourceFile
from lake_assets.export.waiting_snapshot import WaitingSnapshot
from lake_assets.s3 import Folder, ObjectInfo, Store, join_url, open_store

__all__ = ["DynamoDBExport", "exports_of_table", "list_dynamodb_exports", "read_dynamodb_export"]

_ID = re.compile(r"[0-9]{14}-[0-9a-f]{8}")
_PARENT = "AWSDynamoDB"
#: Beside the exports: the data of all incremental ones.
_SHARED = "data"
_SUMMARY, _FILES = "manifest-summary", "manifest-files"
_SIDE_FILES = (".md5", ".checksum")
_FULL, _DYNAMODB_JSON = "FULL_EXPORT", "DYNAMODB_JSON"
_MD5_BYTES = 16
_Listed = dict[str, ObjectInfo | None]
"""By key; None for one that the manifest has named already."""


@dataclass(frozen=True, slots=True)
class DynamoDBExport:
    """One export whose summary is there; its data files are not looked at yet."""

    source: str
    """Address of its folder."""
    id: str
    table_arn: str
    exported_at: datetime
    rows: int
    kind: str
    """``FULL_EXPORT``, ``INCREMENTAL_EXPORT``, or what AWS calls a new one."""
    output_format: str


def list_dynamodb_exports(source: str) -> list[DynamoDBExport | WaitingSnapshot | RefusedSnapshot]:
    """The exports at an address, in the order of their folders' names.

    Args:
        source: An export folder, the ``AWSDynamoDB`` folder that holds some, or the prefix above.

    Raises:
        BadInputError: The summary of the only export is no summary, or does not have the MD5 of its
            side file; of several, such an export is refused by itself.
        StorageError: The place cannot be listed.
    """
    store = open_store(source)
    above, _, name = store.url.rpartition("/")
    if name == _SHARED and above.endswith(f"/{_PARENT}"):
        return []
    if _ID.fullmatch(name) or store.head(f"{_SUMMARY}.json"):
        return [_export(store)]
    below = "" if name == _PARENT else f"{_PARENT}/"
    folders = [item.key for item in store.browse(below) if isinstance(item, Folder)]
    ids = [key[:-1] for key in folders if _ID.fullmatch(key[:-1].rpartition("/")[2])]
    if not ids:
        return [WaitingSnapshot(store.url, f"no export is in {join_url(store.url, below)} yet")]
    return [_export_or_refuse(join_url(store.url, key)) for key in ids]


def exports_of_table(exports: Sequence[DynamoDBExport], table: str) -> list[DynamoDBExport]:
    """Those of one DynamoDB table, as AWS puts the exports of all tables side by side.

    Where there are several, it is the one with the name of the lake's table.

    Args:
        exports: What was found.
        table: The lake's table; what stands after its last dot is compared.

    Raises:
        SettingsError: Several tables' exports are there, and not one of them has that name.
    """
    arns = sorted({export.table_arn for export in exports})
    name = table.rpartition(".")[2]
    if len(arns) > 1:
        same = [arn for arn in arns if arn.rpartition("table/")[2] == name]
        if len(same) != 1:
            raise SettingsError(
                f"the exports for {table} are of {len(arns)} DynamoDB tables, {', '.join(arns)}, "
                f"and {len(same) or 'none'} of them is called {name!r}; name one export folder as "
                "`source`, or export each table to a prefix of its own"
            )
        arns = same
    return [export for export in exports if export.table_arn in arns]


def read_dynamodb_export(export: DynamoDBExport) -> SnapshotExport:
    """The snapshot with its data files; those without a row are proven to be there and left out.

    Raises:
        BadInputError: It is incremental or in Amazon Ion, a manifest is wrong or does not have the
            MD5 of its side file, the counts do not add up, or a data file is missing.
        StorageError: The place cannot be listed.
    """
    store = open_store(export.source)
    _refuse_others(export)
    key = f"{_FILES}.json"
    listed: _Listed = {info.key: info for info in store.list()}
    if key not in listed:
        raise _missing(store, key, "the summary is there, so it was removed or not copied")
    body = _verified_body(store, _FILES, listed)
    name = f"{store.url}/{key}"
    files: list[SourceFile] = []
    total = 0
    # Line by line, and each listed file once: of 100,000 files no second copy is held.
    for number, line in enumerate(io.BytesIO(body), start=1):
        if not line.strip():
            continue
        entry = json_object(line, f"{name} line {number}")
        file = _file(entry, f"{name} line {number}", export, listed)
        total += file.rows or 0
        files += [file] if file.rows else []
    if total != export.rows:
        raise _wrong(name, f"{export.rows} items, as the summary says,", f"{total} in its lines")
    return SnapshotExport(
        id=export.id,
        exported_at=export.exported_at,
        source=store.url,
        format="dynamodb",
        files=tuple(sorted(files, key=lambda file: file.key)),
        rows=total,
    )


def _export_or_refuse(url: str) -> DynamoDBExport | WaitingSnapshot | RefusedSnapshot:
    try:
        return _export(open_store(url))
    except BadInputError as error:
        return RefusedSnapshot(url, error)


def _export(store: Store) -> DynamoDBExport | WaitingSnapshot:
    beside = {i.key: i for i in store.browse() if isinstance(i, ObjectInfo)}
    if f"{_SUMMARY}.json" not in beside:
        return WaitingSnapshot(
            store.url,
            f"its {_SUMMARY}.json is not there yet",
            max((info.modified_at for info in beside.values()), default=None),
        )
    name = f"{store.url}/{_SUMMARY}.json"
    summary = json_object(_verified_body(store, _SUMMARY, beside), name)
    # An export without the field is a full one: AWS added it with the incremental ones.
    kind = field(summary, "exportType", str, name) if summary.get("exportType") else _FULL
    time = "exportTime" if kind == _FULL or "exportTime" in summary else "exportToTime"
    return DynamoDBExport(
        source=store.url,
        id=field(summary, "exportArn", str, name).rpartition("/")[2],
        table_arn=field(summary, "tableArn", str, name),
        exported_at=parse_time(field(summary, time, str, name), name),
        rows=field(summary, "itemCount", int, name),
        kind=kind,
        output_format=field(summary, "outputFormat", str, name),
    )


def _verified_body(store: Store, stem: str, listed: Mapping[str, ObjectInfo | None]) -> bytes:
    """The bytes of a manifest, as its side file says them."""
    key = f"{stem}.json"
    body = store.get(key, listed=listed[key])
    for end in _SIDE_FILES:
        side = listed.get(f"{stem}{end}")
        if side is None:
            continue
        expected = store.get(side.key, listed=side).decode("utf-8", "replace").strip()
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        if (found := base64.b64encode(digest).decode()) != expected:
            raise _wrong(
                f"{store.url}/{key}", f"the MD5 {expected!r} of its {side.key}", repr(found)
            )
    return body


def _refuse_others(export: DynamoDBExport) -> None:
    name = f"{export.source}/{_SUMMARY}.json"
    if export.kind != _FULL:
        raise BadInputError(
            name,
            expected="a full export",
            found=f"exportType {export.kind!r}",
            remedy="changes cannot be taken as a table; name a full export, or give the full "
            "exports a prefix of their own",
        )
    if export.output_format != _DYNAMODB_JSON:
        raise BadInputError(
            name,
            expected=f"outputFormat {_DYNAMODB_JSON!r}",
            found=repr(export.output_format),
            remedy="export again with ExportFormat=DYNAMODB_JSON",
        )


def _file(
    entry: dict[str, object], name: str, export: DynamoDBExport, listed: _Listed
) -> SourceFile:
    full = field(entry, "dataFileS3Key", str, name)
    _, found, key = f"/{full}".rpartition(f"/{export.id}/")
    if not found or not key or not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise _wrong(name, f"data files below …/{_PARENT}/{export.id}/", repr(full))
    if key in listed and listed[key] is None:
        raise _wrong(name, "each data file once", f"{key!r} again")
    info = listed.get(key)
    if info is None:
        raise BadInputError(
            f"{export.source}/{key}",
            expected=f"the data file that {_FILES}.json names",
            found="nothing",
            remedy="copy it there again, or export again",
        )
    listed[key] = None
    rows = field(entry, "itemCount", int, name)
    md5 = field(entry, "md5Checksum", str, name) if entry.get("md5Checksum") else None
    return SourceFile(key, info.size_bytes, info.etag, rows, md5 and _hex(md5, name))


def _hex(md5: str, name: str) -> str:
    try:
        digest = base64.b64decode(md5, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise _wrong(name, "base64 of 16 bytes as md5Checksum", repr(md5))
    return digest.hex()


def _missing(store: Store, key: str, why: str) -> BadInputError:
    return BadInputError(
        f"{store.url}/{key}", expected="the manifest", found="nothing", remedy=f"{why}; copy it"
    )


def _wrong(name: str, expected: str, found: str) -> BadInputError:
    return BadInputError(
        name, expected=expected, found=found, remedy="copy the export again, or export again"
    )
