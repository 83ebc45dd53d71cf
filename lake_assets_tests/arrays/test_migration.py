"""Migration: every format, verified, resumed, with bad objects named; the command over it."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from lake_assets.arrays import (
    browse,
    describe,
    migrate,
    migration,
    read_any,
    read_metadata,
    same,
    write_json,
    write_npy,
    write_sparse,
    write_zarr,
)
from lake_assets.arrays.place import place_of
from lake_assets.errors import MissingObjectError, SettingsError
from lake_assets_tests.arrays import cottoncandy

ARRAY = np.arange(60, dtype="<f4").reshape(3, 20)


@pytest.fixture
def source(tmp_path) -> str:
    url = str(tmp_path / "source")
    cottoncandy.raw(f"{url}/x/plain", ARRAY, subject="s1")
    cottoncandy.raw(f"{url}/x/read_only", ARRAY, "False", order="F")
    cottoncandy.dask_folder(f"{url}/chunks", ARRAY, 7)
    csr = sp.csr_matrix(np.eye(3))
    parts = {name: getattr(csr, name) for name in ("data", "indices", "indptr")}
    cottoncandy.sparse_folder(f"{url}/sparse", "csr", parts, (3, 3))
    cottoncandy.put(f"{url}/doc.json", b'{"a": 1}')
    cottoncandy.put(f"{url}/movie", b"\x00\x01")
    return url


def listing(url: str) -> list:
    place = place_of(url)
    return list(place.objects.store.list(place.prefix))


@pytest.mark.parametrize("to_format", ["zarr", "npy"])
def test_a_tree_is_rewritten_and_a_rerun_writes_nothing(source, tmp_path, to_format):
    target = str(tmp_path / "target")
    before = listing(source)
    planned = migrate(source, target, to_format=to_format, dry_run=True)
    assert planned.count("planned") == 6
    assert listing(target) == []
    done = migrate(source, target, to_format=to_format)
    assert done.ok
    assert (done.count("migrated"), done.count("skipped")) == (5, 1)
    by_name = {item.source[len(source) + 1 :]: item for item in done.items}
    for name in ("x/plain", "x/read_only", "chunks"):
        back = np.asarray(read_any(by_name[name].target))
        assert back.dtype == ARRAY.dtype
        assert np.array_equal(back, ARRAY)
    assert np.array_equal(read_any(by_name["sparse"].target).toarray(), np.eye(3))
    assert read_any(by_name["doc.json"].target) == {"a": 1}
    assert by_name["movie"].reason == "it is no array and no JSON"
    if to_format == "npy":
        assert read_metadata(by_name["x/plain"].target) == {"subject": "s1"}
    held = listing(target)
    again = migrate(source, target, to_format=to_format)
    assert (again.count("unchanged"), again.count("skipped")) == (5, 1)
    assert [item.shape for item in again.items] == [item.shape for item in done.items]
    assert listing(target) == held
    assert listing(source) == before
    assert json.loads(json.dumps(again.as_dict()))["counts"]["unchanged"] == 5


def test_bad_objects_are_named_and_the_rest_goes_on(source, tmp_path, caplog):
    cottoncandy.put(f"{source}/evil", b"x", {"dtype": "O", "shape": "1", "compression": "False"})
    cottoncandy.put(f"{source}/long", bytes(9), {"dtype": "<f8", "shape": "1", "gzip": "False"})
    cottoncandy.put(f"{source}/p.pkl", b"\x80\x04N.")
    done = migrate(source, str(tmp_path / "target"), to_format="npy")
    assert not done.ok
    names = {item.source.rpartition("/")[2]: item.reason for item in done.failed}
    assert set(names) == {"evil", "long", "p.pkl"}
    assert "Python objects" in names["evil"]
    assert "9 bytes" in names["long"]
    assert "is a pickle" in names["p.pkl"]
    assert done.count("migrated") == 5
    assert "evil was not migrated" in caplog.text


def test_it_goes_on_where_it_was_killed_and_copies_anew_what_changed(source, tmp_path, monkeypatch):
    target = str(tmp_path / "target")

    def killed(item):
        if item.source.endswith("x/plain"):
            raise KeyboardInterrupt

    from lake_assets.arrays import migration

    monkeypatch.setattr(migration, "_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, to_format="npy", seen=killed)
    again = migrate(source, target, to_format="npy")
    assert again.count("unchanged") == 4
    assert again.count("migrated") == 1
    cottoncandy.raw(f"{source}/x/plain", ARRAY + 1)
    changed = migrate(source, target, to_format="npy")
    assert [item.source for item in changed.items if item.status == "migrated"] == [
        f"{source}/x/plain"
    ]
    assert np.array_equal(read_any(f"{target}/x/plain.npy"), ARRAY + 1)
    place = place_of(f"{target}/x/plain.npy")
    place.objects.store.delete(place.key)
    assert migrate(source, target, to_format="npy").count("migrated") == 1


def test_a_copy_that_is_not_its_source_is_a_failure(source, tmp_path, monkeypatch):
    read = same.read_npy
    monkeypatch.setattr(same, "read_npy", lambda url: read(url) + 1)
    done = migrate(source, str(tmp_path / "target"), to_format="npy")
    assert {item.source.rpartition("/")[2] for item in done.failed} == {
        "plain",
        "read_only",
        "chunks",
    }
    assert all("is not its source" in (item.reason or "") for item in done.failed)
    monkeypatch.undo()
    assert migrate(source, str(tmp_path / "target"), to_format="npy").count("migrated") == 3


def test_two_sources_never_share_a_target(tmp_path):
    source = str(tmp_path / "source")
    for name in ("a", "a.npy"):
        cottoncandy.raw(f"{source}/{name}", ARRAY)
    done = migrate(source, str(tmp_path / "target"), to_format="npy")
    assert [item.status for item in done.items] == ["migrated", "failed"]
    assert "rename one of them" in (done.items[1].reason or "")


@pytest.mark.parametrize("to_format", ["zarr", "npy"])
def test_a_target_of_another_source_is_refused_and_a_copy_that_was_replaced_is_made_anew(
    tmp_path, to_format
):
    first, second, target = (str(tmp_path / name) for name in ("first", "second", "target"))
    cottoncandy.raw(f"{first}/a", ARRAY)
    cottoncandy.raw(f"{second}/a", ARRAY + 1)
    cottoncandy.raw(f"{second}/a.npy/b", ARRAY + 1)
    cottoncandy.raw(f"{second}/other", ARRAY)
    (item,) = migrate(first, target, to_format=to_format).items
    by_name = {
        item.source.removeprefix(second): item
        for item in migrate(second, target, to_format=to_format).items
    }
    clash = {"/a"} | ({"/a.npy/b"} if to_format == "npy" else set())
    assert {name for name, item in by_name.items() if item.status == "failed"} == clash
    assert f"{first}/a" in (by_name["/a"].reason or "")
    assert np.array_equal(np.asarray(read_any(item.target)), ARRAY)
    write = {"zarr": write_zarr, "npy": write_npy}[to_format]
    write(item.target, ARRAY + 5)
    assert migrate(first, target, to_format=to_format).count("migrated") == 1
    assert np.array_equal(np.asarray(read_any(item.target)), ARRAY)


def test_the_records_of_a_migration_are_no_part_of_the_tree(source, tmp_path):
    target = str(tmp_path / "target")
    migrate(source, target, to_format="npy")
    assert set(read_any(target)) == {"x", "chunks.npy", "sparse.npz", "doc.json"}
    assert set(read_any(str(tmp_path))["target"]) == set(read_any(target))


def test_one_array_alone_is_migrated(source, tmp_path):
    for name in ("x/plain", "chunks"):
        done = migrate(f"{source}/{name}", str(tmp_path / "one"), to_format="npy")
        assert [item.status for item in done.items] == ["migrated"]


@pytest.mark.parametrize("to_format", ["zarr", "npy"])
def test_what_shows_to_be_sparse_when_it_is_read_has_one_ending(tmp_path, to_format):
    write_sparse(f"{tmp_path}/in/a", sp.eye_array(3))
    write_sparse(f"{tmp_path}/in/b.npz", sp.eye_array(3))
    done = migrate(f"{tmp_path}/in", f"{tmp_path}/out", to_format=to_format)
    assert [item.target for item in done.items] == [f"{tmp_path}/out/{n}.npz" for n in "ab"]
    again = migrate(f"{tmp_path}/in", f"{tmp_path}/out", to_format=to_format)
    assert again.count("unchanged") == 2


def test_an_object_and_what_lies_below_its_name_are_both_migrated(bucket, tmp_path):
    cottoncandy.raw(f"s3://{bucket}/x", ARRAY)
    cottoncandy.raw(f"s3://{bucket}/x/y", ARRAY + 1)
    cottoncandy.raw(f"s3://{bucket}/x2", ARRAY)

    def sources(url, name, to_format):
        done = migrate(url, f"{tmp_path}/{name}", to_format=to_format)
        return {item.source.removeprefix(f"s3://{bucket}/"): item.status for item in done.items}

    both = {"x": "migrated", "x/y": "migrated"}
    assert sources(f"s3://{bucket}/x", "npy", "npy") == both
    assert sources(f"s3://{bucket}/x", "zarr", "zarr") == {**both, "x/y": "failed"}  # named
    assert sources(f"s3://{bucket}/x/", "folder", "zarr") == {"x/y": "migrated"}


def test_places_in_each_other_and_empty_ones_are_refused(source, tmp_path):
    for first, second in ((source, f"{source}/x"), (f"{source}/x", source), (source, source)):
        with pytest.raises(SettingsError, match="lie in each other"):
            migrate(first, second)
    with pytest.raises(MissingObjectError, match="nothing at"):
        migrate(f"{source}/nothing", str(tmp_path / "t"))


@pytest.mark.parametrize("error", [OverflowError("absurd"), RuntimeError("codec")])
def test_whatever_one_bad_object_raises_is_its_own_failure(source, tmp_path, monkeypatch, error):
    read = migration.read_node

    def failing(place, node, reading):
        if node.path == "x/plain":
            raise error
        return read(place, node, reading)

    monkeypatch.setattr(migration, "read_node", failing)
    done = migrate(source, str(tmp_path / "target"), to_format="npy")
    assert [item.reason for item in done.failed] == [f"{type(error).__name__}: {error}"]
    assert done.count("migrated") == 4


def test_an_object_of_an_absurd_shape_does_not_end_the_migration(source, tmp_path):
    said = {"dtype": "<f8", "shape": f"{2**62},{2**62}", "compression": "False", "order": "C"}
    cottoncandy.put(f"{source}/absurd", b"12345678", said)
    done = migrate(source, str(tmp_path / "target"), to_format="npy")
    assert [item.source for item in done.failed] == [f"{source}/absurd"]
    assert done.failed[0].reason
    assert done.count("migrated") == 5


def test_one_damaged_object_is_a_line_of_the_listing(source):
    write_json(f"{source}/damaged", {"a": 1}, metadata={"who": "me"})
    place = place_of(f"{source}/damaged")
    place.objects.store.put(place.key, b'{"a": 2}')
    lines = {item.url[len(source) + 1 :]: item.kind for item in describe(source)}
    assert lines["damaged"].startswith("broken: ")
    assert "checksum" in lines["damaged"]
    assert lines["x/plain"] == "raw"
    assert "plain" in repr(browse(f"{source}/x"))
    assert "damaged" in repr(browse(source))


@pytest.mark.parametrize("to_format", ["zarr", "npy"])
def test_a_migration_into_or_around_the_target_of_another_one_takes_none_of_its_copies(
    tmp_path, to_format
):
    first, second, target = (str(tmp_path / name) for name in ("first", "second", "target"))
    cottoncandy.raw(f"{first}/sub/a", ARRAY)
    cottoncandy.raw(f"{second}/a", ARRAY + 1)
    cottoncandy.raw(f"{second}/b", ARRAY + 1)
    (whole,) = migrate(first, target, to_format=to_format).items
    inner = {i.source[-1]: i for i in migrate(second, f"{target}/sub", to_format=to_format).items}
    assert (inner["a"].status, inner["b"].status) == ("failed", "migrated")
    assert f"{first}/sub/a" in inner["a"].reason
    assert "give another target" in inner["a"].reason
    assert np.array_equal(np.asarray(read_any(whole.target)), ARRAY)
    cottoncandy.raw(f"{first}/sub/b", ARRAY)
    outer = {i.source[-1]: i for i in migrate(first, target, to_format=to_format).items}
    assert (outer["a"].status, outer["b"].status) == ("unchanged", "failed")
    assert f"{second}/b" in outer["b"].reason
    assert np.array_equal(np.asarray(read_any(inner["b"].target)), ARRAY + 1)
    again = migrate(f"{first}/sub", f"{target}/sub", to_format=to_format)  # the same sources
    assert [item.status for item in again.items] == ["migrated", "failed"]


def test_a_target_that_shows_when_an_object_is_read_is_one_of_all(tmp_path):
    source, target = str(tmp_path / "source"), str(tmp_path / "target")
    write_sparse(f"{source}/b", sp.csr_array(np.eye(3)))
    write_sparse(f"{source}/b.npz", sp.csr_array(np.eye(4)))
    done = {item.source[len(source) + 1 :]: item for item in migrate(source, target).items}
    assert (done["b"].status, done["b.npz"].status) == ("failed", "migrated")
    assert "rename one of them" in done["b"].reason
    assert read_any(done["b.npz"].target).shape == (4, 4)


@pytest.mark.parametrize("body", [b'{"source": "x', b"[]", b'{"status": "migrated"}', b""])
def test_a_record_that_is_damaged_is_named_and_the_rest_goes_on(tmp_path, body):
    first, second, target = (str(tmp_path / name) for name in ("first", "second", "target"))
    cottoncandy.raw(f"{first}/a", ARRAY)
    cottoncandy.raw(f"{second}/a", ARRAY + 1)
    cottoncandy.raw(f"{second}/b", ARRAY + 1)
    (whole,) = migrate(first, target, to_format="npy").items
    place = place_of(f"{target}/_migration")
    (record,) = listing(place.url)
    place.objects.store.put(record.key, body)
    done = migrate(second, target, to_format="npy")
    by_name = {item.source.rpartition("/")[2][-6:]: item for item in done.items}
    assert {name: item.status for name, item in by_name.items()} == {
        "a": "failed", "b": "migrated", "a.json": "failed",
    }  # fmt: skip
    assert "remove it" in by_name["a.json"].reason
    assert record.key in by_name["a"].reason
    assert np.array_equal(read_any(whole.target), ARRAY)
    # Of the source itself it is made anew.
    assert migrate(first, target, to_format="npy").count("migrated") == 1
    assert migrate(first, target, to_format="npy").count("unchanged") == 1
