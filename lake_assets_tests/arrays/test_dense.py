"""Raw and npy arrays: what comes back, parts of them, what is refused."""

import io
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lake_assets.arrays import dense as dense_module
from lake_assets.arrays import read_metadata, read_npy, read_raw, write_npy, write_raw
from lake_assets.arrays.codecs import CODECS, codec_named
from lake_assets.arrays.dense import part_of
from lake_assets.arrays.npy import array_of, encode_npy
from lake_assets.arrays.place import place_of
from lake_assets.arrays.raw import check_crc32c, crc32c_of, encode_raw, from_bytes, header_of
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    SourceChangedError,
    StorageError,
    UnsafeDataError,
)
from lake_assets.s3.engine import Found
from lake_assets_tests.arrays import cottoncandy

STRUCTURED = np.dtype(
    {"names": ["a", "ü", "b"], "formats": ["<i2", "<U3", (">f8", (2, 2))], "offsets": [0, 4, 24]}
)
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.unicode_string_dtypes(endianness="?", max_len=4),
    hnp.byte_string_dtypes(max_len=4),
    st.just(np.dtype([("a", "<i4"), ("b", ">f8", (2,))])),
)
BEST = True
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Bit for bit, the dtype with its byte order and fields, and the shape."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.tobytes() == second.tobytes()
    )


def laid_out(array: np.ndarray, order: str) -> np.ndarray:
    """The same values in another layout of memory."""
    if order == "F":
        return np.asfortranarray(array) if array.ndim else array
    if order == "strided" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if order == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(DTYPES, SHAPES, elements=None),
    st.sampled_from(["C", "F", "strided", "read-only"]),
    st.sampled_from([True, False, *CODECS.values()]),
)
def test_a_raw_array_comes_back_bit_for_bit_by_every_codec(array, order, compression):
    body, said = encode_raw(laid_out(array, order), compression=compression)
    header = header_of(Found(len(body), "", metadata=said), "x")
    back = from_bytes(body, header, "x")
    assert same(back, array)
    assert back.flags.writeable


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(DTYPES, SHAPES, elements=None), st.sampled_from(["C", "F", "strided"]))
def test_npy_is_what_numpy_reads_and_writes(array, order):
    body = encode_npy(laid_out(array, order))
    assert same(np.load(io.BytesIO(body), allow_pickle=False), array)
    saved = io.BytesIO()
    np.save(saved, laid_out(array, order))
    assert same(array_of(saved.getbuffer(), "x"), array)


SELECTIONS = [
    np.s_[..., :3],
    np.s_[5],
    np.s_[-1, ..., 2],
    np.s_[::-2, 3:9, -1],
    np.s_[:, ::7],
    np.s_[10:20],
    np.s_[3, 4, 5],
    np.s_[50:10],
    np.s_[...],
]


@pytest.mark.parametrize("layout", ["raw", "raw compressed", "npy C", "npy F"])
def test_a_part_is_what_numpy_takes(root, layout):
    array = np.random.default_rng(1).standard_normal((60, 90, 20)).astype("<f4")  # 432 kB
    url = f"{root}/a"
    if layout.startswith("raw"):
        write_raw(url, array, compression=layout != "raw")
        read = read_raw
    else:
        write_npy(url, np.asarray(array, order=layout[-1]))
        read = read_npy
    for selection in SELECTIONS:
        part = read(url, selection)
        assert isinstance(part, np.ndarray)
        assert part.flags.writeable
        assert np.array_equal(part, array[selection]), selection
    with pytest.raises(IndexError, match="60"):
        read(url, 60)


def test_a_slice_of_a_plain_array_fetches_no_more_than_it_needs(root, monkeypatch):
    array = np.arange(600_000, dtype="<f4").reshape(20, 30_000)  # 2.4 MB
    url = f"{root}/a"
    write_raw(url, array, compression=False)
    objects, fetched = type(place_of(url).objects), []
    span = objects.read_span

    def counted(self, key, start, stop, *, etag):
        fetched.append(stop - start)
        return span(self, key, start, stop, etag=etag)

    monkeypatch.setattr(objects, "read_span", counted)
    assert np.array_equal(read_raw(url, np.s_[10:15]), array[10:15])
    assert sum(fetched) == 5 * 120_000
    fetched.clear()
    assert np.array_equal(read_raw(url, np.s_[..., :200]), array[:, :200])
    assert sum(fetched) == 20 * 200 * 4


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_column_of_a_large_array_is_never_held_with_all_that_lies_between(
    folder, monkeypatch, order
):
    monkeypatch.setattr(dense_module, "_HULL_BYTES", 64 * 1024)
    array = np.arange(200_000, dtype="<f8").reshape((50_000, 4)[:: 1 if order == "C" else -1])
    write_npy(f"{folder}/a", np.asarray(array, order=order))
    held, read = [], dense_module._read_hull

    def counted(objects, key, start, stop, found):
        held.append(stop - start)
        return read(objects, key, start, stop, found)

    monkeypatch.setattr(dense_module, "_read_hull", counted)
    selection = np.s_[:, 3] if order == "C" else np.s_[3]
    assert np.array_equal(read_npy(f"{folder}/a", selection), array[selection])
    assert max(held) <= 64 * 1024
    assert 1_600_000 - 32 * len(held) <= sum(held) <= 1_600_000


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.array(3.5), id="0-d"),
        pytest.param(np.empty((0, 4)), id="empty"),
        pytest.param(np.array(["2020-01-01", "NaT"], "M8[ns]"), id="dates"),
        pytest.param(np.zeros(3, STRUCTURED), id="structured, padded, nested, not Latin-1"),
        pytest.param(np.array([1 + 2j], "<c16"), id="complex"),
        pytest.param(np.array(["日本", ""]), id="texts"),
        pytest.param(np.arange(3, dtype=">i4"), id="big-endian"),
        pytest.param(np.zeros(2, "V7"), id="void"),
        pytest.param(np.arange(4, dtype=np.longdouble), id="long double"),
    ],
)
def test_every_kind_of_array_goes_through_a_store(root, array):
    for write, read in ((write_raw, read_raw), (write_npy, read_npy)):
        written = write(f"{root}/a", array)
        assert same(read(f"{root}/a"), array)
        assert (written.shape, written.dtype) == (array.shape, str(array.dtype))


def test_a_read_only_memory_map_is_written_as_it_is(root, tmp_path):
    array = np.arange(24, dtype="<f4").reshape(4, 6)
    np.save(tmp_path / "m.npy", array)
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    assert not mapped.flags.writeable
    write_raw(f"{root}/a", mapped, compression=False)
    assert same(read_raw(f"{root}/a"), array)


def test_the_mask_of_a_lazy_array_is_seen_and_lists_are_arrays(folder):
    lazy = da.ma.masked_array(da.ones(3, chunks=2), mask=[1, 0, 0])
    for write, read in ((write_raw, read_raw), (write_npy, read_npy)):
        with pytest.raises(SettingsError, match="mask would be lost"):
            write(f"{folder}/a", lazy)
        write(f"{folder}/a", lazy.map_blocks(np.ma.getdata) + 1)
        assert same(read(f"{folder}/a"), np.full(3, 2.0))
        write(f"{folder}/a", [1.5, 2])
        assert same(read(f"{folder}/a"), np.array([1.5, 2]))


def test_what_would_not_come_back_is_refused(folder):
    masked = np.ma.masked_array([1, 2], [True, False])
    for write in (write_raw, write_npy):
        with pytest.raises(SettingsError, match="mask would be lost"):
            write(f"{folder}/a", masked)
        with pytest.raises(SettingsError, match="Python objects"):
            write(f"{folder}/a", np.array([None, "x"], dtype=object))
        with pytest.raises(SettingsError, match="Python objects"):
            write(f"{folder}/a", np.zeros(1, [("a", "i4"), ("b", "O")]))
    with pytest.raises(MissingObjectError):
        read_raw(f"{folder}/a")


def test_nothing_there_is_pythons_own_missing_file(root):
    for read in (read_raw, read_npy, read_metadata):
        with pytest.raises(FileNotFoundError, match="not there"):
            read(f"{root}/nothing")


def test_a_flipped_bit_is_noticed(root):
    for compression in (True, False):
        write_raw(f"{root}/a", np.arange(1000), compression=compression)
        place = place_of(f"{root}/a")
        stored = place.objects.read(place.key)
        body = bytearray(stored.body)
        body[len(body) // 2] ^= 1
        place.objects.write(place.key, memoryview(body), stored.found.metadata)
        with pytest.raises(BodyMismatchError, match="checksum"):
            read_raw(f"{root}/a")


@pytest.mark.parametrize("more", [-1, 1, 8])
def test_a_body_of_another_length_is_refused(root, more):
    body = bytes(24 + more)
    said = {"dtype": "<f8", "shape": "3", "compression": "False", "order": "C"}
    cottoncandy.put(f"{root}/a", body, said)
    with pytest.raises(ArrayFormatError, match=f"{24 + more} bytes"):
        read_raw(f"{root}/a")
    with pytest.raises(ArrayFormatError, match=f"{24 + more} bytes"):
        read_raw(f"{root}/a", np.s_[:2])


@pytest.mark.parametrize("codec", sorted(CODECS.values()))
def test_a_body_that_holds_more_than_its_shape_is_refused_by_every_codec(codec):
    body, said = encode_raw(np.zeros(1000), compression=codec)
    short = header_of(Found(len(body), "", metadata={**said, "shape": "999"}), "x")
    with pytest.raises(ArrayFormatError, match="7992"):
        from_bytes(body, short, "x")
    whole = header_of(Found(len(body), "", metadata=said), "x")
    with pytest.raises(ArrayFormatError):
        from_bytes(body[:-2], whole, "x")
    with pytest.raises(ArrayFormatError):
        from_bytes(memoryview(bytes(body) + b"xx"), whole, "x")


@pytest.mark.parametrize(
    "name", ["pickle", "Pickle", "json2", "fletcher32", "shuffle", "vlen-utf8"]
)
def test_metadata_cannot_choose_a_codec_off_the_list(folder, name):
    said = {"dtype": "<f8", "shape": "1", "compression": name, "order": "C"}
    cottoncandy.put(f"{folder}/a", b"\x80\x04.", said)
    with pytest.raises(UnsafeDataError, match="compression"):
        read_raw(f"{folder}/a")


@pytest.mark.parametrize("dtype", ["O", "|O", "i4,O", "no dtype", "(1,"])
def test_metadata_cannot_choose_a_dtype_of_objects(folder, dtype):
    said = {"dtype": dtype, "shape": "1", "compression": "False", "order": "C"}
    cottoncandy.put(f"{folder}/a", bytes(8), said)
    with pytest.raises(ArrayFormatError, match=r"dtype"):
        read_raw(f"{folder}/a")


def test_an_npy_of_objects_is_refused_and_so_are_two_arrays_in_one_file(folder):
    saved = io.BytesIO()
    np.save(saved, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    cottoncandy.put(f"{folder}/o.npy", saved.getvalue())
    with pytest.raises(UnsafeDataError, match="Python objects"):
        read_npy(f"{folder}/o.npy")
    twice = io.BytesIO()
    np.save(twice, np.arange(3))
    np.save(twice, np.arange(3))
    cottoncandy.put(f"{folder}/t.npy", twice.getvalue())
    with pytest.raises(ArrayFormatError, match="follow the npy header"):
        read_npy(f"{folder}/t.npy")


def test_metadata_of_any_text_and_json_come_back_as_text(root):
    said = {
        "Subject": "Zoë 日本",
        "n": 3,
        "list": [1, None],
        "plain": "a b",
        "edge": " x ",
        "word": "=?UTF-8?B?eA==?=",
    }
    write_raw(f"{root}/a", np.arange(3), metadata=said)
    assert read_metadata(f"{root}/a") == {
        "subject": "Zoë 日本",
        "n": "3",
        "list": "[1, null]",
        "plain": "a b",
        "edge": " x ",
        "word": "=?UTF-8?B?eA==?=",
    }
    assert same(read_raw(f"{root}/a"), np.arange(3))


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"shape": "1"}, "our own"),
        ({"CRC32C": "1"}, "our own"),
        ({"Content-Type": "1"}, "a header"),
        ({"a": "1", "A": "2"}, "twice"),
        ({"a b": "1"}, "letters"),
        ({"a": object()}, "JSON"),
        ({"a": "x" * 3000}, "2048"),
        ({1: "a"}, "name 1 may have letters"),
        ({"a": "\ud800"}, "UTF-8 cannot say"),
    ],
)
def test_metadata_that_cannot_be_stored_are_refused(folder, metadata, why):
    with pytest.raises(SettingsError, match=why):
        write_raw(f"{folder}/a", np.arange(3), metadata=metadata)


def test_a_key_is_taken_as_it_is_written(root):
    for name in ("100%25.txt", "a b+c", "ünï", "x%2Fy"):
        write_raw(f"{root}/{name}", np.arange(3))
        assert same(read_raw(f"{root}/{name}"), np.arange(3))


def test_an_array_that_is_replaced_between_two_ranges_is_not_mixed(root):
    write_raw(f"{root}/a", np.zeros(10**5), compression=False)
    place = place_of(f"{root}/a")
    etag = place.objects.look(place.key).etag
    write_raw(f"{root}/a", np.ones(10**5), compression=False)
    with pytest.raises(SourceChangedError):
        place.objects.read_span(place.key, 0, 10, etag=etag)


@pytest.mark.parametrize("has_sum", [True, False])
def test_writers_of_one_file_at_once_leave_a_body_with_its_own_metadata(folder, has_sum):
    objects = place_of(f"{folder}/a").objects
    bodies = {f"writer {n}".encode(): {"n": str(n)} for n in range(4)}
    if has_sum:
        bodies = {body: {**said, "crc32c": crc32c_of(body)} for body, said in bodies.items()}
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            list(pool.map(lambda body: objects.write("a", memoryview(body), bodies[body]), bodies))
            stored = objects.read("a", proof=check_crc32c)
            assert stored.found.metadata == bodies[bytes(stored.body)]


def test_npy_in_a_folder_is_a_plain_file(folder):
    write_npy(f"{folder}/a.npy", np.arange(3))
    place = place_of(f"{folder}/a.npy")
    assert [info.key for info in place.objects.store.list()] == ["a.npy"]
    assert same(np.load(f"{folder}/a.npy"), np.arange(3))


def test_the_default_codec_changes_where_blosc_ends():
    assert codec_named(BEST, 2**31 - 17) == "blosc"
    assert codec_named(BEST, 2**31 - 16) == "zstd"
    with pytest.raises(SettingsError, match="in chunks"):
        codec_named("LZ4", 2**31)
    with pytest.raises(SettingsError, match="none of"):
        codec_named("pickle", 1)
    with pytest.raises(SettingsError, match="compression 9 is none of"):
        codec_named(9, 1)  # pyright: ignore[reportArgumentType] (a level, which it does not take)


def test_the_same_array_is_the_same_bytes():
    for codec in (True, "gzip", "LZ4"):
        first, second = (encode_raw(np.arange(100), compression=codec)[0] for _ in range(2))
        assert first == second


def test_a_folder_in_the_way_is_named(folder):
    write_raw(f"{folder}/a/b", np.arange(3))
    with pytest.raises(StorageError, match="a"):
        write_raw(f"{folder}/a", np.arange(3))


def test_a_part_of_what_is_here_follows_the_same_rules():
    array = np.arange(6).reshape(2, 3)
    assert same(part_of(array, np.s_[1, ::2]), np.array([3, 5]))
    with pytest.raises(SettingsError, match="numbers, slices"):
        part_of(array, (None,))
    with pytest.raises(IndexError, match="too many"):
        part_of(array, np.s_[0, 0, 0])
