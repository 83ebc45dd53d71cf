"""The defects of artemis' cronus, by their number in docs/coming-from-artemis.md: not here."""

import dataclasses
import gzip
import hashlib
import inspect
import io
import os
from typing import Any

import datasketches
import pytest

from lake_assets.catalog import Catalog, Objects, Owner
from lake_assets.errors import BodyMismatchError, LakeError, SettingsError, StorageError
from lake_assets.s3 import open_store


@pytest.fixture
def root(tmp_path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture
def catalog(root) -> Catalog:
    return Catalog(root)


@pytest.fixture
def dataset(catalog) -> str:
    """A dataset with a partition ``p``."""
    made = catalog.register_dataset().uuid
    catalog.new_partition(made, "p")
    return made


def test_01_the_same_buffer_twice_is_one_object(catalog, dataset):
    job = catalog.new_job(dataset).uuid
    first = catalog.register_table(b"same", dataset, job)
    assert catalog.register_table(b"same", dataset, job) == first
    other = catalog.register_table(b"same", dataset, catalog.new_job(dataset).uuid)
    assert other.uuid == first.uuid
    assert list(catalog.objects.list()) == [first.uuid] == [hashlib.sha256(b"same").hexdigest()]


def test_02_nothing_can_be_overwritten_deleted_or_altered(catalog):
    config = catalog.register_config({"bins": 4})
    again = catalog.register_config({"bins": 5})
    assert catalog.get(config) == b'{"bins":4}'
    assert again.uuid != config.uuid
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.uuid = again.uuid
    names = {name for each in (Objects, Catalog) for name, _ in inspect.getmembers(each)}
    assert not names & {"__setitem__", "__delitem__"}
    verbs = {name.partition("_")[0] for name in names if not name.startswith("_")}
    # update_dataset proves what is there, see 08; no other verb could change a thing.
    assert verbs == {
        "describe", "get", "head", "info", "list", "name", "new", "open", "put", "register",
        "update", "url", "uuid",
    }  # fmt: skip


def test_03_a_changed_file_is_never_served_under_its_old_hash(catalog, dataset, tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"before")
    was = path.stat()
    record = catalog.register_file(str(path), dataset, "p")
    path.write_bytes(b"behind")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    for item in (record, record.uuid):
        with pytest.raises(BodyMismatchError, match=f"x.bin was changed in place.*{record.uuid}"):
            catalog.get(item)
    changed = catalog.register_file(str(path), dataset, "p")
    assert catalog.get(changed) == b"behind"
    assert {each.uuid for each in catalog.list_files(dataset)} == {record.uuid, changed.uuid}


def test_04_a_gz_has_the_hash_of_the_bytes_that_are_stored(catalog, dataset, tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n", mtime=0))
    record = catalog.register_file(str(path), dataset, "p")
    assert record.uuid == hashlib.sha256(path.read_bytes()).hexdigest()


def test_05_equal_files_have_one_id_however_often_the_catalog_is_opened(root, dataset, tmp_path):
    records = []
    for name in "abc":
        (tmp_path / name).write_bytes(b"same")
        records.append(Catalog(root).register_file(str(tmp_path / name), dataset, "p"))
    assert {record.uuid for record in records} == {hashlib.sha256(b"same").hexdigest()}
    assert len({record.address for record in records}) == 3
    assert set(Catalog(root).list_files(dataset)) == set(records)
    (tmp_path / "a").unlink()  # by the bare id any of them serves; a record's own loss is told
    assert Catalog(root).get(records[0].uuid) == b"same"
    with pytest.raises(StorageError, match="gone"):
        Catalog(root).get(records[0])


def test_06_two_who_opened_the_catalog_keep_each_others_jobs_and_datasets(root, dataset):
    first, second = Catalog(root), Catalog(root)
    made = {each.new_job(dataset) for each in (first, second, first)}
    assert len({job.uuid for job in made}) == 3
    assert {first.register_dataset(), second.register_dataset()} < set(first.list_datasets())
    assert set(second.list_jobs(dataset)) == made


def test_07_what_a_crash_left_of_a_write_is_no_part_of_the_store(root, catalog, dataset):
    store = open_store(root)
    document = next(catalog.list_partitions(dataset)).document
    torn = store.path_of(document).with_name(".part-torn")  # pyright: ignore[reportAttributeAccessIssue] (a folder)
    torn.write_bytes(store.get(document)[:20])
    assert [each.document for each in Catalog(root).list_partitions(dataset)] == [document]


def test_08_update_dataset_proves_what_workers_made_and_may_be_repeated(root, dataset, tmp_path):
    worker, other = Catalog(root), Catalog(root).register_dataset().uuid
    job = worker.new_job(dataset)
    table = worker.register_table(b"rows", dataset, job.uuid)
    (tmp_path / "x").write_bytes(b"x")
    file = worker.register_file(str(tmp_path / "x"), dataset, "p")
    catalog = Catalog(root)
    for _ in range(2):
        assert catalog.update_dataset(dataset, [job, table, file]).uuid == dataset
    assert list(catalog.list_contents("tables", Owner(dataset))) == [table]
    assert list(catalog.list_contents("logs", Owner(dataset))) == []
    assert list(catalog.list_files(dataset)) == [file]
    with pytest.raises(SettingsError, match=f"belongs to dataset '{dataset}', not to {other}"):
        catalog.update_dataset(other, [table])
    with pytest.raises(SettingsError, match="partition 'q'"):
        worker.register_file(str(tmp_path / "x"), dataset, "q")
    (tmp_path / "lake" / "catalog/objects/sha256" / table.uuid[:2] / table.uuid).unlink()
    for call in (
        lambda: catalog.update_dataset(dataset, [table]),
        lambda: catalog.get(table.uuid),
    ):
        with pytest.raises(StorageError, match=f"object {table.uuid} of .* is gone"):
            call()


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("register_histograms", ({}, "none", "job")),
        ("register_tdigests", ({}, "none", "job")),
        ("register_job", ("none", "job", {})),
        ("register_table", (b"", "none", "job")),
        ("register_log", (b"", "none", "job")),
        ("register_file", ("x", "none", "p")),
        ("register_dir", ("x", "none", "p")),
        ("new_job", ("none",)),
        ("new_partition", ("none", "p")),
        ("update_dataset", ("none",)),
        ("list_partitions", ("none",)),
        ("list_jobs", ("none",)),
        ("list_histograms", ("none",)),
        ("list_tdigests", ("none",)),
        ("list_files", ("none",)),
    ],
)
def test_09_an_unknown_dataset_is_an_error_that_names_it_and_leaves_nothing(
    root, catalog, call, args
):
    before = [info.key for info in open_store(root).list()]
    with pytest.raises(LakeError, match=r"dataset 'none' is not in the catalog .*register_dataset"):
        getattr(catalog, call)(*args)
    assert [info.key for info in open_store(root).list()] == before


def test_10_partitions_are_made_once_checked_always_and_may_hold_slashes(
    catalog, dataset, tmp_path
):
    key = "year=2026/month=01"
    first = catalog.new_partition(dataset, key)
    assert catalog.new_partition(dataset, key) == first
    assert len(list(catalog.list_partitions(dataset))) == 2
    path = tmp_path / "x"
    path.write_bytes(b"x")
    with pytest.raises(SettingsError, match=r"partition 'year=2026' of .* new_partition"):
        catalog.register_file(str(path), dataset, "year=2026")
    record = catalog.register_file(str(path), dataset, key)
    stored = catalog.register_content(b"y", "files", Owner(dataset, None, key))
    assert set(catalog.list_files(dataset, key)) == {record, stored}
    assert catalog.get(stored) == b"y"


def test_11_the_other_root_is_used_and_recorded_and_what_is_opened_is_checked(root, tmp_path):
    data = str(tmp_path / "data")
    catalog = Catalog(root, "shop", alt_root=data)
    config = catalog.register_config({"a": 1})
    assert config.address.startswith(f"{data}/")
    assert not [info for info in open_store(root).list() if "objects" in info.key]
    again = Catalog(root)  # by its root alone
    assert again.get(config.uuid) == b'{"a":1}'
    assert (again.name, again.uuid, again.info["algorithm"]) == ("shop", catalog.uuid, "sha256")
    assert (again.info["data_root"], again.info["root"]) == (data, root)
    assert Catalog(root, "shop", uuid=catalog.uuid, alt_root=data).uuid == catalog.uuid
    wrong: list[dict[str, Any]] = [{"name": "other"}, {"uuid": "1"}, {"alt_root": root}]
    for one in wrong:
        with pytest.raises(SettingsError, match=f"has {next(iter(one))} '.*', not "):
            Catalog(root, **one)


def test_12_bytes_and_files_are_taken_and_a_folder_that_matches_is_passed_over(
    catalog, dataset, tmp_path
):
    job = catalog.new_job(dataset).uuid
    kept = {catalog.register_log(each, dataset, job).uuid for each in (b"log", io.BytesIO(b"log"))}
    assert kept == {hashlib.sha256(b"log").hexdigest()}
    (tmp_path / "in" / "folder.csv").mkdir(parents=True)
    for name in "ba":
        (tmp_path / "in" / f"{name}.csv").write_text(name)
    files = catalog.register_dir(str(tmp_path / "in"), dataset, "p", pattern="*.csv")
    assert [catalog.get(each) for each in files] == [b"a", b"b"]  # sorted
    assert catalog.register_dir(str(tmp_path / "in"), dataset, "p", pattern="none*") == []


def test_13_a_dataset_says_what_it_was_made_from(root, catalog, dataset):
    child = catalog.register_dataset("sums", parents=[dataset, dataset])
    assert Catalog(root).describe(child)["parents"] == [dataset]


def test_14_a_registration_costs_the_same_in_a_large_store(root, tmp_path):
    class Counted:
        """The store, and how often it was asked and how much was written."""

        def __init__(self) -> None:
            self.url, self.calls, self._store = root, [], open_store(root)

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._store, name)

            def call(*args: Any, **named: Any) -> Any:
                self.calls.append((name, *[len(a) for a in args if isinstance(a, bytes)]))
                return method(*args, **named)

            return call

    store: Any = Counted()
    catalog = Catalog(store)
    dataset = catalog.register_dataset().uuid
    catalog.new_partition(dataset, "p")
    job = catalog.new_job(dataset).uuid
    costs = []
    for number in range(100, 160):
        path = tmp_path / f"{number}.bin"
        path.write_text(path.name)
        store.calls.clear()
        catalog.register_file(str(path), dataset, "p", info={"n": number})
        catalog.register_log(str(number).encode(), dataset, job)
        costs.append([(name, *[size // 64 for size in sizes]) for name, *sizes in store.calls])
    assert [name for name, *_ in costs[0]] == ["create"] * 3
    assert costs[-1] == costs[0]


def test_15_a_tdigest_counts_exactly_beyond_16_million(catalog, dataset):
    job = catalog.new_job(dataset).uuid
    digest = datasketches.tdigest_double(200)
    digest.update(0.1)
    for _ in range(25):
        digest.merge(datasketches.tdigest_double.deserialize(digest.serialize()))
    digest.update(0.3)
    record = catalog.register_tdigests({"x": digest}, dataset, job)
    read = catalog.get_as(record, "tdigests")["x"]
    assert read.get_total_weight() == 2**25 + 1
    assert (read.get_min_value(), read.get_max_value()) == (0.1, 0.3)
