"""The demo's bucket: some days of invented Pega exports, and what the lake must make of them.

Which runs there are and what is wrong with some of them belongs here, and the story that a test or
the demo compares a lake with. The rows are ``rows.py``, the files ``files.py``; both are offered
here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from lake_assets.demo.files import (
    ExportObject,
    deal,
    export_objects,
    ndjson,
    sentinel_of,
    write_folder,
)
from lake_assets.demo.rows import rows
from lake_assets.export.pega_tables import DATAMART_TABLES, canonical, find_table

__all__ = [
    "ExportObject",
    "TableStory",
    "demo_objects",
    "expected",
    "export_objects",
    "ndjson",
    "rows",
    "write_folder",
]

#: Files of one export run in the demo.
DEMO_FILES = {"model_snapshot": 2, "predictor_snapshot": 4, "binary_distribution": 3}
#: Cells of binary_distribution that do not fit their type, by row of the first and the last run.
ODD_CELLS = (
    (3, "pyCount", "n/a"),
    (40, "pyPositiveCount", "unknown"),
    (77, "pyBehavior", "#DIV/0!"),
)


@dataclass(frozen=True, slots=True)
class TableStory:
    """What the lake must make of one table of the demo's bucket, if nothing is lost or twice."""

    exports: tuple[str, ...]
    """Ids of the export runs that load, oldest first; runs without a row are among them."""
    rows_in: int
    """Rows of their finished files."""
    rows: int
    """Rows in the lake, one for each key."""
    rows_by_month: Mapping[str, int]
    """The same by the month of the table's time column ('2026-09')."""
    waiting: tuple[str, ...] = ()
    """Data files that have no sentinel yet; their rows do not count above."""
    missing: tuple[str, ...] = ()
    """Data files that are not there although their sentinel is."""
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Export id → a word that the reason must have; none of the run's rows count above."""
    rescued: int = 0
    """Values that do not fit the type of their column, in rows that do count above."""
    look_alikes: tuple[str, ...] = ()
    """Data files of another class whose name begins like this table's; they must be left alone."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One export of one table, and what is wrong with it."""

    table: str
    export_id: str
    files: Sequence[Sequence[Mapping[str, object]]]
    waits: int | None = None
    """The file that has no sentinel."""
    truncated: int | None = None
    """The file whose body ends early."""
    odd_cells: int = 0


def demo_objects(
    *, first_day: date = date(2026, 9, 28), days: int = 5, seed: int = 7, models: int = 40
) -> list[ExportObject]:
    """A bucket as it looks after some days: an export of each table every night, and a few mishaps.

    A file without its sentinel yet (newest run of predictor_snapshot), a run exported again
    (model_snapshot), a truncated file (snapshot), a sentinel without its data file (notification),
    a class with a similar name (SnapshotArchive), values that are no numbers (binary_distribution).
    ``expected`` tells of the same arguments what must become of it.
    """
    objects: list[ExportObject] = []
    for run in _runs(first_day, days, seed, models):
        made = export_objects(run.table, run.export_id, run.files)
        if run.truncated is not None:
            made[2 * run.truncated : 2 * run.truncated + 2] = _cut(run, made[2 * run.truncated])
        if run.waits is not None:
            del made[2 * run.waits + 1]
        objects += made
    if days > 0:
        objects += _look_alike(first_day, seed)
        objects.append(_orphan(first_day))
    return objects


def expected(
    *, first_day: date = date(2026, 9, 28), days: int = 5, seed: int = 7, models: int = 40
) -> dict[str, TableStory]:
    """What ``demo_objects`` of the same arguments must become, by table; from the same rows."""
    runs = list(_runs(first_day, days, seed, models))
    stories = {spec.name: _story(spec.name, runs) for spec in DATAMART_TABLES}
    if days > 0:
        like, orphan = _look_alike(first_day, seed)[0].key, _orphan(first_day).key
        orphaned = orphan.replace("/.", "/").removesuffix(".meta")
        stories["snapshot"] = replace(stories["snapshot"], look_alikes=(like,))
        stories["notification"] = replace(stories["notification"], missing=(orphaned,))
    return stories


def _runs(first_day: date, days: int, seed: int, models: int) -> Iterator[_Run]:
    """The export runs of the demo, night by night; then the first of the models once more."""
    last = days - 1
    first: _Run | None = None
    for number in range(days):
        day = first_day + timedelta(days=number)
        for place, spec in enumerate(DATAMART_TABLES):
            of_day = rows(spec.name, day=day, seed=seed, models=models)
            is_odd = spec.name == "binary_distribution" and number in (0, last)
            odd_cells = _spoil(of_day) if is_odd else 0
            files = deal(of_day, DEMO_FILES.get(spec.name, 2))
            run = _Run(spec.name, _export_id(day, second=place), files, odd_cells=odd_cells)
            if spec.name == "model_snapshot":
                first = first or run
            if spec.name == "predictor_snapshot" and number == last:
                run = replace(run, waits=len(files) - 1)
            if spec.name == "snapshot" and number == min(1, last):
                run = replace(run, truncated=len(files) - 1)
            yield run
    if first:
        yield replace(first, export_id=_export_id(first_day + timedelta(days=last), second=3600))


def _export_id(day: date, *, second: int) -> str:
    """At 2 in the night after the day: a month's last day is exported in the next month."""
    moment = datetime.combine(day, time(2)) + timedelta(days=1, seconds=second)
    return f"{moment:%Y%m%dT%H%M%S}.{(second * 137 + 41) % 1000:03d}"


def _spoil(rows: list[dict[str, object]]) -> int:
    """Put the odd cells in, and count them."""
    cells = [cell for cell in ODD_CELLS if cell[0] < len(rows)]
    for place, column, text in cells:
        rows[place][column] = text
    return len(cells)


def _cut(run: _Run, whole: ExportObject) -> list[ExportObject]:
    """The file without its end, and a sentinel that knows the size but not that the end is gone."""
    cut = ExportObject(whole.key, whole.body[: len(whole.body) * 3 // 5])
    return [cut, sentinel_of(cut, len(run.files[run.truncated or 0]), "json")]


def _look_alike(first_day: date, seed: int) -> list[ExportObject]:
    archived = rows("snapshot", day=first_day - timedelta(days=30), seed=seed, n=12)
    made = export_objects("snapshot", _export_id(first_day, second=5), archived, sentinel="none")
    archive = "Data-DM-SnapshotArchive_pyGetSnapshotArchive_"
    key = made[0].key.replace("Data-DM-Snapshot_pyGetSnapshot_", archive)
    data = ExportObject(key, made[0].body)
    return [data, sentinel_of(data, len(archived), "json")]


def _orphan(first_day: date) -> ExportObject:
    """The sentinel of a file of the night before, which somebody has removed."""
    export_id = _export_id(first_day - timedelta(days=1), second=6)
    one = rows("notification", day=first_day - timedelta(days=1), n=1)
    return export_objects("notification", export_id, one)[1]


def _file_key(run: _Run, number: int) -> str:
    made = export_objects(run.table, run.export_id, [[] for _ in run.files], sentinel="none")
    return made[number].key


def _month(row: Mapping[str, object], column: str) -> str:
    text = next(str(row[name]) for name in row if canonical(name) == canonical(column))
    return f"{text[:4]}-{text[4:6]}"


def _story(table: str, runs: list[_Run]) -> TableStory:
    """Count what must become of a table's runs."""
    own = [run for run in runs if run.table == table]
    good = [run for run in own if run.truncated is None]
    spec = find_table(table)
    kept: dict[object, str] = {}
    rows_in = 0
    for run in good:
        for number, part in enumerate(run.files):
            if number != run.waits:
                rows_in += len(part)
                kept.update((row["pzInsKey"], _month(row, spec.time)) for row in part)
    return TableStory(
        exports=tuple(run.export_id for run in good),
        rows_in=rows_in,
        rows=len(kept),
        rows_by_month=dict(sorted(Counter(kept.values()).items())),
        waiting=tuple(_file_key(run, run.waits) for run in good if run.waits is not None),
        quarantined={run.export_id: "gzip" for run in own if run.truncated is not None},
        rescued=sum(run.odd_cells for run in good),
    )
