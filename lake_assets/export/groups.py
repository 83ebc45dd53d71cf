"""Which files, and which parts of large ones, each staging task reads.

Pure but for one thing: a parquet file above the bound is opened for its footer. The plan depends on
the files alone, not on the order they are listed in, and takes the memory of its own values.

What is split: parquet by row groups, uncompressed NDJSON by bytes. What is not: whatever is
compressed, CSV (a quoted value may hold line breaks, so no byte range begins at a row for certain),
and files of a user's own reader. Such a file above the bound is a group of its own, which its
reader streams; so is a single row group above the bound.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from lake_assets.errors import BadInputError, SettingsError
from lake_assets.export.parquet_footer import row_group_bytes
from lake_assets.export.source import FilePart, Group, SnapshotExport, SourceFile
from lake_assets.s3 import ObjectInfo, Store

__all__ = ["plan_groups"]

#: Footers read side by side.
_THREADS = 8
_Part = tuple[FilePart, int]


def plan_groups(store: Store, snapshot: SnapshotExport, group_bytes: int) -> tuple[Group, ...]:
    """The groups of a snapshot, in the order of its keys; every byte of it is in exactly one.

    A group is closed when it has its share (as few groups as the bound allows, about alike in size:
    the last one is no crumb) or when the next part would exceed the bound, so only a part that
    cannot be split is larger than it, and then alone.

    Args:
        store: At ``snapshot.source``; asked only for parquet files above the bound.
        snapshot: What is planned.
        group_bytes: Upper bound of the stored bytes of one group.

    Raises:
        SettingsError: ``group_bytes`` is not positive, or a key occurs twice.
        SourceChangedError: A file above the bound was replaced since it was listed.
    """
    if group_bytes < 1:
        raise SettingsError(f"a group of {group_bytes} bytes holds nothing; give at least 1")
    files = sorted(snapshot.files, key=lambda file: file.key)
    for one, other in pairwise(files):
        if one.key == other.key:
            raise SettingsError(f"snapshot {snapshot.id} names {one.key!r} twice; list it once")
    row_groups = _row_groups(store, snapshot, files, group_bytes)
    sized = [
        pair
        for file in files
        for pair in _parts(snapshot, file, row_groups.get(file.key), group_bytes)
    ]
    return tuple(_filled(sized, group_bytes))


def _filled(sized: Sequence[_Part], group_bytes: int) -> Iterator[Group]:
    everything = sum(min(size, group_bytes) for _, size in sized)
    n_groups = -(-everything // group_bytes)  # where all can be cut to fit; there may be more
    number = total = 0
    parts: list[FilePart] = []
    for part, size in sized:
        has_share = size > 0 and total * n_groups >= everything and number + 1 < n_groups
        if parts and (has_share or total + size > group_bytes):
            yield Group(number, tuple(parts), total)
            number, parts, total = number + 1, [], 0
        parts.append(part)
        total += size
    if parts:
        yield Group(number, tuple(parts), total)


def _row_groups(
    store: Store, snapshot: SnapshotExport, files: Sequence[SourceFile], group_bytes: int
) -> dict[str, list[int]]:
    """Stored bytes of the row groups of each parquet file above the bound."""
    large = [
        ObjectInfo(file.key, file.size_bytes, file.etag, snapshot.exported_at)
        for file in files
        if snapshot.format == "parquet" and file.size_bytes > group_bytes
    ]
    if not large:
        return {}
    with ThreadPoolExecutor(min(_THREADS, len(large))) as pool:
        sizes = pool.map(lambda info: _sizes(store, info), large)
        return {info.key: found for info, found in zip(large, sizes, strict=True)}


def _sizes(store: Store, info: ObjectInfo) -> list[int]:
    """Of the row groups; one of all without a sound footer: reading it refuses this group alone."""
    try:
        return row_group_bytes(store, info)
    except BadInputError:
        return [info.size_bytes]


def _parts(
    snapshot: SnapshotExport, file: SourceFile, row_groups: list[int] | None, group_bytes: int
) -> Iterator[_Part]:
    if row_groups is not None:
        yield from _row_group_parts(file, row_groups, group_bytes)
    elif (
        file.size_bytes > group_bytes
        and snapshot.format in {"ndjson", "dynamodb"}
        and not file.key.lower().endswith(".gz")
    ):
        yield from _byte_parts(file, group_bytes)
    else:
        yield FilePart(file), file.size_bytes


def _byte_parts(file: SourceFile, group_bytes: int) -> Iterator[_Part]:
    """Ranges of one size, give or take a byte: the last one is no crumb."""
    n_parts = -(-file.size_bytes // group_bytes)
    cuts = [file.size_bytes * number // n_parts for number in range(n_parts + 1)]
    for start, end in pairwise(cuts):
        yield FilePart(file, start, end), end - start


def _row_group_parts(file: SourceFile, sizes: Sequence[int], group_bytes: int) -> Iterator[_Part]:
    """Runs of row groups under the bound; a larger one by itself."""
    if len(sizes) <= 1:
        yield FilePart(file), file.size_bytes
        return
    start, total = 0, 0
    for number, size in enumerate(sizes):
        if number > start and total + size > group_bytes:
            yield FilePart(file, start, number), total
            start, total = number, 0
        total += size
    yield FilePart(file, start, len(sizes)), total
