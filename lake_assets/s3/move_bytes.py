"""The bytes of a list of objects from one place to another, by whatever way fits the two places.

What is copied and whether it may be written over is decided before; here it is done.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from lake_assets.errors import StorageError
from lake_assets.s3.address import Address
from lake_assets.s3.local_copy import copy_file, move_file
from lake_assets.s3.partial import remove_stale_partials
from lake_assets.s3.remove import Problem
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig

__all__ = ["CopyItem", "CopyReport", "in_threads", "move_bytes"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CopyItem:
    """One object and what its copy is called."""

    source: ObjectInfo
    """As listed, from the root of the source."""
    key: str
    """Of the copy, from the root of the target."""


@dataclass(slots=True)
class CopyReport:
    """What was copied, what was there already, and what failed; addresses are the copies'."""

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    size_bytes: int = 0
    """Of what was copied."""
    seconds: float = 0.0
    copied_items: list[CopyItem] = field(default_factory=list, repr=False)
    skipped_items: list[CopyItem] = field(default_factory=list, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def add(self, other: "CopyReport") -> None:
        """Count another report in."""
        self.copied += other.copied
        self.skipped += other.skipped
        self.failed += other.failed
        self.copied_items += other.copied_items
        self.skipped_items += other.skipped_items
        self.size_bytes += other.size_bytes
        self.seconds += other.seconds

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "copied": self.copied,
            "skipped": self.skipped,
            "failed": [{"url": each.url, "reason": each.reason} for each in self.failed],
            "size_bytes": self.size_bytes,
            "seconds": round(self.seconds, 3),
        }


def move_bytes(
    source: Address,
    target: Address,
    items: Sequence[CopyItem],
    *,
    overwrite: bool,
    config: TransferConfig,
    moving: bool = False,
) -> CopyReport:
    """Copy each item; one failure does not stop the others.

    Args:
        source: Whose root the keys of the sources count from.
        target: Whose root the keys of the copies count from.
        items: What to copy.
        overwrite: Whether a copy may take the place of what is there.
        config: Encryption, concurrency, parts.
        moving: From folder to folder: rename, where that is enough.
    """
    started = time.monotonic()
    if not items:
        return CopyReport()
    if not target.is_s3:
        folders = {item.key.rpartition("/")[0] for item in items}
        remove_stale_partials(f"{target.root}/{folder}" for folder in folders)
    if source.is_s3 and target.is_s3:
        report = _by_store(source, target, items, overwrite=overwrite, config=config)
    elif source.is_s3 or target.is_s3:
        report = _by_transfer(source, target, items, overwrite=overwrite, config=config)
    else:
        act = move_file if moving else copy_file

        def bring(item: CopyItem) -> str | None:
            path = Path(source.root, item.source.key)
            return _reason(
                lambda: act(path, target.path_of(item.key), overwrite=overwrite, fsync=config.fsync)
            )

        report = _collected(target, items, in_threads(bring, items, config))
    report.seconds = time.monotonic() - started
    return report


def in_threads(work: Callable[[T], R], tasks: Iterable[T], config: TransferConfig) -> Iterator[R]:
    """The result of each task, in the order of the tasks."""
    tasks = list(tasks)
    if len(tasks) <= 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(min(config.max_concurrency, len(tasks))) as pool:
        try:
            yield from pool.map(work, tasks)
        finally:
            pool.shutdown(cancel_futures=True)


def _by_transfer(
    source: Address,
    target: Address,
    items: Sequence[CopyItem],
    *,
    overwrite: bool,
    config: TransferConfig,
) -> CopyReport:
    from lake_assets.s3.transfer import Transfer

    bucket = source if source.is_s3 else target
    config = config if config.access else replace(config, access=bucket.access)
    report = CopyReport()
    refs: list[ObjectRef] = []
    by_ref: dict[ObjectRef, CopyItem] = {}
    for item in items:
        try:
            ref = _ref(source, target, item)
        except StorageError as error:
            report.failed.append(Problem(target.url_of(item.key), str(error)))
            continue
        refs.append(ref)
        by_ref[ref] = item
    with Transfer(bucket.root, config) as transfer:
        act = transfer.download if source.is_s3 else transfer.upload
        done = act(refs, overwrite=overwrite)
    report.copied_items = [by_ref[ref] for ref in done.done]
    report.skipped_items = [by_ref[ref] for ref in done.skipped]
    report.failed += [
        Problem(target.url_of(by_ref[failure.ref].key), failure.reason) for failure in done.failed
    ]
    return _summed(target, report)


def _ref(source: Address, target: Address, item: CopyItem) -> ObjectRef:
    if source.is_s3:
        path = target.path_of(item.key)
        return ObjectRef(item.source.key, path, item.source.size_bytes, item.source.etag)
    # No ETag: that of a file is not the one that the store will give.
    path = Path(source.root, item.source.key)
    return ObjectRef(item.key, path, item.source.size_bytes)


def _by_store(
    source: Address,
    target: Address,
    items: Sequence[CopyItem],
    *,
    overwrite: bool,
    config: TransferConfig,
) -> CopyReport:
    from lake_assets.s3.server_copy import ServerCopy, copy_parts_of, copy_whole, needs_parts

    jobs = [ServerCopy(source, item.source, target, item.key, overwrite, config) for item in items]
    with ThreadPoolExecutor(config.max_concurrency) as pool:
        try:
            waiting: list[Future[str | None] | None] = [
                None if needs_parts(job.info) else pool.submit(_reason, partial(copy_whole, job))
                for job in jobs
            ]
            # Big ones from here, so that no task of the pool waits for another one.
            reasons = [
                future.result() if future else _reason(partial(copy_parts_of, job, pool))
                for job, future in zip(jobs, waiting, strict=True)
            ]
        except BaseException:  # Ctrl-C as well: what was not begun is not begun
            pool.shutdown(cancel_futures=True)
            raise
    return _collected(target, items, reasons)


def _reason(act: Callable[[], None]) -> str | None:
    """Why it failed, or None."""
    try:
        act()
    except (StorageError, OSError) as error:
        return str(error)
    return None


def _collected(
    target: Address, items: Sequence[CopyItem], reasons: Iterable[str | None]
) -> CopyReport:
    report = CopyReport()
    for item, reason in zip(items, reasons, strict=True):
        if reason is None:
            report.copied_items.append(item)
        else:
            report.failed.append(Problem(target.url_of(item.key), reason))
    return _summed(target, report)


def _summed(target: Address, report: CopyReport) -> CopyReport:
    report.copied = [target.url_of(item.key) for item in report.copied_items]
    report.skipped = [target.url_of(item.key) for item in report.skipped_items]
    report.size_bytes = sum(item.source.size_bytes for item in report.copied_items)
    return report
