"""JSON, bytes, streams and pickles: what is written comes back, or is refused by name."""

import io
import json
import pickle

import numpy as np
import pytest

from lake_assets.arrays import (
    describe,
    open_stream,
    read_any,
    read_bytes,
    read_json,
    read_pickle,
    write_bytes,
    write_json,
    write_pickle,
    write_raw,
    write_stream,
)
from lake_assets.arrays import documents as documents_module
from lake_assets.arrays.place import place_of
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    UnsafeDataError,
)
from lake_assets_tests.arrays import cottoncandy


class Marker:
    """What a pickle of ours would be made to run."""

    def __reduce__(self):
        return (print, ("run",))


def test_pickles_are_refused_then_restricted_then_trusted(folder, capsys):
    plain = {"a": [1, (2, 3)], "n": np.arange(3), "s": {1}}
    with pytest.raises(SettingsError, match="allow_pickle"):
        write_pickle(f"{folder}/p", plain)
    write_pickle(f"{folder}/p", plain, allow_pickle=True)
    for read in (read_any, read_pickle):
        with pytest.raises(UnsafeDataError, match="is a pickle"):
            read(f"{folder}/p")
        assert np.array_equal(read(f"{folder}/p", allow_pickle=True)["n"], np.arange(3))
    cottoncandy.put(f"{folder}/evil", pickle.dumps(Marker()))
    for read in (read_any, read_pickle):
        with pytest.raises(UnsafeDataError, match=r"builtins\.print"):
            read(f"{folder}/evil", allow_pickle=True)
    assert capsys.readouterr().out == ""
    read_pickle(f"{folder}/evil", allow_pickle=True, trusted=True)
    assert capsys.readouterr().out == "run\n"
    cottoncandy.put(f"{folder}/broken", pickle.dumps(plain)[:-9] + b".")
    with pytest.raises(ArrayFormatError, match="no whole pickle"):
        read_pickle(f"{folder}/broken", allow_pickle=True)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickles_of_every_protocol_and_old_numpy_are_read(folder, protocol):
    body = pickle.dumps({"a": b"x", "n": np.float64(2), "d": np.ones((2, 2))}, protocol)
    cottoncandy.put(f"{folder}/p", body.replace(b"numpy._core", b"numpy.core"[:11]))
    if b"numpy._core" in body and protocol >= 4:
        cottoncandy.put(f"{folder}/p", body)
    back = read_any(f"{folder}/p", allow_pickle=True)
    assert back["a"] == b"x"
    assert back["d"].sum() == 4
    with pytest.raises(UnsafeDataError, match="is a pickle"):
        read_any(f"{folder}/p")


# As cPickle and pickle of Python 2 write them by default.
OLD = [b"(dp1\nS'a'\np2\n(lp3\nI1\naI2\nas.", b"(dp0\nS'a'\np1\n(lp2\nI1\naI2\nas."]


@pytest.mark.parametrize("body", OLD)
def test_pickles_of_python_2_are_no_bytes(folder, body):
    cottoncandy.put(f"{folder}/p", body)
    assert read_any(f"{folder}/p", allow_pickle=True) == {"a": [1, 2]}
    with pytest.raises(UnsafeDataError, match="is a pickle"):
        read_any(f"{folder}/p")


@pytest.mark.parametrize(
    "body",
    [
        b"(see).",
        b"(seq1).",
        b"This is a text.",
        b"Vx\n.",
        b"(dp1\n",
        b"c.",
        OLD[0] + b".",
        b"(\xff.",
    ],
)
def test_texts_that_begin_as_old_pickles_are_bytes(folder, body):
    cottoncandy.put(f"{folder}/p", body)
    assert read_any(f"{folder}/p") == body


def test_streams_of_any_length_are_written_and_opened(root, monkeypatch):
    monkeypatch.setattr(documents_module, "_MEMORY_BYTES", 1000)
    for size in (10, 5000):
        body = bytes(range(250)) * (size // 250 + 1)
        write_stream(f"{root}/s{size}", io.BytesIO(body), metadata={"who": "Zoë"})
        with open_stream(f"{root}/s{size}", memory_bytes=100) as file:
            assert file.read(7) == body[:7]
            file.seek(-3, 2)
            assert file.read() == body[-3:]
    with pytest.raises(MissingObjectError):
        open_stream(f"{root}/nothing")


@pytest.mark.parametrize("memory_bytes", [10, 10**6])
def test_a_stream_of_a_file_that_is_damaged_is_refused(folder, memory_bytes):
    write_bytes(f"{folder}/a", b"x" * 100, metadata={"n": 1})
    with open_stream(f"{folder}/a", memory_bytes=memory_bytes) as file:
        assert file.read() == b"x" * 100
    place_of(f"{folder}/a").objects.store.put("a", b"y" * 100)
    with pytest.raises(BodyMismatchError, match=r"a\.meta\.json"):
        open_stream(f"{folder}/a", memory_bytes=memory_bytes)


def test_a_long_stream_into_a_folder_has_its_own_metadata_alone(folder, monkeypatch):
    monkeypatch.setattr(documents_module, "_MEMORY_BYTES", 1000)
    url, body = f"{folder}/s", bytes(range(250)) * 9
    write_raw(url, np.arange(9.0), metadata={"old": "x"})
    write_stream(url, io.BytesIO(body), metadata={"who": "Zoë"})
    assert read_any(url) == read_bytes(url) == body
    assert describe(url)[0].metadata == {"who": "Zoë"}
    write_stream(url, io.BytesIO(body))
    assert (read_bytes(url), describe(url)[0].metadata) == (body, {})


@pytest.mark.parametrize("name", ["s.json", "s.npy", "s"])
def test_a_stream_is_bytes_whatever_it_looks_like_and_however_long_it_is(root, monkeypatch, name):
    monkeypatch.setattr(documents_module, "_MEMORY_BYTES", 1000)
    for n in (9, 900):
        body = json.dumps(list(range(n))).encode()
        write_stream(f"{root}/{name}", io.BytesIO(body))
        assert read_any(f"{root}/{name}") == body


def test_values_nested_too_deep_are_refused_and_bytes_with_gaps_are_written(folder):
    deep: list = []
    for _ in range(10**5):
        deep = [deep]
    with pytest.raises(SettingsError, match="as JSON: maximum recursion"):
        write_json(f"{folder}/a", deep)
    with pytest.raises(SettingsError, match="cannot be pickled: maximum recursion"):
        write_pickle(f"{folder}/a", deep, allow_pickle=True)
    write_bytes(f"{folder}/a", memoryview(b"abcdef")[::2])
    assert read_bytes(f"{folder}/a") == b"ace"


def test_json_is_utf8_and_broken_json_is_named(folder):
    write_json(f"{folder}/a.json", {"u": "é"})
    assert read_bytes(f"{folder}/a.json") == '{"u": "é"}'.encode()
    cottoncandy.put(f"{folder}/b.json", b"{")
    with pytest.raises(ArrayFormatError, match=r"b\.json is no JSON"):
        read_json(f"{folder}/b.json")
    assert read_any(f"{folder}/b.json") == b"{"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1: "a", "1": "b"}, r"key 1 \(int\) below \[\]"),
        ([{"a": ({None: 1},)}], r"key None .* below \[0, 'a', 0\]"),
        ({True: 1}, "key True"),
    ],
)
def test_keys_that_json_would_change_are_refused(folder, value, why):
    with pytest.raises(SettingsError, match=why):
        write_json(f"{folder}/a.json", value)


def test_a_document_that_was_changed_is_noticed(bucket):

    url = f"s3://{bucket}/j"
    write_json(url, {"a": 1})
    place = place_of(url)
    said = place.objects.look("j").metadata
    place.objects.write("j", memoryview(b'{"a": 2}'), said)
    with pytest.raises(BodyMismatchError):
        read_json(url)
