"""What of a zarr array is damaged, in the way or wrong is an error that names it."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype

from lake_assets.arrays import describe
from lake_assets.arrays.labelled import Coordinate, LabelledArray
from lake_assets.arrays.zarr_append import append_zarr
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import (
    is_zarr,
    open_labelled,
    open_zarr,
    open_zarr_array,
    read_zarr,
    write_zarr,
)
from lake_assets.arrays.zarr_versions import zarr_versions
from lake_assets.errors import ArrayFormatError, BodyMismatchError, SettingsError, StorageError
from lake_assets.s3 import open_store
from lake_assets_tests.arrays.cuts import ROWS

SHARDED = Layout(chunks=(2, 5), shards=(8, 10))


def chunk_key(place: str) -> str:
    return next(info.key for info in open_store(place).list("_data/") if "/values/c/" in info.key)


@pytest.mark.parametrize("layout", [Layout(chunks=(8, 10)), SHARDED], ids=["chunks", "shards"])
@pytest.mark.parametrize("at", [0, -3, -30, None], ids=["first", "sum", "inside", "cut off"])
@pytest.mark.parametrize("region", [np.s_[:], np.s_[:1, :1]], ids=["all", "part"])
def test_an_object_that_is_not_what_was_written_is_named(place, layout, at, region):
    write_zarr(place, ROWS, layout=layout)
    store, key = open_store(place), chunk_key(place)
    body = bytearray(store.get(key))
    if at is None:
        del body[3:]
    else:
        body[at] ^= 0xFF
    store.put(key, bytes(body))
    with pytest.raises(BodyMismatchError, match=rf"{key} is damaged: "):
        read_zarr(place, region)
    with pytest.raises(BodyMismatchError, match=rf"{key} is damaged: "):
        open_zarr(place)[region].compute()


def test_a_chunk_of_a_shard_that_is_damaged_hurts_only_who_asks_for_it(place):
    write_zarr(place, ROWS, layout=SHARDED)
    store, key = open_store(place), chunk_key(place)
    body = bytearray(store.get(key))
    body[0] ^= 0xFF
    store.put(key, bytes(body))
    np.testing.assert_array_equal(read_zarr(place, np.s_[2:4, :5]), ROWS[2:4, :5])
    with pytest.raises(BodyMismatchError, match=r"of its chunk at byte 0, the crc32c is"):
        read_zarr(place, np.s_[:8, :10])


def test_chunks_of_a_shard_asked_for_at_once_are_each_held_against_their_checksum(place):
    write_zarr(place, ROWS, layout=SHARDED)
    store, key = open_store(place), chunk_key(place)
    body = store.get(key)
    count = ROWS[:8, :10].size // 10  # a shard of whole chunks: each as long as the next
    index = np.frombuffer(body[-16 * count - 4 : -4], "<u8").reshape(-1, 2)
    asked = [RangeByteRequest(start, start + length) for start, length in index[:2].tolist()]
    array, chunk = open_zarr_array(place).store, key.split("/", 2)[2]

    async def bodies() -> list[bytes]:
        parts = array.get_ranges(chunk, asked, prototype=default_buffer_prototype())
        found = {at: part.to_bytes() async for some in parts for at, part in some}
        return [found[at] for at in range(len(asked))]

    assert asyncio.run(bodies()) == [body[part.start : part.end] for part in asked]
    store.put(key, body[: asked[1].start] + b"?" + body[asked[1].start + 1 :])
    with pytest.raises(BodyMismatchError, match=rf"{key} is damaged: the crc32c is"):
        asyncio.run(bodies())
    store.delete(key)
    with pytest.raises(BodyMismatchError, match=rf"{key} is missing"):
        asyncio.run(bodies())


def test_labels_that_are_damaged_are_named(tmp_path):
    url = str(tmp_path / "array")
    labelled = LabelledArray(ROWS[:3, 0], ("row",), {"name": Coordinate(("row",), np.arange(3))})
    write_zarr(url, labelled)
    [path] = tmp_path.glob("array/_data/*/name/c/0")
    path.write_bytes(b"no" + path.read_bytes()[2:])
    with pytest.raises(BodyMismatchError, match=f"a chunk of {url}/name is damaged .*checksum"):
        open_labelled(url)


@pytest.mark.parametrize("compressors", [[Crc32cCodec()], [ZstdCodec()]], ids=["sum", "zstd"])
def test_a_damaged_chunk_of_somebody_elses_array_names_the_array(tmp_path, compressors):
    url = str(tmp_path / "array")
    zarr.create_array(url, data=np.arange(100), compressors=compressors)
    [path] = tmp_path.glob("array/c/0")
    path.write_bytes(b"no" + path.read_bytes()[2:])
    with pytest.raises(BodyMismatchError, match=f"a chunk of {url} is damaged"):
        read_zarr(url)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"zarr_format": 3, "node_type": "group"}', b"{}"])
def test_a_description_that_is_damaged_is_named_and_ends_no_listing(tmp_path, body):
    write_zarr(f"{tmp_path}/in/a", ROWS)
    write_zarr(f"{tmp_path}/in/b", ROWS)
    [described] = (tmp_path / "in" / "a").glob("_data/*/values/zarr.json")
    described.write_bytes(body)
    with pytest.raises(ArrayFormatError, match=r"what describes the zarr array at .*/in/a/values"):
        open_zarr(f"{tmp_path}/in/a")
    broken, good = describe(f"{tmp_path}/in")
    assert (broken.kind[:6], good.kind) == ("broken", "zarr")


def test_a_description_of_somebody_else_that_is_damaged_is_named(tmp_path):
    (tmp_path / "zarr.json").write_text("[1")
    for ask in (is_zarr, open_zarr):
        with pytest.raises(ArrayFormatError, match=f"the zarr array at {tmp_path} is damaged"):
            ask(str(tmp_path))


def test_a_damaged_version_is_replaced_and_not_continued(tmp_path):
    url = str(tmp_path / "array")
    write_zarr(url, ROWS)
    (tmp_path / "array" / "_versions" / "000000000001.json").write_text('{"format"')
    with pytest.raises(ArrayFormatError, match="no whole version"):
        append_zarr(url, ROWS)
    assert write_zarr(url, ROWS).number == 2
    assert zarr_versions(url) == [1, 2]
    np.testing.assert_array_equal(read_zarr(url), ROWS)


@pytest.mark.parametrize(
    "said", [{"shape": ["6", 4]}, {"chunks": [[3]]}, {"shards": [[]]}, {"shape": [-1, 4]}]
)
def test_a_version_whose_shapes_are_none_is_damaged(tmp_path, said):
    url = str(tmp_path / "array")
    write_zarr(url, ROWS)
    document = tmp_path / "array" / "_versions" / "000000000001.json"
    document.write_text(json.dumps(json.loads(document.read_text()) | said))
    with pytest.raises(ArrayFormatError, match=r"000000000001\.json is no whole version"):
        read_zarr(url)


def test_a_file_in_the_way_and_a_bucket_that_is_not_there_are_named(tmp_path, bucket):
    (tmp_path / "file").write_text("here")
    with pytest.raises(StorageError, match=r"/file is a file; give a folder"):
        write_zarr(f"{tmp_path}/file/array", ROWS)
    with pytest.raises(StorageError, match=rf"cannot write s3://{bucket}-not-there/array/_data/"):
        write_zarr(f"s3://{bucket}-not-there/array", ROWS)


def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path):
    url = str(tmp_path / "array")
    with pytest.raises(SettingsError, match="root of the file system"):
        write_zarr("/", ROWS)
    with pytest.raises(SettingsError, match=r"attributes are no JSON .*datetime64"):
        write_zarr(url, ROWS, attributes={"at": np.datetime64("2026-01-01")})
    wrongs: list[Any] = [3, (2.5, 1), "ab"]
    for wrong in wrongs:
        with pytest.raises(SettingsError, match="chunks is a shape, such as"):
            Layout(chunks=wrong)
    assert not (tmp_path / "array").exists()
