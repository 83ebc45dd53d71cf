"""The demo's bucket is what it says: same bytes each time, and a story that its bytes confirm."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

import polars as pl
import pytest

from lake_assets.demo.exports import ExportObject, TableStory, demo_objects, expected
from lake_assets.export.pega_tables import DATAMART_TABLES, TIME_TYPE, column_type, find_table
from lake_assets_tests.demo.reading import run_of, sentinel_key, unpacked

TABLES = [spec.name for spec in DATAMART_TABLES]


@pytest.fixture(scope="module")
def demo() -> list[ExportObject]:
    return demo_objects()


@pytest.fixture(scope="module")
def story() -> dict[str, TableStory]:
    return expected()


def digest(objects: Iterable[ExportObject]) -> str:
    return hashlib.sha256(b"".join(item.key.encode() + item.body for item in objects)).hexdigest()


def test_same_arguments_give_same_bytes_in_another_process():
    code = (
        "import hashlib; from lake_assets.demo.exports import demo_objects;"
        "o = demo_objects(days=2, models=3);"
        "print(hashlib.sha256(b''.join(i.key.encode() + i.body for i in o)).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"},
    )
    assert (
        other.stdout.strip()
        == digest(demo_objects(days=2, models=3))
        == digest(demo_objects(days=2, models=3))
    )
    assert digest(demo_objects(days=2, models=3, seed=8)) != digest(demo_objects(days=2, models=3))


def test_every_file_parses_but_the_one_that_is_truncated(demo):
    broken, n_rows = [], 0
    for item in demo:
        if not item.is_sentinel:
            try:
                n_rows += len(unpacked(item.body))
            except EOFError:
                broken.append(item.key)
    assert len(broken) == 1
    assert broken[0].startswith("datamart/Data-DM-Snapshot_pyGetSnapshot_")
    assert 15_000 < n_rows < 40_000


def test_sentinels_agree_with_the_files_beside_them(demo, story):
    bodies = {item.key: item.body for item in demo}
    assert len(bodies) == len(demo)
    told = {item.key: json.loads(item.body) for item in demo if item.is_sentinel}
    lone = [
        key for key in bodies if not key.startswith("datamart/.") and sentinel_key(key) not in told
    ]
    assert tuple(lone) == story["predictor_snapshot"].waiting
    (missing,) = story["notification"].missing
    assert told.pop(sentinel_key(missing))["name"] in missing
    (cut_id,) = story["snapshot"].quarantined
    for key, meta in told.items():
        body = bodies[key.replace("/.", "/").removesuffix(".meta")]
        assert meta["size"] == len(body)
        try:
            assert meta["recordCount"] == len(unpacked(body))
        except EOFError:
            assert f"_{cut_id}GMT" in key


@pytest.mark.parametrize("table", TABLES)
def test_the_story_is_what_the_bytes_say(table, demo, story):
    told, spec = story[table], find_table(table)
    bodies = {item.key: item.body for item in demo}
    by_export = defaultdict(list)
    for item in demo:
        if item.is_sentinel or (run := run_of(item, spec.class_name)) is None:
            continue
        if run not in told.quarantined and sentinel_key(item.key) in bodies:
            by_export[run] += unpacked(item.body)
    loaded = [row for some in by_export.values() for row in some]
    keys = {row["pzInsKey"]: row for row in loaded}
    time = next(name for name in spec.known if name.lower().endswith(spec.time.lower()))
    months = Counter(f"{row[time][:4]}-{row[time][4:6]}" for row in keys.values())
    assert told.exports == tuple(sorted(by_export))
    assert (told.rows_in, told.rows) == (len(loaded), len(keys))
    assert told.rows_by_month == months
    assert set(months) == {"2026-09", "2026-10"}


def test_the_demo_has_each_mishap_once(demo, story):
    models = story["model_snapshot"]
    assert models.rows_in - models.rows == models.rows // 5
    assert [len(told.waiting) for told in story.values()] == [0, 1, 0, 0, 0, 0, 0]
    assert [len(told.quarantined) for told in story.values()] == [0, 0, 0, 0, 0, 1, 0]
    assert [len(told.missing) for told in story.values()] == [0, 0, 0, 0, 0, 0, 1]
    assert [len(told.exports) for told in story.values()] == [6, 5, 5, 5, 5, 4, 5]
    assert story["predictor_snapshot"].exports[-1] in story["predictor_snapshot"].waiting[0]
    (like,) = story["snapshot"].look_alikes
    assert like in {item.key for item in demo}
    assert like.startswith("datamart/Data-DM-Snapshot")
    assert all(like.find(f"/{spec.class_name}_") < 0 for spec in DATAMART_TABLES)
    assert story["notification"].missing[0] not in {item.key for item in demo}


def test_a_run_exported_again_has_the_same_rows_under_a_new_id(demo, story):
    first, *_, again = story["model_snapshot"].exports
    bodies = {
        run: [i.body for i in demo if f"Snapshots_{run}GMT" in i.key and not i.is_sentinel]
        for run in (first, again)
    }
    assert len(bodies[first]) == 2
    assert bodies[first] == bodies[again]


@pytest.mark.parametrize("table", TABLES)
def test_values_fit_their_type_but_the_odd_ones_that_the_story_counts(table, demo, story):
    spec, misfits, most = find_table(table), 0, 0.0
    for item in demo:
        if item.is_sentinel or run_of(item, spec.class_name) is None:
            continue
        if any(run in item.key for run in story[table].quarantined):
            continue
        found = unpacked(item.body)
        for name in {name for row in found for name in row}:
            texts = [None if (v := row.get(name)) is None else str(v) for row in found]
            of_column = lost(pl.Series(texts, dtype=pl.String), column_type(spec, name))
            misfits, most = misfits + of_column, max(most, of_column / len(found))
    assert misfits == story[table].rescued == (6 if table == "binary_distribution" else 0)
    assert most < 0.01


def lost(texts: pl.Series, wanted: pl.DataType) -> int:
    """How many of the texts are no value of that type."""
    if wanted == TIME_TYPE:
        typed = texts.str.strptime(pl.Datetime("us"), "%Y%m%dT%H%M%S%.3f GMT", strict=False)
    elif wanted.is_integer():
        typed = texts.cast(pl.Float64, strict=False).cast(wanted, strict=False)
    else:
        typed = texts.cast(wanted, strict=False)
    return typed.null_count() - texts.null_count()


@pytest.mark.parametrize("arguments", [{"days": 1, "models": 1}, {"days": 3, "models": 0}])
def test_small_demos_have_their_story_too(arguments):
    told = expected(**arguments)
    objects = demo_objects(**arguments)
    assert len({item.key for item in objects}) == len(objects)
    for some in told.values():
        assert some.rows == sum(some.rows_by_month.values()) <= some.rows_in
    assert len(told["snapshot"].quarantined) == len(told["predictor_snapshot"].waiting) == 1


def test_no_days_are_an_empty_bucket():
    assert demo_objects(days=0) == []
    assert {told.rows_in for told in expected(days=0).values()} == {0}
