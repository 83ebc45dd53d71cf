"""Pickles that are read restricted: plain data of every numpy, and nothing that forges memory."""

import collections
import datetime as dt
import decimal
import pickle
import uuid

import numpy as np
import pytest

from lake_assets.arrays.pickles import load_pickle
from lake_assets.errors import ArrayFormatError, UnsafeDataError

TIMES = np.array(["2026-01-01T10", "NaT"], "M8[25s]")
STRUCTURE = np.dtype([("a", "<i4"), ("t", "M8[ms]"), ("b", ">f8", (2, 3)), ("s", "U3")])
SHARED = np.arange(4)
PLAIN = {
    "c": np.arange(6.0).reshape(2, 3),
    "f": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    "cube": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(10)[::3],
    "empty": np.zeros((0, 3)),
    "nothing": np.array(5.5),
    "times": TIMES,
    "spans": TIMES - TIMES[0],
    "generic": np.array([1, 2]).view("m8"),  # numpy 2.5 makes none of these of numbers
    "texts": np.array(["é", "abc"]),
    "bytes": np.array([b"\xff\x00a", b"b"]),
    "flags": np.array([True, False]),
    "void": np.zeros(2, "V5"),
    "structure": np.zeros(3, STRUCTURE),
    "aligned": np.zeros(2, np.dtype([("x", "i1"), ("y", "f8")], align=True)),
    "titled": np.ones(2, np.dtype([(("title", "x"), "i1"), ("y", "c16")])),
    "noted": np.zeros(1, np.dtype("f4", metadata={"unit": "V"})),
}


def calls(function, *args, state=None):
    """What pickles as a call of the function, with a state if there is one."""

    class Forged:
        def __reduce__(self):
            return (function, args) if state is None else (function, args, state)

    return Forged()


def restricted(value, protocol=4):
    body = value if isinstance(value, bytes) else pickle.dumps(value, protocol)
    return load_pickle(memoryview(body), "x", allow_pickle=True)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_scalars_and_dtypes_come_back_as_they_were(protocol):
    for name, array in PLAIN.items():
        back, dtype = restricted([array, array.dtype], protocol)
        assert type(back) is np.ndarray, name
        assert back.dtype == dtype == array.dtype, name
        assert back.dtype.isalignedstruct == array.dtype.isalignedstruct
        assert back.dtype.metadata == array.dtype.metadata
        assert (back.shape, back.tobytes()) == (array.shape, array.tobytes()), name
        assert back.flags.writeable
    scalars = [np.float32(1.5), np.str_("é"), np.str_(""), np.bytes_(b"x"), TIMES[0], np.bool_(1)]
    scalars.append(np.ones(1, STRUCTURE)[0])
    back = restricted(scalars, protocol)
    assert [type(item) for item in back] == [type(item) for item in scalars]
    assert back == scalars
    one, other = restricted([SHARED, SHARED], protocol)
    assert one is other


@pytest.mark.parametrize("protocol", [2, 5])
def test_plain_python_values_come_back_as_they_were(protocol):
    value = {
        "id": uuid.UUID(int=7),
        "when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "count": collections.Counter("aab"),
        "some": [
            decimal.Decimal("1.5"),
            {1, 2},
            frozenset({3}),
            bytearray(b"x"),
            b"\xff",
            range(3),
        ],
        "default": collections.defaultdict(list, a=[1]),
        "many": collections.deque([1, 2], maxlen=3),
    }
    assert restricted(value, protocol) == value


def test_names_of_numpy_1_and_2_are_read():
    body = pickle.dumps(PLAIN["c"], 3)
    assert b"numpy._core.multiarray" in body
    for core in (b"numpy.core", b"numpy._core"):
        assert restricted(body.replace(b"numpy._core", core)).tolist() == PLAIN["c"].tolist()


LYING = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)
ITEMS = (3, "|", (np.dtype("O"), (1,)), None, None, 8, 1, 0)
BEYOND = (3, "|", None, ("a",), {"a": (np.dtype("i8"), 64)}, 8, 1, 0)


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        pytest.param(calls(np.dtype, "V8", state=LYING), "O8", id="object field"),
        pytest.param(calls(np.dtype, "V8", state=BEYOND), "'a' at 64", id="beyond"),
        pytest.param(calls(np.dtype, "O"), "dtype 'O'", id="objects"),
        pytest.param(calls(np.dtype, "V8", state=ITEMS), "O8", id="object items"),
        pytest.param(calls(np.ndarray, (1,), "O"), "constructor", id="ndarray called"),
        pytest.param(calls(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b",
                           state=(1, (9,), np.dtype("i8"), False, b"12345678")),
                     "8 bytes for shape", id="more than its bytes"),
        pytest.param(calls(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b",
                           state=(1, (1,), np.dtype("i8"), False, [1])),
                     "are list", id="a list of items"),
        pytest.param(calls(np._core.numeric._frombuffer, bytearray(8), np.dtype("i8"), (1,), "C",
                           state=(1, (1,), np.dtype("i8"), False, b"1")),
                     "state of a ndarray", id="a second state"),
        pytest.param(np.array([{}], object), "O8", id="array of objects"),
        pytest.param(np.ma.masked_array([1], [True]), "numpy.ma", id="subclass"),
        pytest.param(calls(np._core.multiarray.scalar, np.dtype("i8"), b"1"),
                     "1 bytes", id="scalar"),
    ],
)  # fmt: skip
def test_what_would_forge_memory_is_refused(forged, why):
    with pytest.raises(UnsafeDataError, match=why):
        restricted(forged)


@pytest.mark.parametrize("trusted", [True, False])
def test_pickles_of_python_2_are_read(trusted):
    text = b"\x80\x02}U\x03k\xe9yU\x02\xff\x00s."
    assert load_pickle(memoryview(text), "x", allow_pickle=True, trusted=trusted) == {
        "k\xe9y": "\xff\x00"
    }
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02u2K\x00K\x01\x87Rq\x05(K\x03U\x01<NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\xff\x00\x01\x02tb."
    )
    back = load_pickle(memoryview(array), "x", allow_pickle=True, trusted=trusted)
    assert back.tolist() == [255, 513]


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"\x80\x04K",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_a_broken_pickle_says_so(body):
    with pytest.raises(ArrayFormatError, match="no whole pickle"):
        restricted(body)
