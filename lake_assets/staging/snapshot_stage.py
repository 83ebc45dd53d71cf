"""Stage one group of a snapshot: read, transform, derive, split by partition, write, record.

A task is idempotent: data files are named by their content, its manifest comes last and once. Bad
input refuses the group by a record that names the file; nothing is deleted, the others go on.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeAlias

import polars as pl

from lake_assets.catalog import Document, read_document, write_document
from lake_assets.delta.schema import delta_schema
from lake_assets.errors import (
    BadInputError,
    ConservationError,
    LakeError,
    SchemaChangeError,
    SettingsError,
)
from lake_assets.export.source import FilePart, Group
from lake_assets.fanout import fan_out, one_ahead
from lake_assets.s3 import Store
from lake_assets.s3.hive import hive_path
from lake_assets.staging.derive import derive
from lake_assets.staging.open_types import with_open_types
from lake_assets.staging.snapshot_plan import CODE_VERSION, SnapshotPlan
from lake_assets.staging.tasks import (
    claim,
    done_key,
    record_failure,
    refusal,
    refused_key,
    release,
)
from lake_assets.staging.write import parquet_bytes, put_content

__all__ = ["GroupOutcome", "GroupWork", "ReadPart", "Transform", "stage_group"]

logger = logging.getLogger(__name__)

#: At level 1 it takes lz4's time to write, more of it to read, and 40 % fewer bytes to the store.
_COMPRESSION = "zstd"
#: Files read side by side, and parts written: what hides the latency of a store.
_READ_AHEAD = 2
_WRITERS = 4
#: Rows in memory are at most about so many times the stored bytes of a small file.
_UNPACKED = 8
#: Files that an error names.
_NAMED = 3
#: Begins the names of columns that stand beside those of the source for a while.
_OURS = "\x00lake."

_Part: TypeAlias = tuple[pl.DataFrame, tuple[str | None, ...]]
"""Rows, and the values of their partition."""

Transform: TypeAlias = Callable[[pl.LazyFrame], pl.LazyFrame]
ReadPart: TypeAlias = Callable[[FilePart], Iterable[tuple[pl.DataFrame, Mapping[str, int]]]]
"""Frames of a part in row order, each with the values by column that went to _rescued_data."""


@dataclass(frozen=True, slots=True)
class GroupWork:
    """What staging any group of a plan needs."""

    root: Store
    plan: SnapshotPlan
    read: ReadPart
    buffer_bytes: int
    """Rows held before they are written, in bytes of memory."""
    worker: str
    transform: Transform | None = None
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """What came of one task."""

    number: int
    status: Literal["staged", "unchanged", "quarantined", "failed", "busy"]
    """``busy``: another worker holds it."""
    rows: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    frame: pl.DataFrame
    rescued: Mapping[str, int]
    """Values by column that went to _rescued_data."""


@dataclass(slots=True)
class _Written:
    rows_read: int = 0
    rows: int = 0
    outputs: list[dict[str, Any]] = field(default_factory=list)
    rescued: Counter[str] = field(default_factory=Counter)
    empty_keys: Counter[str] = field(default_factory=Counter)
    null_columns: set[str] = field(default_factory=set)
    missing: set[str] | None = None
    """Columns that the configuration names and no frame has had yet; None before the first row."""


def stage_group(work: GroupWork, group: Group) -> GroupOutcome:
    """Stage one group, or refuse it; what was done before is told, not done again.

    An error of the store or a file that was replaced is recorded and told as ``failed``: the other
    groups go on, the next run tries this one again.
    """
    plan = work.plan
    if work.root.head(done_key(plan, group)) is not None:
        return GroupOutcome(group.number, "unchanged", _rows(work.root, plan, group))
    if reason := refusal(work.root, plan, group):  # the same bytes would be refused again
        return GroupOutcome(group.number, "quarantined", reason=reason)
    held = claim(work.root, plan, group, work.worker)
    if held is None:
        return GroupOutcome(group.number, "busy")
    try:
        rows = _stage(work, group)
    except BadInputError as error:
        _refuse(work, group, error)
        return GroupOutcome(group.number, "quarantined", reason=str(error))
    except LakeError as error:
        record_failure(work.root, plan, group, str(error))
        logger.warning(
            "%s snapshot %s group %d: %s", plan.table.id, plan.snapshot.id, group.number, error
        )
        return GroupOutcome(group.number, "failed", reason=str(error))
    finally:
        release(work.root, held)
    return GroupOutcome(group.number, "staged", rows)


def _stage(work: GroupWork, group: Group) -> int:
    started = time.monotonic()
    written = _Written()
    for read in one_ahead(_buffered(_frames(work, group), work.buffer_bytes)):
        written.rows_read += read.frame.height
        written.rescued.update(read.rescued)
        _write(work, group, read.frame, written)
        del read  # the next ones are read before this name would be used again
    if sum(item["rows"] for item in written.outputs) != written.rows:
        raise ConservationError(
            f"{work.plan.table.id} snapshot {work.plan.snapshot.id} group {group.number}:"
            f" {written.rows} rows to write, {sum(item['rows'] for item in written.outputs)}"
            " written; nothing was recorded"
        )
    document = _manifest(work, group, written, time.monotonic() - started)
    write_document(work.root, done_key(work.plan, group), document)
    # Another worker may have been first: what its manifest says counts.
    return _rows(work.root, work.plan, group)


def _frames(work: GroupWork, group: Group) -> Iterator[_Read]:
    """The frames of all parts, in order; small files are read ahead, side by side."""
    largest = max(part.file.size_bytes for part in group.parts)
    read: Iterator[Iterable[tuple[pl.DataFrame, Mapping[str, int]]]]
    if largest * _UNPACKED * _READ_AHEAD <= work.buffer_bytes:
        read = fan_out(lambda part: list(work.read(part)), group.parts, workers=_READ_AHEAD)
    else:
        read = map(work.read, group.parts)
    for frames in read:
        for frame, rescued in frames:
            if frame.height:
                yield _Read(frame, rescued)


def _buffered(frames: Iterator[_Read], buffer_bytes: int) -> Iterator[_Read]:
    """Frames joined while their types agree and they fit the buffer."""
    held: list[_Read] = []
    size = 0
    for read in frames:
        if held and read.frame.schema != held[0].frame.schema:
            yield _joined(held)
            size = 0
        held.append(read)
        size += int(read.frame.estimated_size())
        del read
        if size >= buffer_bytes:
            yield _joined(held)
            size = 0
    if held:
        yield _joined(held)


def _joined(held: list[_Read]) -> _Read:
    """The frames as one; the list is empty then, so that nothing keeps them alive."""
    rescued: Counter[str] = Counter()
    for read in held:
        rescued.update(read.rescued)
    frame = pl.concat([read.frame for read in held])
    held.clear()
    return _Read(frame, rescued)


def _write(work: GroupWork, group: Group, frame: pl.DataFrame, written: _Written) -> None:
    place = _place(group)
    frame = _transformed(work, frame, place)
    derived = derive(frame, work.plan.table.settings, place=place)
    written.rows += derived.frame.height
    written.rescued.update(derived.rescued)
    written.empty_keys.update(derived.empty_keys)
    missing = set(derived.missing)
    written.missing = missing if written.missing is None else written.missing & missing
    nulls = [name for name, dtype in derived.frame.schema.items() if dtype == pl.Null]
    written.null_columns.update(nulls)
    frame = with_open_types(derived.frame.drop(nulls))
    try:
        schema = delta_schema(frame.schema).to_json()
    except SchemaChangeError as error:
        raise BadInputError(
            place,
            expected="columns that a lake table can hold",
            found=str(error),
            remedy="declare the column under columns, or cast it in transform",
        ) from error
    copies = {name: of for name, of in derived.copies.items() if name in frame.columns}
    frame = frame.drop(copies)  # stored once, read twice
    indexes: list[pl.DataFrame] = []
    # Rows are dealt out by partition, and so is the index: each knows its place in the source.
    order = None if derived.index is None else derived.index.with_row_index("_nth")
    parts = _split(frame, derived.values, order, indexes)
    del frame, derived, order

    def tasks() -> Iterator[Callable[[], dict[str, Any]]]:
        for part in parts:
            yield partial(_write_part, work, *part, copies)
        if indexes:  # complete once the last part was dealt out
            yield partial(_write_index, work, pl.concat(indexes))

    outputs = list(fan_out(lambda task: task(), tasks(), workers=_WRITERS))
    index = outputs.pop() if indexes else None
    offset = 0
    for output in outputs:
        if index is not None:
            output["index"] = index | {"offset": offset}
        written.outputs.append(output | {"schema": schema})
        offset += output["rows"]


def _transformed(work: GroupWork, frame: pl.DataFrame, place: str) -> pl.DataFrame:
    if work.transform is None:
        return frame
    try:
        return work.transform(frame.lazy()).collect()
    except Exception as error:  # a function of the user's may raise anything
        # Not bad input for good: the same name may hold a corrected function the next time.
        raise SettingsError(
            f"{place}: {work.plan.table.settings.transform} failed with {type(error).__name__}:"
            f" {error}; correct the function, it is given a LazyFrame and returns one"
        ) from error


def _place(group: Group) -> str:
    """Names the files of a group in errors."""
    keys = list(dict.fromkeys(part.file.key for part in group.parts))
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more


def _split(
    frame: pl.DataFrame,
    values: pl.DataFrame,
    index: pl.DataFrame | None,
    indexes: list[pl.DataFrame],
) -> Iterator[_Part]:
    """The rows of each partition with its values; their part of the index is put to ``indexes``."""
    if not values.width or frame.is_empty():  # without rows a file that holds the types
        indexes += [] if index is None else [index]
        yield frame, (None,) * values.width
        return
    # One pass over all of it; renamed, for a source column may have any name.
    keys = values.rename({name: f"{_OURS}{name}" for name in values.columns})
    order = None if index is None else index.rename({n: f"{_OURS}{n}" for n in index.columns})
    whole = frame.hstack(keys)
    whole = whole if order is None else whole.hstack(order)
    columns = frame.columns
    parts = whole.partition_by(keys.columns, as_dict=True, include_key=False, maintain_order=True)
    del whole, frame
    for value in list(parts):
        rows = parts.pop(value)
        if order is not None:
            taken = rows.select(order.columns).rename(lambda name: name.removeprefix(_OURS))
            indexes.append(taken)
        yield rows.select(columns), value


def _write_part(
    work: GroupWork,
    frame: pl.DataFrame,
    values: tuple[str | None, ...],
    copies: Mapping[str, str],
) -> dict[str, Any]:
    names = work.plan.table.settings.partition_by
    place = hive_path(dict(zip(names, values, strict=True)))
    place = f"{place}/" if place else ""
    folder = work.plan.folder
    body = parquet_bytes(frame, level=1, compression=_COMPRESSION, statistics=False)
    path, sha = put_content(work.root, f"{folder}data/{place}", body)
    copies_bytes = sum(int(frame[of].estimated_size()) for of in copies.values())
    return {
        "path": path[len(folder) :],
        "sha256": sha,
        "size_bytes": len(body),
        "rows": frame.height,
        "frame_bytes": int(frame.estimated_size()) + copies_bytes,
        "copies": dict(copies),
        "copies_bytes": copies_bytes,
        "values": list(values),
    }


def _write_index(work: GroupWork, index: pl.DataFrame) -> dict[str, Any]:
    """One index for all files that were written together: their rows, one file after the other."""
    folder = work.plan.folder
    body = parquet_bytes(index, level=1, compression=_COMPRESSION, statistics=False)
    path, sha = put_content(work.root, f"{folder}data/", body, suffix=".index.parquet")
    return {
        "path": path[len(folder) :],
        "sha256": sha,
        "size_bytes": len(body),
        "rows": index.height,
        "frame_bytes": int(index.estimated_size()),
    }


def _manifest(work: GroupWork, group: Group, written: _Written, seconds: float) -> Document:
    plan = work.plan
    content = {
        "asset": f"staging/{plan.table.path}",
        "partition": plan.snapshot.id,
        "group": group.number,
        "code_version": CODE_VERSION,
        "config_id": plan.table.staging_config_id,
        "inputs": [
            {
                "name": part.file.key,
                "size_bytes": part.file.size_bytes,
                "start": part.start,
                "end": part.end,
            }
            for part in group.parts
        ],
        "outputs": written.outputs,
        "rows_in": written.rows_read,
        "rows": written.rows,
        "rescued": dict(sorted(written.rescued.items())),
        "empty_keys": dict(sorted(written.empty_keys.items())),
        "null_columns": sorted(written.null_columns),
        "missing": sorted(written.missing or ()),
    }
    facts = {
        "source": plan.snapshot.source,
        "etags": [part.file.etag for part in group.parts],
        "worker": work.worker,
        "run_id": work.run_id,
        "written_at": datetime.now(UTC).isoformat(),
        "seconds": round(seconds, 3),
    }
    return Document("staging-group", content, facts)


def _refuse(work: GroupWork, group: Group, error: BadInputError) -> None:
    content = {
        "asset": f"staging/{work.plan.table.path}",
        "partition": work.plan.snapshot.id,
        "group": group.number,
        "key": error.key,
        "reason": str(error),
        "inputs": [part.file.key for part in group.parts],
    }
    facts = {"run_id": work.run_id, "written_at": datetime.now(UTC).isoformat()}
    key = refused_key(work.plan, group)
    write_document(work.root, key, Document("quarantine", content, facts))
    logger.warning(
        "quarantined %s snapshot %s group %d: %s",
        work.plan.table.id,
        work.plan.snapshot.id,
        group.number,
        error,
    )


def _rows(root: Store, plan: SnapshotPlan, group: Group) -> int:
    return int(read_document(root, done_key(plan, group)).content["rows"])
