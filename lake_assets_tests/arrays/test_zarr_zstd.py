"""What a chunk is compressed to: what shrinks is small, what does not costs its readers nothing."""

from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from lake_assets.arrays.zarr_append import append_zarr
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import read_zarr, write_zarr
from lake_assets.arrays.zarr_verify import verify_zarr

#: Two chunks of 128 KiB: more than what a chunk is judged by.
NOISE = np.random.default_rng(0).standard_normal((2, 2**15), dtype="f4")
STEPS = np.round(np.cumsum(NOISE, axis=1)).astype("f4")
CHUNKS = (1, 2**15)
FIRST = numcodecs.Zstd(level=1)


def chunks(url: str) -> list[bytes]:
    """The bodies of all chunks, in the order of their keys, without their crc32c."""
    paths = sorted(Path(url).glob("_data/*/values/c/*/*"))
    return [path.read_bytes()[:-4] for path in paths]


def as_anybody_reads_it(url: str) -> zarr.Array:
    [values] = Path(url).glob("_data/*/values")
    return zarr.open_array(values, mode="r")


@pytest.mark.parametrize("shards", [None, (2, 2**15)])
def test_noise_lies_uncompressed_in_its_frames_and_any_zarr_reads_it(tmp_path, shards):
    url = str(tmp_path / "noise")
    write_zarr(url, NOISE, layout=Layout(chunks=CHUNKS, shards=shards))
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("noise/_data/*/values/c/*/*"))
    assert all(row.tobytes()[:10_000] in stored for row in NOISE)
    anybodys = as_anybody_reads_it(url)
    assert ZstdCodec(level=1) in anybodys.compressors
    np.testing.assert_array_equal(anybodys[...], NOISE)
    np.testing.assert_array_equal(read_zarr(url), NOISE)


def test_what_shrinks_is_as_small_as_zstd_makes_it(tmp_path):
    url = str(tmp_path / "steps")
    write_zarr(url, STEPS, layout=Layout(chunks=CHUNKS))
    assert chunks(url) == [FIRST.encode(row) for row in STEPS]
    assert sum(map(len, chunks(url))) < 0.5 * STEPS.nbytes


def test_each_chunk_is_judged_by_itself_also_when_it_is_appended(tmp_path):
    url, both = str(tmp_path / "both"), np.stack([NOISE[0], STEPS[0]])
    write_zarr(url, both, layout=Layout(chunks=CHUNKS))
    append_zarr(url, both)
    plain, small, *appended = chunks(url)
    assert len(small) < 0.5 * len(plain)
    assert NOISE[0].tobytes()[:10_000] in plain
    assert appended == [plain, small]
    assert verify_zarr(url).ok
    np.testing.assert_array_equal(read_zarr(url), np.concatenate([both, both]))


def test_a_chunk_of_noise_with_something_that_repeats_still_loses_what_repeats(tmp_path):
    url, values = str(tmp_path / "mixed"), np.tile(NOISE[:1, : 2**13], 4)
    write_zarr(url, values, layout=Layout(chunks=CHUNKS))
    assert len(chunks(url)[0]) < 0.3 * values.nbytes


def test_who_asks_for_a_level_has_every_chunk_compressed_by_it(tmp_path):
    url = str(tmp_path / "level")
    write_zarr(url, NOISE, layout=Layout(chunks=CHUNKS, zstd_level=3))
    assert chunks(url) == [numcodecs.Zstd(level=3).encode(row) for row in NOISE]
    assert sum(map(len, chunks(url))) < 0.95 * NOISE.nbytes


@pytest.mark.parametrize("n", [0, 1, 100])
def test_small_arrays_are_judged_by_all_they_have(tmp_path, n):
    url = str(tmp_path / "small")
    for values in (np.zeros(n), NOISE[0, :n].astype("f8")):
        write_zarr(url, values)
        np.testing.assert_array_equal(read_zarr(url), values)
