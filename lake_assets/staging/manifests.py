"""What is staged: manifests by export, the newest of which counts, and quarantine records.

An export's folder holds ``manifest-<n>-<work>-<id>.json``, one for each time that its input, the
configuration or the code changed, and ``quarantine-<work>.json`` for inputs that are refused.
``work`` names the input, ``id`` the document: one listing tells what is done, without reading any.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lake_assets.catalog import Document, content_id, read_document
from lake_assets.export.find import Export
from lake_assets.export.pega_tables import TableSpec
from lake_assets.s3 import Store, quote_segment, unquote_segment

__all__ = [
    "CODE_VERSION",
    "Place",
    "StagedExport",
    "StagedFile",
    "StagingState",
    "config_id",
    "export_folder",
    "open_exports",
    "read_staged",
    "staging_state",
    "work_id",
]

#: Changes when the same input would give other rows; every export is then staged again.
CODE_VERSION = "staging/1"

_NAME = re.compile(
    r"manifest-(?P<n>\d{6})-(?P<work>[0-9a-f]{16})-(?P<id>[0-9a-f]{16})\.json"
    r"|quarantine-(?P<refused>[0-9a-f]{16})\.json"
)


class Place(Protocol):
    """Anything that has a place in the lake."""

    @property
    def path(self) -> str:
        """``source/name``: its place below each stage."""
        ...


@dataclass(frozen=True, slots=True)
class StagedExport:
    """The manifests of one export, oldest first; the last one counts."""

    export_id: str
    manifests: tuple[str, ...]
    work: str | None
    """Names the input of the last manifest; None where there is none yet."""
    document: str | None
    """First half of the id of the last manifest."""
    quarantined: frozenset[str]
    """Inputs that were refused."""


@dataclass(frozen=True, slots=True)
class StagingState:
    """What one listing of a table's staging folder tells."""

    exports: Mapping[str, StagedExport]

    @property
    def generation(self) -> int:
        """Number of manifests ever written: it only grows, so a plan with a lower one is stale."""
        return sum(len(export.manifests) for export in self.exports.values())

    @property
    def current(self) -> tuple[str, ...]:
        """Keys of the manifests that count, in a fixed order."""
        return tuple(sorted(e.manifests[-1] for e in self.exports.values() if e.manifests))

    @property
    def digest(self) -> str:
        """64 hex digits that change with what the counting manifests say, wherever exports lie."""
        return content_id([[e.export_id, e.document] for e in self.exports.values() if e.manifests])


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One staged parquet file and its index (key, order and time of each row)."""

    path: str
    sha256: str
    size_bytes: int
    rows: int
    frame_bytes: int
    """Size of the rows in memory."""
    values: tuple[str | None, ...]
    """Values of the partition columns."""
    index_path: str
    index_sha256: str
    index_frame_bytes: int
    columns: tuple[str, ...]
    index_offset: int = 0
    """First row of the index that is of this file, where files share one."""
    index_rows: int = 0
    """Rows of a shared index."""
    index_number: int = 0
    """Place of a shared index among those of the snapshot."""
    schema: str = ""
    """The columns as the JSON of a Delta schema, where they may be of any type."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not stored, for each is another one once more, and which."""
    copies_bytes: int = 0
    """Their part of ``frame_bytes``."""

    @property
    def written_bytes(self) -> int:
        """About what the rows take as a file that stores all columns."""
        stored = self.frame_bytes - self.copies_bytes
        return self.size_bytes * self.frame_bytes // stored if stored else self.size_bytes


def export_folder(table: Place, export_id: str) -> str:
    """The key below which everything staged of one export lies, with its trailing slash."""
    return f"staging/{table.path}/{quote_segment(export_id)}/"


def config_id(spec: TableSpec, rescue_share: float) -> str:
    """Names the settings that decide which rows an export gives."""
    return content_id(
        {
            "keys": spec.keys,
            "rescue_share": str(rescue_share),
            "strict": spec.strict,
            "time": spec.time,
            "types": dict(spec.types),
        }
    )


def work_id(export: Export, config: str) -> str:
    """Names a piece of work: these bytes, this configuration, this code (16 hex digits)."""
    return content_id([export.digest, config, CODE_VERSION])[:16]


def staging_state(root: Store, table: Place) -> StagingState:
    """What is staged of a table, from one listing."""
    found: dict[str, tuple[list[str], set[str]]] = {}
    prefix = f"staging/{table.path}/"
    for info in root.list(prefix):
        segment, _, name = info.key[len(prefix) :].partition("/")
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        manifests, quarantined = found.setdefault(unquote_segment(segment), ([], set()))
        if match["n"]:
            manifests.append(info.key)
        else:
            quarantined.add(match["refused"])
    return StagingState(
        {
            export_id: _staged_export(export_id, sorted(manifests), frozenset(quarantined))
            for export_id, (manifests, quarantined) in sorted(found.items())
        }
    )


def _staged_export(
    export_id: str, manifests: list[str], quarantined: frozenset[str]
) -> StagedExport:
    last = _NAME.fullmatch(manifests[-1].rpartition("/")[2]) if manifests else None
    work, document = (last["work"], last["id"]) if last else (None, None)
    return StagedExport(export_id, tuple(manifests), work, document, quarantined)


def open_exports(exports: Iterable[Export], state: StagingState, config: str) -> tuple[Export, ...]:
    """The exports whose present files were neither staged nor refused under this configuration."""
    return tuple(
        export
        for export in exports
        if (staged := state.exports.get(export.id)) is None
        or ((work := work_id(export, config)) != staged.work and work not in staged.quarantined)
    )


def read_staged(root: Store, manifest: str) -> tuple[Document, tuple[StagedFile, ...]]:
    """A staging manifest and the files that it lists."""
    document = read_document(root, manifest)
    folder = manifest.rpartition("/")[0]
    files = tuple(
        StagedFile(
            path=f"{folder}/{item['path']}",
            sha256=item["sha256"],
            size_bytes=item["size_bytes"],
            rows=item["rows"],
            frame_bytes=item["frame_bytes"],
            values=(item["month"],),
            index_path=f"{folder}/{item['index']['path']}",
            index_sha256=item["index"]["sha256"],
            index_frame_bytes=item["index"]["frame_bytes"],
            columns=tuple(item["columns"]),
        )
        for item in document.content["outputs"]
    )
    return document, files
