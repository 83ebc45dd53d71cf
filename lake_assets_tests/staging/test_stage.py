"""One export: staged whole or refused by name, and what a change of its files makes of it."""

import json

import polars as pl
import pytest

from lake_assets.demo.exports import ExportObject, export_objects, ndjson
from lake_assets.lake import find, stage
from lake_assets_tests.factories import gzipped, truncated_gzip, zip_of
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    model,
    models,
    opened,
    put,
    reasons,
    remove,
    rows_of,
    run_models,
    wrapped,
)

ROWS = [model("a"), model("b"), model("c"), model("d")]


def names(root):
    return [name for (name,) in rows_of(root, MODELS, "pyModelID")]


def test_unknown_export_id_is_absent_and_hurts_nobody(exports, root):
    put(exports, *models(*ROWS))
    lake = opened(exports, root)
    ids = ["nowhere", NIGHTS[0]]
    found = list(stage(lake, lake.table(MODELS), find(lake), export_ids=ids))
    assert [(o.export_id, o.status) for o in found] == [
        ("nowhere", "absent"),
        (NIGHTS[0], "staged"),
    ]


def test_outcome_tells_the_same_now_and_later(exports, root):
    put(exports, *models(*ROWS, files=2))
    lake = opened(exports, root)
    now, later = (next(stage(lake, lake.table(MODELS), find(lake))) for _ in range(2))
    assert (now.status, later.status) == ("staged", "unchanged")
    assert (now.written, later.written) == (True, False)
    for name in ("rows", "files", "size_bytes", "months", "columns", "manifest", "sources"):
        assert getattr(now, name) == getattr(later, name), name


@pytest.mark.parametrize(
    "meta",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"recordCount": 4}', id="JSON"),
        pytest.param(b"<manifest><totalRecordCount>4</totalRecordCount></manifest>", id="XML"),
        pytest.param(b"\x00\xff nobody knows", id="unknown"),
        pytest.param(b'{"recordCount": "many"}', id="no number"),
        pytest.param(b"x" * 2_000_000, id="far too long"),
    ],
)
def test_sentinel_that_agrees_or_says_nothing_lets_the_export_pass(exports, root, meta):
    put(exports, *wrapped(ndjson(ROWS), meta=meta))
    assert run_models(exports, root).rows == 4


@pytest.mark.parametrize(
    ("meta", "finding"),
    [
        pytest.param(
            {"recordCount": 5}, "expected 5 records, as its sentinel says, found 4", id="count"
        ),
        pytest.param({"size": 7}, "expected 7 bytes, as its sentinel says", id="size"),
    ],
)
def test_sentinel_that_disagrees_refuses_the_export(exports, root, meta, finding):
    put(exports, *wrapped(gzipped(ROWS), meta=json.dumps(meta).encode()))
    report = run_models(exports, root)
    assert report.rows == 0
    assert finding in reasons(report)[0]
    assert models()[0].key in reasons(report)[0]


@pytest.mark.parametrize("packed", [True, False])
def test_size_in_a_sentinel_may_be_that_of_the_stored_or_of_the_unpacked_file(
    exports, root, packed
):
    body = gzipped(ROWS)
    size = len(body) if packed else len(ndjson(ROWS))
    put(exports, *wrapped(body, meta=json.dumps({"size": size}).encode()))
    assert run_models(exports, root).rows == 4


@pytest.mark.parametrize(("records", "is_loaded"), [(4, True), (9, False)])
def test_record_count_in_a_zip_is_checked(exports, root, records, is_loaded):
    manifest = f"dataset name: ModelSnapshots\nrecords: {records}\n".encode()
    put(
        exports, *wrapped(zip_of([("data.json", ndjson(ROWS)), ("META-INF/MANIFEST.mf", manifest)]))
    )
    report = run_models(exports, root)
    assert report.rows == (4 if is_loaded else 0)
    assert is_loaded or "9 records, as its META-INF/MANIFEST.mf says" in reasons(report)[0]


def test_bad_file_holds_back_the_others_of_its_export_only(exports, root):
    first, first_meta, second, second_meta = models(*ROWS, files=2, sentinel="empty")
    put(exports, first, first_meta, ExportObject(second.key, truncated_gzip(ROWS)), second_meta)
    put(exports, *models(model("z"), night=NIGHTS[1]))
    report = run_models(exports, root)
    (refused,) = report.quarantined
    assert (refused.export_id, refused.key) == (NIGHTS[0], second.key)
    assert refused.held_back == (first.key,)
    assert names(root) == ["z"]


def test_repaired_file_heals_its_quarantine(exports, root):
    whole, meta = models(*ROWS, sentinel="empty")
    put(exports, ExportObject(whole.key, whole.body[:30]), meta)
    assert run_models(exports, root).quarantined
    put(exports, whole)
    report = run_models(exports, root)
    assert (report.quarantined, report.rows) == ((), 4)


def test_first_refusal_writes_its_record_and_the_next_run_nothing(exports, root):
    put(exports, *wrapped(b"no json"))
    reports = [run_models(exports, root) for _ in range(2)]
    assert [report.changed for report in reports] == [True, False]
    assert reasons(reports[0]) == reasons(reports[1])
    assert len(list(root.rglob("quarantine-*.json"))) == 1


def test_late_file_joins_its_export(exports, root):
    first, first_meta, second, second_meta = models(*ROWS, files=2)
    put(exports, first, first_meta, second)
    report = run_models(exports, root)
    assert (report.rows, [w.key for w in report.waiting]) == (2, [second.key])
    put(exports, second_meta)
    report = run_models(exports, root)
    assert (report.rows, report.waiting, report.files) == (4, (), 2)


def test_bad_late_file_leaves_what_was_staged_before(exports, root):
    first, first_meta, second, second_meta = models(*ROWS, files=2, sentinel="empty")
    put(exports, first, first_meta)
    run_models(exports, root)
    before = content(root)
    put(exports, ExportObject(second.key, b"no json"), second_meta)
    report = run_models(exports, root)
    assert [refused.key for refused in report.quarantined] == [second.key]
    assert content(root).equals(before)
    assert report.rows == 2


def test_replaced_file_takes_its_former_rows_with_it(exports, root):
    put(exports, *models(*ROWS))
    run_models(exports, root)
    put(exports, *models(model("a", pyName="new"), model("e")))
    report = run_models(exports, root)
    assert (report.rows_in, report.rows, report.rows_dropped) == (2, 2, {})
    assert rows_of(root, MODELS, "pyModelID", "pyName") == [("a", "new"), ("e", None)]


def test_file_replaced_and_restored_gives_the_first_table_again(exports, root):
    put(exports, *models(*ROWS))
    run_models(exports, root)
    before = content(root)
    put(exports, *models(model("x")))
    run_models(exports, root)
    put(exports, *models(*ROWS))
    run_models(exports, root)
    assert content(root).equals(before)


def test_table_goes_back_even_where_the_files_of_then_are_vacuumed(exports, root):
    put(exports, *models(*ROWS))
    run_models(exports, root)
    before, files = content(root), list((root / "lake").rglob("*.parquet"))
    put(exports, *models(model("x")))
    run_models(exports, root)
    for file in files:
        file.unlink()
    put(exports, *models(*ROWS))
    assert run_models(exports, root).rows == 4
    assert content(root).equals(before)


def test_rows_of_a_deleted_export_stay(exports, root):
    objects = models(*ROWS)
    put(exports, *objects)
    run_models(exports, root)
    remove(exports, *objects)
    report = run_models(exports, root)
    assert (report.rows, report.changed) == (4, False)


def test_rows_of_a_deleted_file_stay_while_others_of_its_export_are_there(exports, root):
    # Lifecycle rules delete file by file; that is no correction.
    objects = models(*ROWS, files=2)
    put(exports, *objects)
    run_models(exports, root)
    remove(exports, *objects[:2])
    for _ in range(2):
        report = run_models(exports, root)
        assert (report.rows, report.changed, report.quarantined) == (4, False, ())


def test_rows_stay_where_a_sentinel_is_deleted(exports, root):
    objects = models(*ROWS, files=2)
    put(exports, *objects)
    run_models(exports, root)
    remove(exports, objects[1])
    report = run_models(exports, root)
    assert (report.rows, len(report.waiting)) == (4, 1)


def test_new_file_beside_a_deleted_one_is_refused_and_all_rows_stay(exports, root):
    first, first_meta, second, second_meta = models(*ROWS, files=2)
    put(exports, first, first_meta)
    run_models(exports, root)
    remove(exports, first, first_meta)
    put(exports, second, second_meta)
    report = run_models(exports, root)
    assert names(root) == ["a", "b"]
    assert first.key in reasons(report)[0]
    assert "restore it" in reasons(report)[0]
    put(exports, first, first_meta)
    report = run_models(exports, root)
    assert (report.quarantined, names(root)) == ((), ["a", "b", "c", "d"])


def test_touched_files_change_no_row_and_are_read_once_more_only(exports, root):
    objects = models(*ROWS)
    put(exports, *objects)
    run_models(exports, root)
    before = content(root)
    put(exports, *objects)
    run_models(exports, root)
    assert content(root).equals(before)
    assert run_models(exports, root).changed is False


def test_two_columns_that_differ_in_case_only_refuse_the_export(exports, root):
    put(exports, *models(model("a", pyExtra="1", pyextra="2")))
    put(exports, *models(model("z"), night=NIGHTS[1]))
    report = run_models(exports, root)
    assert "'pyExtra' and 'pyextra'" in reasons(report)[0]
    assert names(root) == ["z"]


@pytest.mark.parametrize("name", ["_month", "_Month", "_export_id", "_RESCUED_DATA", ""])
def test_column_with_a_name_of_ours_refuses_the_export(exports, root, name):
    put(exports, *models(model("a", **{name: "1"})))
    report = run_models(exports, root)
    assert len(report.quarantined) == 1
    assert report.rows == 0


def test_zero_bytes_are_an_export_of_no_rows(exports, root):
    put(exports, *wrapped(b""))
    report = run_models(exports, root)
    assert (report.files, report.rows, report.version) == (1, 0, 0)
    table = content(root)
    assert table.height == 0
    assert table.schema["pySnapshotTime"] == pl.Datetime("us")
    assert table.schema["pyPositives"] == pl.Float64


def test_single_odd_value_is_rescued_as_it_was(exports, root):
    put(exports, *models(*ROWS[:-1], model("d", pyPositives="n/a", pyNegatives=3)))
    report = run_models(exports, root)
    assert (report.rescued, report.rows) == ({"pyPositives": 1}, 4)
    found = rows_of(root, MODELS, "pyModelID", "pyPositives", "pyNegatives", "_rescued_data")
    assert found[-1] == ("d", None, 3.0, '{"pyPositives": "n/a"}')
    assert [row[-1] for row in found[:-1]] == [None, None, None]


def test_column_whose_type_changed_refuses_its_export_alone(exports, root):
    put(exports, *models(*[model(f"m{n}", pyPositives=n) for n in range(30)]))
    odd = [model(f"m{n}", pyPositives="many" if n < 3 else n) for n in range(30)]
    put(exports, *models(*odd, night=NIGHTS[1]))
    report = run_models(exports, root)
    assert "'pyPositives'" in reasons(report)[0]
    assert "3 of 30 (10.0%)" in reasons(report)[0]
    assert "datamart.tables.model_snapshot.types" in reasons(report)[0]
    assert rows_of(root, MODELS, "_export_id") == [(NIGHTS[0],)] * 30


def test_share_at_the_limit_is_still_rescued(exports, root):
    put(exports, *models(*[model(f"m{n}", pyPositives="many" if n < 2 else n) for n in range(40)]))
    assert run_models(exports, root).rescued == {"pyPositives": 2}


def test_higher_share_is_a_setting_and_stages_again(exports, root):
    put(exports, *models(*[model(f"m{n}", pyPositives="x" if n < 3 else n) for n in range(10)]))
    assert run_models(exports, root).quarantined
    report = run_models(exports, root, datamart={"rescue_share": 0.5})
    assert (report.quarantined, report.rows) == ((), 10)


def test_strict_table_refuses_one_odd_value(exports, root):
    put(exports, *models(*ROWS, model("e", pyPositives="n/a")))
    settings = {"tables": {MODELS: {"strict": True}}}
    report = run_models(exports, root, datamart=settings)
    assert "none (the table is strict)" in reasons(report)[0]
    assert report.rows == 0


def test_odd_values_in_a_key_column_lose_no_row(exports, root):
    # Both times are null in the table; one key for both would drop a row.
    rows = [model("m", f"20260901T{n:06d}.000 GMT") for n in range(59)]
    put(exports, *models(*rows, model("m", "yesterday"), model("m", "today"), model("m", None)))
    assert run_models(exports, root).rows == 62


def test_rows_without_key_columns_lose_no_row(exports, root):
    put(exports, *models({"pyName": "a"}, {"pyName": "b"}, {"pyName": "c"}, {"pyName": "a"}))
    report = run_models(exports, root)
    assert rows_of(root, MODELS, "pyName") == [("a",), ("b",), ("c",)]
    assert report.rows_dropped == {"superseded": 1}


def test_months_of_one_export_are_partitions(exports, root):
    rows = [model("a", f"2026{month:02d}15T000000.000 GMT") for month in range(1, 13)]
    put(exports, *models(*rows, model("b", None)))
    run_models(exports, root)
    months = {path.parent.name for path in (root / "lake").rglob("*.parquet")}
    assert months == {f"_month=2026-{m:02d}" for m in range(1, 13)} | {
        "_month=__HIVE_DEFAULT_PARTITION__"
    }


def test_where_a_row_came_from_stands_in_it(exports, root):
    objects = models(*ROWS, files=2)
    put(exports, *objects)
    run_models(exports, root)
    found = rows_of(root, MODELS, "pyModelID", "_export_id", "_source_key")
    keys = [objects[0].key] * 2 + [objects[2].key] * 2
    assert found == [(name, NIGHTS[0], key) for name, key in zip("abcd", keys, strict=True)]


def test_exports_of_one_time_in_two_folders_are_one_export(exports, root):
    here = models(model("a"), model("b"))
    there = [
        ExportObject(o.key.replace("datamart/", "datamart/node2/"), o.body)
        for o in models(model("b"), model("c"))
    ]
    put(exports, *here, *there)
    report = run_models(exports, root)
    assert (report.rows_in, report.rows) == (4, 3)
    # and one of two files of the same name that is deleted keeps its rows
    remove(exports, *there)
    assert run_models(exports, root).rows == 3


def test_small_buffers_stage_the_same_rows(exports, root, tmp_path):
    rows = [model(f"m{n:05d}", pyName="x" * 400) for n in range(6000)]
    put(exports, *export_objects(MODELS, NIGHTS[0], rows, files=2))
    run_models(exports, root)
    run_models(exports, tmp_path / "small", memory=2_000_000, workers=1)
    staged = list((tmp_path / "small" / "staging").rglob("*.index.parquet"))
    assert len(staged) > 1
    assert content(root).equals(content(tmp_path / "small"))
