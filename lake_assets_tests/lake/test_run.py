"""The whole line on a folder: what goes in comes out once, and a second run writes nothing."""

import shutil
from datetime import datetime

import polars as pl
import pytest

from lake_assets import delta
from lake_assets.demo.exports import ExportObject, demo_objects, expected, export_objects
from lake_assets.errors import LakeError, SettingsError
from lake_assets.export.pega_tables import DATAMART_TABLES, INTERNAL_COLUMNS, column_type
from lake_assets.lake import open_datamart, run_datamart, table_uri
from lake_assets.settings import load_settings
from lake_assets_tests.factories import put_folder
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    adds_up,
    content,
    listing,
    model,
    models,
    opened,
    put,
    reasons,
    remove,
    rows_of,
    run,
    run_models,
    source_content,
)

TABLES = [spec.name for spec in DATAMART_TABLES]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's bucket and a lake made of it."""
    folder = tmp_path_factory.mktemp("demo")
    exports, root = put_folder(folder / "exports", demo_objects()), folder / "lake"
    return exports, root, run(exports, root)


@pytest.mark.parametrize("table", TABLES)
def test_demo_becomes_what_its_story_tells(demo, table):
    _, root, report = demo
    story, found = expected()[table], report.tables[table]
    assert (found.rows_in, found.rows) == (story.rows_in, story.rows)
    assert sum(found.rescued.values()) == story.rescued
    assert {q.export_id for q in found.quarantined} == set(story.quarantined)
    assert all(word in reasons(found)[0] for word in story.quarantined.values())
    waiting = {w.key for w in found.waiting if not w.key.endswith(".meta")}
    missing = {w.key.replace("/.", "/").removesuffix(".meta") for w in found.waiting} - waiting
    assert (waiting, missing) == (set(story.waiting), set(story.missing))
    table_ = content(root, table)
    assert table_.height == story.rows
    by_month = table_.group_by("_month").len().sort("_month")
    assert dict(by_month.iter_rows()) == story.rows_by_month
    assert table_["pzInsKey"].n_unique() == story.rows
    assert not set(table_["_source_key"]) & {*story.waiting, *story.look_alikes}
    assert table_["_rescued_data"].count() == story.rescued  # one odd value a row


def test_counts_add_up_for_every_table(demo):
    assert adds_up(demo[2].tables.values())


def test_look_alikes_are_ignored_and_counted(demo):
    story = expected()["snapshot"]
    assert set(demo[2].ignored) == set(story.look_alikes)


@pytest.mark.parametrize("table", TABLES)
def test_types_are_those_of_the_contract(demo, table):
    _, root, _ = demo
    spec = next(spec for spec in DATAMART_TABLES if spec.name == table)
    for name, dtype in content(root, table).schema.items():
        if name not in INTERNAL_COLUMNS:
            assert dtype == column_type(spec, name), name


def test_second_run_writes_nothing(demo):
    exports, root, first = demo
    before = listing(root)
    again = run(exports, root)
    assert listing(root) == before
    assert (first.changed, again.changed) == (True, False)
    for name, report in again.tables.items():
        was = first.tables[name].as_dict() | {"changed": False}
        assert report.as_dict() == was


def test_new_process_state_does_not_matter(demo, tmp_path):
    exports, root, _ = demo
    run(exports, tmp_path)
    for table in TABLES:
        assert content(tmp_path, table).equals(content(root, table))


def test_first_publish_is_version_zero(demo):
    assert {report.version for report in demo[2].tables.values()} == {0}


def test_only_the_asked_tables_run_and_each_once(demo, tmp_path):
    exports, _, _ = demo
    report = run(exports, tmp_path, "modelSnapshot", "model_snapshot", "datamart.notification")
    assert set(report.tables) == {"model_snapshot", "notification"}
    assert report.changed
    assert {path.name for path in (tmp_path / "lake" / "datamart").iterdir()} == set(report.tables)


def test_unknown_table_is_wrong_usage_before_anything_is_written(exports, root):
    with pytest.raises(SettingsError, match="no table 'nope'; the tables are model_snapshot"):
        run(exports, root, "nope")
    assert not root.exists()


def test_nothing_exported_is_no_table_and_no_error(exports, root):
    (exports / "datamart").mkdir()
    report = run(exports, root)
    assert not report.changed
    assert {(r.rows, r.version) for r in report.tables.values()} == {(0, None)}
    assert not root.exists()


def test_same_export_again_changes_no_count_and_the_newest_wins(exports, root):
    rows = [model("a", pyPositives=1), model("b"), model("c", None)]
    put(exports, *models(*rows))
    run_models(exports, root)
    put(exports, *models(model("a", pyPositives=2), *rows[1:], night=NIGHTS[1]))
    report = run_models(exports, root)
    assert (report.rows_in, report.rows, report.rows_dropped) == (6, 3, {"superseded": 3})
    assert rows_of(root, MODELS, "pyModelID", "pyPositives", "_export_id") == [
        ("a", 2.0, NIGHTS[1]),
        ("b", None, NIGHTS[1]),
        ("c", None, NIGHTS[1]),
    ]


def test_older_export_that_comes_late_does_not_win(exports, root):
    put(exports, *models(model("a", pyName="new"), night=NIGHTS[1]))
    run_models(exports, root)
    put(exports, *models(model("a", pyName="old"), model("b", pyName="old"), night=NIGHTS[0]))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyModelID", "pyName") == [("a", "new"), ("b", "old")]


def test_order_of_arrival_does_not_matter(exports, root, tmp_path):
    nights = [
        models(model("a", pyName=night), model(night), night=night, files=2) for night in NIGHTS
    ]
    for night in reversed(nights):
        put(exports, *night)
        run_models(exports, root)
    run_models(exports, tmp_path / "once")
    assert content(root).equals(content(tmp_path / "once"))


def test_latest_save_time_wins_within_one_export(exports, root):
    rows = [
        model("a", pyName=name, pxSaveDateTime=f"2026090{day}T000000.000 GMT")
        for name, day in (("first", 1), ("last", 3), ("middle", 2))
    ]
    put(exports, *models(*rows, files=3))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyName") == [("last",)]


def test_row_whose_month_moved_leaves_its_old_partition_in_the_same_commit(exports, root):
    september = [model("s", "20260901T000000.000 GMT", pzInsKey=f"K{n}") for n in range(4)]
    untouched = [model("u", f"2026{m:02d}01T000000.000 GMT", pzInsKey=f"U{m}") for m in range(1, 9)]
    put(exports, *models(*september, *untouched, model("n", None, pzInsKey="N")))
    run_models(exports, root)
    before = content(root)
    moved = model("s", "20261001T000000.000 GMT", pzInsKey="K2")
    nowhere = model("s", None, pzInsKey="K3")
    put(exports, *models(moved, nowhere, night=NIGHTS[1]))
    report = run_models(exports, root)
    assert (report.version, report.rows) == (1, before.height)
    assert report.published is not None
    assert set(report.published.partitions) == {
        "_month=2026-09",
        "_month=2026-10",
        "_month=__HIVE_DEFAULT_PARTITION__",
    }
    kept = pl.col("pzInsKey").is_in(["K2", "K3"]).not_()
    assert content(root).filter(kept).equals(before.filter(kept))
    assert rows_of(root, MODELS, "pzInsKey", "_month")[:4] == [
        ("K0", "2026-09"),
        ("K1", "2026-09"),
        ("K2", "2026-10"),
        ("K3", None),
    ]


def test_partition_that_nothing_is_left_of_disappears(exports, root):
    put(exports, *models(model("a", pzInsKey="A")))
    run_models(exports, root)
    put(exports, *models(model("a", "20261001T000000.000 GMT", pzInsKey="A"), night=NIGHTS[1]))
    run_models(exports, root)
    live = delta.live_files(table_uri(str(root), opened(exports, root).table(MODELS)))
    assert [file.partition for file in live] == [("2026-10",)]


def test_corrected_export_moves_its_rows_between_months(exports, root):
    put(exports, *models(model("a"), model("b"), model("b", "20261001T000000.000 GMT")))
    run_models(exports, root)
    put(exports, *models(model("a", "20261101T000000.000 GMT")))
    report = run_models(exports, root)
    assert (report.rows_in, report.rows) == (1, 1)
    assert rows_of(root, MODELS, "pyModelID", "_month") == [("a", "2026-11")]


def test_correction_brings_back_what_the_wrong_rows_had_superseded(exports, root):
    put(exports, *models(model("a", pzInsKey="A", pyName="right")))
    put(exports, *models(model("a", "20261001T000000.000 GMT", pzInsKey="A"), night=NIGHTS[1]))
    run_models(exports, root)
    put(exports, *models(model("z", "20261001T000000.000 GMT", pzInsKey="Z"), night=NIGHTS[1]))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pzInsKey", "_month") == [("A", "2026-09"), ("Z", "2026-10")]


def test_new_column_is_null_in_old_rows(exports, root):
    put(exports, *models(model("a")))
    run_models(exports, root)
    put(exports, *models(model("b", pyModelTechnique="GBM"), night=NIGHTS[1]))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyModelID", "pyModelTechnique") == [("a", None), ("b", "GBM")]


def test_column_that_an_export_no_longer_has_stays(exports, root):
    put(exports, *models(model("a", pyOld="x")))
    run_models(exports, root)
    put(exports, *models(model("b"), night=NIGHTS[1]))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyModelID", "pyOld") == [("a", "x"), ("b", None)]


def test_columns_that_are_null_everywhere_are_typed(exports, root):
    put(
        exports,
        *models(
            model(
                "a",
                pyPositives=None,
                pyFactoryUpdateTime=None,
                pyUnknown=None,
                pyActivePredictors=None,
            )
        ),
    )
    run_models(exports, root)
    schema = content(root).schema
    assert schema["pyPositives"] == pl.Float64
    assert schema["pyFactoryUpdateTime"] == pl.Datetime("us")
    assert schema["pyActivePredictors"] == pl.Int64
    assert schema["pyUnknown"] == pl.String
    assert pl.Null not in schema.values()


def test_quoted_numbers_and_times_are_parsed(exports, root):
    put(exports, *models(model("a", pyPerformance="91.000000", pyActivePredictors="7.0")))
    run_models(exports, root)
    found = rows_of(root, MODELS, "pyPerformance", "pyActivePredictors", "pySnapshotTime")
    assert found == [(91.0, 7, datetime(2026, 9, 1))]  # noqa: DTZ001


def test_table_of_ones_own_comes_from_the_configuration(exports, root, tmp_path):
    config = tmp_path / "lake.yaml"
    config.write_text(
        f"root: {root}\nexports: {exports}\ndatamart:\n  tables:\n    summary:\n"
        "      class: Data-DM-Summary\n      dataset: GetSummaries\n      key: [ModelId, 'Kind?']\n"
        "      time: SnapShotTime\n      types: {Kind: int}\n"
    )
    name = "datamart/Data-DM-Summary_pyGetSummaries_20260901T020000.000GMT.json"
    body = b'{"pyModelId":"a","pyKind":"1"}\n{"pyModelId":"a"}\n{"pyModelId":"a","pyKind":1.0}\n'
    put(exports, ExportObject(name, body), ExportObject(f"datamart/.{name[9:]}.meta", b""))
    lake = open_datamart(load_settings(str(config)))
    report = run_datamart(lake, tables=["summary"]).tables["summary"]
    assert (report.rows_in, report.rows, report.version) == (3, 2, 0)
    frame = pl.read_delta(str(root / "lake/datamart/summary"))
    assert sorted(frame["pyKind"].to_list(), key=str) == [1, None]


def test_new_type_of_a_published_column_is_refused_until_it_is_taken_back(exports, root):
    put(exports, *models(model("a", pyMine="12")))
    run_models(exports, root)
    retyped = {"datamart": {"tables": {MODELS: {"types": {"Mine": "int"}}}}}
    put(exports, *models(model("b", pyMine="13"), night=NIGHTS[1]))
    report = run_models(exports, root, **retyped)
    assert [q.export_id for q in report.quarantined] == [NIGHTS[0], NIGHTS[1]]
    assert (
        "'pyMine' as String, which it is in the published table, found Int64" in reasons(report)[0]
    )
    assert rows_of(root, MODELS, "pyMine") == [("12",)]
    assert run_models(exports, root).rows == 2  # the change taken back: all as if it had not been


def test_lake_without_its_staging_keeps_its_rows_and_says_so(exports, root):
    objects = models(model("a"), model("b"))
    put(exports, *objects)
    run_models(exports, root)
    remove(exports, *objects)
    for path in (root / "staging").rglob("*.json"):
        path.unlink()
    report = run_models(exports, root)
    assert (report.rows, report.version, report.changed) == (2, 0, False)
    assert len(rows_of(root, MODELS, "pyModelID")) == 2


@pytest.mark.parametrize("with_new_export", [False, True])
def test_export_that_staging_forgot_is_never_dropped_from_the_table(exports, root, with_new_export):
    first = models(model("a"))
    put(exports, *first, *models(model("b"), night=NIGHTS[1]))
    run_models(exports, root)
    remove(exports, *first)
    for path in (root / "staging").rglob(f"{NIGHTS[0]}/manifest-*.json"):
        path.unlink()
    if with_new_export:
        put(exports, *models(model("c"), night=NIGHTS[2]))
    with pytest.raises(LakeError, match="restore"):
        run_models(exports, root)
    assert rows_of(root, MODELS, "pyModelID") == [("a",), ("b",)]


def test_staging_that_is_lost_is_made_again_from_the_exports(exports, root):
    put(exports, *models(model("a")), *models(model("b"), night=NIGHTS[1]))
    run_models(exports, root)
    before = content(root)
    for path in (root / "staging").rglob("*.json"):
        path.unlink()
    run_models(exports, root)
    assert content(root).equals(before)


def test_whole_table_is_built_anew_from_staging(exports, root):
    put(exports, *models(model("a")), *models(model("b"), night=NIGHTS[1]))
    run_models(exports, root)
    before = content(root)
    shutil.rmtree(root / "lake" / "datamart" / MODELS)
    report = run_models(exports, root)
    assert (report.rows, report.version) == (2, 0)
    assert content(root).equals(before)


def test_one_broken_table_names_the_export_and_others_are_loaded(exports, root):
    put(exports, *export_objects("snapshot", NIGHTS[0], [{"pzInsKey": "a"}]))
    put(
        exports,
        *[ExportObject(o.key, b"x" if not o.is_sentinel else b"") for o in models(model("a"))],
    )
    report = run(exports, root)
    assert [q.export_id for q in report.quarantined] == [NIGHTS[0]]
    assert report.tables["snapshot"].rows == 1


def test_packings_and_layouts_give_the_same_rows(exports, root, tmp_path):
    rows = [model(f"m{n}", pyPositives=n) for n in range(9)]
    put(exports, *models(*rows, files=2))
    run_models(exports, root)
    for packing in ("json", "json.gz", "zip"):
        for layout in ("flat", "folder"):
            other = tmp_path / f"{packing}-{layout}"
            put_folder(
                other, models(*rows, files=3, packing=packing, layout=layout, sentinel="xml")
            )
            run_models(other, other / "lake")
            assert source_content(other / "lake").equals(source_content(root))
