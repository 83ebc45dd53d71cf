"""Chunked arrays: what comes back lazily and in part, versions, workers, old readers' layout."""

import json
import pickle

import cloudpickle
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.arrays import Cut, open_chunked, read_chunked, write_chunked
from lake_assets.arrays import dense as dense_module
from lake_assets.arrays.chunked import _overlaps
from lake_assets.arrays.grid import chunks_of
from lake_assets.arrays.place import place_of
from lake_assets.errors import ArrayFormatError, BodyMismatchError, SettingsError, StorageError

ARRAY = np.random.default_rng(2).standard_normal((30, 40, 3)).astype("<f4")


def keys(url: str) -> list[str]:
    place = place_of(url)
    found = (info.key[len(place.prefix) :] for info in place.objects.store.list(place.prefix))
    return [key for key in found if not key.endswith(".meta.json")]


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("chunks", [Cut(-1, 1000), Cut(0, 1000), Cut(None, 900), None])
def test_an_array_comes_back_whole_lazily_and_in_part(folder, chunks, compression):
    check_chunked(folder, chunks, compression=compression)


def test_an_array_comes_back_from_a_bucket(bucket):
    check_chunked(f"s3://{bucket}", Cut(0, 4000), compression=False)


def check_chunked(root, chunks, *, compression):
    written = write_chunked(f"{root}/a", ARRAY, chunks=chunks, compression=compression)
    lazy = open_chunked(f"{root}/a")
    assert (lazy.shape, lazy.dtype) == (ARRAY.shape, ARRAY.dtype)
    assert written.n_objects == lazy.npartitions + 1
    assert np.array_equal(lazy.compute(), ARRAY)
    for selection in (np.s_[..., 1], np.s_[::-3, 5:9], np.s_[-1, -1, -1], np.s_[3:3]):
        assert np.array_equal(read_chunked(f"{root}/a", selection), ARRAY[selection])
        assert np.array_equal(lazy[selection].compute(), ARRAY[selection])


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.empty((0, 4)),
        np.zeros((2, 0)),
        np.array(["2020", "NaT"], "M8[D]"),
        np.zeros(3, [("a", "<i4"), ("b", "<U2")]),
        np.array(["x", "yy"]),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_empty_0d_and_odd_dtypes_come_back_as_numpy_and_as_dask(folder, array):
    for given_array in (array, da.from_array(array)):
        write_chunked(f"{folder}/a", given_array)
        back = open_chunked(f"{folder}/a").compute()
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert np.array_equal(back, array, equal_nan=array.dtype.kind == "M")


def test_a_dask_array_keeps_its_chunks_and_is_computed_once(folder):
    calls = []

    def source(block):
        calls.append(block.shape)
        return block + 1

    lazy = da.zeros((10, 6), chunks=(4, 6)).map_blocks(source, meta=np.empty((0, 0)))
    calls.clear()
    write_chunked(f"{folder}/a", lazy)
    assert open_chunked(f"{folder}/a").chunks == ((4, 4, 2), (6,))
    assert len(calls) == 3
    assert read_chunked(f"{folder}/a").sum() == 60


@pytest.mark.parametrize("value", [[1.5, 2], np.float64(3)])
def test_what_numpy_makes_an_array_of_is_one(folder, value):
    write_chunked(f"{folder}/a", value)
    assert np.array_equal(read_chunked(f"{folder}/a"), value)


def test_two_arrays_never_share_a_name_and_one_version_has_one(folder):
    write_chunked(f"{folder}/x", np.zeros(10), chunks=Cut(0, 16))
    write_chunked(f"{folder}/y", np.ones(10), chunks=Cut(0, 16))
    x, y = open_chunked(f"{folder}/x"), open_chunked(f"{folder}/y")
    assert (x + y).sum().compute() == 10
    assert x.name == open_chunked(f"{folder}/x").name
    write_chunked(f"{folder}/x", np.zeros(10), chunks=Cut(0, 16))
    assert x.name != open_chunked(f"{folder}/x").name


def test_a_lazy_array_goes_to_other_processes(folder):
    write_chunked(f"{folder}/a", ARRAY, chunks=Cut(0, 4000))
    lazy = open_chunked(f"{folder}/a")
    for dump in (pickle.dumps, cloudpickle.dumps):
        assert np.array_equal(pickle.loads(dump(lazy)).compute(), ARRAY)  # noqa: S301 (our own)


def test_secrets_of_the_access_are_not_shown(bucket):
    from lake_assets.s3 import Access, use_access

    url = f"s3://{bucket}/a"
    use_access(url, Access(access_key_id="testing", secret_access_key="hush-hush"))  # noqa: S106 (a made-up one)
    try:
        write_chunked(url, ARRAY)
        lazy = open_chunked(url)
        assert "hush-hush" not in repr(dict(lazy.dask))
        copy = pickle.dumps(lazy)
    finally:
        use_access(url, None)
    assert np.array_equal(pickle.loads(copy).compute(), ARRAY)  # noqa: S301 (our own)


def test_only_the_parts_of_a_selection_are_read(folder, monkeypatch):
    write_chunked(f"{folder}/a", ARRAY, chunks=Cut(1, 1000), compression=False)
    objects, read = type(place_of(folder).objects), []
    original = objects.read_span

    def counted(self, key, start, stop, *, etag):
        read.append((key, stop - start))
        return original(self, key, start, stop, etag=etag)

    width = open_chunked(f"{folder}/a").chunks[1][0]
    monkeypatch.setattr(objects, "read_span", counted)
    assert np.array_equal(open_chunked(f"{folder}/a")[:, :1].compute(), ARRAY[:, :1])
    assert {name[:8] for name, _ in read} == {"a/metada", "a/pt0000"}
    read.clear()
    monkeypatch.setattr(dense_module, "_WHOLE_BYTES", 100)
    assert np.array_equal(read_chunked(f"{folder}/a", np.s_[:3, :width]), ARRAY[:3, :width])
    assert [n for name, n in read if "pt0000" in name] == [3 * width * 3 * 4]
    assert len(read) == 2


def test_the_old_array_is_there_until_the_index_is_swapped_and_its_parts_go_then(root, monkeypatch):
    url = f"{root}/a"
    write_chunked(url, np.zeros(10), chunks=Cut(0, 16))
    before = set(keys(url))
    objects = type(place_of(url).objects)
    original = objects.write

    def dies_at_the_index(self, key, body, metadata):
        if key.endswith("metadata.json"):
            raise OSError("killed")
        original(self, key, body, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "write", dies_at_the_index)
        with pytest.raises(OSError, match="killed"):
            write_chunked(url, np.ones(10), chunks=Cut(0, 16))
    assert read_chunked(url).sum() == 0
    left = set(keys(url)) - before
    assert len(left) == 5
    write_chunked(url, np.ones(10), chunks=Cut(0, 40))
    assert read_chunked(url).sum() == 10
    assert len(set(keys(url)) - left) == 3  # another writer's parts may be about to be shown
    assert not (set(keys(url)) & (before - {"metadata.json"}))


def test_an_array_whose_old_parts_cannot_be_removed_is_written(folder, monkeypatch, caplog):
    def refused(_, key):
        raise StorageError(f"cannot delete {key}: access denied")

    write_chunked(f"{folder}/a", np.zeros(3))
    monkeypatch.setattr(type(place_of(folder).objects.store), "delete", refused)
    write_chunked(f"{folder}/a", np.ones(3))
    assert read_chunked(f"{folder}/a").tolist() == [1, 1, 1]
    assert "access denied" in caplog.text


def test_a_reader_of_the_old_version_gets_an_error_and_not_a_mixture(folder):
    write_chunked(f"{folder}/a", np.zeros(10), chunks=Cut(0, 16))
    old = open_chunked(f"{folder}/a")
    write_chunked(f"{folder}/a", np.ones(10), chunks=Cut(0, 16))
    with pytest.raises(ArrayFormatError, match="open it again"):
        old.compute()


def test_a_part_of_another_version_is_noticed(folder):
    write_chunked(f"{folder}/a", np.zeros(4), chunks=Cut(0, 16))
    place = place_of(f"{folder}/a")
    [first, second] = sorted(key for key in keys(f"{folder}/a") if key.startswith("pt"))
    ones = f"{folder}/b"
    from lake_assets.arrays import write_raw

    write_raw(ones, np.ones(2))
    stored = place_of(ones).objects.read("b")
    place.objects.write(place.at(second).key, stored.body, stored.found.metadata)
    with pytest.raises(BodyMismatchError):
        read_chunked(f"{folder}/a")
    assert read_chunked(f"{folder}/a", np.s_[:2]).sum() == 0
    assert first != second


def test_the_index_is_one_that_old_cottoncandy_reads(folder):
    write_chunked(f"{folder}/a", ARRAY, chunks=Cut(-1, 5000))
    place = place_of(f"{folder}/a")
    said = json.loads(place.objects.store.get("a/metadata.json"))
    assert said["shape"] == [30, 40, 3]
    assert said["dtype"] == "<f4"
    assert [where for where, _ in said["dask"]] == [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    # What it does: numpy arrays by their absolute keys, placed by dask.
    graph = {
        ("array", *where): dense_module.read_raw(f"{folder}/{name}") for where, name in said["dask"]
    }
    chunks = tuple(tuple(lengths) for lengths in said["chunks"])
    old = da.Array(graph, "array", chunks, shape=tuple(said["shape"]), dtype=said["dtype"])
    assert np.array_equal(old.compute(), ARRAY)


@pytest.mark.parametrize(
    ("array", "chunks", "why"),
    [
        (np.ma.masked_array([1], [True]), None, "mask"),
        (sp.eye_array(3), None, "Python objects"),
        (da.ma.masked_array(da.ones(3), mask=[1, 0, 0]), None, "mask"),
        (np.array([None], dtype=object), None, "Python objects"),
        (np.ones(4), ((3, 3),), "do not fill"),
        (np.ones(4), ((5, -1),), "do not fill"),
        (np.ones(4), (2,), "lengths of all chunks along each axis"),
        (np.ones(4), 2, "lengths of all chunks along each axis"),
        (np.ones(4), Cut(3), "axis 3"),
        (np.ones(4), Cut(0, 0), "at least 1"),
        (da.ones(4, chunks=2)[da.ones(4, chunks=2) > 0], None, "not known"),
    ],
)
def test_what_cannot_be_chunked_is_refused_before_anything_is_written(folder, array, chunks, why):
    with pytest.raises(SettingsError, match=why):
        write_chunked(f"{folder}/a", array, chunks=chunks)
    assert keys(f"{folder}/a") == []


def test_other_things_in_the_folder_stay(folder):
    from lake_assets.arrays import write_bytes

    write_bytes(f"{folder}/a/notes.txt", b"mine")
    for value in (0, 1):
        write_chunked(f"{folder}/a", np.full(3, value))
    assert "notes.txt" in keys(f"{folder}/a")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=4),
    st.sampled_from([1, 2, 8, 100]),
    st.integers(1, 10**6),
    st.data(),
)
def test_chunks_fill_the_shape_and_stay_below_the_target(lengths, itemsize, target, data):
    axis = data.draw(st.sampled_from([None, *range(-len(lengths), len(lengths))]))
    chunks = chunks_of(tuple(lengths), itemsize, Cut(axis, target))
    assert [sum(axis_lengths) for axis_lengths in chunks] == lengths
    largest = np.prod([max(axis_lengths) for axis_lengths in chunks]) * itemsize
    thinnest = itemsize if axis is None else np.prod(lengths) // lengths[axis] * itemsize
    assert largest <= max(target, thinnest)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
@settings(max_examples=30, deadline=None)
def test_overlaps_cover_each_index_once(lengths, data):
    starts = [0, *np.cumsum(lengths).tolist()]
    low = data.draw(st.integers(0, starts[-1]))
    high = data.draw(st.integers(low, starts[-1]))
    found = []
    for number, inside, where in _overlaps(starts, low, high):
        assert where.stop - where.start == inside.stop - inside.start > 0
        found += [starts[number] + n for n in range(inside.start, inside.stop)]
    assert found == list(range(low, high))
