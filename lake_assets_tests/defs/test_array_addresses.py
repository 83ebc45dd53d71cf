"""Where the arrays of assets lie: no two share an address, whatever they are called."""

from datetime import timedelta

import numpy as np
from dagster import AssetKey

from lake_assets.arrays.zarr_versions import clean_zarr
from lake_assets.defs import array_io_managers as managers
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.stored_io_manager import array_url

CUBE = np.random.default_rng(5).normal(size=(6, 5, 4))


def alone(kind, place):
    """An IO manager that reads and writes without a run."""
    return kind(lake=LakeResource(root=place))


def test_no_two_assets_or_partitions_share_an_address():
    paths = [["x"], ["arrays"], ["arrays", "arrays"], ["arrays", "x"], ["x", "y"]]
    paths += [["arrays", "x", "y"], ["asset=x"], ["arrays", "asset=x"], ["x", "partition=y"]]
    urls = [array_url("r", AssetKey(path), part) for path in paths for part in ("", "x", "y")]
    assert len(set(urls)) == len(urls)
    assert array_url("r", AssetKey(["arrays", "x", "y"])) == "r/arrays/x/y"


def test_an_asset_whose_name_ends_as_the_files_of_another_one_has_an_address_of_its_own(root):
    values = {
        "x": (managers.NpyIOManager, CUBE),
        "x.npy": (managers.RawArrayIOManager, -CUBE),
        "x.npz": (managers.ZarrIOManager, CUBE + 2),
        "x.meta": (managers.JsonIOManager, {"a": 1}),
        "x.json": (managers.RawArrayIOManager, CUBE + 3),
    }
    made = [
        (alone(kind, root), array_url(root, AssetKey(["arrays", name])), value)
        for name, (kind, value) in values.items()
    ]
    for manager, url, value in made:
        manager.write(url, value)
    for manager, url, value in made:
        back = manager.read(url, np.ndarray)
        assert back == value if isinstance(value, dict) else np.array_equal(back, value)


def test_assets_below_another_one_take_nothing_of_it_whatever_both_are(root):
    values = {
        "raw": (managers.RawArrayIOManager, CUBE),
        "raw/x": (managers.NpyIOManager, CUBE + 1),
        "tree": (managers.TreeIOManager, {"x": CUBE, "y.npy": CUBE[0], "z": {"_data": CUBE[1]}}),
        "tree/x": (managers.RawArrayIOManager, CUBE + 2),
        "tree/y": (managers.NpyIOManager, CUBE + 3),
        "tree/z": (managers.ZarrIOManager, CUBE + 4),
        "tree/z/_data/x": (managers.RawArrayIOManager, CUBE + 5),
    }
    stored = [
        (alone(kind, root), array_url(root, AssetKey(["arrays", *name.split("/")])), value)
        for name, (kind, value) in values.items()
    ]
    for manager, url, value in (*stored, *stored):
        manager.write(url, value)
    clean_zarr(f"{root}/arrays/tree/z", keep_for=timedelta(0))
    for manager, url, value in stored:
        back = manager.read(url, np.ndarray)
        assert (
            back.keys() == value.keys() if isinstance(value, dict) else np.array_equal(back, value)
        )
    assert "/_data/x" not in stored[-1][1]
