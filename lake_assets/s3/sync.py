"""Making one place like another: what would be copied and removed, then doing it.

The plan is pure, so a dry run shows exactly what a run would do. What the patterns leave out takes
no part on either side: it is neither copied nor removed.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.address import Address, is_within, parse_address
from lake_assets.s3.compare import same_content
from lake_assets.s3.filesystem import is_folder
from lake_assets.s3.globs import Selection, select
from lake_assets.s3.move_bytes import CopyItem, in_threads, move_bytes
from lake_assets.s3.remove import Problem, behind_links, remove_keys
from lake_assets.s3.store import ObjectInfo
from lake_assets.s3.transfer_config import TransferConfig
from lake_assets.s3.url import Location

__all__ = ["Compare", "SyncPlan", "SyncReport", "plan_sync", "sync"]

Compare = Literal["content", "size", "exists"]
"""What makes an object count as the same: equal bytes, an equal size, being there at all."""


@dataclass(slots=True)
class SyncPlan:
    """What a sync would do, by keys that count from both roots."""

    copy: list[ObjectInfo] = field(default_factory=list)
    """Of the source: new, or known to be different."""
    compare: list[tuple[ObjectInfo, ObjectInfo]] = field(default_factory=list)
    """Source and target of equal size: only their bytes can tell."""
    same: list[ObjectInfo] = field(default_factory=list)
    """Of the source: nothing to do."""
    delete: list[ObjectInfo] = field(default_factory=list)
    """Of the target: not in the source."""


@dataclass(slots=True)
class SyncReport:
    """What a sync did, or would do where it was a dry run; addresses in the target."""

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    size_bytes: int = 0
    """Of what was copied."""
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "dry_run": self.dry_run,
            "copied": self.copied,
            "skipped": self.skipped,
            "deleted": self.deleted,
            "failed": [{"url": each.url, "reason": each.reason} for each in self.failed],
            "size_bytes": self.size_bytes,
            "seconds": round(self.seconds, 3),
        }


def plan_sync(
    source: Iterable[ObjectInfo],
    target: Iterable[ObjectInfo],
    *,
    delete: bool = False,
    selection: Selection | None = None,
    compare: Compare = "content",
) -> SyncPlan:
    """What makes ``target`` like ``source``; keys of both count from their own root.

    Args:
        source: What shall be there.
        target: What is there.
        delete: Remove what only the target has.
        selection: Which keys take part, on both sides.
        compare: What makes two objects count as the same.
    """
    takes = (selection or Selection()).takes
    there = {info.key: info for info in target if takes(info.key)}
    plan = SyncPlan()
    for info in source:
        if not takes(info.key):
            continue
        other = there.pop(info.key, None)
        if other is None:
            plan.copy.append(info)
        elif compare == "exists":
            plan.same.append(info)
        elif info.size_bytes != other.size_bytes:
            plan.copy.append(info)
        elif compare == "size":
            plan.same.append(info)
        else:
            plan.compare.append((info, other))
    if delete:
        plan.delete = list(there.values())
    return plan


def sync(  # noqa: PLR0913 (one for each thing a person may say)
    source_url: Location | Address,
    target_url: Location | Address,
    *,
    delete: bool = False,
    dry_run: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    compare: Compare = "content",
    config: TransferConfig | None = None,
    approve: Callable[[Sequence[str]], bool] | None = None,
) -> SyncReport:
    """Make ``target_url`` like ``source_url``; running it again finishes what was interrupted.

    Args:
        source_url: A folder, a bucket or a prefix; it is only read.
        target_url: A folder, a bucket or a prefix.
        delete: Remove what only the target has.
        dry_run: Change nothing; the report says what would be done.
        include: Only paths that match one of these patterns; all by default.
        exclude: No path that matches one of these; it is not removed either.
        compare: What makes two objects count as the same.
        config: Encryption, concurrency, parts, bandwidth.
        approve: Asked before anything is written where something would be removed, with the
            addresses of that; nothing at all is done when it says no.

    Raises:
        SettingsError: The places are the same, or one lies in the other.
        StorageError: The source is not there, is empty while ``delete`` is on, or cannot be listed.
    """
    source, target = parse_address(source_url), parse_address(target_url)
    _check(source, target)
    started = time.monotonic()
    selection = select(include, exclude)
    config = config or TransferConfig(access=source.access or target.access)
    found = _listed(source)
    if not found and delete:
        raise StorageError(
            f"{source.url} holds nothing, and delete would empty {target.url}; "
            "check the source, or empty the target by rm"
        )
    plan = plan_sync(found, _listed(target), delete=delete, selection=selection, compare=compare)
    report = SyncReport(dry_run=dry_run)
    _spare_linked(plan, target, report)
    _decide(plan, source, target, report, config)
    doomed = [target.url_of(target.prefix + info.key) for info in plan.delete]
    if dry_run:
        report.copied = [target.url_of(target.prefix + info.key) for info in plan.copy]
        report.deleted = doomed
        report.size_bytes = sum(info.size_bytes for info in plan.copy)
    elif not doomed or approve is None or approve(doomed):
        _carry_out(plan, source, target, report, config)
    report.seconds = time.monotonic() - started
    return report


def _check(source: Address, target: Address) -> None:
    if is_within(target, source) or is_within(source, target):
        raise SettingsError(
            f"{source.url} and {target.url} are the same place, or one lies in the other"
        )
    if not is_folder(source) and (not source.is_s3 or source.open().head(source.path)):
        raise StorageError(f"{source.url} is no folder; sync takes folders, cp takes single files")
    if not target.is_s3 and target.local_path.exists() and not target.local_path.is_dir():
        raise StorageError(f"{target.url} is a file; sync takes folders")


def _listed(place: Address) -> list[ObjectInfo]:
    start = len(place.prefix)
    return [
        ObjectInfo(info.key[start:], info.size_bytes, info.etag, info.modified_at)
        for info in place.open().list(place.prefix)
    ]


def _spare_linked(plan: SyncPlan, target: Address, report: SyncReport) -> None:
    """Take out of a plan what it would remove behind links, which is not the target's own."""
    linked = behind_links(target, [target.prefix + info.key for info in plan.delete])
    said = "it lies behind a link, outside of this folder, and stays"
    report.failed += [Problem(target.url_of(key), said) for key in sorted(linked)]
    plan.delete = [info for info in plan.delete if target.prefix + info.key not in linked]


def _decide(
    plan: SyncPlan, source: Address, target: Address, report: SyncReport, config: TransferConfig
) -> None:
    """Settle by their bytes what only these can tell."""

    def same(pair: tuple[ObjectInfo, ObjectInfo]) -> bool | str:
        first, second = (
            _full(place, info) for place, info in zip((source, target), pair, strict=True)
        )
        try:
            return same_content(source, first, target, second)
        except (StorageError, OSError) as error:
            return str(error)

    for (info, _), answer in zip(plan.compare, in_threads(same, plan.compare, config), strict=True):
        if answer is True:
            plan.same.append(info)
        elif answer is False:
            plan.copy.append(info)
        else:
            report.failed.append(Problem(target.url_of(target.prefix + info.key), answer))
    plan.compare = []
    report.skipped = [target.url_of(target.prefix + info.key) for info in plan.same]


def _carry_out(
    plan: SyncPlan, source: Address, target: Address, report: SyncReport, config: TransferConfig
) -> None:
    items = [CopyItem(_full(source, info), target.prefix + info.key) for info in plan.copy]
    done = move_bytes(source, target, items, overwrite=True, config=config)
    report.copied, report.size_bytes = done.copied, done.size_bytes
    report.skipped += done.skipped
    report.failed += done.failed
    gone = remove_keys(target, [target.prefix + info.key for info in plan.delete], prune=True)
    report.deleted = gone.removed
    report.failed += gone.failed


def _full(place: Address, info: ObjectInfo) -> ObjectInfo:
    """The same with its key from the root of the place."""
    return ObjectInfo(place.prefix + info.key, info.size_bytes, info.etag, info.modified_at)
