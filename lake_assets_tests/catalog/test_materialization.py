"""Documents of materializations: what names them, where they lie, that they are written once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lake_assets.catalog.documents import read_document
from lake_assets.catalog.materialization import (
    CheckResult,
    Materialization,
    RecordedFile,
    Upstream,
    document_key,
    record_materialization,
)
from lake_assets.errors import SettingsError
from lake_assets.s3 import open_store

ENDED = datetime(2026, 9, 1, 23, 59, 59, 5, UTC)
ONE = RecordedFile("s3://b/one.parquet", "1" * 64, 10, 3, "parquet", etag="e1")
TWO = RecordedFile("s3://b/two.parquet", "2" * 64, 20, 4, "parquet", etag="e2")
DONE = Materialization(
    asset="lake/shop/orders",
    partition="year=2026/month=09",
    run_id="run-1",
    step="orders",
    status="materialized",
    started_at=ENDED - timedelta(seconds=9),
    finished_at=ENDED,
    code_version="2",
    config_id="c" * 64,
    graph_id="9" * 64,
    schema_id="5" * 64,
    log_id="7" * 64,
    inputs=(ONE, TWO),
    outputs=(TWO,),
    upstream=(Upstream("export/shop/orders", "v1"),),
    row_count=7,
    column_lineage={"total": (("export/shop/orders", "price"), ("export/shop/orders", "n"))},
    checks=(CheckResult("complete", passed=True, severity="ERROR"),),
)


def test_the_id_tells_neither_place_nor_time_nor_order():
    later = timedelta(hours=1)
    elsewhere = replace(
        DONE,
        started_at=DONE.started_at + later,
        finished_at=ENDED.astimezone(timezone(later)) + later,
        inputs=(
            replace(TWO, uri="file:///copy/two.parquet", etag=""),
            replace(ONE, uri="file:///copy/one.parquet", etag=""),
        ),
    )
    assert elsewhere.document().id == DONE.document().id
    assert elsewhere.document().facts != DONE.document().facts


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "lake/shop/items"},
        {"partition": None},
        {"run_id": "run-2"},
        {"step": "again"},
        {"status": "failed"},
        {"code_version": "3"},
        {"config_id": "d" * 64},
        {"graph_id": "d" * 64},
        {"schema_id": "d" * 64},
        {"log_id": "d" * 64},
        {"inputs": (ONE,)},
        {"outputs": (replace(TWO, sha256="3" * 64),)},
        {"upstream": ()},
        {"row_count": 8},
        {"checks": ()},
        {"error": "no"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_was_done_is_in_the_id(change):
    assert replace(DONE, **change).document().id != DONE.document().id


def test_the_work_id_is_the_same_for_the_same_inputs_code_and_configuration_in_any_run():
    other_run = {"run_id": "run-2", "step": "s", "log_id": None, "status": "unchanged"}
    assert replace(DONE, **other_run).work_id == DONE.work_id
    for change in ({"inputs": (ONE,)}, {"code_version": "3"}, {"config_id": None}):
        assert replace(DONE, **change).work_id != DONE.work_id


def test_a_document_is_written_once_by_day_and_reads_back_whole(tmp_path):
    store = open_store(str(tmp_path))
    id_, is_new = record_materialization(store, DONE, now=ENDED)
    assert is_new
    assert record_materialization(store, DONE, now=ENDED + timedelta(hours=3)) == (id_, False)
    (key,) = [info.key for info in store.list()]
    assert key == f"catalog/log/2026-09-01/{id_}.json"
    document = read_document(store, key)
    assert (document.id, document.kind) == (id_, "materialization")
    assert document.content["inputs"][0]["sha256"] == "1" * 64
    assert [file["uri"] for file in document.facts["inputs"]] == [ONE.uri, TWO.uri]
    assert document.facts["written_at"] == "2026-09-01T23:59:59.000005+00:00"
    assert document.content["column_lineage"]["total"][0] == ["export/shop/orders", "n"]


def test_what_is_recorded_days_later_lies_where_indexers_look_for_news():
    document = DONE.document()
    assert document_key(document, ENDED + timedelta(days=1)).startswith("catalog/log/2026-09-01/")
    assert document_key(document, ENDED + timedelta(days=9)).startswith("catalog/log/2026-09-10/")
    # A clock that is behind: the end lies in its future.
    assert document_key(document, ENDED - timedelta(days=9)).startswith("catalog/log/2026-09-01/")


def test_a_time_without_zone_is_refused():
    with pytest.raises(SettingsError, match="no time zone"):
        replace(DONE, finished_at=ENDED.replace(tzinfo=None)).document()


def test_a_file_without_hash_is_told_apart_by_its_name_only():
    bare = [RecordedFile(f"s3://{b}/a.parquet", None, 1) for b in ("one", "two")]
    ids = [replace(DONE, outputs=(file,)).document().id for file in bare]
    assert ids[0] == ids[1]
    other = RecordedFile("s3://one/b.parquet", None, 1)
    assert replace(DONE, outputs=(other,)).document().id != ids[0]
    assert json.dumps(bare[0].said())
