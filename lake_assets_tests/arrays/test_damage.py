"""What is stored is damaged, cut off or absurd: an error that names it, and the rest goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from lake_assets.arrays import (
    Cut,
    browse,
    describe,
    migrate,
    open_chunked,
    open_zarr,
    read_any,
    read_chunked,
    read_npy,
    read_raw,
    read_sparse,
    read_tree,
    read_zarr,
    write_chunked,
    write_raw,
    write_sparse,
    write_tree,
    write_zarr,
)
from lake_assets.arrays.npy import encode_npy
from lake_assets.arrays.npz import encode_npz
from lake_assets.arrays.place import place_of
from lake_assets.errors import ArrayFormatError, BodyMismatchError, MissingObjectError
from lake_assets.s3 import open_store
from lake_assets_tests.arrays import cottoncandy
from lake_assets_tests.arrays.cuts import ROWS


@pytest.mark.parametrize(
    "shape", [",".join(["1"] * 65), f"0,{10**30}", f"{2**62},{2**62}", f"{2**63}"]
)
@pytest.mark.parametrize("codec", ["False", "gzip", "lzma"])
def test_a_shape_that_no_array_has_is_named(folder, shape, codec):
    said = {"dtype": "<f8", "shape": shape, "compression": codec, "order": "C"}
    cottoncandy.put(f"{folder}/a", b"", said)
    for selection in (None, np.s_[..., :1]):
        with pytest.raises(ArrayFormatError, match=r"a: no array .* has the shape"):
            read_raw(f"{folder}/a", selection)
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape},)}}"
    np.save(f"{folder}/b.npy", np.ones(1))
    start = (folder_file := Path(f"{folder}/b.npy")).read_bytes()[:8]
    folder_file.write_bytes(start + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(ArrayFormatError, match=r"b\.npy: no array .* has the shape"):
        read_npy(f"{folder}/b.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("length", [0, 3, 40])
def test_a_file_that_is_cut_off_is_no_bytes(folder, name, length):
    body = encode_npz({"a": np.arange(9)}) if name.endswith("z") else encode_npy(np.arange(9))
    cottoncandy.put(f"{folder}/{name}", bytes(body[:length]))
    with pytest.raises(ArrayFormatError, match=name):
        read_any(f"{folder}/{name}")


@pytest.mark.parametrize(("at", "byte"), [(8, 1), (46, 0xFF)], ids=["encrypted", "name"])
def test_an_archive_whose_flags_or_names_are_damaged_is_refused(folder, at, byte):
    body = bytearray(encode_npz({"ü": np.arange(9)}))
    body[body.index(b"PK\x01\x02") + at] |= byte
    cottoncandy.put(f"{folder}/a.npz", bytes(body))
    with pytest.raises(ArrayFormatError, match="no whole archive"):
        read_any(f"{folder}/a.npz")


@pytest.mark.parametrize("body", [b"", b'{"shape": [12'])
@pytest.mark.parametrize("kind", ["chunks", "sparse"])
def test_an_array_whose_index_is_damaged_is_no_tree_of_its_parts(folder, kind, body):
    if kind == "chunks":
        write_chunked(f"{folder}/in/a", np.ones((4, 4)), chunks=Cut(0, 32))
    else:
        write_sparse(f"{folder}/in/a", sp.eye_array(3), layout="folder")
    write_raw(f"{folder}/in/b", np.ones(2))
    place_of(f"{folder}/in/a/metadata.json").objects.store.put("metadata.json", body)
    with pytest.raises(ArrayFormatError, match=r"a/metadata\.json is no"):
        read_any(f"{folder}/in/a")
    broken, good = describe(f"{folder}/in")
    assert broken.kind.startswith("broken: ")
    assert good.kind == "raw"
    done = migrate(f"{folder}/in", f"{folder}/out")
    assert [item.source for item in done.failed] == [f"{folder}/in/a"]
    assert done.count("migrated") == 1


@pytest.mark.parametrize(("read", "kind"), [(read_chunked, "chunked"), (read_sparse, "sparse")])
def test_where_no_array_of_a_kind_is_it_is_said(folder, read, kind):
    write_tree(f"{folder}/t", {"a": np.ones(1)})
    with pytest.raises(MissingObjectError, match=f"no {kind} array at .*/t: .*read_any finds out"):
        read(f"{folder}/t")


@pytest.mark.parametrize(
    "damage",
    [
        {"crc32c": [None]},
        {"crc32c": 3},
        {"shape": [float("inf"), 40]},
        {"shape": [1] * 65, "chunks": [[1]] * 65},
        {"dask": [[[0, 0], "pt0000"], [[0], "pt0001"]]},
        {"chunks": [[0] * 9000 + [3], [0] * 9000 + [40]]},  # a grid of 81 million
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_damaged_index_is_named(folder, damage):
    write_chunked(f"{folder}/a", np.ones((3, 40)), chunks=Cut(1, 480))
    place = place_of(f"{folder}/a/metadata.json")
    said = json.loads(bytes(place.objects.read(place.key).body))
    place.objects.store.put(place.key, json.dumps({**said, **damage}).encode())
    with pytest.raises(ArrayFormatError, match=r"a/metadata\.json"):
        open_chunked(f"{folder}/a")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"format": 1}', b'{"format": 1, "layers": [{}]}'])
def test_a_version_that_is_damaged_is_named_and_ends_neither_a_listing_nor_a_migration(
    tmp_path, body
):
    root, target = f"{tmp_path}/in", f"{tmp_path}/out"
    write_zarr(f"{root}/a", ROWS)
    write_zarr(f"{root}/b", ROWS)
    migrate(root, target)
    for place in (f"{root}/a", f"{target}/b"):
        open_store(place).put("_versions/000000000001.json", body)
    with pytest.raises(ArrayFormatError, match=r"a/_versions/000000000001\.json is no whole"):
        open_zarr(f"{root}/a")
    assert "is no whole version" in repr(browse(f"{root}/a"))
    broken, good = describe(root)
    assert (broken.kind[:6], good.kind) == ("broken", "zarr")
    [failed] = (done := migrate(root, target)).failed
    assert failed.source == f"{root}/a"
    assert "is no whole version" in str(failed.reason)
    assert done.count("migrated") == 1  # what is damaged at the target is replaced
    np.testing.assert_array_equal(read_zarr(f"{target}/b"), ROWS)


def test_a_leaf_whose_sidecar_is_damaged_is_not_left_out_and_not_removed(folder):
    write_tree(f"{folder}/t", {"a": np.ones(1), "b": np.ones(1)})
    open_store(f"{folder}/t").put("b.meta.json", b'{"dtype"')
    for _ in range(2):
        with pytest.raises(BodyMismatchError, match=r"t/b\.meta\.json is damaged"):
            read_tree(f"{folder}/t")
        write_tree(f"{folder}/t", {"a": np.zeros(1)}, others="remove")
    assert read_tree(f"{folder}/t", keys=["a"])["a"] == 0


def test_a_crash_between_file_and_sidecar_is_an_error_and_not_wrong_data(folder):
    write_raw(f"{folder}/a", np.arange(100), compression=False)
    place = place_of(f"{folder}/a")
    place.objects.store.put("a", bytes(800))  # the new body is there, its sidecar is not yet
    with pytest.raises(BodyMismatchError, match=r"a\.meta\.json"):
        read_raw(f"{folder}/a")
