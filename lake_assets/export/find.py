"""What is there and finished: a listing in, export runs of each table out.

``find_exports`` is pure; ``list_exports`` feeds it from a store. Nothing is read but the listing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from lake_assets.catalog import content_id
from lake_assets.errors import SettingsError, StorageError
from lake_assets.export.names import export_time, parse_key
from lake_assets.export.pega_tables import TableSpec
from lake_assets.export.sentinel import sentinel_target
from lake_assets.s3 import ObjectInfo, Store, open_store, parse_url

__all__ = [
    "Export",
    "ExportFile",
    "Found",
    "Waiting",
    "export_source",
    "find_exports",
    "list_exports",
]

#: Keys of no known table that a report still names one by one; more are only counted.
_IGNORED_NAMED = 20


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One finished data file and its sentinel (None where sentinels are not required)."""

    data: ObjectInfo
    sentinel: ObjectInfo | None

    @property
    def key(self) -> str:
        """Key below the exports' root."""
        return self.data.key


@dataclass(frozen=True, slots=True)
class Export:
    """All finished files of one export run of one table: one staging partition."""

    table: str
    id: str
    files: tuple[ExportFile, ...]

    @property
    def digest(self) -> str:
        """64 hex digits of key, size and ETag of all files: others once one is new or replaced."""
        return content_id(
            sorted(
                [info.key, info.size_bytes, info.etag]
                for file in self.files
                for info in (file.data, file.sentinel)
                if info
            )
        )

    @property
    def exported_at(self) -> datetime:
        """When the run took place (UTC): from its id, else the time of its newest file."""
        return export_time(self.id) or max(file.data.modified_at for file in self.files)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A data file without its sentinel, or a sentinel without its data file."""

    key: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What one listing holds; ``exports`` and ``waiting`` have an entry for every table."""

    exports: dict[str, tuple[Export, ...]]
    waiting: dict[str, tuple[Waiting, ...]]
    ignored: tuple[str, ...] = ()
    n_ignored: int = 0


@dataclass(slots=True)
class _Table:
    files: dict[str, list[ExportFile]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)


def export_source(exports: str, folder: str) -> tuple[Store, str]:
    """The store that keys count from, and the prefix that is read.

    ``exports`` may be the place that holds the datamart folder or that folder itself; keys are
    alike in both cases.

    Raises:
        SettingsError: The address cannot be one, or the folder leads out of it.
        StorageError: The folder is a file, or does not exist.
    """
    if ".." in folder.split("/"):
        raise SettingsError(f"the folder {folder!r} leads out of the exports; name one in them")
    parsed, folder = parse_url(exports), folder.strip("/")
    open_store(parsed.text)  # a file of that name is an error, whichever part of the address it is
    path = f"/{parsed.path.strip('/')}"
    if folder and path.endswith(f"/{folder}"):
        above = path.removesuffix(f"/{folder}")
        parsed = replace(parsed, path=above.strip("/") if parsed.is_s3 else above or "/")
    return open_store(parsed.text), f"{folder}/" if folder else ""


def list_exports(
    exports: str,
    tables: Sequence[TableSpec],
    *,
    folder: str = "datamart",
    sentinel: str = ".{name}.meta",
    require_meta: bool = True,
) -> Found:
    """The finished exports below ``<exports>/<folder>/``, at any depth.

    Raises:
        StorageError: The place does not exist or cannot be listed.
    """
    store, prefix = export_source(exports, folder)
    parsed = parse_url(exports)
    if not parsed.is_s3:
        if not Path(parsed.path).is_dir():
            raise StorageError(
                f"there is no folder {parsed.path} to read exports from; check --exports"
            )
        open_store(f"{store.url}/{prefix}")
    return find_exports(
        store.list(prefix), tables, folder=folder, sentinel=sentinel, require_meta=require_meta
    )


def find_exports(
    listing: Iterable[ObjectInfo],
    tables: Sequence[TableSpec],
    *,
    folder: str = "datamart",
    sentinel: str = ".{name}.meta",
    require_meta: bool = True,
) -> Found:
    """Sort a listing into finished exports, files that wait, and files of no table.

    Args:
        listing: The objects, keys counting from the exports' root.
        tables: What is looked for; names are compared for equality, look-alikes are ignored.
        folder: The datamart folder; its own name is not that of an export run.
        sentinel: Name of the marker beside a file, ``{name}`` standing for the file's name.
        require_meta: Whether a file without a marker has to wait.
    """
    data, sentinels = _split(listing, sentinel)
    found = {spec.name: _Table() for spec in tables}
    ignored: list[str] = []
    n_ignored = 0
    for key, info in data.items():
        name = parse_key(key, tables, folder=folder)
        if name is None:
            n_ignored += 1
            ignored += [key] if n_ignored <= _IGNORED_NAMED else []
        elif require_meta and key not in sentinels:
            found[name.table].waiting.append(
                Waiting(key, "its sentinel is not there yet", info.modified_at)
            )
        else:
            file = ExportFile(info, sentinels.get(key))
            found[name.table].files.setdefault(name.export_id, []).append(file)
    for target, info in sentinels.items():
        name = None if target in data else parse_key(target, tables, folder=folder)
        if name is not None:
            found[name.table].waiting.append(
                Waiting(info.key, "its data file is not there yet", info.modified_at)
            )
    return Found(
        exports={name: _exports(name, table) for name, table in found.items()},
        waiting={
            name: tuple(sorted(table.waiting, key=lambda w: w.key)) for name, table in found.items()
        },
        ignored=tuple(ignored),
        n_ignored=n_ignored,
    )


def _split(
    listing: Iterable[ObjectInfo], pattern: str
) -> tuple[dict[str, ObjectInfo], dict[str, ObjectInfo]]:
    data: dict[str, ObjectInfo] = {}
    sentinels: dict[str, ObjectInfo] = {}
    for info in listing:
        if info.key.endswith("/"):  # a folder marker
            continue
        target = sentinel_target(info.key, pattern)
        if target is None:
            data[info.key] = info
        else:
            sentinels[target] = info
    return data, sentinels


def _exports(name: str, table: _Table) -> tuple[Export, ...]:
    exports = [
        Export(name, export_id, tuple(sorted(files, key=lambda file: file.key)))
        for export_id, files in table.files.items()
    ]
    return tuple(sorted(exports, key=lambda export: (export.exported_at, export.id)))
