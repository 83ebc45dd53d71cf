"""Copying and moving between two places, each a folder or a bucket; many objects at once.

Bucket to bucket the store copies by itself; between a bucket and a folder a ``Transfer`` moves the
bytes. Nothing is written over unless it is asked for, and one failure does not stop the others.
"""

import time
from collections.abc import Sequence

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.address import Address, is_within, parse_address
from lake_assets.s3.compare import same_content
from lake_assets.s3.filesystem import is_folder
from lake_assets.s3.globs import Selection
from lake_assets.s3.move_bytes import CopyItem, CopyReport, in_threads, move_bytes
from lake_assets.s3.remove import Problem, behind_links, plan_removal, remove, remove_keys
from lake_assets.s3.store import ObjectInfo, Store
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.url import Location

__all__ = ["copy", "move"]

#: A listing may show this many keys for each wanted one; beyond that a HEAD for each is cheaper.
_KEYS_PER_HEAD = 50


def copy(
    sources: Location | Address | Sequence[Location | Address],
    target: Location | Address,
    *,
    recursive: bool = False,
    overwrite: bool = False,
    selection: Selection | None = None,
    config: TransferConfig | None = None,
) -> CopyReport:
    """Copy objects, files, folders or prefixes.

    One object goes to exactly ``target``, or below it where that is a folder or written with a
    slash. Of a folder, what is below it goes below ``target`` (with several sources below
    ``target/name``). What is there with the same bytes is skipped; with others it is a failure.

    Args:
        sources: What to copy.
        target: Where to.
        recursive: Folders and prefixes too.
        overwrite: Write over what is there.
        selection: Only these paths below a folder.
        config: Encryption, concurrency, parts.

    Raises:
        SettingsError: A copy onto or into itself, or two sources for one target.
        StorageError: A source is not there, or is a folder without ``recursive``.
    """
    work = _plan(sources, parse_address(target), recursive=recursive, selection=selection)
    report = CopyReport()
    for source, where, items in work:
        report.add(_copy_new(source, where, items, overwrite=overwrite, config=config))
    return report


def move(
    sources: Location | Address | Sequence[Location | Address],
    target: Location | Address,
    *,
    recursive: bool = False,
    overwrite: bool = False,
    selection: Selection | None = None,
    config: TransferConfig | None = None,
) -> CopyReport:
    """Copy, then remove each source whose copy is proven to be there; arguments as of ``copy``.

    Folders and markers that are empty afterwards are removed with their objects.

    Raises:
        SettingsError: A move onto or into itself, or two sources for one target.
        StorageError: A source is not there, or is a folder without ``recursive``.
    """
    work = _plan(sources, parse_address(target), recursive=recursive, selection=selection)
    report = CopyReport()
    for source, where, items in work:
        foreign = behind_links(source, [item.source.key for item in items])
        own = [item for item in items if item.source.key not in foreign]
        said = "it lies behind a link, outside of this folder; copy it instead"
        report.failed += [Problem(source.url_of(key), said) for key in sorted(foreign)]
        done = _copy_new(source, where, own, overwrite=overwrite, config=config, moving=True)
        report.add(done)
        gone = [item.source for item in (*done.copied_items, *done.skipped_items)]
        report.failed += _remove_sources(source, gone)
        if recursive and not report.failed and not selection:
            report.failed += _remove_empty(source)
    return report


def _plan(
    sources: Location | Address | Sequence[Location | Address],
    target: Address,
    *,
    recursive: bool,
    selection: Selection | None,
) -> list[tuple[Address, Address, list[CopyItem]]]:
    """Source, target and what goes where; nothing is written yet."""
    several: list[Location | Address]
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        several = [sources]
    else:
        several = list(sources)
    into_folder = target.says_folder or is_folder(target)
    if len(several) > 1 and not into_folder:
        raise SettingsError(f"{target.url} is no folder; end it with a slash to copy several there")
    work = []
    for text in several:
        source = parse_address(text)
        where = target.at(target.prefix + source.name) if len(several) > 1 else target
        single = _single(source, target, into_folder=into_folder)
        below = _below(source, where, selection or Selection()) if recursive else []
        if not single and not below and not (recursive and is_folder(source)):
            if is_folder(source):
                raise StorageError(f"{source.url} is a folder; say recursive (-r) to copy it")
            raise StorageError(f"there is nothing at {source.url}")
        work.append((source, target, [*single, *below]))
    _refuse_doubles(target, [item.key for _, _, items in work for item in items])
    return work


def _single(source: Address, target: Address, *, into_folder: bool) -> list[CopyItem]:
    info = None if source.says_folder else source.open().head(source.path)
    if info is None:
        return []
    key = target.prefix + source.name if into_folder else target.path
    if _is_same(source, target.at(key)):
        raise SettingsError(f"{source.url} would be copied onto itself")
    return [CopyItem(info, key)]


def _below(source: Address, target: Address, selection: Selection) -> list[CopyItem]:
    if is_within(target, source) and is_folder(source):
        raise SettingsError(f"{source.url} would be copied into itself: {target.url} lies in it")
    start = len(source.prefix)
    return [
        CopyItem(info, target.prefix + info.key[start:])
        for info in source.open().list(source.prefix)
        if selection.takes(info.key[start:])
    ]


def _is_same(source: Address, target: Address) -> bool:
    if source.is_s3 or target.is_s3:
        return source.url == target.url
    there = target.local_path
    return there.exists() and source.local_path.samefile(there)


def _refuse_doubles(target: Address, keys: list[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise SettingsError(f"two sources for {target.url_of(key)}; copy them one by one")
        seen.add(key)


def _copy_new(
    source: Address,
    target: Address,
    items: Sequence[CopyItem],
    *,
    overwrite: bool,
    config: TransferConfig | None,
    moving: bool = False,
) -> CopyReport:
    """Copy what is not there; with ``overwrite`` everything."""
    config = config or TransferConfig(access=source.access or target.access)
    started = time.monotonic()
    report = CopyReport()
    fresh: list[CopyItem] = list(items)
    if not overwrite:
        there = _existing(target, [item.key for item in items], config)
        fresh = [item for item in items if item.key not in there]
        met = [(item, there[item.key]) for item in items if item.key in there]

        def compare(pair: tuple[CopyItem, ObjectInfo]) -> bool | StorageError:
            try:
                return same_content(source, pair[0].source, target, pair[1])
            except (StorageError, OSError) as error:
                return error if isinstance(error, StorageError) else StorageError(str(error))

        for (item, _), same in zip(met, in_threads(compare, met, config), strict=True):
            if same is True:
                report.skipped_items.append(item)
            else:
                said = str(same) if same else "it is there with other bytes; overwrite to replace"
                report.failed.append(Problem(target.url_of(item.key), said))
    report.add(move_bytes(source, target, fresh, overwrite=overwrite, config=config, moving=moving))
    report.skipped = [target.url_of(item.key) for item in report.skipped_items]
    report.seconds = time.monotonic() - started
    return report


def _existing(
    target: Address, keys: Sequence[str], config: TransferConfig
) -> dict[str, ObjectInfo]:
    """Which of the keys are there; asked by a listing where they lie close together."""
    store, wanted = target.open(), set(keys)
    found: dict[str, ObjectInfo] = {}
    if target.is_s3 and len(keys) > 1:
        budget = _KEYS_PER_HEAD * len(keys)
        for number, info in enumerate(store.list(_common(keys))):
            if info.key in wanted:
                found[info.key] = info
            if number >= budget:
                break
        else:
            return found
    asked = [key for key in wanted if key not in found]
    heads = in_threads(lambda key: _head(store, key), asked, config)
    return found | {info.key: info for info in heads if info is not None}


def _head(store: Store, key: str) -> ObjectInfo | None:
    try:
        return store.head(key)
    except StorageError:  # a key that no folder can spell: writing it says so, by name
        return None


def _common(keys: Sequence[str]) -> str:
    first, last = min(keys), max(keys)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


def _remove_sources(source: Address, infos: Sequence[ObjectInfo]) -> list[Problem]:
    """Remove what was copied, but for what was replaced in the meantime."""
    store = source.open()
    problems: list[Problem] = []

    def is_same(info: ObjectInfo) -> bool:
        now = store.head(info.key)
        return now is None or now.etag == info.etag

    keys = []
    for info, same in zip(infos, in_threads(is_same, infos, TransferConfig()), strict=True):
        if same:
            keys.append(info.key)
        else:
            said = "it was replaced after it was copied, and stays; run again"
            problems.append(Problem(source.url_of(info.key), said))
    return problems + remove_keys(source, keys, prune=True).failed


def _remove_empty(source: Address) -> list[Problem]:
    """Remove the folder itself where nothing but folders and markers is left of it."""
    if not is_folder(source):
        return []
    rest = plan_removal(source.at(source.prefix), recursive=True)
    if rest.size_bytes or any(not key.endswith("/") for key in rest.keys):
        return []
    if source.is_s3 and not source.path:
        return remove_keys(source, rest.keys).failed
    return remove(rest).failed
