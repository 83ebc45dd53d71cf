"""The catalog's tables: every document once, whoever wrote it when, queryable beside the data."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from deltalake import write_deltalake

from lake_assets import delta
from lake_assets.catalog import Document, Objects, canonical_json, write_document
from lake_assets.catalog.materialization import (
    CheckResult,
    Materialization,
    RecordedFile,
    Upstream,
    record_materialization,
)
from lake_assets.lake import query, run_datamart
from lake_assets.lake.catalog_rows import SCHEMAS
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.lake.databases import open_databases
from lake_assets.lake.read import table_uri
from lake_assets.lake.run_record import record_run_report
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.s3 import open_store, storage_options
from lake_assets.settings import LakeSettings
from lake_assets_tests.lake.line import MODELS, NIGHTS, model, models, opened, put, run
from lake_assets_tests.snapshots import orders, put_files

NOW = datetime(2026, 9, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def root(tmp_path):
    return open_store(str(tmp_path / "lake"))


def made(number: int, at: datetime = NOW, **more) -> Materialization:
    fields = {
        "asset": f"lake/shop/t{number % 3}",
        "partition": f"p{number}",
        "run_id": "run",
        "step": "s",
        "status": "materialized",
        "started_at": at,
        "finished_at": at,
        "outputs": (RecordedFile(f"s3://b/{number}.parquet", f"{number:064x}", 10, 3, "parquet"),),
        "row_count": 3,
    }
    return Materialization(**(fields | more))


def write(root, *numbers: int, at: datetime = NOW, now: datetime | None = None, **more) -> set[str]:
    items = [made(number, at, **more) for number in numbers]
    return {record_materialization(root, item, now=now or at)[0] for item in items}


def table(root, name: str) -> pl.DataFrame:
    return query(root.url, f"SELECT * FROM catalog.{name}")  # noqa: S608 (a name of ours)


def ids(root, name: str = "materializations") -> list[str]:
    return sorted(table(root, name)["manifest_id"])


def versions(root) -> dict[str, int | None]:
    uris = {name: table_uri(root.url, f"catalog.{name}") for name in SCHEMAS}
    return {name: delta.table_version(uri, storage_options(uri)) for name, uri in uris.items()}


def test_each_document_gets_in_once_and_a_rerun_writes_nothing(root):
    first = write(root, 1, 2, 3)
    assert index_catalog(root, now=NOW).documents == 3
    assert ids(root) == sorted(first)
    before = versions(root)
    assert index_catalog(root, now=NOW).documents == 0
    assert versions(root) == before
    more = write(root, 4)
    done = index_catalog(root, now=NOW)
    assert (done.documents, done.rows["files"]) == (1, 1)
    assert ids(root) == ids(root, "documents") == sorted(first | more)


def test_the_tables_of_a_bucket_are_built_the_same_way(bucket):
    root = open_store(f"s3://{bucket}/lake")
    expected = write(root, 1, 2)
    assert [index_catalog(root, now=NOW).documents for _ in range(2)] == [2, 0]
    assert ids(root) == sorted(expected)


def test_late_writers_and_wrong_clocks_are_not_missed(root):
    write(root, 1)
    index_catalog(root, now=NOW)
    late = write(root, 2, at=NOW - 6 * DAY)  # a clock that is behind
    ahead = write(root, 3, at=NOW + 400 * DAY)
    forgotten = write(root, 4, at=NOW - 40 * DAY, now=NOW)  # a run that was recorded much later
    assert index_catalog(root, now=NOW).documents == 3
    assert late | ahead | forgotten < set(ids(root))
    # The window begins at the last indexing that found something, however long ago that was.
    write(root, 5, at=NOW + 2 * DAY)
    assert index_catalog(root, now=NOW + 90 * DAY).documents == 1


def test_what_is_older_than_the_window_is_found_when_all_is_listed(root):
    write(root, 1)
    index_catalog(root, now=NOW)
    write(root, 2, at=NOW - 30 * DAY)
    assert index_catalog(root, now=NOW).documents == 0
    assert index_catalog(root, look_back=None, now=NOW).documents == 1


def test_a_crash_between_two_tables_is_made_good_without_a_row_twice(root):
    write(root, 1, 2)
    index_catalog(root, now=NOW)
    # As a process leaves it that died before the last two tables, the ledger among them.
    assert list(SCHEMAS)[-2:] == ["materializations", "documents"]
    for name in ("materializations", "documents"):
        for info in list(root.list(f"lake/catalog/{name}/")):
            root.delete(info.key)
    done = index_catalog(root, now=NOW)
    assert (done.documents, done.rows["files"], done.rows["materializations"]) == (2, 0, 2)
    assert table(root, "files").height == 2
    assert len(ids(root)) == 2


def test_indexers_at_once_leave_every_document_once(root):
    expected = write(root, *range(30))
    errors: list[BaseException] = []

    def index():
        try:
            index_catalog(root, now=NOW)
        except BaseException as error:  # noqa: BLE001 (looked at below)
            errors.append(error)

    threads = [threading.Thread(target=index) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30, 40):
        expected |= write(root, number)
    for thread in threads:
        thread.join()
    index_catalog(root, now=NOW)
    assert errors == []
    assert ids(root) == ids(root, "documents") == ids(root, "files") == sorted(expected)


def test_of_several_rounds_only_the_last_one_tells_that_all_is_indexed(root, monkeypatch):
    monkeypatch.setattr("lake_assets.lake.catalog_tables._BATCH", 2)
    write(root, *range(5))
    assert index_catalog(root, now=NOW).documents == 5
    commits = delta.history(table_uri(root.url, "catalog.documents"))
    told = ["lake.indexed_at" in commit for commit in commits]
    assert told == [True, False, False, False]  # the first one made the empty table
    assert index_catalog(root, now=NOW).documents == 0


def test_a_catalog_without_documents_can_be_asked(root):
    assert index_catalog(root, now=NOW).documents == 0
    assert [table(root, name).height for name in SCHEMAS] == [0] * len(SCHEMAS)


def test_many_small_files_become_one_and_no_row_changes(root, monkeypatch):
    monkeypatch.setattr("lake_assets.lake.catalog_tables._TIDY_EVERY", 2)
    expected: set[str] = set()
    for number in range(5):
        expected |= write(root, number)
        index_catalog(root, now=NOW)
    assert ids(root) == ids(root, "files") == sorted(expected)
    assert len(delta.live_files(table_uri(root.url, "catalog.files"))) <= 2


def test_a_document_that_was_altered_is_named_and_stops_no_other(root):
    (broken,), whole = write(root, 1), write(root, 2)
    key = f"catalog/log/2026-09-20/{broken}.json"
    body = root.get(key)
    root.put(key, body.replace(b'"row_count":3', b'"row_count":4'))
    done = index_catalog(root, now=NOW)
    assert (done.documents, len(done.damaged)) == (1, 1)
    assert broken in done.damaged[0]
    assert "altered" in done.damaged[0]
    root.put(key, body)  # restored
    assert index_catalog(root, now=NOW).documents == 1
    assert ids(root) == sorted({broken} | whole)


def test_a_document_of_another_kind_is_left_alone(root):
    key = "catalog/log/2026-09-20/other.json"
    write_document(root, key, Document("of a later version", {}, {}))
    done = index_catalog(root, now=NOW)
    assert (done.documents, done.damaged) == (0, ())
    assert table(root, "documents").height == 0


def test_all_that_a_document_says_can_be_asked_in_sql(root):
    schema = Objects(root).put(
        canonical_json(
            [{"name": "n", "type": "Int64", "nullable": True, "description": "how many"}]
        )
    )
    source = RecordedFile("s3://b/in.json.gz", "a" * 64, 99, 3, "json")
    (id_,) = write(
        root,
        1,
        inputs=(source,),
        upstream=(Upstream("lake/shop/t0", "delta-4"),),
        schema_id=schema.id,
        column_lineage={"n": (("lake/shop/t0", "m"),)},
        checks=(CheckResult("complete", passed=False, severity="WARN"),),
        status="failed",
        error="no",
    )
    index_catalog(root, now=NOW)
    made_from = query(
        root.url,
        "SELECT o.uri, l.in_uri, l.in_file_id FROM catalog.files o JOIN catalog.lineage l"
        " ON l.out_manifest_id = o.manifest_id WHERE o.role = 'output' AND l.in_uri IS NOT NULL",
    )
    assert made_from.rows() == [("s3://b/1.parquet", "s3://b/in.json.gz", "a" * 64)]
    upstream = query(
        root.url,
        "SELECT in_asset_key, in_data_version FROM catalog.lineage WHERE in_asset_key IS NOT NULL",
    )
    assert upstream.rows() == [("lake/shop/t0", "delta-4")]
    assert table(root, "column_lineage").rows() == [(id_, "n", "lake/shop/t0", "m")]
    assert table(root, "schemas").rows() == [(schema.id, 0, "n", "Int64", True, "how many", None)]
    blobs = query(root.url, "SELECT blob_id, kind, size_bytes FROM catalog.blobs")
    assert blobs.rows() == [(schema.id, "schema", schema.size_bytes)]
    checks = query(root.url, "SELECT asset_key, check_name, passed, severity FROM catalog.checks")
    assert checks.rows() == [("lake/shop/t1", "complete", False, "WARN")]
    assert table(root, "materializations")["error"].to_list() == ["no"]


def test_the_stages_manifests_are_rows_and_lead_from_a_version_to_its_exports(tmp_path):
    exports, folder = tmp_path / "exports", tmp_path / "lake"
    put(exports, *models(model("a"), model("b")))
    datamart = opened(exports, folder)
    report = run_datamart(datamart)
    put(exports, *models(model("c"), night=NIGHTS[1]))
    run(exports, folder, MODELS)
    root = datamart.root
    (published,) = record_run_report(root, report.tables.values(), started_at=NOW)
    assert record_run_report(root, run(exports, folder).tables.values(), started_at=NOW) == ()
    done = index_catalog(root)
    assert done.damaged == ()
    kinds = query(
        root.url, "SELECT kind, count(*) FROM catalog.materializations GROUP BY 1 ORDER BY 1"
    )
    assert kinds.rows() == [("compacted", 2), ("materialization", 1), ("staging", 2)]
    # From the version through the partition it is made of and the staged file to the export file.
    sources = query(
        root.url,
        "SELECT DISTINCT e.in_uri FROM catalog.lineage v"  # noqa: S608 (an id of ours)
        " JOIN catalog.lineage c ON c.out_manifest_id = v.in_manifest_id"
        " JOIN catalog.files s ON s.file_id = c.in_file_id AND s.role = 'output'"
        " JOIN catalog.materializations m ON m.manifest_id = s.manifest_id AND m.kind = 'staging'"
        " JOIN catalog.lineage e ON e.out_manifest_id = s.manifest_id"
        f" WHERE v.out_manifest_id = '{published}'",
    )
    data, _ = models(model("a"))
    assert [uri.rpartition("/")[2] for uri in sources["in_uri"]] == [data.key.rpartition("/")[2]]
    rows = query(
        root.url,
        "SELECT asset_key, row_count FROM catalog.materializations"
        " WHERE kind = 'staging' ORDER BY row_count",
    )
    assert rows.rows() == [("staging/datamart/model_snapshot", n) for n in (1, 2)]


def test_a_table_that_failed_is_recorded_with_its_error(tmp_path):
    exports, folder = tmp_path / "exports", tmp_path / "lake"
    put(exports, *models(model("a")))
    datamart = opened(exports, folder)
    report = run_datamart(datamart).tables[MODELS]
    failed = replace(report, error="the store said no", published=None)
    record_run_report(datamart.root, [failed], run_id="mine", started_at=NOW)
    index_catalog(datamart.root)
    found = query(
        datamart.root.url,
        "SELECT asset_key, run_id, error FROM catalog.materializations WHERE status = 'failed'",
    )
    assert found.rows() == [("lake/datamart/model_snapshot", "mine", "the store said no")]


def test_snapshots_are_rows_by_group_and_a_refused_one_tells_why(tmp_path):
    put_files(tmp_path / "source" / "2024-01-01", {"a.parquet": orders(4), "b.parquet": orders(3)})
    table_ = {"source": f"{tmp_path}/source/{{snapshot}}", "format": "parquet"}
    databases = open_databases(
        LakeSettings.model_validate(
            {"root": f"{tmp_path}/lake", "databases": {"shop": {"orders": table_}}}
        )
    )
    done = record_run_report(databases.root, run_databases(databases).values())
    put_files(tmp_path / "source" / "2024-01-02", {"a.parquet": b"not parquet"})
    record_run_report(databases.root, run_databases(databases).values())
    assert index_catalog(databases.root).damaged == ()
    rows = query(
        databases.root.url,
        "SELECT kind, status, partition_key, row_count FROM catalog.materializations ORDER BY ALL",
    ).rows()
    assert rows == [
        ("compacted", "compacted", "all", 7),
        ("materialization", "failed", None, None),
        ("materialization", "published", None, 7),
        ("quarantine", "quarantined", "2024-01-02", None),
        ("staging", "staged", "2024-01-01", 7),
        ("staging-group", "staged", "2024-01-01", 7),
    ]
    of_snapshot = query(
        databases.root.url,
        "SELECT f.uri FROM catalog.lineage l JOIN catalog.files f"
        " ON f.manifest_id = l.in_manifest_id AND f.role = 'input'"
        " JOIN catalog.materializations m ON m.manifest_id = l.out_manifest_id"
        " WHERE m.kind = 'staging' ORDER BY 1",
    )
    assert [uri.rpartition("/")[2] for uri in of_snapshot["uri"]] == ["a.parquet", "b.parquet"]
    assert len(done) == 1


def test_a_ledger_of_before_goes_on_without_reading_its_documents_again(root):
    expected = write(root, 1)
    index_catalog(root, now=NOW)
    old = table(root, "documents").drop("etag")  # it came later than the other columns
    uri = table_uri(root.url, "catalog.documents")
    write_deltalake(uri, old, mode="overwrite", schema_mode="overwrite")
    assert "etag" not in table(root, "documents").columns
    assert index_catalog(root, now=NOW).documents == 0
    expected |= write(root, 2)
    assert index_catalog(root, now=NOW).documents == 1
    assert ids(root) == ids(root, "documents") == sorted(expected)
