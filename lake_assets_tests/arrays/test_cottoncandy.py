"""Objects of every cottoncandy: the cases of the real package, and each format made here."""

import hashlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from lake_assets.arrays import describe, read_any, read_raw, read_sparse, read_tree
from lake_assets.arrays.nodes import nodes_below
from lake_assets.arrays.place import place_of
from lake_assets.arrays.raw import from_bytes, header_of
from lake_assets.errors import ArrayFormatError, MissingObjectError, UnsafeDataError
from lake_assets.s3.engine import Found
from lake_assets_tests.arrays import cottoncandy
from lake_assets_tests.conftest import SHARED_DATA
from lake_assets_tests.s3.places import fill_moto

REAL = SHARED_DATA / "cottoncandy_objects"
CUBE = np.arange(105, dtype="<f4").reshape(7, 5, 3)


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data is not there")
@pytest.mark.parametrize("place", ["s3", "folder with sidecars"])
def test_every_object_that_the_real_package_wrote_is_read(request, place, tmp_path):
    bucket = None if "folder" in place else request.getfixturevalue("bucket")
    url = f"s3://{bucket}" if bucket else str(tmp_path)
    for side in (REAL / "objects").glob("*.s3.json"):
        said = json.loads(side.read_text())
        body = (REAL / "objects" / Path(said["file"]).name).read_bytes()
        if bucket:
            fill_moto(bucket, [said["Key"]], body, said["Metadata"])
        else:
            cottoncandy.put(f"{url}/{said['Key']}", body, said["Metadata"])
    cases = json.loads((REAL / "index.json").read_text())["cases"]
    assert len(cases) == 48
    for case in cases:
        address = f"{url}/{case['key']}"
        if case["kind"] == "pickle":
            with pytest.raises(UnsafeDataError, match="is a pickle"):
                read_any(address)
        found = read_any(address, allow_pickle=True)
        check(case["kind"], found, case["expected"], case["key"])
        assert describe(address)


def check(kind: str, found: object, expected: object, key: str) -> None:
    if kind in {"json", "pickle"}:
        assert found == expected
    elif kind == "bytes":
        assert hashlib.sha256(found).hexdigest() == expected
    elif kind == "dict":
        for path, file in expected.items():
            leaf = found
            for name in path.split("/")[1:]:
                leaf = leaf[name]
            check("raw", leaf, file, path)
    else:
        array = np.load(REAL / expected, allow_pickle=False)
        if kind == "dask":
            assert isinstance(found, da.Array)
            assert np.array_equal(found[..., 3:7].compute(), array[..., 3:7]), key
            found = found.compute()
        elif kind == "sparse":
            found = found.toarray()
        assert (found.dtype, found.shape) == (array.dtype, array.shape), key
        assert np.array_equal(found, array), key


@pytest.mark.parametrize("compression", ["gzip", "False", "LZ4", "Zlib", "Zstd", "BZ2", "Blosc"])
def test_a_raw_array_of_any_codec_is_read(folder, compression):
    url = cottoncandy.raw(f"{folder}/a", CUBE, compression, Subject="s1")
    assert np.array_equal(read_any(url), CUBE)


def test_an_array_that_was_read_only_is_not_scrambled_and_is_named(folder, caplog):
    for compression in ("False", "gzip"):
        url = cottoncandy.raw(f"{folder}/{compression}", CUBE, compression, order="F")
        with caplog.at_level(logging.WARNING):
            assert np.array_equal(read_raw(url), CUBE)
        assert f"{compression} says order F" in caplog.text
        believed = read_raw(url, order_policy="trust")
        assert np.array_equal(believed, CUBE.reshape(-1).reshape(CUBE.shape, order="F"))


def test_an_old_object_with_order_f_is_believed_by_date_unless_told_otherwise(folder):
    """0.2.0 on Python 2 wrote real F bytes; it ended in 2019."""
    said = {"dtype": "<f4", "shape": "7,5,3", "compression": "False", "order": "F"}
    body = memoryview(CUBE.tobytes(order="F"))
    for year, policy, is_right in (
        (2018, "auto", True),
        (2021, "auto", False),
        (2018, "ignore", False),
        (2021, "trust", True),
    ):
        found = Found(420, "", metadata=said, modified_at=datetime(year, 6, 1, tzinfo=UTC))
        array = from_bytes(body, header_of(found, "x", policy), "x")
        assert np.array_equal(array, CUBE) is is_right, (year, policy)
    url = cottoncandy.put(f"{folder}/a", bytes(body), said)
    os.utime(f"{folder}/a", (1_500_000_000, 1_500_000_000))  # 2017
    assert np.array_equal(read_any(url), CUBE)


@pytest.mark.parametrize("is_gzip", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_oldest_objects_lie_in_the_order_they_say(folder, is_gzip, order):
    url = cottoncandy.legacy(f"{folder}/a", CUBE, is_gzip=is_gzip, order=order)
    assert np.array_equal(read_any(url), CUBE)
    assert np.array_equal(read_raw(url, np.s_[..., 1]), CUBE[..., 1])


def test_a_dask_folder_that_was_moved_is_read_lazily_by_the_names_of_its_parts(root):
    array = np.arange(480, dtype="<i4").reshape(12, 40)
    url = cottoncandy.dask_folder(f"{root}/moved", array, 11)
    lazy = read_any(url)
    assert lazy.chunks == ((12,), (11, 11, 11, 7, 0))
    assert np.array_equal(lazy.compute(), array)
    assert np.array_equal(lazy[::-1, 5:30].compute(), array[::-1, 5:30])


def test_a_missing_part_is_an_error_and_not_zeros(folder):
    url = cottoncandy.dask_folder(f"{folder}/d", np.ones((2, 30)), 10)
    lazy = read_any(url)
    Path(f"{folder}/d/pt0001").unlink()
    with pytest.raises(ArrayFormatError, match="pt0001"):
        lazy.compute()
    assert lazy[:, :10].compute().sum() == 20
    said = json.loads(Path(f"{folder}/d/metadata.json").read_text())
    said["dask"].pop(1)
    Path(f"{folder}/d/metadata.json").write_text(json.dumps(said))
    with pytest.raises(ArrayFormatError, match="1 chunks have no part"):
        read_any(url)


def test_sparse_folders_of_all_its_kinds_are_read(folder):
    dense = np.array([[1, 0, 2], [0, 0, 3]], "<f4")
    import scipy.sparse as sp

    for kind in ("csr", "csc", "coo", "bsr", "dia"):
        made = getattr(sp, f"{kind}_matrix")(dense)
        names = {"coo": ("row", "col", "data"), "dia": ("data", "offsets")}
        parts = names.get(kind, ("data", "indices", "indptr"))
        url = f"{folder}/{kind}"
        cottoncandy.sparse_folder(url, kind, {p: getattr(made, p) for p in parts}, dense.shape)
        found = read_any(url)
        assert found.format == kind
        assert isinstance(found, sp.spmatrix)
        assert np.array_equal(found.toarray(), dense)


def test_indices_that_lead_out_of_a_sparse_array_are_refused(folder):
    parts = {
        "data": np.ones(2),
        "indices": np.array([0, 10**6], "<i4"),
        "indptr": np.array([0, 1, 2], "<i4"),
    }
    cottoncandy.sparse_folder(f"{folder}/s", "csr", parts, (2, 3))
    with pytest.raises(ArrayFormatError, match="make no csr"):
        read_sparse(f"{folder}/s")
    cottoncandy.sparse_folder(f"{folder}/t", "evil", parts, (2, 3))
    with pytest.raises(ArrayFormatError, match="evil"):
        read_sparse(f"{folder}/t")


def test_a_prefix_of_more_than_a_thousand_keys_is_read_whole(bucket):
    url = f"s3://{bucket}/t"
    fill_moto(bucket, [f"t/{n:04}" for n in range(1004)], b"[1]")
    cottoncandy.raw(f"{url}/last", CUBE)
    assert len(nodes_below(place_of(url))) == 1005
    assert np.array_equal(read_tree(url, keys=["last"])["last"], CUBE)


def test_a_prefix_never_reaches_its_look_alikes(root):
    for name in ("exp/a", "exp2/b", "exp_old"):
        cottoncandy.raw(f"{root}/{name}", CUBE)
    assert list(read_tree(f"{root}/exp")) == ["a"]
    with pytest.raises(MissingObjectError):
        read_any(f"{root}/ex")
