"""The tasks of a plan as one listing shows them: done, refused, failed, under way, or open.

A task's records lie in the plan's folder: ``<number>-done-<group>.json`` (its manifest),
``<number>-refused-<group>.json`` (bad input), ``<number>-failed-<n>.json`` and
``<number>-claim-<n>.json``. All are made by conditional writes, so a lost race is no error. A claim
keeps others off a task until it expires; since tasks are idempotent, clocks that differ cost
double work at most.
"""

import os
import re
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.errors import StorageError
from lake_assets.export.source import Group
from lake_assets.s3 import Store
from lake_assets.staging.snapshot_plan import SnapshotPlan

__all__ = [
    "CLAIM_FOR",
    "TaskState",
    "claim",
    "done_key",
    "is_done_record",
    "new_worker",
    "record_failure",
    "refusal",
    "refused_key",
    "release",
    "task_states",
]

#: Far longer than a group takes. A killed worker's task is free after it; at once where the worker
#: was a process of this machine.
CLAIM_FOR = timedelta(minutes=5)

TaskStatus = Literal["open", "in_progress", "failed", "quarantined", "done"]

_DONE = "-done-"
_RECORD = re.compile(r"(?P<task>\d{6})-(?P<kind>done|refused|failed|claim)-[0-9a-f]+\.json")


@dataclass(frozen=True, slots=True)
class TaskState:
    """Where one task of a plan stands."""

    number: int
    status: TaskStatus
    tries: int = 0
    """Times that it failed."""
    reason: str | None = None
    """Why it is refused, or failed the last time."""
    worker: str | None = None
    """Who works on it."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "task": self.number,
            "status": self.status,
            "tries": self.tries,
            "reason": self.reason,
            "worker": self.worker,
        }


def new_worker() -> str:
    """A name for this process as a worker; another one for each call."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def done_key(plan: SnapshotPlan, group: Group) -> str:
    """Where the manifest of a staged group lies."""
    return f"{plan.tasks_folder}{group.number:06d}{_DONE}{group.id}.json"


def is_done_record(key: str) -> bool:
    """Whether a key of the lake is that of the manifest of a staged group: ``done_key``'s."""
    return key.startswith("staging/") and _DONE in key.rpartition("/")[2]


def refusal(root: Store, plan: SnapshotPlan, group: Group) -> str | None:
    """Why a group is refused; None where it is not."""
    key = refused_key(plan, group)
    return None if root.head(key) is None else str(read_document(root, key).content["reason"])


def refused_key(plan: SnapshotPlan, group: Group) -> str:
    """Where the record of a refused group lies."""
    return f"{plan.tasks_folder}{group.number:06d}-refused-{group.id}.json"


def task_states(root: Store, plan: SnapshotPlan) -> tuple[TaskState, ...]:
    """All tasks of a plan, in order: one listing, and a read for each refused or failed."""
    found: dict[int, dict[str, list[str]]] = {}
    for info in root.list(plan.tasks_folder):
        match = _RECORD.fullmatch(info.key.rpartition("/")[2])
        if match is not None:
            kinds = found.setdefault(int(match["task"]), {})
            kinds.setdefault(match["kind"], []).append(info.key)
    return tuple(_state(root, group.number, found.get(group.number, {})) for group in plan.groups)


def claim(root: Store, plan: SnapshotPlan, group: Group, worker: str) -> str | None:
    """Take a task; None where another worker holds it.

    Returns:
        The key of the claim, for ``release``.
    """
    stem = f"{plan.tasks_folder}{group.number:06d}-claim-"
    facts = {"worker": worker, "until": (datetime.now(UTC) + CLAIM_FOR).isoformat()}
    document = Document("claim", {"task": group.id}, facts)
    key = _numbered(stem, None)
    if write_document(root, key, document):  # the usual case: nobody was here, one request
        return key
    last = _last(root, stem)
    if last is not None and _live(root, last):
        return None
    key = _numbered(stem, last)
    return key if write_document(root, key, document) else None


def release(root: Store, key: str) -> None:
    """Give a task back, done or not."""
    root.delete(key)


def record_failure(root: Store, plan: SnapshotPlan, group: Group, reason: str) -> None:
    """Note that a task failed for a reason that may pass; it stays open."""
    stem = f"{plan.tasks_folder}{group.number:06d}-failed-"
    facts = {"at": datetime.now(UTC).isoformat()}
    document = Document("failure", {"task": group.id, "reason": reason}, facts)
    write_document(root, _numbered(stem, _last(root, stem)), document)


def _state(root: Store, number: int, records: dict[str, list[str]]) -> TaskState:
    tries = len(records.get("failed", ()))
    if "done" in records:
        return TaskState(number, "done", tries)
    if "refused" in records:
        reason = read_document(root, records["refused"][0]).content["reason"]
        return TaskState(number, "quarantined", tries, reason)
    reason = read_document(root, records["failed"][-1]).content["reason"] if tries else None
    if "claim" in records and (held := _live(root, records["claim"][-1])):
        return TaskState(number, "in_progress", tries, reason, held)
    return TaskState(number, "failed" if tries else "open", tries, reason)


def _last(root: Store, stem: str) -> str | None:
    return max((info.key for info in root.list(stem)), default=None)


def _numbered(stem: str, last: str | None) -> str:
    """The key that follows ``last``."""
    number = 1 + (int(last[len(stem) :].removesuffix(".json"), 16) if last else 0)
    return f"{stem}{number:06x}.json"


def _live(root: Store, key: str) -> str | None:
    """The worker that holds a claim; None for one that expired or was given back meanwhile."""
    try:
        facts = read_document(root, key).facts
    except StorageError:
        if root.head(key) is None:
            return None
        raise
    expired = datetime.fromisoformat(facts["until"]) <= datetime.now(UTC)
    return None if expired or _is_dead(facts["worker"]) else facts["worker"]


def _is_dead(worker: str) -> bool:
    """Whether a worker was a process of this machine that is no more."""
    host, pid, _ = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # there, and another user's
        return False
    return False
