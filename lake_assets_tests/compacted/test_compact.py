"""Files of a partition: complete, in order, of the target size, the same whoever makes them."""

from itertools import pairwise

import polars as pl
import pytest

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.compacted.compact import compacted_now, manifest_key
from lake_assets.compacted.partitions import partition_name
from lake_assets.demo.exports import export_objects
from lake_assets.errors import BodyMismatchError
from lake_assets.lake import compact, find, open_datamart, plan, publish, stage, table_uri
from lake_assets.s3 import hive_values
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    model,
    models,
    opened,
    put,
    run_models,
)


def many(n=3000, start=0):
    """Rows whose order by (time, key) is not that of the file; a third has no time."""
    times = (None, "20260901T000000.000 GMT", "20260915T120000.000 GMT")
    return [
        model(f"m{(k * 7919) % 100_003:06d}", times[k % 3], pyName=f"{k:030d}", pyPositives=k)
        for k in range(start, start + n)
    ]


def staged(exports, root, **settings):
    lake = opened(exports, root, **settings)
    spec = lake.table(MODELS)
    list(stage(lake, spec, find(lake)))
    return lake, spec, plan(lake, spec)


def lake_files(root):
    return sorted((root / "lake").rglob("*.parquet"))


@pytest.mark.parametrize("value", ["2026-09", "a/b", "a=b", "50 %", "..", "...", "日本", None])
def test_names_of_partitions_are_reversible(value):
    name = partition_name(["year", "region"], ["2024", value])
    assert hive_values(f"{name}/part-0.parquet") == {"year": "2024", "region": value}


@pytest.mark.parametrize("memory", [150_000, 1_000_000])
def test_several_passes_give_what_one_gives(exports, root, tmp_path, memory):
    for night, start in zip(NIGHTS, (0, 2000, 4000), strict=True):
        put(exports, *export_objects(MODELS, night, many(start=start), files=2))
    run_models(exports, root)
    assert len(lake_files(root)) == 2
    run_models(exports, tmp_path / "small", memory=memory, workers=2)
    assert len(lake_files(tmp_path / "small")) > 4
    assert content(tmp_path / "small").equals(content(root))


def test_files_of_a_partition_follow_each_other_in_time_and_key(exports, root):
    for night, start in zip(NIGHTS, (0, 2000, 4000), strict=True):
        put(exports, *export_objects(MODELS, night, many(start=start)))
    lake, spec, table = staged(exports, root, memory=300_000, workers=2, target_file_size=20_000)
    for name, partition in compact(lake, spec, table):
        assert partition is not None
        frames = [
            pl.read_parquet(root / "lake" / spec.path / file.path) for file in partition.files
        ]
        assert len(frames) > 2, name
        places = [list(frame.select("pySnapshotTime", "pyModelID").iter_rows()) for frame in frames]
        for each in places:
            assert each == sorted(each, key=lambda place: (place[0] is not None, place))
        for before, after in pairwise(places):
            assert before[-1] < after[0] if before[-1][0] else before[-1][1] < after[0][1]


@pytest.mark.parametrize("target", [5_000, 15_000])
def test_no_file_is_larger_than_the_target(exports, root, target):
    put(exports, *export_objects(MODELS, NIGHTS[0], many(6000)))
    run_models(exports, root, target_file_size=target)
    sizes = [file.stat().st_size for file in lake_files(root)]
    assert len(sizes) > 2
    assert max(sizes) <= target


def test_one_row_larger_than_the_target_is_a_file_of_its_own(exports, root):
    noise = "".join(chr(33 + (n * n * 31 + n * 7) % 90) for n in range(60_000))
    put(exports, *models(model("a", pyName=noise), model("b")))
    assert run_models(exports, root, target_file_size=15_000).rows == 2


def test_same_plan_makes_the_same_files_in_another_lake(exports, root, tmp_path):
    put(exports, *export_objects(MODELS, NIGHTS[0], many()))
    run_models(exports, root)
    run_models(exports, tmp_path / "two")
    assert [f.name for f in lake_files(root)] == [f.name for f in lake_files(tmp_path / "two")]


def test_compacting_again_writes_nothing(exports, root):
    put(exports, *models(model("a")))
    lake, spec, table = staged(exports, root)
    assert [p.written for _, p in compact(lake, spec, table) if p] == [True]
    assert [p.written for _, p in compact(lake, spec, table) if p] == [False]


def test_partition_without_staged_rows_is_told_as_none(exports, root):
    put(exports, *models(model("a")))
    lake, spec, table = staged(exports, root)
    assert dict(compact(lake, spec, table, partitions=["_month=1999-01"])) == {
        "_month=1999-01": None
    }


def test_manifest_tells_inputs_outputs_and_counts(exports, root):
    put(exports, *models(model("a"), model("b")), *models(model("a"), night=NIGHTS[1]))
    lake, spec, table = staged(exports, root)
    dict(compact(lake, spec, table))
    (partition,) = table.partitions.values()
    content_ = read_document(lake.root, manifest_key(spec, partition)).content
    assert (content_["rows_in"], content_["rows"], content_["rows_dropped"]) == (
        3,
        2,
        {"superseded": 1},
    )
    assert [(item["rows"], item["kept"]) for item in content_["inputs"]] == [(2, 1), (1, 1)]


def test_manifest_whose_files_are_gone_does_not_count(exports, root):
    put(exports, *models(model("a")))
    lake, spec, table = staged(exports, root)
    dict(compact(lake, spec, table))
    plans = list(table.partitions.values())
    assert set(compacted_now(lake.root, spec, plans, workers=1)) == {"_month=2026-09"}
    for file in lake_files(root):
        file.unlink()
    assert compacted_now(lake.root, spec, plans, workers=1) == {}
    assert publish(lake, spec, table).held_back == ("_month=2026-09",)
    assert [p.written for _, p in compact(lake, spec, table) if p] == [True]
    assert publish(lake, spec, table).rows == 1


def test_altered_staged_file_is_refused_and_nothing_is_recorded(exports, root):
    put(exports, *models(model("a")))
    lake, spec, table = staged(exports, root)
    (partition,) = table.partitions.values()
    (root / partition.files[0].path).write_bytes(b"altered")
    with pytest.raises(BodyMismatchError, match="restore it"):
        dict(compact(lake, spec, table))
    assert not (root / "compacted").exists()


def test_source_columns_may_have_the_names_of_our_bookkeeping(exports, root):
    odd = {
        "_key": "k",
        "_time": "t",
        "_at": "a",
        "_keep": "false",
        "_position": "9",
        "_file": "f",
        "_row": "r",
    }
    put(exports, *models(*[model(f"m{n}", **odd) for n in range(20)]))
    put(exports, *models(model("m3", **odd), night=NIGHTS[1]))
    run_models(exports, root, memory=4_000, workers=1)
    table = content(root)
    assert table.height == 20
    assert table.select(list(odd)).unique().to_dicts() == [odd]


def test_column_spelled_in_another_case_later_goes_into_the_first_one(exports, root):
    put(exports, *models(model("a", pyExtra="1")))
    run_models(exports, root)
    put(exports, *models(model("b", pyextra="2"), night=NIGHTS[1]))
    report = run_models(exports, root)
    assert report.rows == 2
    table = content(root)
    assert "pyextra" not in table.columns
    assert sorted(table["pyExtra"]) == ["1", "2"]


def test_empty_table_takes_a_spelling_that_was_not_guessed(exports, root):
    put(exports, *models(sentinel="empty"))
    assert run_models(exports, root).version == 0
    put(
        exports,
        *models({"pymodelid": "a", "pysnapshottime": "20260901T000000.000 GMT"}, night=NIGHTS[1]),
    )
    assert run_models(exports, root).rows == 1
    assert content(root)["pyModelID"].to_list() == ["a"]


def test_statistics_in_the_log_are_those_of_the_files(exports, root):
    put(exports, *export_objects(MODELS, NIGHTS[0], many()))
    run_models(exports, root, target_file_size=20_000)
    lake = open_datamart(opened(exports, root).settings)
    uri = table_uri(lake.root.url, lake.table(MODELS))
    live = delta.live_files(uri)
    for file in live:
        body = root / "lake" / lake.table(MODELS).path / file.path
        assert (file.size_bytes, file.rows) == (body.stat().st_size, pl.read_parquet(body).height)
