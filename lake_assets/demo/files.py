"""Files of invented Pega exports: rows in, objects with real names, packings and sentinels out.

How rows become bytes and keys belongs here; what the rows say is ``rows.py``, what the demo's
bucket holds is ``exports.py``. Same arguments, same bytes.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import find_table

__all__ = ["ExportObject", "deal", "export_objects", "ndjson", "sentinel_of", "write_folder"]

#: Tables whose data set Pega prefixes with pz; all others have py.
PZ_TABLES = ("model_snapshot", "predictor_snapshot")
#: First six digits of the id behind ``-web``, counted up by file; 13 digits of epoch ms follow.
NODE = 783146
#: Level 1: the demo is written once and read once.
GZIP_LEVEL = 1
ZIP_TIME = (2024, 1, 1, 0, 0, 0)

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ExportObject:
    """One object of the bucket."""

    key: str
    """Relative to the exports' root."""
    body: bytes

    @property
    def is_sentinel(self) -> bool:
        """Whether this is the ``.X.meta`` beside a data file X."""
        name = self.key.rpartition("/")[2]
        return name.startswith(".") and name.endswith(".meta")


def export_objects(  # noqa: PLR0913 - one argument for each way in which exports differ
    table: str,
    export_id: str,
    rows: Sequence[Row] | Sequence[Sequence[Row]],
    *,
    files: int = 1,
    layout: Literal["flat", "folder"] = "flat",
    packing: Literal["json.gz", "json", "zip"] = "json.gz",
    sentinel: Literal["json", "xml", "empty", "none"] = "json",
    folder: str = "datamart",
) -> list[ExportObject]:
    """The data files of one export run of one table, each followed by its sentinel.

    Args:
        table: Name of one of the seven tables.
        export_id: Time token of the names, ``20260301T020000.000``.
        rows: The rows, dealt out over ``files`` files in their order; or the rows of each file.
        files: Number of files; without rows they are there and empty. Counts for plain rows only.
        layout: All in ``folder``, or a folder for each run with ``files_001…`` in it.
        packing: How a file is packed; a zip has ``data.json`` and Pega's manifest.
        sentinel: Spelling of the sentinels; ``none`` is an export that has not finished.
        folder: Where the exports are, relative to their root; empty for the root itself.

    Raises:
        SettingsError: There is no such table, or ``files`` is less than 1.
    """
    if files < 1:
        raise SettingsError(f"an export has files; {files} were asked for, pass 1 or more")
    dealt = deal(rows, files)
    keys = _data_keys(table, export_id, len(dealt), layout=layout, packing=packing, folder=folder)
    objects: list[ExportObject] = []
    for key, part in zip(keys, dealt, strict=True):
        body = _pack(ndjson(part), packing, records=len(part), about=(table, export_id))
        objects.append(ExportObject(key, body))
        if sentinel != "none":
            objects.append(sentinel_of(objects[-1], len(part), sentinel))
    return objects


def ndjson(rows: Iterable[Row]) -> bytes:
    """One JSON object a line, compact, each line ended, as Pega writes them."""
    lines = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def write_folder(objects: Iterable[ExportObject], target: Path) -> None:
    """Write the objects below ``target``: data files before sentinels, each appearing whole.

    Raises:
        SettingsError: A key leaves the folder; nothing was written.
    """
    wanted = sorted(objects, key=lambda item: item.is_sentinel)
    for item in wanted:
        if item.key.startswith("/") or ".." in item.key.split("/"):
            raise SettingsError(f"the key {item.key!r} leaves the folder {target}; use another key")
    for item in wanted:
        path = target / item.key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(item.body)
        part.replace(path)


def deal(rows: Sequence[Row] | Sequence[Sequence[Row]], files: int) -> list[Sequence[Row]]:
    """The rows of each file: in their order, and as even as can be."""
    if rows and not isinstance(rows[0], Mapping):
        return list(cast("Sequence[Sequence[Row]]", rows))
    plain = cast("Sequence[Row]", rows)
    edges = [len(plain) * number // files for number in range(files + 1)]
    return [plain[low:high] for low, high in pairwise(edges)]


def sentinel_of(of: ExportObject, records: int, spelling: str) -> ExportObject:
    """The sentinel of a data file, as ``json``, ``xml`` or ``empty``; Pega's own is not known."""
    path, _, name = of.key.rpartition("/")
    size, text = len(of.body), ""
    if spelling == "json":
        text = json.dumps({"name": name, "size": size, "recordCount": records})
    if spelling == "xml":
        text = (
            "<?xml version='1.0' encoding='UTF-8'?>\n<manifest>"
            f"<totalRecordCount>{records}</totalRecordCount><files><file><name>{name}</name>"
            f"<size>{size}</size><recordCount>{records}</recordCount></file></files></manifest>\n"
        )
    return ExportObject(f"{path}/.{name}.meta" if path else f".{name}.meta", text.encode())


def _data_keys(
    table: str, export_id: str, files: int, *, layout: str, packing: str, folder: str
) -> list[str]:
    spec = find_table(table)
    dataset = ("pz" if spec.name in PZ_TABLES else "py") + spec.datasets[0]
    run = f"{spec.class_name}_{dataset}_{export_id}GMT"
    prefix = f"{folder}/" if folder else ""
    if layout == "folder":
        return [f"{prefix}{run}/files_{number + 1:03d}.{packing}" for number in range(files)]
    whole, _, ms = export_id.partition(".")
    made_at = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    epoch_ms = int(made_at.timestamp()) * 1000 + int(ms or 0) + 5
    ids = [f"{NODE + number}{epoch_ms + 778 * number}" for number in range(files)]
    return [f"{prefix}{run}-web{file_id}.{packing}" for file_id in ids]


def _pack(raw: bytes, packing: str, *, records: int, about: tuple[str, str]) -> bytes:
    if packing == "json":
        return raw
    if packing == "json.gz":
        return gzip.compress(raw, GZIP_LEVEL, mtime=0)
    spec = find_table(about[0])
    manifest = (
        f"dataset name: {spec.datasets[0]}\ndataset class: {spec.class_name}\n"
        f"export date: {about[1]} GMT\nrecords: {records}\n"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("data.json", raw), ("META-INF/MANIFEST.mf", manifest.encode())):
            member = zipfile.ZipInfo(name, ZIP_TIME)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            archive.writestr(member, text)
    return buffer.getvalue()
