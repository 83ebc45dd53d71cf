"""Real processes register at once, or one is killed: all is there once, nothing half."""

import json

import pytest

from lake_assets.catalog import Catalog, CatalogRecord, Owner
from lake_assets.s3 import open_store
from lake_assets_tests.loaded import Loaded


def start(told: dict) -> Loaded:
    return Loaded("lake_assets_tests.catalog.writer", json.dumps(told))


def go(processes: list[Loaded]) -> None:
    """Let them begin once the last is ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.mark.parametrize(
    ("kind", "n_processes", "n_each"),
    [pytest.param("folder", 8, 32, id="folder"), pytest.param("s3", 3, 5, id="s3")],
)
def test_what_many_processes_register_at_once_is_all_there_once(
    kind, n_processes, n_each, request, tmp_path
):
    root = str(tmp_path / "lake")
    if kind == "s3":
        root = f"s3://{request.getfixturevalue('bucket')}/lake"
    catalog = Catalog(root)
    dataset = catalog.register_dataset().uuid
    shared = tmp_path / "shared"  # every process registers this one as well
    shared.write_bytes(b"shared")
    tasks = []
    for number in range(n_processes):
        own = [tmp_path / f"{number}-{n}" for n in range(n_each - 1)]
        for path in own:
            path.write_text(path.name)
        files = [str(shared), *map(str, own)]
        tasks.append({"root": root, "dataset": dataset, "files": files})
    processes = [start(task) for task in tasks]
    go(processes)
    texts = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * n_processes
    made = [CatalogRecord(**record) for text in texts for record in json.loads(text)]

    found = [
        *catalog.list_partitions(dataset), *catalog.list_jobs(dataset),
        *catalog.list_contents("logs", Owner(dataset)), *catalog.list_files(dataset),
    ]  # fmt: skip
    assert len(made) == 4 * n_processes * n_each
    assert len(found) == len(set(found))
    assert set(found) == set(made)
    assert len(list(catalog.list_files(dataset))) == n_processes * (n_each - 1) + 1
    assert len(list(catalog.list_jobs(dataset))) == n_processes * n_each
    assert len(list(catalog.objects.list())) == 1  # the log, the same of all
    catalog.update_dataset(dataset, made)


def test_processes_that_open_a_new_catalog_at_once_agree_on_it(tmp_path):
    root, dataset = str(tmp_path / "lake"), "none"
    processes = [start({"root": root, "dataset": dataset, "files": []}) for _ in range(3)]
    go(processes)
    assert [json.loads(process.communicate(timeout=60)[0]) for process in processes] == [[]] * 3
    (made,) = open_store(root).list("catalog/")
    assert made.key == "catalog/registry/store.json"


@pytest.mark.crash
def test_a_writer_killed_between_object_and_document_leaves_only_an_object(tmp_path):
    root = str(tmp_path / "lake")
    catalog = Catalog(root)
    dataset = catalog.register_dataset().uuid
    (tmp_path / "file").write_bytes(b"x")
    told = {"root": root, "dataset": dataset, "files": [str(tmp_path / "file")]}
    process = start({**told, "die": "/logs/"})
    go([process])
    process.communicate(timeout=60)
    assert process.returncode == -9
    (orphan,) = catalog.objects.list()
    assert catalog.get(orphan) == b"the same for all"
    (job,) = catalog.list_jobs(dataset)
    assert not list(open_store(root).list(f"catalog/registry/datasets/{dataset}/logs/"))
    log = catalog.register_log(b"the same for all", dataset, job.uuid)  # again: it is taken up
    assert log.uuid == orphan
    assert list(catalog.objects.list()) == [orphan]
