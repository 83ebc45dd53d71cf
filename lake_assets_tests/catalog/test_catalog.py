"""The catalog in the field's words: what is registered comes back, checked, in any process."""

from pathlib import Path
from typing import Any

import boost_histogram as bh
import datasketches
import polars as pl
import pyarrow as pa
import pytest

from lake_assets.catalog import Catalog, Owner
from lake_assets.errors import BodyMismatchError, SettingsError, StorageError
from lake_assets.s3 import open_store

FRAME = pl.DataFrame({"n": [1, None]})
HISTOGRAM = bh.Histogram(
    bh.axis.Regular(4, 1, 100, transform=bh.axis.transform.log), storage=bh.storage.Int64()
).fill([2.0, 3.0, 50.0, float("nan")])


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path) -> str:
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('bucket')}/lake"
    return str(tmp_path / "lake")


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    return Catalog(str(tmp_path / "lake"))


def run_job(catalog: Catalog, folder: Path) -> dict[str, Any]:
    """What the calls of a job return, by what they register; its input is in ``folder``."""
    menu = catalog.register_menu({"graph": ["read", "fit"]}, name="nightly")
    config = catalog.register_config({"bins": 4})
    dataset = catalog.register_dataset("orders", menu_id=menu.uuid, config_id=config.uuid)
    partition = catalog.new_partition(dataset.uuid, "year=2026/month=01")
    folder.mkdir()
    for name in ("b.csv", "a.csv"):
        (folder / name).write_text(f"name\n{name}\n")
    files = catalog.register_dir(
        str(folder), dataset.uuid, "year=2026/month=01", pattern="*.csv", kind="csv"
    )
    job = catalog.new_job(dataset.uuid, {"host": "a"})
    digest = datasketches.tdigest_double(200)
    digest.update(1.5)
    of_job = (dataset.uuid, job.uuid)
    return {
        "menus": menu, "configs": config, "dataset": dataset, "partition": partition,
        "files": files, "job": job,
        "tables": catalog.register_table(FRAME, *of_job, name="sums"),
        "logs": catalog.register_log("fit: done ü".encode(), *of_job),
        "histograms": catalog.register_histograms({"price": HISTOGRAM}, *of_job),
        "tdigests": catalog.register_tdigests({"price": digest}, *of_job),
        "job_infos": catalog.register_job(*of_job, {"state": "done", "datums": 2}),
    }  # fmt: skip


def test_what_a_job_registers_is_listed_by_another_who_opens_the_catalog(root, tmp_path):
    catalog = Catalog(root, "shop")
    made = run_job(catalog, tmp_path / "in")
    other, dataset, job = Catalog(root), made["dataset"].uuid, made["job"].uuid
    assert (other.name, other.uuid) == ("shop", catalog.uuid)
    assert list(other.list_datasets()) == [made["dataset"]]
    assert list(other.list_partitions(dataset)) == [made["partition"]]
    assert list(other.list_jobs(dataset)) == [made["job"]]
    assert list(other.list_files(dataset)) == sorted(made["files"], key=lambda file: file.uuid)
    assert list(other.list_histograms(dataset, job)) == [made["histograms"]]
    assert list(other.list_tdigests(dataset)) == [made["tdigests"]]
    for what in ("tables", "logs", "job_infos"):
        assert list(other.list_contents(what, Owner(dataset, job))) == [made[what]]
    for what in ("menus", "configs"):
        assert list(other.list_contents(what)) == [made[what]]
    assert [file.address.rpartition("/")[2] for file in made["files"]] == ["a.csv", "b.csv"]
    some = [*made["files"], *(made[what] for what in ("tables", "logs", "job_infos", "job"))]
    assert other.update_dataset(dataset, some) == made["dataset"]


def test_what_a_job_registers_is_read_by_another_by_record_and_by_id(root, tmp_path):
    made = run_job(Catalog(root), tmp_path / "in")
    other, files = Catalog(root), made["files"]
    assert other.get_as(files[0], "csv").to_dicts() == [{"name": "a.csv"}]
    assert other.get_as(files[1].uuid, "csv").to_dicts() == [{"name": "b.csv"}]
    assert other.open_batches(files[0], "csv").read_all().num_rows == 1
    assert other.get_as(made["tables"].uuid, "arrow").equals(FRAME)
    assert other.get_as(made["logs"], "text") == "fit: done ü"
    assert other.get_as(made["histograms"], "histograms") == {"price": HISTOGRAM}
    assert other.get_as(made["tdigests"], "tdigests")["price"].get_max_value() == 1.5
    assert other.get_as(made["job_infos"].uuid, "json") == {"state": "done", "datums": 2}
    assert other.get(made["configs"]) == b'{"bins":4}'
    said = other.describe(made["dataset"])
    assert (said["menu"], said["config"]) == (made["menus"].uuid, made["configs"].uuid)
    assert said["name"] == "orders"
    assert other.describe(made["job"])["info"] == {"host": "a"}
    assert other.describe(files[0])["kind"] == "csv"
    with pytest.raises(StorageError, match=f"nothing with id {'0' * 64}"):
        other.get("0" * 64)


def test_records_say_whose_they_are_and_where_the_bytes_lie(catalog, tmp_path):
    config = catalog.register_config({})
    dataset = catalog.register_dataset()
    partition = catalog.new_partition(dataset.uuid, "p")
    job = catalog.new_job(dataset.uuid)
    log = catalog.register_log(b"text", dataset.uuid, job.uuid, name="fit.log")
    (tmp_path / "x.bin").write_bytes(b"x")
    file = catalog.register_file(str(tmp_path / "x.bin"), dataset.uuid, "p", info={"rows": 1})
    records = [config, dataset, partition, job, log, file]
    assert [record.parent_uuid for record in records] == [
        catalog.uuid, catalog.uuid, dataset.uuid, dataset.uuid, job.uuid, dataset.uuid,
    ]  # fmt: skip
    assert dataset.name == f"{dataset.uuid}.dataset"
    assert partition.name == f"{dataset.uuid}.part_p"
    assert job.name == f"{dataset.uuid}.job_{job.uuid}"
    assert log.name == f"{dataset.uuid}.job_{job.uuid}.{log.uuid}.fit.log"
    assert file.name == f"{dataset.uuid}.part_p.{file.uuid}.x.bin"
    assert file.address == str(tmp_path / "x.bin")
    assert log.address == catalog.objects.url_of(log.uuid)
    assert catalog.describe(file)["info"] == {"rows": 1}
    with pytest.raises(SettingsError, match="is an event and has no content; describe"):
        catalog.get(job)


@pytest.mark.parametrize(
    "key",
    ["year=2026/month=01", "../../x", ".", "ü %", "a" * 300, f"{'ü' * 100}/b", "A\nB", "\udcff"],
)
def test_any_text_is_a_partition_key_and_making_it_again_changes_nothing(catalog, tmp_path, key):
    dataset = catalog.register_dataset().uuid
    first = catalog.new_partition(dataset, key)
    assert catalog.new_partition(dataset, key) == first
    assert Catalog(str(tmp_path / "lake")).new_partition(dataset, key) == first
    other = catalog.new_partition(dataset, f"{key}2")
    (tmp_path / "x").write_bytes(b"x")
    file = catalog.register_file(str(tmp_path / "x"), dataset, key)
    assert {record.uuid for record in catalog.list_partitions(dataset)} == {first.uuid, other.uuid}
    assert catalog.describe(first)["key"] == key
    assert list(catalog.list_files(dataset, key)) == [file]
    assert list(catalog.list_files(dataset, f"{key}2")) == []


def test_what_cannot_be_registered_is_named_and_leaves_nothing(catalog, tmp_path):
    dataset = catalog.register_dataset().uuid
    job = catalog.new_job(dataset).uuid
    other = catalog.register_dataset().uuid
    (tmp_path / "x").write_bytes(b"x")
    file = str(tmp_path / "x")
    before = sorted(path for path in (tmp_path / "lake").rglob("*"))
    refused = [
        ("empty text", lambda: catalog.new_partition(dataset, "")),
        ("partition 'p' of", lambda: catalog.register_file(file, dataset, "p")),
        (f"job '{job}' of dataset {other}", lambda: catalog.register_log(b"", other, job)),
        ("job 'none'", lambda: catalog.register_job(dataset, "none", {})),
        ("config 'none'|no object id", lambda: catalog.register_dataset(config_id="none")),
        ("menu .*not in the catalog", lambda: catalog.register_dataset(menu_id="0" * 64)),
        ("dataset 'none'", lambda: catalog.register_dataset(parents=["none"])),
        ("'picture'", lambda: catalog.register_content(b"", "picture")),
        ("logs belong to a job", lambda: catalog.register_content(b"", "logs", Owner(dataset))),
        ("a file belongs", lambda: catalog.register_content(b"", "files", Owner(dataset))),
        ("belongs to a dataset", lambda: catalog.register_content(b"", "logs", Owner(None, job))),
        ("JSON cannot say", lambda: catalog.register_config({"x": float("nan")})),
        ("JSON cannot say", lambda: catalog.new_job(dataset, {"x": {1}})),
        ("JSON cannot say", lambda: catalog.register_histograms({"h": object()}, dataset, job)),
        ("give a t-digest", lambda: catalog.register_tdigests({"d": 1}, dataset, job)),
        ("JSON cannot say", lambda: catalog.register_content(b"", "menus", info={"x": {1}})),
        ("is no table", lambda: catalog.register_table(7, dataset, job)),  # pyright: ignore[reportArgumentType]
        ("'picture'", lambda: catalog.list_contents("picture")),
        ("logs belong to a dataset", lambda: catalog.list_contents("logs")),
    ]
    for said, call in refused:
        with pytest.raises(SettingsError, match=said):
            call()
    catalog.new_partition(dataset, "p")
    with pytest.raises(StorageError, match=r"no file .*none"):
        catalog.register_file(str(tmp_path / "none"), dataset, "p")
    after = sorted(path for path in (tmp_path / "lake").rglob("*"))
    assert [path.name for path in after if path not in before] == ["partitions", "p.json"]


def test_tables_are_kept_as_frames_as_descriptions_or_as_they_are(catalog):
    dataset = catalog.register_dataset().uuid
    job = catalog.new_job(dataset).uuid
    arrow = pa.table({"n": [1, 2]})
    kept = [
        catalog.register_table(each, dataset, job)
        for each in (arrow, {"columns": [{"name": "n", "type": "Int64"}]}, b"raw")
    ]
    assert [catalog.describe(record)["kind"] for record in kept] == ["arrow", "json", "bytes"]
    assert catalog.open_batches(kept[0], "arrow").read_all() == arrow
    assert catalog.get_as(kept[1], "json")["columns"][0]["name"] == "n"
    assert catalog.get(kept[2]) == b"raw"


def test_an_altered_or_foreign_document_is_named_and_not_listed(catalog, tmp_path):
    dataset = catalog.register_dataset()
    store = open_store(str(tmp_path / "lake"))
    store.put(dataset.document, store.get(dataset.document).replace(b'"name":""', b'"name":"x"'))
    with pytest.raises(StorageError, match="altered"):
        list(catalog.list_datasets())
    with pytest.raises(StorageError, match=r"x\.json is not there"):
        catalog.describe(type(dataset)("", "", "", "", "catalog/registry/x.json"))


def test_a_file_kept_as_an_object_is_a_file_of_its_partition(catalog):
    dataset = catalog.register_dataset().uuid
    catalog.new_partition(dataset, "p")
    owner = Owner(dataset, None, "p")
    file = catalog.register_content(b"a,b\n1,2\n", "files", owner, name="x.csv", kind="csv")
    assert list(catalog.list_files(dataset, "p")) == [file]
    assert catalog.get_as(file, "csv").rows() == [(1, 2)]
    open_store(catalog.info["root"]).put(file.document.replace(".json", ".bad"), b"")
    with pytest.raises(StorageError, match="no catalog document"):
        list(catalog.list_files(dataset))
    (open_store(catalog.info["root"])).put(
        f"catalog/objects/sha256/{file.uuid[:2]}/{file.uuid}", b"a,b\n1,3\n"
    )
    with pytest.raises(BodyMismatchError, match=file.uuid):
        catalog.get(file)
