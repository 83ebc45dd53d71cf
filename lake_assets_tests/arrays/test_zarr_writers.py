"""Several processes and writers on one zarr array: readers see whole versions, whoever dies."""

import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest

from lake_assets.arrays import zarr_versions as versions_module
from lake_assets.arrays.zarr_append import append_zarr
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import open_zarr, read_zarr, write_zarr
from lake_assets.arrays.zarr_verify import verify_zarr
from lake_assets.arrays.zarr_versions import clean_zarr, zarr_versions
from lake_assets.errors import PublishConflictError
from lake_assets.s3 import open_store
from lake_assets_tests.arrays import child

OLD = np.arange(600.0).reshape(20, 30)
LAYOUT = Layout(chunks=(8, 10))


@pytest.mark.crash
def test_a_lazy_array_computes_elsewhere_and_a_writer_killed_there_leaves_the_old_version(
    bucket, tmp_path, monkeypatch
):
    url = f"s3://{bucket}/a/array"
    write_zarr(url, OLD, layout=LAYOUT)
    lazy = open_zarr(url)
    pickled = tmp_path / "lazy.pickle"
    pickled.write_bytes(pickle.dumps(lazy))
    done = subprocess.run(
        [sys.executable, "-m", child.__name__, pickled, url], capture_output=True, text=True
    )
    assert (done.returncode, float(done.stdout)) == (-signal.SIGKILL, OLD.sum()), done.stderr
    data = {info.key.split("/")[1] for info in open_store(url).list("_data/")}
    assert len(data) == 4  # two layers and their records: all of the second is there
    assert zarr_versions(url) == [1]
    np.testing.assert_array_equal(open_zarr(url).compute(), OLD)
    assert clean_zarr(url, keep_for=timedelta(0)).objects == 0  # its writer may be under way
    monkeypatch.setattr(versions_module, "_ABANDONED", timedelta(0))
    assert clean_zarr(url, keep_for=timedelta(0)).objects > 1
    assert len({info.key.split("/")[1] for info in open_store(url).list("_data/")}) == 2
    assert verify_zarr(url).ok
    np.testing.assert_array_equal(lazy.compute(), OLD)


def test_a_version_that_is_published_while_old_ones_are_cleaned_stays_whole(tmp_path, monkeypatch):
    url = str(tmp_path / "array")
    write_zarr(url, OLD, layout=LAYOUT)
    monkeypatch.setattr(versions_module, "_ABANDONED", timedelta(0))
    numbers = versions_module._numbers

    def then_another_writes(store):
        found = numbers(store)
        monkeypatch.setattr(versions_module, "_numbers", numbers)
        write_zarr(url, -OLD, layout=LAYOUT)
        return found

    monkeypatch.setattr(versions_module, "_numbers", then_another_writes)
    assert clean_zarr(url, keep_for=timedelta(0)).objects == 0
    np.testing.assert_array_equal(read_zarr(url), -OLD)
    assert verify_zarr(url).ok


def test_writers_at_once_make_a_whole_version_each(url):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: write_zarr(url, OLD + n, layout=LAYOUT), range(4)))
    assert sorted(version.number for version in made) == zarr_versions(url) == [1, 2, 3, 4]
    for n, version in enumerate(made):
        np.testing.assert_array_equal(read_zarr(url, version=version.number), OLD + n)


def test_of_appends_at_once_none_is_lost_and_none_is_there_twice(url):
    write_zarr(url, OLD, layout=LAYOUT)

    def append(n: int) -> bool:
        try:
            append_zarr(url, np.full((3, 30), float(n)))
        except PublishConflictError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(append, range(3)))
    rows = read_zarr(url)[20:, 0]
    assert won.count(True) >= 1
    assert sorted(rows) == sorted(n for n, is_in in enumerate(won) if is_in for _ in range(3))
    assert verify_zarr(url).ok
