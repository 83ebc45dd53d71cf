"""The arrays of the graph, made of generated exports: stored, labelled, checked and drawn."""

import dagster as dg
import numpy as np
import polars as pl
import pytest

from lake_assets.arrays.dense import write_raw
from lake_assets.arrays.labelled_sparse import read_labelled_sparse
from lake_assets.arrays.zarr_store import open_labelled, read_zarr
from lake_assets.definitions import build_definitions
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import run_datamart, scan_table
from lake_assets.s3 import open_store
from lake_assets_tests.factories import export_files, flipped_byte, put_folder
from lake_assets_tests.graph.line import NESTED_RESOURCE, QUIET

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)

TABLES = {"model_snapshot": 40, "predictor_snapshot": 200, "contingency_table": 16}
KEYS = [
    dg.AssetKey(["arrays", "datamart", n]) for n in ("auc_history", "contingency", "predictor_bins")
]


@pytest.fixture
def lake(tmp_path):
    """A lake with some rows in the tables that arrays are made of."""
    exports = tmp_path / "exports"
    for table, n in TABLES.items():
        put_folder(exports, export_files(table, n))
    made = LakeResource(root=str(tmp_path / "lake"), exports=str(exports))
    run_datamart(made.open(), tables=list(TABLES))
    return made


def run(lake, instance, keys, **config):
    job = build_definitions(lake).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=keys, run_config={**QUIET, **config}
    )


def checked(lake, instance, key):
    """The checks of an array, without making it again."""
    checks = dg.AssetSelection.checks_for_assets(key)
    graph = build_definitions(lake)
    job = dg.Definitions(
        assets=graph.assets,
        asset_checks=graph.asset_checks,
        resources=graph.resources,
        jobs=[dg.define_asset_job("checks", selection=checks)],
    ).resolve_job_def("checks")
    return job.execute_in_process(instance=instance, run_config=QUIET).get_asset_check_evaluations()


def test_arrays_follow_their_tables(lake):
    root, specs = lake.open().root.url, {spec.name: spec for spec in lake.open().tables}
    rows = {name: scan_table(root, specs[name]).collect() for name in TABLES}
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(lake, instance, KEYS)
        assert result.success
        assert {check.check_name for check in result.get_asset_check_evaluations()} == {
            "stored_whole"
        }
        assert all(check.passed for check in result.get_asset_check_evaluations())
        events = {
            e.asset_key.path[-1]: e.materialization
            for e in result.get_asset_materialization_events()
        }
        before = [(info.key, info.etag) for info in open_store(root).list("arrays/datamart/")]
        again = run(lake, instance, KEYS[2:])
        assert {e.materialization.metadata["status"].value
                for e in again.get_asset_materialization_events()} == {"unchanged"}  # fmt: skip
        assert [
            (info.key, info.etag) for info in open_store(root).list("arrays/datamart/")
        ] == before
        damaged = next(key for key, _ in before if "auc_history" in key and "values/c/" in key)
        open_store(root).put(damaged, flipped_byte(open_store(root).get(damaged), at=5))
        (failed,) = checked(lake, instance, KEYS[0])
        assert not failed.passed
        assert damaged.rpartition("_data")[2] in failed.metadata["problems"].value
    bins = open_labelled(f"{root}/arrays/datamart/predictor_bins")
    total = rows["predictor_snapshot"].select(pl.col("pyBinPositives", "pyBinNegatives").sum())
    assert np.nansum(np.asarray(bins.values), axis=(0, 1, 2, 3)).tolist() == list(total.row(0))
    counts = read_labelled_sparse(f"{root}/arrays/datamart/contingency.npz")
    assert counts.matrix.sum() == rows["contingency_table"]["pyCount"].sum()
    for name, plots in {
        "auc_history": ("auc_over_time", "performance"),
        "predictor_bins": ("binning",),
    }.items():
        for plot in plots:
            picture = events[name].metadata[plot]
            assert isinstance(picture, dg.MarkdownMetadataValue)
            assert picture.value.startswith("![")
            assert "](data:image/png;base64,iVBOR" in picture.value


def test_a_tree_of_cottoncandy_is_migrated_by_config_and_a_bad_object_is_named(tmp_path):
    lake = LakeResource(root=str(tmp_path / "lake"))
    values, old = np.arange(12.0).reshape(3, 4), tmp_path / "old"
    write_raw(str(old / "eeg" / "a"), values)
    write_raw(str(old / "eeg" / "b"), values)
    body = (old / "eeg" / "b").read_bytes()
    (old / "eeg" / "b").write_bytes(flipped_byte(body))
    key = dg.AssetKey(["arrays", "cottoncandy", "migrated"])
    config = {"ops": {"arrays__cottoncandy__migrated": {"config": {"source": str(old)}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        idle = run(lake, instance, [key])
        done = run(lake, instance, [key], **config)
    (event,) = idle.get_asset_materialization_events()
    assert event.materialization.metadata["status"].value == "no source is configured"
    (event,) = done.get_asset_materialization_events()
    facts = {name: entry.value for name, entry in event.materialization.metadata.items()}
    assert (facts["migrated"], facts["failed"]) == (1, 1)
    # All of the source's address: two sources of one name do not share a target.
    assert facts["dagster/uri"] == f"{lake.root}/arrays/migrated/_folder{old}"
    (check,) = done.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "eeg/b" in check.metadata["failed"].value
    np.testing.assert_array_equal(read_zarr(f"{facts['dagster/uri']}/eeg/a"), values)
