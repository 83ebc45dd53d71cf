"""Assets that are arrays: out as what suits them, in as what an input asks for, partition-wise."""

import sys
from typing import Optional

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from dagster import (
    AllPartitionMapping,
    AssetIn,
    AssetKey,
    DagsterInstance,
    DagsterInvariantViolationError,
    Definitions,
    DynamicPartitionsDefinition,
    asset,
)

from lake_assets.arrays.dense import read_npy, read_raw
from lake_assets.arrays.labelled import Coordinate, LabelledArray
from lake_assets.arrays.labelled_sparse import LabelledSparse
from lake_assets.arrays.zarr_store import is_zarr, read_zarr
from lake_assets.arrays.zarr_versions import zarr_versions
from lake_assets.defs import array_io_managers as managers
from lake_assets.defs.resources import LakeResource
from lake_assets.errors import MissingExtraError, MissingObjectError, SettingsError, UnsafeDataError
from lake_assets.s3 import open_store
from lake_assets_tests.graph.line import NESTED_RESOURCE, QUIET

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)

PARTS = DynamicPartitionsDefinition(name="parts")
KEYS = ["a/b", "ü%20", "2026-09-28"]
SPARSE = sp.random_array((7, 5), density=0.3, rng=np.random.default_rng(1))
CUBE = np.random.default_rng(5).normal(size=(6, 5, 4))


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "lake")


def run(root, *assets, keys=()):
    """One run of the assets over all keys; gives the result."""
    lake = LakeResource(root=root)
    resources = {
        "zarr": managers.ZarrIOManager(lake=lake),
        "npy": managers.NpyIOManager(lake=lake),
        "raw": managers.RawArrayIOManager(lake=lake),
        "sparse": managers.SparseIOManager(lake=lake),
        "tree": managers.TreeIOManager(lake=lake),
        "json": managers.JsonIOManager(lake=lake),
        "pickle": managers.PickleIOManager(lake=lake, allow_pickle=True),
    }
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    job = Definitions(assets=assets, resources=resources).resolve_implicit_global_asset_job_def()
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("parts", list(keys))
        return job.execute_in_process(
            instance=instance,
            tags=dict(zip(names, (keys[0], keys[-1]), strict=True)) if keys else None,
            run_config=QUIET,
        )


def alone(kind, place, **settings):
    """An IO manager that reads and writes without a run."""
    return kind(lake=LakeResource(root=place), **settings)


def returned(name, value, manager):
    @asset(key=["arrays", name], io_manager_key=manager)
    def made():
        return value

    return made


def loaded(name, hint, got):
    """An asset that takes ``arrays/name`` as ``hint`` and notes what it got."""

    @asset(name=f"taker_{len(got)}_{name}", ins={"made": AssetIn(AssetKey(["arrays", name]))})
    def taker(made: hint) -> None:
        got[taker.key.to_user_string()] = made

    got[taker.key.to_user_string()] = None
    return taker


def test_each_manager_takes_what_an_asset_returns_and_gives_it_to_the_next(root):
    tree = {"x": CUBE, "below": {"y": CUBE[0], "3": np.array(2.5)}}
    labelled = LabelledArray(
        CUBE[0], ("x", "y"), {"x": Coordinate(("x",), np.array(list("abcde")))}, {"unit": "V"}
    )
    counts = LabelledSparse(sp.csr_array(SPARSE), {"row": np.array(list("abcdefg"))})
    cases = {
        "zarr": (CUBE, np.ndarray),
        "npy": (CUBE, np.ndarray),
        "raw": (np.asfortranarray(CUBE), np.ndarray),
        "labels": (labelled, LabelledArray),
        "sparse": (counts, LabelledSparse),
        "tree": (tree, dict),
        "json": ({"a": [1, "ü", None], "b": {"c": 1.5}}, dict),
        "pickle": ({1, (2, "x")}, object),
    }
    got, assets = {}, []
    for name, (value, hint) in cases.items():
        assets.append(returned(name, value, "zarr" if name == "labels" else name))
        assets.append(loaded(name, hint, got))
    result = run(root, *assets)
    assert result.success
    back = {key.split("_", 2)[2]: value for key, value in got.items()}
    for name in ("zarr", "npy", "raw"):
        np.testing.assert_array_equal(back[name], CUBE)
    assert (back["labels"].attributes, list(back["labels"].labels("x"))) == (
        {"unit": "V"},
        list("abcde"),
    )
    assert list(back["sparse"].labels["row"]) == list("abcdefg")
    np.testing.assert_array_equal(back["sparse"].matrix.toarray(), SPARSE.toarray())
    np.testing.assert_array_equal(back["tree"]["below"]["y"], CUBE[0])
    assert back["tree"]["below"]["3"].shape == ()
    assert (back["json"], back["pickle"]) == (cases["json"][0], cases["pickle"][0])
    np.testing.assert_array_equal(read_raw(f"{root}/arrays/raw.raw"), CUBE)  # as cottoncandy does
    facts = {name: facts_of(result, name) for name in cases}
    for name, checksum in {"zarr": "sha256", "npy": "crc32c", "raw": "crc32c"}.items():
        assert (facts[name]["shape"], facts[name]["bytes"]) == ("(6, 5, 4)", CUBE.nbytes)
        assert facts[name]["checksum"].split()[0] == checksum
        assert facts[name]["stored_bytes"] > 0
        assert facts[name]["preview"].startswith("![preview](data:image/png;base64,")
        assert facts[name]["preview"].endswith("]]\n```")
    assert (facts["sparse"]["stored_values"], facts["sparse"]["labels"]) == (SPARSE.nnz, "row")
    assert facts["zarr"]["codec"] == "zstd(1) + crc32c"
    assert "`below`" in facts["tree"]["preview"]


def facts_of(result, name):
    (event,) = result.asset_materializations_for_node(f"arrays__{name}")
    return {key: entry.value for key, entry in event.metadata.items()}


def test_zarr_is_lazy_as_the_input_asks(place):
    hints = {da.Array: da.Array, zarr.Array: zarr.Array, np.ndarray: np.ndarray, object: da.Array}
    hints |= {np.ndarray | None: np.ndarray, Optional[zarr.Array]: zarr.Array}  # noqa: UP045 (the old spelling)
    got = {}
    made = returned("made", da.from_array(CUBE, chunks=3), "zarr")
    takers = [loaded("made", hint, got) for hint in hints]
    assert run(place, made, *takers).success
    for value, kind in zip(got.values(), hints.values(), strict=True):
        assert isinstance(value, kind)
        np.testing.assert_array_equal(np.asarray(value[...]), CUBE)


def test_zarr_versions_out_of_date_go(place):
    manager = alone(managers.ZarrIOManager, place, keep_versions=2, keep_days=0)
    for n in range(4):
        manager.write(place, CUBE + n)
    assert zarr_versions(place) == [3, 4]


def test_many_partitions_in_one_run_are_an_event_and_an_array_each(root):
    values = {key: CUBE + n for n, key in enumerate(KEYS)}
    got = {}

    @asset(key=["arrays", "as_zarr"], partitions_def=PARTS, io_manager_key="zarr")
    def as_zarr(context):
        return {key: values[key] for key in context.partition_keys}

    @asset(partitions_def=PARTS, io_manager_key="npy")
    def as_npy(as_zarr: dict[str, da.Array]):
        assert all(isinstance(value, da.Array) for value in as_zarr.values())
        return {key: value.compute() * 2 for key, value in as_zarr.items()}

    @asset(ins={"as_npy": AssetIn(partition_mapping=AllPartitionMapping())})
    def together(as_npy: dict[str, np.ndarray]) -> None:
        got.update(as_npy)

    result = run(root, as_zarr, as_npy, together, keys=KEYS)
    assert result.success
    for node in ("arrays__as_zarr", "as_npy"):
        events = result.asset_materializations_for_node(node)
        assert sorted(event.partition for event in events) == sorted(KEYS)
        assert len({event.metadata["dagster/uri"].value for event in events}) == len(KEYS)
        assert all(event.metadata["checksum"].value for event in events)
    assert set(got) == set(KEYS)
    for key, value in values.items():
        np.testing.assert_array_equal(got[key], value * 2)


def test_one_partition_is_the_value_itself(place):
    got = []

    @asset(key=["arrays", "made"], partitions_def=PARTS, io_manager_key="npy")
    def made():
        return CUBE

    @asset(partitions_def=PARTS, ins={"made": AssetIn(made.key)})
    def taker(made: np.ndarray) -> None:
        got.append(made)

    assert run(place, made, taker, keys=["a/b"]).success
    np.testing.assert_array_equal(got[0], CUBE)
    np.testing.assert_array_equal(read_npy(f"{place}/arrays/made/partition=a%2Fb.npy"), CUBE)


@pytest.mark.parametrize("hint", [dict, dict[str, np.ndarray], dict[str, np.ndarray] | None])
@pytest.mark.parametrize("keys", [KEYS[:1], KEYS[:2]], ids=len)
def test_an_input_that_is_a_dict_is_one_of_one_partition_as_well(place, hint, keys):
    got = []

    @asset(key=["arrays", "made"], partitions_def=PARTS, io_manager_key="npy")
    def made(context):
        return dict.fromkeys(context.partition_keys, CUBE)

    @asset(partitions_def=PARTS, ins={"made": AssetIn(made.key)})
    def taker(made: hint) -> None:
        got.append(set(made))

    assert run(place, made, taker, keys=keys).success
    assert got == [set(keys)]


def test_a_dict_with_the_key_of_its_one_partition_comes_back_whole(place):
    got = {}

    @asset(key=["arrays", "json"], partitions_def=PARTS, io_manager_key="json")
    def as_json():
        return {"a/b": {"x": 1}}

    @asset(partitions_def=PARTS, ins={"made": AssetIn(as_json.key)})
    def taker(made: dict) -> None:
        got.update(made)

    assert run(place, as_json, taker, keys=["a/b"]).success
    assert got == {"a/b": {"x": 1}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (CUBE, "ran for 3 partitions and returned one ndarray"),
        ({"a/b": CUBE}, "returned no value for partitions of this run"),
        (dict.fromkeys([*KEYS, "x"], CUBE), r"partitions that are not in this run: \['x'\]"),
    ],
)
def test_what_does_not_fit_the_partitions_of_a_run_is_refused(place, value, said):
    @asset(key=["arrays", "made"], partitions_def=PARTS, io_manager_key="npy")
    def made():
        return value

    with pytest.raises(DagsterInvariantViolationError, match=said):
        run(place, made, keys=KEYS)


@pytest.mark.parametrize("allow", [True, False])
def test_partitions_that_are_not_there_may_be_left_out(place, allow):
    alone(managers.NpyIOManager, place).write(f"{place}/arrays/made/partition=a", CUBE)
    got = []
    wanted = AssetIn(AssetKey(["arrays", "made"]), metadata={"allow_missing_partitions": allow})

    @asset(key=["arrays", "made"], partitions_def=PARTS, io_manager_key="npy")
    def made() -> None:
        """Wrote for itself."""

    @asset(partitions_def=PARTS, ins={"made": wanted})
    def taker(made: dict[str, np.ndarray]) -> None:
        got.append(set(made))

    if allow:
        assert run(place, made, taker, keys=["a", "b"]).success
        assert got == [{"a"}]
    else:
        with pytest.raises(MissingObjectError):
            run(place, made, taker, keys=["a", "b"])


def test_the_manager_that_chooses_takes_zarr_for_lazy_and_large_arrays(place, monkeypatch):
    manager, url = alone(managers.ArrayIOManager, place), f"{place}/arrays/made"
    assert manager.write(url, CUBE)["format"] == "npy"
    np.testing.assert_array_equal(manager.read(url, None), CUBE)
    assert manager.write(url, da.from_array(CUBE + 1))["format"] == "zarr"
    assert open_store(f"{place}/arrays").head("made.npy") is None
    monkeypatch.setattr(managers, "_LARGE_BYTES", 100)
    assert manager.write(url, CUBE + 2)["format"] == "zarr"
    np.testing.assert_array_equal(read_zarr(url), CUBE + 2)
    manager.write(url, CUBE[0, 0])
    assert not is_zarr(url)
    back = manager.read(url, da.Array)
    assert isinstance(back, da.Array)
    np.testing.assert_array_equal(back.compute(), CUBE[0, 0])


@pytest.mark.parametrize("form", [sp.coo_array, sp.coo_matrix])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_every_kind_of_sparse_matrix_and_array_comes_back_as_it_was(place, kind, form):
    manager, value = alone(managers.SparseIOManager, place), form(SPARSE).asformat(kind)
    manager.write(f"{place}/x", value)
    back = manager.read(f"{place}/x", None)
    assert type(back) is type(value)
    np.testing.assert_array_equal(back.toarray(), value.toarray())


def test_a_tree_is_its_leaves_without_those_that_are_gone_and_assets_below_it(place):
    manager = alone(managers.TreeIOManager, place)
    manager.write(f"{place}/x", {"x": CUBE, "y": CUBE})
    alone(managers.RawArrayIOManager, place).write(f"{place}/x/below", CUBE)
    manager.write(f"{place}/x/tree", {"x": CUBE})
    manager.write(f"{place}/x", {"x": CUBE + 1})
    assert set(manager.read(f"{place}/x", None)) == {"x"}


class Surprise:
    def __reduce__(self):
        return (print, ("ran",))


def test_pickles_exist_only_where_they_are_allowed_and_then_run_nothing(place, capsys):
    refusing = alone(managers.PickleIOManager, place)
    allowed = alone(managers.PickleIOManager, place, allow_pickle=True)
    with pytest.raises(SettingsError, match="allow_pickle=True"):
        refusing.write(f"{place}/x", {1, 2})
    allowed.write(f"{place}/x", {1, 2})
    with pytest.raises(UnsafeDataError, match="pickle"):
        refusing.read(f"{place}/x", None)
    allowed.write(f"{place}/x", Surprise())
    with pytest.raises(UnsafeDataError, match="print"):
        allowed.read(f"{place}/x", None)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (managers.NpyIOManager, np.ma.masked_array([1, 2], [0, 1]), "mask"),
        (managers.RawArrayIOManager, da.ma.masked_array(da.ones(2), mask=[0, 1]), "mask"),
        (managers.ZarrIOManager, np.array([None], object), "Python objects"),
        (managers.NpyIOManager, {"a": 1}, "return an array, or give the asset another"),
        (managers.ZarrIOManager, SPARSE, "array_sparse"),
        (managers.TreeIOManager, CUBE, "array_tree"),
        (managers.JsonIOManager, {"a": CUBE}, "JSON"),
    ],
)
def test_what_a_manager_cannot_keep_is_refused_by_name(place, kind, value, said):
    with pytest.raises((SettingsError, DagsterInvariantViolationError), match=said):
        alone(kind, place).write(f"{place}/x", value)
    assert open_store(place).head("x") is None


def test_a_manager_without_the_extra_says_how_to_get_it(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "lake_assets.arrays.zarr_store", None)  # cannot be imported
    with pytest.raises(MissingExtraError, match=r"pip install 'lake_assets\[arrays\]'"):
        run(place, returned("made", CUBE, "zarr"))
