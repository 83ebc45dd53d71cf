"""Groups: everything once, under the bound, whatever the order; large files in parts."""

import io
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.errors import BadInputError, SettingsError, SourceChangedError, StorageError
from lake_assets.export.groups import plan_groups
from lake_assets.export.parquet_footer import row_group_bytes
from lake_assets.export.snapshots import find_snapshots
from lake_assets.export.source import FilePart, Group, SnapshotExport, SourceFile, SourceFormat
from lake_assets.s3 import open_store
from lake_assets_tests.fault_proxy import Fault, fault_proxy
from lake_assets_tests.snapshots import orders, parquet, put_files, snapshot_settings

T0 = datetime(2024, 12, 31, tzinfo=UTC)
NOWHERE = open_store("/nowhere")  # not asked: only parquet above the bound is opened
ENDS: dict[SourceFormat, tuple[str, ...]] = {
    "ndjson": (".ndjson", ".ndjson.gz"),
    "csv": (".csv", ".csv.gz"),
    "dynamodb": (".json.gz", ".json"),
    "python": (".xml",),
}


def snapshot_of(
    files: Sequence[SourceFile], file_format: SourceFormat = "parquet", source: str = "/nowhere"
) -> SnapshotExport:
    return SnapshotExport("one", T0, source, file_format, tuple(files))


def sizes(groups: Sequence[Group]) -> list[int]:
    return [group.size_bytes for group in groups]


@given(
    st.sampled_from(sorted(ENDS)),
    st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=40),
    st.integers(1, 200),
    st.randoms(use_true_random=False),
)
def test_every_byte_is_in_one_group_under_the_bound_in_any_order(
    file_format: SourceFormat,
    made: list[tuple[int, bool]],
    bound: int,
    shuffler: random.Random,
):
    ends = ENDS[file_format]
    files = [
        SourceFile(f"{n:02}{ends[is_other and len(ends) > 1]}", size, f"e{n}")
        for n, (size, is_other) in enumerate(made)
    ]
    groups = plan_groups(NOWHERE, snapshot_of(files, file_format), bound)
    shuffled = list(files)
    shuffler.shuffle(shuffled)
    assert plan_groups(NOWHERE, snapshot_of(shuffled, file_format), bound) == groups
    assert [group.number for group in groups] == list(range(len(groups)))
    assert len({group.id for group in groups}) == len(groups)
    parts = [part for group in groups for part in group.parts]
    assert [part.file for part in parts if not part.start] == files
    covered = dict.fromkeys([file.key for file in files], 0)
    for part in parts:
        assert part.start in {None, covered[part.file.key]}, "ranges follow one another"
        covered[part.file.key] = part.file.size_bytes if part.end is None else part.end
    assert list(covered.values()) == [file.size_bytes for file in files]
    for group in groups:
        assert sum(map(size_of, group.parts)) == group.size_bytes
        [first, *others] = group.parts
        is_whole = first.start is None and not others
        is_text = not first.file.key.endswith((".gz", ".csv", ".xml"))
        assert group.size_bytes <= bound or (is_whole and not is_text)
    # What cannot be cut parts those before it from those behind it, and either may be a group more.
    uncut = sum(size_of(part) > bound for part in parts)
    assert len(groups) <= filled_to_the_brim([size_of(part) for part in parts], bound) + uncut


def size_of(part):
    return part.file.size_bytes if part.end is None else part.end - (part.start or 0)


def filled_to_the_brim(part_sizes, bound):
    """How many groups there are when each takes all that fits."""
    n, total = 0, None
    for size in part_sizes:
        if total is None or total + size > bound:
            n, total = n + 1, 0
        total += size
    return n


def test_the_last_group_is_no_crumb():
    files = [SourceFile(f"{n:02}.parquet", 10, f"e{n}") for n in range(11)]
    groups = plan_groups(NOWHERE, snapshot_of(files, "parquet"), 100)
    assert sizes(groups) == [60, 50]


@pytest.mark.parametrize(
    ("file_format", "name", "expected"),
    [
        ("ndjson", "a.ndjson", [(0, 33), (33, 66), (66, 100)]),
        ("dynamodb", "a.json", [(0, 33), (33, 66), (66, 100)]),
        ("ndjson", "a.json.gz", [(None, None)]),
        # A quoted value may hold a line break: no byte of a CSV file begins a row for certain.
        ("csv", "a.csv", [(None, None)]),
        ("python", "a.ndjson", [(None, None)]),
    ],
)
def test_what_cannot_be_cut_is_a_group_of_its_own(
    file_format: SourceFormat, name: str, expected: list[tuple[int | None, int | None]]
):
    files = [SourceFile(name, 100, "e"), SourceFile("b", 1, "e"), SourceFile("0", 1, "e")]
    first, *groups, last = plan_groups(NOWHERE, snapshot_of(files, file_format), 34)
    assert first.parts[0].file.key == "0"
    parts = [p for group in (first, *groups, last) for p in group.parts if p.file.key == name]
    assert [(part.start, part.end) for part in parts] == expected


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder or a bucket without files."""
    if request.param == "folder":
        return str(tmp_path / "data")
    return f"s3://{request.getfixturevalue('bucket')}/data"


def test_a_large_parquet_file_is_cut_at_its_row_groups(place: str):
    body = parquet(orders(1000), row_group_rows=100)
    put_files(place, {"a.parquet": orders(5), "b.parquet": body, "c.parquet": orders(5)})
    settings = snapshot_settings(place, "parquet")
    [snapshot] = find_snapshots(settings, table="shop.orders").ready
    store = open_store(place)
    bound = len(body) * 35 // 100
    groups = plan_groups(store, snapshot, bound)
    assert all(size <= bound for size in sizes(groups))
    assert 3 <= len(groups) <= 5
    parts = [p for group in groups for p in group.parts if p.file.key == "b.parquet"]
    file = pq.ParquetFile(io.BytesIO(body))
    read = [file.read_row_groups(list(range(p.start or 0, p.end or 0))) for p in parts]
    assert pl.concat([pl.DataFrame(table) for table in read]).equals(orders(1000))
    assert [p.file.key for p in groups[-1].parts] == ["b.parquet", "c.parquet"]
    # One row group is the least there is, however small the bound.
    parts = [p for group in plan_groups(store, snapshot, 10) for p in group.parts]
    assert [(p.start, p.end) for p in parts if p.file.key == "b.parquet"] == [
        (n, n + 1) for n in range(10)
    ]
    assert [(p.start, p.end) for p in parts if p.file.key == "a.parquet"] == [(None, None)]


def test_a_large_file_that_is_no_parquet_is_a_group_of_its_own_and_another_one_an_error(place: str):
    put_files(place, {"a.parquet": b"PAR1 is all there is", "b.parquet": orders(9)})
    settings = snapshot_settings(place, "parquet")
    [snapshot] = find_snapshots(settings, table="shop.orders").ready
    store = open_store(place)
    assert FilePart(snapshot.files[0]) in [
        group.parts[0] for group in plan_groups(store, snapshot, 10)
    ]
    [broken, info] = store.list()
    with pytest.raises(BadInputError, match=r"a.parquet: expected a parquet file, found no footer"):
        row_group_bytes(store, broken)
    if not place.startswith("s3://"):  # a footer of more bytes than the file has
        with pytest.raises(BadInputError, match=r"row groups of \d+ bytes, in a file of 10"):
            row_group_bytes(store, replace(info, size_bytes=10))
    put_files(place, {"b.parquet": orders(8)})
    with pytest.raises(SourceChangedError, match=r"b.parquet was replaced"):
        plan_groups(store, replace(snapshot, files=snapshot.files[1:]), 10)


def test_a_plan_that_cannot_be_is_refused_and_of_nothing_there_are_no_groups():
    assert plan_groups(NOWHERE, snapshot_of([]), 1) == ()
    with pytest.raises(SettingsError, match="0 bytes"):
        plan_groups(NOWHERE, snapshot_of([]), 0)
    twice = [SourceFile("a", 1, "e"), SourceFile("a", 1, "f")]
    with pytest.raises(SettingsError, match="'a' twice"):
        plan_groups(NOWHERE, snapshot_of(twice), 10)


def test_a_hundred_thousand_files_are_planned_in_seconds():
    files = [
        SourceFile(f"day={n % 365:03}/{n:06}.json.gz", n % 5000, f"{n:x}") for n in range(10**5)
    ]
    started = time.thread_time()
    groups = plan_groups(NOWHERE, snapshot_of(files, "dynamodb"), 10**6)
    assert time.thread_time() - started < 5
    assert sum(sizes(groups)) == sum(file.size_bytes for file in files)


def test_a_footer_comes_by_ranges_and_heals_when_an_answer_breaks_off(
    bucket: str, s3_env: str, monkeypatch: pytest.MonkeyPatch
):
    body = parquet(orders(9000), row_group_rows=3000)
    put_files(f"s3://{bucket}", {"a.parquet": body})
    with fault_proxy(s3_env) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        store = open_store(f"s3://{bucket}")
        [info] = store.list()
        proxy.faults = [Fault("cut", "a.parquet", times=1)]
        sizes = row_group_bytes(store, info)
        assert (len(sizes), sum(sizes) < len(body)) == (3, True)
        ranges = [r.headers["range"] for r in proxy.requests if "range" in r.headers]
        assert len(ranges) >= 2
        assert ranges[0] == ranges[-1], "the same bytes again"
        start, end = map(int, ranges[0].removeprefix("bytes=").split("-"))
        assert (end - start + 1, end) == (64 * 1024, len(body) - 1)
        proxy.faults = [Fault("replace", "a.parquet", times=1)]
        with pytest.raises(SourceChangedError, match="replaced"):
            row_group_bytes(store, info)
        proxy.faults = [Fault("cut", "a.parquet")]
        with pytest.raises(StorageError, match=r"cannot read the end of .*a.parquet: .*, 5 times"):
            row_group_bytes(store, info)
