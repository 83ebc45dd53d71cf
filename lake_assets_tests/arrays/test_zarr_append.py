"""Versions of zarr arrays: appended to, cut anew, labelled, cleaned; older ones stay readable."""

import tracemalloc
import warnings
from datetime import timedelta

import dask.array as da
import numpy as np
import pytest
import zarr

from lake_assets.arrays import zarr_versions as versions_module
from lake_assets.arrays import zarr_write
from lake_assets.arrays.labelled import Coordinate, LabelledArray
from lake_assets.arrays.zarr_append import append_zarr, rechunk_zarr
from lake_assets.arrays.zarr_grid import Layout
from lake_assets.arrays.zarr_store import open_labelled, open_zarr, read_zarr, write_zarr
from lake_assets.arrays.zarr_verify import verify_zarr
from lake_assets.arrays.zarr_versions import clean_zarr, zarr_version, zarr_versions
from lake_assets.errors import PublishConflictError, SettingsError
from lake_assets.s3 import open_store
from lake_assets_tests.arrays.cuts import BOTH, ROWS, SMALL


def layers(url):
    """Folders of data, whatever refers to them."""
    keys = [info.key.split("/") for info in open_store(url).list("_data/")]
    return {key[1].removesuffix(".objects.json") for key in keys}


@BOTH
@pytest.mark.parametrize("axis", [0, -1])
def test_an_append_adds_a_layer_and_copies_nothing(place, layout, axis):
    url = place
    write_zarr(url, ROWS, layout=layout)
    before = {info.key: info.etag for info in open_store(url).list()}
    more = ROWS[:7] if axis == 0 else da.from_array(ROWS[:, :9], chunks=5)
    appended = append_zarr(url, more, axis=axis)
    whole = np.concatenate([ROWS, np.asarray(more)], axis=axis)
    np.testing.assert_array_equal(read_zarr(url), whole)
    np.testing.assert_array_equal(open_zarr(url).compute(), whole)
    np.testing.assert_array_equal(read_zarr(url, version=1), ROWS)
    assert {info.key: info.etag for info in open_store(url).list()}.items() >= before.items()
    assert appended.layers[1].n_objects < appended.layers[0].n_objects
    assert verify_zarr(url).ok


@pytest.mark.parametrize(
    ("first", "layout", "chunks"),
    [
        (ROWS[:1], Layout(chunks=(25, 30)), (25, 30)),
        (ROWS[:0], Layout(axis=0, chunk_bytes=25 * 30 * 8), (24, 30)),
    ],
    ids=["chunks longer than the array", "an empty array"],
)
def test_an_array_that_begins_short_is_cut_for_what_will_be_appended(place, first, layout, chunks):
    made = write_zarr(place, first, layout=layout)
    assert made.chunks == chunks
    for row in ROWS[len(first) : 28]:
        made = append_zarr(place, row[None])
    assert made.grid.n_objects == 2
    np.testing.assert_array_equal(read_zarr(place), ROWS[:28])
    np.testing.assert_array_equal(open_zarr(place).compute(), ROWS[:28])
    assert verify_zarr(place).ok


def test_appends_along_both_axes_then_cut_anew(place):
    write_zarr(place, ROWS, layout=SMALL)
    append_zarr(place, ROWS[:3], axis=0)
    append_zarr(place, np.ones((43, 5)), axis=1)
    append_zarr(place, np.full((2, 35), 7.0), axis=0)
    whole = np.vstack(
        [np.hstack([np.vstack([ROWS, ROWS[:3]]), np.ones((43, 5))]), np.full((2, 35), 7)]
    )
    np.testing.assert_array_equal(read_zarr(place), whole)
    assert verify_zarr(place).ok
    assert append_zarr(place, np.ones((0, 35))).number == 4
    cut = rechunk_zarr(place, Layout(axis=1, chunk_bytes=800))
    assert (cut.number, cut.chunks, len(cut.layers)) == (5, (45, 2), 1)
    np.testing.assert_array_equal(read_zarr(place), whole)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (np.ones((3, 31)), r"shape \(3, 31\) does not continue \(40, 30\)"),
        (np.ones((3, 30), "f4"), "dtype float32 does not continue float64"),
        (np.ones(30), "does not continue"),
    ],
)
def test_an_append_that_does_not_continue_the_array_is_refused(place, more, said):
    write_zarr(place, ROWS)
    with pytest.raises(SettingsError, match=said):
        append_zarr(place, more)
    assert zarr_versions(place) == [1]


def labelled(n, first=0):
    return LabelledArray(
        ROWS[first : first + n, :3],
        ("model", "bin"),
        {
            "model": Coordinate(("model",), np.array([f"m{i}" for i in range(first, first + n)])),
            "bin_label": Coordinate(("model", "bin"), np.full((n, 3), "[0, 1>")),
            "bin": Coordinate(("bin",), np.arange(3)),
        },
        {"table": "datamart.x"},
    )


def test_labels_are_stored_with_the_array_and_grow_with_it(place):
    write_zarr(place, labelled(4))
    append_zarr(place, labelled(3, first=4))
    back = open_labelled(place)
    np.testing.assert_array_equal(back.values.compute(), ROWS[:7, :3])
    assert (back.dims, back.attributes) == (("model", "bin"), {"table": "datamart.x"})
    assert list(back.labels("model")) == [f"m{i}" for i in range(7)]
    assert back.labels("bin_label").shape == (7, 3)
    assert len(open_labelled(place, version=1).labels("model")) == 4
    with pytest.raises(SettingsError, match="labels 'model' along 'model' end"):
        append_zarr(place, ROWS[:2, :3])
    assert verify_zarr(place).ok


def test_an_append_of_axes_in_another_order_is_refused(place):
    write_zarr(place, LabelledArray(ROWS[:3, :3], ("model", "bin")))
    turned = LabelledArray(ROWS[3:6, :3].T, ("bin", "model"))
    with pytest.raises(
        SettingsError, match=r"\('bin', 'model'\) do not continue \('model', 'bin'\)"
    ):
        append_zarr(place, turned)
    assert append_zarr(place, ROWS[3:6, :3]).shape == (6, 3)  # one without names is taken


def test_a_version_of_one_layer_is_a_plain_zarr_group(place):
    version = write_zarr(place, labelled(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
        group = zarr.open_group(f"{place}/{version.layers[0].data}", mode="r")
        assert sorted(group.array_keys()) == ["bin", "bin_label", "model", "values"]
        assert group["values"].metadata.dimension_names == ("model", "bin")
        np.testing.assert_array_equal(group["values"][...], ROWS[:4, :3])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="do not name each axis"):
        LabelledArray(ROWS, ("x",))
    with pytest.raises(SettingsError, match="'y' of shape"):
        LabelledArray(ROWS, ("x", "y"), {"y": Coordinate(("y",), np.arange(3))})
    with pytest.raises(SettingsError, match="cannot name"):
        LabelledArray(ROWS, ("x", "y"), {"../x": Coordinate(("x",), np.arange(40))})


def test_an_append_loses_against_a_faster_writer_and_leaves_nothing(place, monkeypatch):
    from lake_assets.arrays import zarr_append

    write_zarr(place, ROWS)
    made = zarr_append.make_version

    def late(new, values, **more):
        write_zarr(place, ROWS + 1)  # another writer, right before
        return made(new, values, **more)

    monkeypatch.setattr(zarr_append, "make_version", late)
    with pytest.raises(
        PublishConflictError, match="version 2 now, and this was made from version 1"
    ):
        append_zarr(place, ROWS[:3])
    np.testing.assert_array_equal(read_zarr(place), ROWS + 1)
    assert len(layers(place)) == 2


def test_old_versions_and_orphaned_data_are_cleaned_and_what_is_needed_stays(url, monkeypatch):
    write_zarr(url, ROWS, layout=SMALL)
    append_zarr(url, ROWS[:3])
    write_zarr(url, -ROWS, layout=SMALL)
    append_zarr(url, ROWS[:3])
    open_store(url).put("_data/killed/values/c/0/0", b"x")
    assert clean_zarr(url).objects == 0  # all of it is young
    done = clean_zarr(url, keep=1, keep_for=timedelta(0))
    assert done.versions == (1, 2, 3)
    assert done.freed_bytes > 0
    np.testing.assert_array_equal(read_zarr(url), np.vstack([-ROWS, ROWS[:3]]))
    assert verify_zarr(url).ok
    assert len(layers(url)) == 3  # whoever writes without a version has a day
    monkeypatch.setattr(versions_module, "_ABANDONED", timedelta(0))
    assert clean_zarr(url, keep_for=timedelta(0)).objects == 1
    assert len(layers(url)) == 2
    assert zarr_version(url).number == 4
    assert write_zarr(url, ROWS).number == 5  # numbers never come twice


def test_an_append_behind_chunks_that_are_not_full_never_holds_all_of_them(place, monkeypatch):
    old = np.zeros((63, 2**16))
    write_zarr(place, old, layout=Layout(chunks=(64, 1024)))
    added = np.ones((2, 2**16))
    monkeypatch.setattr(zarr_write, "_REGION_BYTES", 2**20)
    tracemalloc.start()
    try:
        append_zarr(place, added)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < old.nbytes
    np.testing.assert_array_equal(
        read_zarr(place)[62:, ::999], np.vstack([old[:1], added])[:, ::999]
    )


def test_a_stored_array_is_appended_block_by_block_along_any_axis(place, tmp_path):
    write_zarr(place, ROWS, layout=SMALL)
    more = zarr.create_array(str(tmp_path / "more"), data=ROWS[:, :25].astype(">f8"))
    append_zarr(place, more, axis=1)
    np.testing.assert_array_equal(read_zarr(place), np.hstack([ROWS, ROWS[:, :25]]))
    assert verify_zarr(place).ok
