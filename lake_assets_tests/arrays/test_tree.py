"""Trees of arrays, sparse arrays, and the one call that finds out what is there."""

import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.arrays import (
    describe,
    read_any,
    read_bytes,
    read_json,
    read_metadata,
    read_npy,
    read_raw,
    read_sparse,
    read_tree,
    write_any,
    write_bytes,
    write_json,
    write_npy,
    write_pickle,
    write_raw,
    write_sparse,
    write_tree,
)
from lake_assets.arrays.npz import decode_npz, encode_npz
from lake_assets.arrays.place import place_of
from lake_assets.arrays.sparse import decode_sparse, put_npz
from lake_assets.arrays.zarr_store import write_zarr
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    StorageError,
    UnsafeDataError,
)
from lake_assets_tests.arrays import cottoncandy

KINDS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
DENSE = np.array([[0, 1.5, 0, 0], [0, 0, 0, -2], [0, 0, 0, 0]])


def test_a_tree_of_any_depth_comes_back_with_its_keys(root):
    tree = {
        "a": np.arange(3),
        3: {"x": np.ones((2, 2)), -1: 5},
        "list": [1, 2],
        "s": sp.eye_array(2),
    }
    written = write_tree(f"{root}/t", tree)
    assert written.n_objects == 5
    back = read_tree(f"{root}/t")
    assert set(back) == {"a", 3, "list", "s"}
    assert np.array_equal(back["a"], tree["a"])
    assert np.array_equal(back[3]["x"], np.ones((2, 2)))
    assert back[3][-1] == 5
    assert isinstance(back["s"], sp.dia_array)
    assert np.array_equal(read_tree(f"{root}/t", keys=["3/x"])[3]["x"], np.ones((2, 2)))
    assert list(read_tree(f"{root}/t", keys=["a", 3])) == ["a", 3]
    with pytest.raises(MissingObjectError, match="'b'; there are"):
        read_tree(f"{root}/t", keys=["b"])


def test_only_the_chosen_leaves_are_fetched(folder):
    write_tree(f"{folder}/t", {"good": np.arange(3), "bad": np.arange(3)})
    said = {"dtype": "O", "shape": "1", "tree-depth": "1"}
    cottoncandy.put(f"{folder}/t/bad", b"x", said)
    with pytest.raises(UnsafeDataError):
        read_tree(f"{folder}/t")
    assert np.array_equal(read_tree(f"{folder}/t", keys=["good"])["good"], np.arange(3))


def test_one_text_is_no_list_of_keys(folder):
    write_tree(folder, {"a": {"b": np.arange(3)}})
    with pytest.raises(SettingsError, match=r"give a list of keys: \['a/b'\]"):
        read_tree(folder, keys="a/b")


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({1: np.ones(1), "1": np.ones(1)}, "one as texts"),
        ({"a/b": np.ones(1)}, "nest dictionaries"),
        ({"..": np.ones(1)}, "cannot be the name"),
        ({"": np.ones(1)}, "cannot be the name"),
        ({"metadata.json": np.ones(1)}, "cannot be the name"),
        ({1.5: np.ones(1)}, "neither a text nor a number"),
        ({"a": {"b": {}}}, "empty"),
        ({"a": {"b": object()}}, r"leaf \['a', 'b'\]"),
        ({"a": np.ma.masked_array([1], [True])}, "mask"),
    ],
)
def test_a_tree_that_would_not_come_back_is_refused(folder, tree, why):
    with pytest.raises(SettingsError, match=why):
        write_tree(f"{folder}/t", tree)


def test_what_else_lies_below_is_kept_removed_or_in_the_way(root):
    write_tree(f"{root}/t", {"a": np.ones(1), "old": np.ones(1)})
    write_tree(f"{root}/t2", {"a": np.ones(1)})
    with pytest.raises(StorageError, match=r"'.*old'"):
        write_any(f"{root}/t", {"a": np.zeros(1)})
    write_tree(f"{root}/t", {"a": np.zeros(1)}, others="keep")
    assert set(read_any(f"{root}/t")) == {"a", "old"}
    write_tree(f"{root}/t", {"a": np.zeros(1)}, others="remove")
    assert set(read_any(f"{root}/t")) == {"a"}
    assert set(read_any(f"{root}/t2")) == {"a"}


def test_only_leaves_of_the_tree_itself_are_removed_below_it(root):
    write_tree(f"{root}/t", {"a": np.ones(1), "old": {"x": np.ones(1), "s": sp.eye_array(2)}})
    write_zarr(f"{root}/t/raw", np.arange(3))
    write_tree(f"{root}/t/other", {"x": np.ones(1), "y": {"z": np.ones(1)}})
    write_raw(f"{root}/t/array", np.ones(1))
    write_json(f"{root}/t/said.json", {"a": 1})
    for _ in range(2):
        write_tree(f"{root}/t", {"a": np.zeros(1)}, others="remove")
        back = read_any(f"{root}/t")
        assert set(back) == {"a", "raw", "other", "array", "said.json"}
        assert back["raw"].compute().tolist() == [0, 1, 2]
        assert set(back["other"]) == {"x", "y"}
    assert describe(f"{root}/t/a")[0].metadata == {}


def test_a_tree_has_its_own_leaves_and_not_what_lies_below_it(root, caplog):
    caplog.set_level("INFO", "lake_assets.arrays.tree")
    write_tree(f"{root}/t", {"a": np.ones(1), "b": {3: np.ones(2)}})
    write_zarr(f"{root}/t/b/zarr", np.arange(3))
    write_tree(f"{root}/t/other", {"x": np.ones(1), "a": {"b": np.ones(1)}})
    write_npy(f"{root}/t/array.npy", np.ones(200_000))
    write_pickle(f"{root}/t/b/p.pickle", {"a": 1}, allow_pickle=True)
    write_raw(f"{root}/t/b/bad", np.ones(1))
    place = place_of(f"{root}/t/b/bad")
    place.objects.store.put(place.key, b"x")
    back = read_tree(f"{root}/t")
    assert (set(back), set(back["b"])) == ({"a", "b"}, {3})
    assert "left out 6 that write_tree did not write there, like array.npy" in caplog.text
    assert set(read_tree(f"{root}/t", keys=["b"])["b"]) == {3}
    assert set(read_tree(f"{root}/t/other")) == {"x", "a"}
    # What is asked for by name is given, whoever's it is.
    assert read_tree(f"{root}/t", keys=["b/zarr", "a"])["b"]["zarr"].sum().compute() == 3
    assert set(read_tree(f"{root}/t", keys=["other"])["other"]) == {"x", "a"}
    with pytest.raises((UnsafeDataError, BodyMismatchError)):
        read_tree(f"{root}/t", others="read")


def test_large_leaves_are_fetched_and_large_objects_of_others_are_not(folder, monkeypatch):
    write_tree(folder, {"mine": np.random.default_rng(1).random(200_000)}, compression=False)
    write_npy(f"{folder}/other.npy", np.ones(200_000))
    objects, fetched = type(place_of(folder).objects), []
    read = objects.read

    def noted(self, key, **more):
        fetched.append(key.rpartition("/")[2])
        return read(self, key, **more)

    monkeypatch.setattr(objects, "read", noted)
    assert set(read_tree(folder)) == {"mine"}
    assert fetched == ["mine"]
    assert set(read_tree(folder, others="read")) == {"mine", "other.npy"}


def test_a_damaged_leaf_of_a_tree_is_an_error(root):
    write_tree(f"{root}/t", {"a": np.ones(1), "b": np.ones(1)})
    place = place_of(f"{root}/t/b")
    stored = place.objects.read(place.key)
    place.objects.write(place.key, memoryview(b"x"), stored.found.metadata)
    with pytest.raises(BodyMismatchError, match="b"):
        read_tree(f"{root}/t")


def test_a_whole_bucket_is_never_cleared(bucket):
    write_bytes(f"s3://{bucket}/x", b"mine")
    with pytest.raises(SettingsError, match="whole of"):
        write_tree(f"s3://{bucket}", {"a": np.ones(1)}, others="remove")
    assert read_bytes(f"s3://{bucket}/x") == b"mine"


def test_an_object_that_is_also_a_branch_is_named(bucket):
    write_raw(f"s3://{bucket}/t/a", np.ones(1))
    write_raw(f"s3://{bucket}/t/a/b", np.ones(1))
    with pytest.raises(ArrayFormatError, match="a"):
        read_tree(f"s3://{bucket}/t")
    assert read_tree(f"s3://{bucket}/t", keys=["a/b"])["a"]["b"] == 1


@pytest.mark.parametrize("is_array", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sparse_array_comes_back_as_the_kind_it_was(folder, kind, is_array):
    made = getattr(sp, f"{kind}_{'array' if is_array else 'matrix'}")(DENSE)
    for layout in ("npz", "folder"):
        write_sparse(f"{folder}/{layout}", made, layout=layout)
        back = read_any(f"{folder}/{layout}")
        assert type(back) is type(made)
        assert (back.dtype, back.shape) == (made.dtype, made.shape)
        assert np.array_equal(back.toarray(), DENSE)
    assert describe(f"{folder}/npz")[0].kind == f"sparse {kind}"


def test_scipy_reads_ours_and_we_read_scipys(folder):
    sparse = sp.csr_array(DENSE)
    write_sparse(f"{folder}/ours.npz", sparse)
    assert np.array_equal(sp.load_npz(f"{folder}/ours.npz").toarray(), DENSE)
    sp.save_npz(f"{folder}/theirs.npz", sp.coo_matrix(DENSE))
    assert isinstance(read_sparse(f"{folder}/theirs.npz"), sp.coo_matrix)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(["<f4", ">i8", "?", "c16"]), st.data())
def test_sparse_arrays_of_any_shape_and_dtype_come_back(kind, dtype, data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    seed = data.draw(st.integers(0, 99))
    values = np.random.default_rng(seed).integers(0, 3, shape)
    made = getattr(sp, f"{kind}_array")(values.astype(np.dtype(dtype).newbyteorder("=")))
    held = {}

    class Memory:
        is_s3 = True
        url = "memory"

        def write(self, key, body, metadata):
            held[key] = (body, metadata)

    from lake_assets.arrays.place import Place

    put_npz(Place(Memory(), "x"), made, {})
    back = decode_sparse(held["x"][0], "x")
    assert type(back) is type(made)
    assert back.dtype == made.dtype
    assert np.array_equal(back.toarray(), made.toarray())


def test_sparse_arrays_of_one_and_three_axes_come_back(folder):
    for dense in (np.array([0, 1, 0, 2]), np.arange(8).reshape(2, 2, 2)):
        write_sparse(f"{folder}/{dense.ndim}", sp.coo_array(dense))
        assert np.array_equal(read_sparse(f"{folder}/{dense.ndim}").toarray(), dense)
    with pytest.raises(SettingsError, match="2 axes"):
        write_sparse(f"{folder}/f", sp.coo_array(np.ones(3)), layout="folder")


def test_a_broken_archive_is_refused():
    body = bytearray(encode_npz({"a": np.arange(100)}))
    body[60] ^= 1
    with pytest.raises(ArrayFormatError):
        decode_npz(memoryview(body), "x")
    assert encode_npz({"a": np.ones(3)}) == encode_npz({"a": np.ones(3)})


def test_an_object_without_a_name_is_refused(bucket):
    for write, value in ((write_raw, np.ones(1)), (write_npy, np.ones(1)), (write_json, 1)):
        with pytest.raises(SettingsError, match="is a whole bucket; name an object"):
            write(f"s3://{bucket}", value)
    for read in (read_raw, read_npy, read_bytes, read_json, read_sparse, read_metadata):
        with pytest.raises(MissingObjectError):
            read(f"s3://{bucket}")


def test_a_dict_of_lazy_arrays_is_a_tree(folder):
    write_any(f"{folder}/t", {"a": {"b": da.ones(3, chunks=2)}})
    assert read_any(f"{folder}/t")["a"]["b"].tolist() == [1, 1, 1]


def test_a_value_comes_back_as_what_it_was(root):
    values = {
        "array": np.arange(6).reshape(2, 3),
        "array.npy": np.arange(3),
        "scalar": np.float32(1.5),
        "json": {"a": [1, None, "é"]},
        "text": "hello",
        "bytes": b"\x00\x01",
        "bytes like json": b"[1, 2]",
        "bytes like a pickle": pickle.dumps({"a": 1}),
        "empty bytes": b"",
        "empty dict": {},
    }
    for name, value in values.items():
        write_any(f"{root}/{name}", value)
        back = read_any(f"{root}/{name}")
        if isinstance(value, np.ndarray | np.generic):
            assert np.array_equal(back, value)
            assert back.dtype == value.dtype
        else:
            assert back == value
            assert type(back) is type(value)
    listed = {item.url.rpartition("/")[2]: item.kind for item in describe(f"{root}/")}
    assert listed["array"] == "raw"
    assert listed["array.npy"] == "npy"
    assert listed["bytes like json"] == "bytes"
    assert listed["text"] == "json"


def test_large_and_lazy_arrays_are_chunked_and_read_lazily(folder, monkeypatch):
    from lake_assets.arrays import anything

    monkeypatch.setattr(anything, "_LARGE_BYTES", 1000)
    for value in (np.arange(1000.0), da.arange(1000.0, chunks=300), zarr.array(np.arange(1000.0))):
        name = type(value).__module__.partition(".")[0]
        assert write_any(f"{folder}/{name}", value).kind == "zarr"
        back = read_any(f"{folder}/{name}")
        assert isinstance(back, da.Array)
        assert np.array_equal(back[10:20].compute(), np.arange(10.0, 20.0))
    assert describe(f"{folder}/numpy")[0].chunks == (1000,)
    assert set(read_any(f"{folder}")) == {"numpy", "dask", "zarr"}


def test_a_zarr_array_of_somebody_else_is_found(folder):
    group = zarr.open_group(f"{folder}/g", mode="w")
    group.create_array("a", data=np.arange(4))
    assert np.array_equal(read_any(f"{folder}/g/a").compute(), np.arange(4))
    assert np.array_equal(read_any(f"{folder}/g")["a"].compute(), np.arange(4))


def test_nothing_takes_the_place_of_something_else(folder):
    write_any(f"{folder}/a", np.arange(3))
    with pytest.raises(StorageError, match="is an object"):
        write_any(f"{folder}/a", {"x": np.arange(3)})
    write_any(f"{folder}/t", {"x": np.arange(3)})
    with pytest.raises(StorageError, match="is a folder"):
        write_any(f"{folder}/t", np.arange(3))
    with pytest.raises(FileNotFoundError, match="nothing at"):
        read_any(f"{folder}/nothing")
    with pytest.raises(SettingsError, match="as JSON"):
        write_any(f"{folder}/j", {"a": object()})
    with pytest.raises(SettingsError, match="as JSON"):
        write_any(f"{folder}/j", float("nan"))


def test_without_the_extra_the_package_says_what_to_install():
    code = """
import sys
from importlib.abc import MetaPathFinder

class Without(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {"dask", "zarr", "numcodecs", "scipy", "google_crc32c"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
import lake_assets.arrays
try:
    lake_assets.arrays.read_any
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingExtraError")
    assert 'pip install "lake_assets[arrays]"' in done.stdout
