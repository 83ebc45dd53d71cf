"""What the key of an export file says: table, export run.

Pure. Facts: a bucket of 666 objects shown in Pega's wiki, manual Dev Studio exports, pdstools'
documentation.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.export.pega_tables import TableSpec
from lake_assets.s3 import quote_segment

__all__ = ["ExportName", "export_time", "parse_key"]

#: A data set without px/py/pz is one of a customer's own.
_NAME = re.compile(
    r"(?P<cls>[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*)"
    r"_(?P<pega>p[xyz](?=[A-Z]))?(?P<ds>[A-Za-z][A-Za-z0-9]*)"
    r"(?:_(?P<ts>\d{8}T\d{6}(?:\.\d{1,6})?)_?GMT)?"
    r"(?:-(?P<uid>[A-Za-z0-9]+))?"
    r"(?:\.(?:json\.gz|json\.zip|ndjson\.gz|ndjson|json|zip|gz))?"
)
_EXTENSION = re.compile(r"\.(?:json\.gz|json\.zip|ndjson\.gz|ndjson|json|zip|gz)$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TIME = re.compile(r"(\d{8}T\d{6})(?:\.(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class ExportName:
    """The table and the export run that a key belongs to."""

    table: str
    export_id: str


def parse_key(
    key: str, tables: Iterable[TableSpec], *, folder: str = "datamart"
) -> ExportName | None:
    """The table and the export id of a data file; None for a file of no known table.

    The file name decides; where it does not name a table, the nearest folder that does (folder
    layout). The export id is the time stamp of that name, else the name of the folder below
    ``folder`` that the file is in, else the key without extension. Hidden files are no data.

    Example:
        >>> from lake_assets.export.pega_tables import DATAMART_TABLES
        >>> day = "datamart/Data-DM-Snapshot_pyGetSnapshot_20220323T101155.427GMT-web1.zip"
        >>> parse_key(day, DATAMART_TABLES)
        ExportName(table='snapshot', export_id='20220323T101155.427')
        >>> parse_key(day.replace("Snapshot_", "SnapshotArchive_"), DATAMART_TABLES) is None
        True
    """
    index = _by_class(tuple(tables))
    segments = key.split("/")
    if segments[-1].startswith("."):
        return None
    for depth in range(len(segments) - 1, -1, -1):
        match = _NAME.fullmatch(segments[depth])
        if match is None:
            continue
        table = _table_of(match["cls"], match["ds"], index)
        if table:
            return ExportName(table, match["ts"] or _fallback_id(key, folder.strip("/")))
        if match["pega"]:  # Pega's own, of a table that is not wanted
            return None
    return None


def export_time(export_id: str) -> datetime | None:
    """The time (UTC) in an export id; None for an id that is not a time.

    Example:
        >>> export_time("20220323T101155.427").isoformat()
        '2022-03-23T10:11:55.427000+00:00'
    """
    match = _TIME.fullmatch(export_id)
    if match is None:
        return None
    try:
        time = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time.replace(microsecond=int((match[2] or "0").ljust(6, "0")))


def _fallback_id(key: str, folder: str) -> str:
    # The datamart folder itself names no run.
    inner = key.removeprefix(f"{folder}/").rpartition("/")[0] if folder else key.rpartition("/")[0]
    name = inner.rpartition("/")[2] or _EXTENSION.sub("", key)
    # An export id is a Dagster partition key, which may not hold these.
    return quote_segment(name) if "..." in name or _CONTROL.search(name) else name


def _table_of(class_name: str, dataset: str, index: dict[str, list[TableSpec]]) -> str | None:
    for spec in index.get(class_name, ()):
        if not spec.datasets or dataset in spec.datasets:
            return spec.name
    return None


def _by_class(tables: tuple[TableSpec, ...]) -> dict[str, list[TableSpec]]:
    index: dict[str, list[TableSpec]] = {}
    for spec in tables:
        index.setdefault(spec.class_name, []).append(spec)
    return index
