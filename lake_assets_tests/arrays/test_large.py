"""Arrays of more than 2 GiB, where lengths of 32 bits end: a sparse file, mapped into memory."""

import numpy as np
import pytest

from lake_assets.arrays import read_raw, write_raw
from lake_assets.arrays.describing import describe
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import read_zarr, write_zarr

BEYOND = 2**31


@pytest.fixture(scope="module")
def mapped(tmp_path_factory) -> np.memmap:
    path = tmp_path_factory.mktemp("large") / "mapped"
    array = np.memmap(path, dtype="u1", mode="w+", shape=(BEYOND + 2**20,))
    array[BEYOND], array[-1] = 5, 7
    return array


def test_zarr_takes_more_than_2_gib_and_gives_what_lies_beyond(mapped, tmp_path):
    url = str(tmp_path / "array")
    version = write_zarr(url, mapped, layout=Layout(chunk_bytes=2**25))
    assert version.nbytes == len(mapped) > BEYOND
    assert read_zarr(url, np.s_[BEYOND - 5 :])[[4, 5, -1]].tolist() == [0, 5, 7]


def test_raw_takes_more_than_2_gib_by_a_codec_that_has_room_for_them(mapped, tmp_path):
    url = str(tmp_path / "array")
    write_raw(url, mapped)
    [described] = describe(url)
    assert described.codec == "Zstd"
    array = read_raw(url)
    assert array.shape == mapped.shape
    assert array[[BEYOND - 1, BEYOND, -1]].tolist() == [0, 5, 7]
