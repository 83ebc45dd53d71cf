"""dask arrays whose blocks are not what the array says are refused by every writer."""

import dask.array as da
import numpy as np
import pytest

from lake_assets.arrays import open_chunked, open_zarr, write_chunked, write_zarr
from lake_assets.errors import SettingsError

WRITERS = [
    pytest.param(write_zarr, open_zarr, id="zarr"),
    pytest.param(write_chunked, open_chunked, id="chunks"),
]
WHOLE = da.arange(8, chunks=4, dtype="i8")


@pytest.mark.parametrize(("write", "opened"), WRITERS)
@pytest.mark.parametrize(
    ("lying", "said"),
    [
        (WHOLE.map_blocks(lambda b: b + 0.5, dtype="i8"), r"float64 \(4,\).*say int64 \(4,\)"),
        (WHOLE.map_blocks(lambda b: b[:1], dtype="i8"), r"int64 \(1,\)"),
        (WHOLE.map_blocks(lambda b: np.tile(b, 2), dtype="i8"), r"int64 \(8,\)"),
        (WHOLE.map_blocks(lambda b: b.astype("S9"), dtype="S2"), r"\|S9 .*say \|S2"),
    ],
    ids=["dtype", "short", "long", "text"],
)
def test_a_block_that_is_not_as_the_array_says_is_refused(folder, write, opened, lying, said):
    write(f"{folder}/a", np.arange(3))
    with pytest.raises(SettingsError, match=rf"block \(\d,\) of the dask array is {said}"):
        write(f"{folder}/a", lying)
    assert opened(f"{folder}/a").compute().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("write", "opened"), WRITERS)
@pytest.mark.parametrize(
    "array",
    [
        WHOLE.map_blocks(lambda b: b.astype(">i8"), dtype="i8"),
        WHOLE.sum(),
        da.from_array(np.array(["a", "bcd"]), chunks=1),
        da.zeros((0, 3), chunks=2),
        da.from_array(np.zeros(4, [("a", ">i2"), ("b", "<f4")]), chunks=3),
    ],
    ids=["byte order", "scalar", "texts", "empty", "structure"],
)
def test_blocks_that_are_as_the_array_says_are_written(folder, write, opened, array):
    write(f"{folder}/a", array)
    np.testing.assert_array_equal(opened(f"{folder}/a").compute(), array.compute())
