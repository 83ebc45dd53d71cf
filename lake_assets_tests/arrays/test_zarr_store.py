"""zarr arrays on a folder and on S3: what is written comes back, lazily, whole or not at all."""

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lake_assets.arrays import read_any, read_tree, write_raw
from lake_assets.arrays.chunked import chunked_at
from lake_assets.arrays.chunked_write import write_chunked
from lake_assets.arrays.nodes import nodes_below
from lake_assets.arrays.place import place_of
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import (
    is_zarr,
    open_zarr,
    open_zarr_array,
    read_zarr,
    write_zarr,
)
from lake_assets.arrays.zarr_verify import verify_zarr
from lake_assets.arrays.zarr_versions import zarr_versions
from lake_assets.errors import (
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    StorageError,
)
from lake_assets.s3 import Access, open_store
from lake_assets_tests.arrays.cuts import BOTH, ROWS, SHARDED, SMALL
from lake_assets_tests.factories import flipped_byte


def keys(url):
    return [info.key for info in open_store(url).list()]


def chunk_keys(url):
    return [key for key in keys(url) if "/values/c/" in key]


def test_an_array_comes_back_as_numpy_dask_and_zarr(url):
    layout = SHARDED
    assert not is_zarr(url)
    version = write_zarr(url, ROWS, layout=layout, attributes={"unit": "m"})
    assert is_zarr(url)
    np.testing.assert_array_equal(read_zarr(url), ROWS)
    np.testing.assert_array_equal(open_zarr(url).compute(), ROWS)
    stored = open_zarr_array(url)
    assert isinstance(stored, zarr.Array)
    assert (dict(stored.attrs), stored.chunks, stored.shards) == (
        {"unit": "m"},
        layout.chunks,
        layout.shards,
    )
    np.testing.assert_array_equal(stored[3:5, ::7], ROWS[3:5, ::7])
    assert (version.shape, version.dtype, version.nbytes) == ((40, 30), "<f8", ROWS.nbytes)
    assert verify_zarr(url).ok


@BOTH
def test_a_dask_array_is_written_block_by_block_whatever_its_chunks(place, layout):
    lazy = da.from_array(ROWS, chunks=(7, (11, 19))) * 2
    write_zarr(place, lazy, layout=layout)
    np.testing.assert_array_equal(read_zarr(place), ROWS * 2)
    assert verify_zarr(place).ok


ODD = {
    "big-endian": np.arange(12, dtype=">f8").reshape(3, 4),
    "complex": np.arange(4) * (1 - 2j),
    "half": np.arange(3, dtype="f2"),
    "bool": np.array([[True, False]]),
    "0-d": np.array(3.5),
    "empty": np.zeros((0, 4), "i2"),
    "text": np.array(["a", "üé", ""]),
    "bytes": np.array([b"a", b"bc"]),
    "any text": np.array(["a", "bcd" * 50], dtype=np.dtypes.StringDType()),
    "time": np.array(["2020-01-01T01", "NaT"], "M8[us]"),
    "span": np.array([3, -4], "m8[D]"),
    "structure": np.array([(1, 2.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")]),
    "nested": np.array([((1, 2), 3)], dtype=[("a", [("x", "i4"), ("y", "i2")]), ("b", "f8")]),
    "Fortran": np.asfortranarray(ROWS),
    "strided": ROWS[::-3, 1::4],
}


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_dtypes_orders_and_odd_shapes_come_back(place, values):
    write_zarr(place, values)
    for back in (read_zarr(place), np.asarray(open_zarr(place).compute())):
        assert back.shape == values.shape
        assert back.dtype == values.dtype.newbyteorder("=") if values.dtype.kind != "T" else True
        np.testing.assert_array_equal(back, values)
    assert verify_zarr(place).ok


def test_read_only_and_memory_mapped_arrays_are_stored_as_they_read(place, tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    write_zarr(place, mapped.T)
    np.testing.assert_array_equal(read_zarr(place), ROWS.T)


@settings(max_examples=25, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.dtype(name) for name in ("f4", ">i2", "u1", "c8", "M8[ms]", "U2")]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    chunk_bytes=st.integers(20, 300),
    shard_bytes=st.sampled_from([0, 200]),
    fortran=st.booleans(),
)
def test_any_array_any_cut_comes_back(tmp_path_factory, values, chunk_bytes, shard_bytes, fortran):
    url = str(tmp_path_factory.mktemp("any") / "array")
    layout = Layout(chunk_bytes=chunk_bytes, shard_bytes=shard_bytes)
    write_zarr(url, np.asfortranarray(values) if fortran else values, layout=layout)
    np.testing.assert_array_equal(read_zarr(url), values)
    assert verify_zarr(url, deep=False).ok


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(np.array([None, 1], object), "Python objects", id="objects"),
        pytest.param(np.array([(1, None)], "i4,O"), "Python objects", id="object in a structure"),
        pytest.param(np.ma.masked_array([1, 2], [0, 1]), "mask", id="masked"),
        pytest.param(np.zeros(2, "g"), r"float128|longdouble", id="long double"),
        pytest.param(np.zeros(2, [("a", "i4", (2,))]), "no dtype", id="array in a structure"),
        pytest.param(da.from_array(np.ma.masked_array([1, 2], [0, 1])), "mask", id="masked dask"),
        pytest.param(da.ones(9)[da.ones(9) > 0], "compute_chunk_sizes", id="unknown chunks"),
    ],
)
def test_what_would_lose_something_is_refused(place, values, said):
    with pytest.raises(SettingsError, match=said):
        write_zarr(place, values)
    assert not is_zarr(place)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(axis=2),
        Layout(chunks=(3,)),
        Layout(chunks=(4, 5), shards=(6, 5)),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(place, layout):
    with pytest.raises(SettingsError, match=r"axis 2|do not fit|no multiple"):
        write_zarr(place, ROWS, layout=layout)


@BOTH
def test_a_slice_reads_only_the_chunks_it_touches(place, layout):
    write_zarr(place, ROWS, layout=layout)
    store, lazy = open_store(place), open_zarr(place)
    needed = "/values/c/0/0"
    for key in chunk_keys(place):
        if not key.endswith(needed):
            store.delete(key)
        elif layout.shards:  # all its chunks but the first are damaged
            body = store.get(key)
            index = np.frombuffer(body[-(16 * 16 + 4) : -4], "<u8").reshape(-1, 2)
            start, size = (int(n) for n in index[0])
            bad = bytes(len(body) - 16 * 16 - 4)
            store.put(key, bad[:start] + body[start : start + size] + bad[start + size :]
                      + body[-(16 * 16 + 4) :])  # fmt: skip
    np.testing.assert_array_equal(lazy[..., :4, :5].compute(), ROWS[:4, :5])
    np.testing.assert_array_equal(read_zarr(place, np.s_[1:3, :2]), ROWS[1:3, :2])
    with pytest.raises((BodyMismatchError, ValueError), match=r"missing|checksum"):
        lazy.compute()


@BOTH
def test_a_missing_chunk_is_an_error_and_no_zeros(place, layout):
    write_zarr(place, np.zeros((40, 30)), layout=layout)
    gone = chunk_keys(place)[-1]
    open_store(place).delete(gone)
    with pytest.raises(BodyMismatchError, match=r"values/c/\d/\d is missing"):
        read_zarr(place)
    with pytest.raises(BodyMismatchError, match="missing"):
        open_zarr(place)[-1, -1].compute()
    found = verify_zarr(place, deep=False)
    assert (found.ok, found.missing) == (False, (gone,))


@pytest.mark.parametrize("region", [np.s_[:], np.s_[:2, :2]], ids=["all", "a part"])
def test_a_chunk_missing_from_a_shard_is_an_error(place, region):
    write_zarr(place, ROWS, layout=SHARDED)
    first, store = (
        next(key for key in chunk_keys(place) if key.endswith("c/0/0")),
        open_store(place),
    )
    folder = place + "/" + first.removesuffix("/c/0/0")
    zarr.open_array(folder, mode="r+")[8:12, 5:10] = (
        0  # zarr itself takes a chunk of zeros out of the shard
    )
    assert np.asarray(zarr.open_array(folder, mode="r")[8, 5]) == 0
    with pytest.raises(BodyMismatchError, match="lacks 1 of the 16 chunks"):
        read_zarr(place, region)
    assert [reason.split(":")[0] for reason in verify_zarr(place).wrong] == [first]
    assert store.head(first)


def test_a_shard_at_the_end_of_the_array_lacks_nothing(place):
    write_zarr(place, ROWS[:17, :21], layout=SHARDED)
    np.testing.assert_array_equal(read_zarr(place), ROWS[:17, :21])


@BOTH
def test_a_flipped_byte_is_noticed(place, layout):
    write_zarr(place, ROWS, layout=layout)
    store, key = open_store(place), chunk_keys(place)[1]
    store.put(key, flipped_byte(store.get(key), at=20))
    with pytest.raises(BodyMismatchError, match=f"{key} is damaged: .*crc32c"):
        read_zarr(place)
    assert [reason.split(":")[0] for reason in verify_zarr(place).wrong] == [key]
    assert verify_zarr(place, deep=False).ok  # of the right size


def test_arrays_of_others_are_read_and_their_missing_chunks_are_asked_about(place, tmp_path):
    there = zarr.create_array(
        str(tmp_path / "made"), shape=(6, 4), chunks=(3, 4), dtype="f4",
        config={"write_empty_chunks": False},
    )  # fmt: skip
    there[:3] = 1
    for path in (tmp_path / "made").rglob("*"):
        if path.is_file():
            open_store(place).put(path.relative_to(tmp_path / "made").as_posix(), path.read_bytes())
    assert is_zarr(place)
    np.testing.assert_array_equal(read_zarr(place, np.s_[:3]), np.ones((3, 4)))
    with pytest.raises(BodyMismatchError, match="missing"):
        read_zarr(place)
    assert open_zarr(place, fill_missing=True).sum().compute() == 12


def test_no_array_and_no_such_version_are_said(place):
    with pytest.raises(StorageError, match="no zarr array"):
        open_zarr(place)
    write_zarr(place, ROWS)
    with pytest.raises(StorageError, match=r"no version 2 of .*there are 1 to 1"):
        open_zarr(place, version=2)


def test_the_same_array_again_leaves_the_store_as_it_was(url):
    first = write_zarr(url, ROWS, layout=SMALL)
    before = list(open_store(url).list())
    again = write_zarr(url, ROWS.copy(), layout=SMALL)
    assert (first.changed, again.changed, again.number) == (True, False, 1)
    assert list(open_store(url).list()) == before
    assert write_zarr(url, -ROWS, layout=SMALL).number == 2


def test_what_is_opened_stays_as_it_was_while_versions_come(place):
    write_zarr(place, ROWS)
    lazy = open_zarr(place)
    write_zarr(place, ROWS[:5] + 1)
    np.testing.assert_array_equal(lazy.compute(), ROWS)
    np.testing.assert_array_equal(open_zarr(place).compute(), ROWS[:5] + 1)
    np.testing.assert_array_equal(read_zarr(place, version=1), ROWS)
    assert zarr_versions(place) == [1, 2]


def test_lazy_arrays_never_share_a_name_unless_they_are_the_same(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    write_zarr(one, ROWS)
    write_zarr(two, -ROWS)
    assert open_zarr(one).name == open_zarr(one).name
    assert float(abs(open_zarr(one) + open_zarr(two)).max().compute()) == 0
    first = open_zarr(one)
    write_zarr(one, ROWS * 3)
    np.testing.assert_array_equal((open_zarr(one) - first).compute(), ROWS * 3 - ROWS)


def test_lazy_arrays_of_one_address_that_read_another_thing_have_names_of_their_own(
    bucket, place, moto_url
):
    url = f"s3://{bucket}/a"
    write_zarr(url, ROWS)
    write_chunked(f"{url}c", ROWS)
    here = Access(endpoint_url=moto_url)
    there = Access(endpoint_url=moto_url.replace("127.0.0.1", "localhost"))
    assert here != there
    for name_of in (
        lambda access: open_zarr(url, access=access).name,
        lambda access: chunked_at(place_of(f"{url}c", access)).to_dask().name,
    ):
        assert name_of(here) == name_of(here)
        assert name_of(here) != name_of(there)
    zarr.save_array(place, ROWS)
    before = open_zarr(place)
    assert open_zarr(place).name == before.name
    assert open_zarr(place, fill_missing=True).name != before.name
    zarr.open_array(place, mode="r+").attrs["n"] = 1
    assert open_zarr(place).name != before.name


def test_a_first_version_that_is_half_written_is_nowhere_to_be_seen(tmp_path):
    root = str(tmp_path)
    write_zarr(f"{root}/tree/array", ROWS)
    write_raw(f"{root}/tree/beside", ROWS)
    for info in open_store(f"{root}/tree/array").list("_versions/"):
        open_store(f"{root}/tree/array").delete(info.key)
    assert set(read_tree(f"{root}/tree")) == {"beside"}
    assert [node.path for node in nodes_below(place_of(f"{root}/tree"))] == ["beside"]
    with pytest.raises(MissingObjectError, match="nothing at"):
        read_any(f"{root}/tree/array")


def test_a_folder_that_is_merely_called_versions_hides_nothing(place):
    write_raw(f"{place}/a", ROWS)
    write_raw(f"{place}/_versions/old", ROWS)
    assert set(read_any(place)) == {"a", "_versions"}
    assert set(read_tree(place)) == {"a", "_versions"}


def test_a_write_that_fails_leaves_no_data(place):
    def fail(block):
        raise ArithmeticError(f"no value of {block.shape}")

    good = da.from_array(ROWS, chunks=8)
    broken = da.concatenate([good, good.map_blocks(fail, dtype="f8", meta=np.empty((0, 0)))])
    write_zarr(place, ROWS)
    before = keys(place)
    one_by_one = dask.config.set(
        scheduler="synchronous"
    )  # what others still write is not waited for
    with one_by_one, pytest.raises(ArithmeticError, match="no value of"):
        write_zarr(place, broken, layout=SMALL)
    assert keys(place) == before


@pytest.mark.parametrize("foreign", [False, True])
def test_a_region_is_chosen_as_of_every_other_array(place, foreign):
    if foreign:
        zarr.save_array(place, ROWS)
    else:
        write_zarr(place, ROWS, layout=SMALL)
    for region in (np.s_[::-3, 5:9], np.s_[-1, ::-1], np.s_[..., 2:20:7], np.s_[9:2:-2], None):
        back = read_zarr(place, region)
        assert back.flags.writeable
        np.testing.assert_array_equal(back, ROWS[region] if region is not None else ROWS)
    assert read_zarr(place, np.s_[5:5, ::-1]).shape == (0, 30)
    assert read_zarr(place, (3, -2)) == ROWS[3, -2]
    for odd in ([0, 2], np.array([True] * 40), np.s_[..., [1]]):
        with pytest.raises(SettingsError, match="cannot select by"):
            read_zarr(place, odd)
    with pytest.raises(IndexError, match="the axis has 40"):
        read_zarr(place, 40)


def test_an_address_that_zarrs_store_does_not_take_is_named(bucket):
    with pytest.raises(SettingsError, match="zarr arrays cannot lie at"):
        write_zarr(f"s3://{bucket}/a//b", ROWS)
