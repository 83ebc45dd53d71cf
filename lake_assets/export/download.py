"""Finished export files as local files: for programs that want the files themselves.

The pipeline does not need this; it reads straight from the store. ``get_files`` and
``get_datamart_data`` are what users of pdstools' ``S3Data`` know by these names, with what those
lack: gates that hold, cached files that are verified, and paths that stay in the folder.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lake_assets.export.find import Export, export_source, list_exports
from lake_assets.export.local_files import Downloaded, bring_files
from lake_assets.export.pega_tables import find_table
from lake_assets.export.sentinel import sentinel_target
from lake_assets.s3 import Access, ObjectInfo, Store, open_store

__all__ = ["Downloaded", "download_exports", "get_datamart_data", "get_files"]


def download_exports(
    store: Store, exports: Iterable[Export], folder: str | Path, *, workers: int = 8
) -> Downloaded:
    """Bring the data files of exports into a folder, under their keys; see ``bring_files``.

    Args:
        store: Where the keys count from; ``export_source`` gives it.
        exports: What to fetch; only finished files are in them.
        folder: Made where it does not exist.
        workers: Files fetched at once.
    """
    files = (file.data for export in exports for file in export.files)
    return bring_files(store, files, folder, workers=workers)


def get_datamart_data(
    exports: str,
    table: str,
    folder: str | Path,
    *,
    datamart_folder: str = "datamart",
    use_meta_files: bool = True,
    workers: int = 8,
) -> Downloaded:
    """The finished files of one datamart table as local files, of all export runs.

    Args:
        exports: What holds the datamart folder: a folder, a bucket or a prefix.
        table: Name of a table, in pdstools' spelling (``modelSnapshot``) or ours.
        folder: Where the files go, under their keys.
        datamart_folder: Folder below ``exports``, at any depth.
        use_meta_files: Whether a file without its sentinel has to wait.
        workers: Files fetched at once.

    Raises:
        SettingsError: There is no such table, or the address cannot be one.
        StorageError: The place does not exist or cannot be listed.
    """
    spec = find_table(table)
    found = list_exports(exports, [spec], folder=datamart_folder, require_meta=use_meta_files)
    store, _ = export_source(exports, datamart_folder)
    came = download_exports(store, found.exports[spec.name], folder, workers=workers)
    return replace(came, waiting=tuple(waiting.key for waiting in found.waiting[spec.name]))


def get_files(
    source: str,
    prefix: str,
    folder: str | Path,
    *,
    use_meta_files: bool = True,
    sentinel: str = ".{name}.meta",
    access: Access | None = None,
) -> Downloaded:
    """The finished files below any prefix as local files, flat or nested; sentinels are left out.

    Args:
        source: What keys count from: a folder, a bucket or a prefix.
        prefix: Start of the keys, a plain string: ``out/files_`` finds ``out/files_001.json``.
        folder: Where the files go, under their keys.
        use_meta_files: Whether a file without its sentinel has to wait.
        sentinel: Name of the marker beside a file, ``{name}`` standing for the file's name.
        access: How to reach the bucket.

    Raises:
        SettingsError: The address cannot be one.
        StorageError: The place cannot be listed.
    """
    store = open_store(source, access)
    data: dict[str, ObjectInfo] = {}
    marked: set[str] = set()
    for info in _with_sentinels(store, prefix, sentinel):
        target = sentinel_target(info.key, sentinel)
        if target is None:
            data[info.key] = info
        else:
            marked.add(target)
    if not use_meta_files:
        return bring_files(store, data.values(), folder)
    came = bring_files(store, (data[key] for key in data.keys() & marked), folder)
    return replace(came, waiting=tuple(sorted(data.keys() ^ marked)))


def _with_sentinels(store: Store, prefix: str, sentinel: str) -> Iterator[ObjectInfo]:
    """What ``prefix`` finds, and the sentinels of those files, whose names may begin otherwise."""
    yield from store.list(prefix)
    above, slash, name = prefix.rpartition("/")
    before = sentinel.partition("{name}")[0]
    if name and before:  # .files_001.json.meta does not begin with files_
        yield from store.list(f"{above}{slash}{before}{name}")
