"""Chunked arrays that grow and are cut anew: parts stay, and no two writers lose each other's."""

from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest

from lake_assets.arrays import (
    Cut,
    append_chunked,
    chunked_write,
    open_chunked,
    read_chunked,
    read_metadata,
    rechunk_chunked,
    write_chunked,
)
from lake_assets.arrays.place import place_of
from lake_assets.errors import MissingObjectError, PublishConflictError, SettingsError
from lake_assets_tests.arrays import cottoncandy

ROWS = np.random.default_rng(2).standard_normal((30, 40)).astype("<f4")


def parts(url: str) -> dict[str, str]:
    place = place_of(url)
    found = {i.key[len(place.prefix) :]: i.etag for i in place.objects.store.list(place.prefix)}
    return {name: etag for name, etag in found.items() if not name.startswith("metadata.json")}


@pytest.mark.parametrize("axis", [0, -1])
def test_an_append_adds_parts_and_leaves_those_that_are_there(root, axis):
    url = f"{root}/a"
    write_chunked(url, ROWS, chunks=Cut(None, 900), metadata={"who": "Zoë"})
    before, opened = parts(url), open_chunked(url)
    more = ROWS[:7].astype(">f4") if axis == 0 else da.from_array(ROWS[:, :9], chunks=4) + 0
    written = append_chunked(url, more, axis=axis)
    whole = np.concatenate([ROWS, np.asarray(more)], axis=axis)
    assert (written.shape, written.dtype) == (whole.shape, "float32")
    assert np.array_equal(read_chunked(url), whole)
    assert np.array_equal(open_chunked(url)[25:, 35:].compute(), whole[25:, 35:])
    assert parts(url).items() > before.items()
    assert np.array_equal(opened.compute(), ROWS)
    assert read_metadata(f"{url}/metadata.json") == {"who": "Zoë"}


def test_parts_of_an_append_are_as_long_and_as_plain_as_those_that_are_there(folder):
    write_chunked(folder, ROWS, chunks=((7, 7, 7, 7, 2), (40,)), compression=False)
    append_chunked(folder, ROWS, axis=0)
    assert open_chunked(folder).chunks == ((7, 7, 7, 7, 2, 7, 7, 7, 7, 2), (40,))
    assert append_chunked(folder, ROWS[:6], axis=0, n_along=4).codec is None
    assert open_chunked(folder).chunks[0][-2:] == (4, 2)
    before = parts(folder)
    assert append_chunked(folder, ROWS[:0], axis=0).shape == (66, 40)
    assert parts(folder) == before


def test_folders_of_cottoncandy_and_empty_arrays_are_appended_to(folder):
    cottoncandy.dask_folder(f"{folder}/old", ROWS, 11)
    append_chunked(f"{folder}/old", ROWS)
    assert np.array_equal(read_chunked(f"{folder}/old"), np.hstack([ROWS, ROWS]))
    write_chunked(f"{folder}/empty", ROWS[:0])
    append_chunked(f"{folder}/empty", ROWS, axis=0)
    assert np.array_equal(read_chunked(f"{folder}/empty"), ROWS)


def test_an_array_is_cut_anew_and_old_parts_go(root):
    url = f"{root}/a"
    write_chunked(url, ROWS, chunks=Cut(0, 400), metadata={"who": "me"})
    written = rechunk_chunked(url, Cut(1, 2000), compression=False)
    assert open_chunked(url).chunks[0] == (30,)
    assert np.array_equal(read_chunked(url), ROWS)
    assert (written.codec, len(parts(url)) if "s3" in url else written.n_objects - 1) == (
        None,
        written.n_objects - 1,
    )
    assert read_metadata(f"{url}/metadata.json") == {"who": "me"}


def test_of_appends_at_once_none_is_lost_and_none_is_there_twice(root):
    url = f"{root}/a"
    write_chunked(url, ROWS)

    def append(n: int) -> bool:
        try:
            append_chunked(url, np.full((3, 40), float(n), "f4"), axis=0)
        except PublishConflictError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(append, range(3)))
    rows = read_chunked(url)[30:, 0]
    assert won.count(True) >= 1
    assert sorted(rows) == sorted(n for n, is_in in enumerate(won) if is_in for _ in range(3))


@pytest.mark.parametrize("change", [append_chunked, rechunk_chunked])
def test_what_was_made_of_an_array_that_was_replaced_meanwhile_is_refused(
    root, monkeypatch, change
):
    url = f"{root}/a"
    write_chunked(url, ROWS)
    write, replaced = chunked_write._write_parts, []

    def late(place, array, lengths, compression):
        made = write(place, array, lengths, compression)
        if not replaced:
            replaced.append(True)
            write_chunked(url, -ROWS)
        return made

    monkeypatch.setattr(chunked_write, "_write_parts", late)
    with pytest.raises(PublishConflictError, match="another writer meanwhile"):
        change(url, ROWS) if change is append_chunked else change(url, Cut(0, 400))
    assert np.array_equal(read_chunked(url), -ROWS)
    assert {name.removesuffix(".meta.json") for name in parts(url)} == {
        part.name for part in chunked_write.chunked_at(place_of(url)).index.parts.values()
    }


def test_an_append_whose_answer_was_lost_is_there(bucket, monkeypatch):
    url = f"s3://{bucket}/a"
    write_chunked(url, ROWS)
    engine = type(place_of(url).objects._engine)
    replace = engine.replace

    def twice(self, new, etag):
        assert replace(self, new, etag)
        return replace(self, new, etag)

    monkeypatch.setattr(engine, "replace", twice)
    append_chunked(url, ROWS, axis=0)
    assert np.array_equal(read_chunked(url), np.vstack([ROWS, ROWS]))


@pytest.mark.parametrize(
    ("more", "axis", "said"),
    [
        (np.ones((3, 41), "f4"), 0, r"shape \(3, 41\) does not continue \(30, 40\) along axis 0"),
        (np.ones((3, 40), "f8"), 0, "dtype float64 does not continue float32"),
        (np.ones(40, "f4"), 0, "does not continue"),
        (np.ones((3, 40), "f4"), 2, "axis 2 is none"),
        (np.ma.masked_array(np.ones((3, 40), "f4"), mask=True), 0, "mask"),
        (da.ones((9, 40), dtype="f4")[da.ones(9) > 0], 0, "not known"),
    ],
)
def test_an_append_that_does_not_continue_the_array_is_refused(folder, more, axis, said):
    write_chunked(folder, ROWS)
    before = parts(folder)
    with pytest.raises(SettingsError, match=said):
        append_chunked(folder, more, axis=axis)
    assert parts(folder) == before
    with pytest.raises(MissingObjectError):
        append_chunked(f"{folder}/nothing", ROWS)
