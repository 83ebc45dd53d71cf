"""What programs register with ``Catalog`` is in the catalog's tables, beside what runs recorded."""

import json

import pytest

from lake_assets.catalog import Catalog, Owner
from lake_assets.lake import query
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.s3 import open_store


@pytest.fixture(params=["below the root", "elsewhere"])
def catalog(request, tmp_path):
    alt_root = str(tmp_path / "data") if request.param == "elsewhere" else None
    return Catalog(str(tmp_path / "lake"), "shop", alt_root=alt_root)


def ask(catalog: Catalog, sql: str) -> list[tuple]:
    return query(catalog.info["root"], sql).rows()


def test_datasets_jobs_files_and_objects_are_rows_once(catalog, tmp_path):
    config = catalog.register_config({"bins": 100})
    source = catalog.register_dataset("raw")
    dataset = catalog.register_dataset("orders", config_id=config.uuid, parents=[source.uuid])
    partition = "year=2026/month=01"
    catalog.new_partition(dataset.uuid, partition)
    job = catalog.new_job(dataset.uuid, {"by": "me"})
    log = catalog.register_log(b"all went well", dataset.uuid, job.uuid, name="log")
    path = tmp_path / "a.csv"
    path.write_text("n\n1\n")
    file = catalog.register_file(str(path), dataset.uuid, partition, kind="csv", info={"rows": 1})
    root = open_store(catalog.info["root"])
    done = index_catalog(root)
    assert (done.documents, done.damaged) == (8, ())
    assert index_catalog(root).documents == 0
    asset = f"dataset/{dataset.uuid}"
    assert ask(
        catalog,
        "SELECT f.uri, f.file_id, f.row_count, f.format, f.partition_key, m.asset_key"
        " FROM catalog.files f JOIN catalog.materializations m USING (manifest_id)",
    ) == [(str(path), file.uuid, 1, "csv", partition, asset)]
    assert ask(catalog, "SELECT asset_key, in_asset_key FROM catalog.lineage") == [
        (asset, f"dataset/{source.uuid}")
    ]
    assert sorted(ask(catalog, "SELECT blob_id, kind FROM catalog.blobs")) == sorted(
        [(config.uuid, "config"), (log.uuid, "log")]
    )
    of_dataset = ask(
        catalog,
        "SELECT what, name, partition_key, job_id, object_id, info FROM catalog.registrations"  # noqa: S608 (an id of ours)
        f" WHERE dataset_id = '{dataset.uuid}' ORDER BY what",
    )
    assert of_dataset == [
        ("dataset", "orders", None, None, None, None),
        ("files", "a.csv", partition, None, file.uuid, json.dumps({"rows": 1})),
        ("job", None, None, job.uuid, None, json.dumps({"by": "me"})),
        ("logs", "log", None, job.uuid, log.uuid, None),
        ("partition", None, partition, None, None, None),
    ]
    events = ask(
        catalog,
        "SELECT status, run_id, config_id FROM catalog.materializations"  # noqa: S608
        f" WHERE asset_key = '{asset}' AND status IN ('dataset', 'job') ORDER BY 1",
    )
    assert events == [("dataset", None, config.uuid), ("job", job.uuid, None)]


def test_what_is_registered_later_is_added_and_damage_is_named(tmp_path):
    catalog = Catalog(str(tmp_path))
    root = open_store(str(tmp_path))
    assert index_catalog(root).documents == 1  # the catalog itself
    dataset = catalog.register_dataset("orders")
    job = catalog.new_job(dataset.uuid)
    key = job.document
    body = root.get(key)
    root.put(key, body.replace(b'"what":"job"', b'"what":"yob"'))
    done = index_catalog(root)
    assert (done.documents, [key in said for said in done.damaged]) == (1, [True])
    root.put(key, body)
    assert index_catalog(root).documents == 1
    assert list(catalog.list_contents("logs", Owner(dataset.uuid, job.uuid))) == []
