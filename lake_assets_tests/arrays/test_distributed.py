"""Lazy arrays on a real distributed scheduler: another process writes and reads them on S3."""

import os
from collections.abc import Iterator

import dask.array as da
import numpy as np
import psutil
import pytest

from lake_assets.arrays import (
    Cut,
    Layout,
    append_zarr,
    open_chunked,
    open_zarr,
    write_chunked,
    write_zarr,
)
from lake_assets.s3 import Access, use_access


@pytest.fixture(scope="module")
def worker() -> Iterator[int]:
    """The process of the one worker that computes everything; it knows no store of the tests'."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        [pid] = client.run(os.getpid).values()
        yield pid
    assert pid != os.getpid()
    assert not psutil.pid_exists(pid)


@pytest.fixture
def told(bucket, moto_url) -> Iterator[str]:
    """A bucket that this process was told how to reach, as the resource of the lake does it."""
    url = f"s3://{bucket}"
    keys = {"access_key_id": "testing", "secret_access_key": "testing"}
    use_access(url, Access(endpoint_url=moto_url, region="us-east-1", **keys))
    yield url
    use_access(url, None)


@pytest.mark.parametrize("kind", ["zarr", "chunks"])
def test_a_worker_writes_blocks_where_it_computes_them_and_reads_what_is_asked(worker, told, kind):
    def process(block):
        return block + os.getpid()

    url, lazy = f"{told}/array", da.zeros((20, 30), chunks=(7, 30)).map_blocks(process)
    if kind == "zarr":
        write_zarr(url, lazy, layout=Layout(chunks=(8, 10)))
        append_zarr(url, lazy[:5])
        back = open_zarr(url)
    else:
        write_chunked(url, lazy, chunks=Cut(0, 2000))
        back = open_chunked(url)
    assert back.shape == ((25, 30) if kind == "zarr" else (20, 30))
    computed = back.map_blocks(lambda block: np.stack([block, process(0 * block)]), new_axis=0)
    assert set(np.asarray(computed.compute()).ravel()) == {worker}
