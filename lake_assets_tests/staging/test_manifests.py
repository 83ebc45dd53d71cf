"""What a listing of the staging folder tells, and what makes work new."""

from datetime import UTC, datetime

import pytest

from lake_assets.catalog import read_document
from lake_assets.export.find import Export, ExportFile
from lake_assets.export.pega_tables import find_table
from lake_assets.s3 import ObjectInfo, open_store
from lake_assets.staging.manifests import (
    config_id,
    export_folder,
    open_exports,
    read_staged,
    staging_state,
    work_id,
)
from lake_assets_tests.lake.line import NIGHTS, model, models, opened, put, run_models

MODELS = find_table("model_snapshot")
DOCUMENT = "d" * 16
CONFIG = config_id(MODELS, 0.05)


def export(etag="1", night=NIGHTS[0]):
    info = ObjectInfo("datamart/a.json", 3, etag, datetime(2026, 9, 1, tzinfo=UTC))
    return Export("model_snapshot", night, (ExportFile(info, None),))


def test_nothing_staged_is_an_empty_state(tmp_path):
    state = staging_state(open_store(str(tmp_path)), MODELS)
    assert (state.exports, state.generation, state.current) == ({}, 0, ())


def test_newest_manifest_counts_and_every_one_ages_the_state(tmp_path):
    store = open_store(str(tmp_path))
    folder = export_folder(MODELS, NIGHTS[0])
    for number, work in ((1, "f" * 16), (2, "a" * 16), (10, "0" * 16)):
        store.put(f"{folder}manifest-{number:06d}-{work}-{DOCUMENT}.json", b"{}")
    store.put(f"{folder}quarantine-{'b' * 16}.json", b"{}")
    store.put(f"{folder}_month=2026-09/data.parquet", b"")
    state = staging_state(store, MODELS)
    assert state.generation == 3
    assert state.current == (f"{folder}manifest-000010-{'0' * 16}-{DOCUMENT}.json",)
    assert state.exports[NIGHTS[0]].work == "0" * 16
    assert state.exports[NIGHTS[0]].document == DOCUMENT
    assert state.exports[NIGHTS[0]].quarantined == {"b" * 16}


def test_export_ids_with_any_character_come_back(tmp_path):
    store = open_store(str(tmp_path))
    for export_id in ("a/b", "..", "50 %", "日本"):
        store.put(
            f"{export_folder(MODELS, export_id)}manifest-000001-{'1' * 16}-{DOCUMENT}.json", b"{}"
        )
    assert set(staging_state(store, MODELS).exports) == {"a/b", "..", "50 %", "日本"}


def test_state_of_another_table_is_left_alone(tmp_path):
    store = open_store(str(tmp_path))
    store.put(
        f"{export_folder(find_table('snapshot'), 'x')}manifest-000001-{'1' * 16}-{DOCUMENT}.json",
        b"{}",
    )
    assert staging_state(store, MODELS).exports == {}


def test_unchanged_files_and_settings_are_the_same_work():
    assert work_id(export(), CONFIG) == work_id(export(), config_id(MODELS, 0.05))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((export("2"), CONFIG), id="replaced file"),
        pytest.param((export(), config_id(MODELS, 0.1)), id="rescue share"),
    ],
)
def test_changed_files_and_settings_are_other_work(other):
    assert work_id(export(), CONFIG) != work_id(*other)


def test_staged_and_refused_exports_are_not_open(tmp_path):
    store, folder = open_store(str(tmp_path)), export_folder(MODELS, NIGHTS[0])
    assert open_exports([export()], staging_state(store, MODELS), CONFIG) == (export(),)
    store.put(f"{folder}manifest-000001-{work_id(export(), CONFIG)}-{DOCUMENT}.json", b"{}")
    store.put(f"{folder}quarantine-{work_id(export('2'), CONFIG)}.json", b"{}")
    state = staging_state(store, MODELS)
    assert open_exports([export()], state, CONFIG) == ()
    assert open_exports([export("2")], state, CONFIG) == ()
    assert open_exports([export("3")], state, CONFIG) == (export("3"),)


def test_manifest_tells_inputs_outputs_and_counts(exports, root):
    put(exports, *models(model("a"), model("b", "20261001T000000.000 GMT"), files=2))
    run_models(exports, root)
    lake = opened(exports, root)
    (key,) = staging_state(lake.root, MODELS).current
    document, files = read_staged(lake.root, key)
    content = document.content
    assert (content["rows_in"], content["rows"], content["partition"]) == (2, 2, NIGHTS[0])
    assert [item["rows"] for item in content["inputs"]] == [1, 1]
    assert sorted((file.values, file.rows) for file in files) == [
        (("2026-09",), 1),
        (("2026-10",), 1),
    ]
    for file in files:
        assert lake.root.get(file.path, sha256=file.sha256)
        assert lake.root.get(file.index_path, sha256=file.index_sha256)


def test_id_of_a_manifest_knows_neither_place_nor_time(exports, root, tmp_path):
    put(exports, *models(model("a")))
    run_models(exports, root)
    run_models(exports, tmp_path / "elsewhere")
    ids = [
        read_document(lake.root, staging_state(lake.root, MODELS).current[0]).id
        for lake in (opened(exports, root), opened(exports, tmp_path / "elsewhere"))
    ]
    assert ids[0] == ids[1]
