"""From a stored object to text: every wrapping, every way in which one can be broken."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from random import Random

import pytest

from lake_assets.errors import BadInputError
from lake_assets.export.payload import PayloadLimits, text_chunks, zip_record_count

KEY = "datamart/Data-DM-Snapshot_pyGetSnapshot_20220323T101155.427GMT-web1.json.gz"
TEXT = b'{"a":1}\n{"a":2}\n'
LIMITS = PayloadLimits()


def read(body: bytes, limits: PayloadLimits = LIMITS) -> list[bytes]:
    return list(text_chunks(KEY, io.BytesIO(body), limits))


def zipped(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return file.getvalue()


def refusal(body: bytes, limits: PayloadLimits = LIMITS) -> str:
    with pytest.raises(BadInputError) as caught:
        read(body, limits)
    assert caught.value.key == KEY
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.remedy
    return str(caught.value)


def test_plain_text_comes_as_it_stands():
    assert read(TEXT) == [TEXT]


def test_a_gzip_is_known_by_its_bytes():
    assert read(gzip.compress(TEXT)) == [TEXT]


def test_all_members_of_a_gzip_are_read():
    body = gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(TEXT)
    assert b"".join(read(body)) == TEXT * 2


def test_a_gzip_in_a_gzip_is_read():
    assert read(gzip.compress(gzip.compress(TEXT))) == [TEXT]


def test_a_third_layer_of_gzip_is_refused():
    assert "third" in refusal(gzip.compress(gzip.compress(gzip.compress(TEXT))))


def test_a_zip_in_a_gzip_is_refused():
    assert "a zip" in refusal(gzip.compress(zipped([("data.json", TEXT)])))


@pytest.mark.parametrize(
    "body",
    [b"", gzip.compress(b""), gzip.compress(gzip.compress(b"")), zipped([("data.json", b"")])],
    ids=["zero bytes", "gzip", "gzip in gzip", "zip"],
)
def test_nothing_gives_no_chunk(body: bytes):
    assert read(body) == []


@pytest.mark.parametrize("cut", [1, 4, 9, 12])
def test_a_truncated_gzip_is_refused_by_name(cut: int):
    assert "truncated" in refusal(gzip.compress(TEXT)[:-cut])


def test_a_gzip_of_its_magic_alone_is_truncated():
    assert "truncated" in refusal(b"\x1f\x8b")


def test_a_truncated_second_member_is_refused():
    assert "truncated" in refusal(gzip.compress(TEXT) + gzip.compress(TEXT)[:-3])


@pytest.mark.parametrize("garbage", [b"x", b"{}", b"\0\0\0\0", b"\x1f"])
def test_garbage_after_a_gzip_is_refused(garbage: bytes):
    assert "whole gzip" in refusal(gzip.compress(TEXT) + garbage)


def test_a_flipped_byte_in_a_gzip_is_refused():
    body = bytearray(gzip.compress(TEXT * 1000))
    body[-6] ^= 1  # in the CRC
    assert "check" in refusal(bytes(body))


def test_every_flipped_bit_of_stored_data_is_found():
    packed = zlib.compressobj(0, wbits=31)
    body = packed.compress(TEXT) + packed.flush()
    start = body.index(TEXT)
    for position in range(start, start + len(TEXT)):
        flipped = bytearray(body)
        flipped[position] ^= 0x10
        refusal(bytes(flipped))


@pytest.mark.parametrize("name", ["data.json", "deep/er/data.json", "rows.json", "DATA.JSON"])
def test_a_zip_gives_its_one_data_member(name: str):
    members = [("META-INF/", b""), ("META-INF/MANIFEST.mf", b"records: 2\n"), (name, TEXT)]
    assert read(zipped(members)) == [TEXT]


def test_a_stored_member_is_read_as_well():
    assert read(zipped([("data.json", TEXT)], zipfile.ZIP_STORED)) == [TEXT]


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (["data.json", "more.json"], "2 (members: 'data.json', 'more.json')"),
        (["a/data.json", "b/data.json"], "2 (members"),
        (["META-INF/MANIFEST.mf"], "0 (members"),
        (["data.json/"], "0 (members"),
        ([], "the zip is empty"),
        (["../data.json"], "'../data.json'"),
        (["a/../../data.json"], "'a/../../data.json'"),
        (["/data.json"], "'/data.json'"),
        (["data.json", "..\\x.txt"], "x.txt"),
        (["C:/data.json"], "'C:/data.json'"),
    ],
)
def test_a_zip_that_is_not_one_data_file_is_refused(names: list[str], finding: str):
    assert finding in refusal(zipped((name, TEXT if name[-1] != "/" else b"") for name in names))


def test_an_encrypted_member_is_refused():
    body = bytearray(zipped([("data.json", TEXT)]))
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(bytes(body))


def test_a_flipped_byte_in_a_zip_is_refused():
    body = bytearray(zipped([("data.json", TEXT)], zipfile.ZIP_STORED))
    body[body.index(TEXT) + 2] ^= 1
    assert "CRC" in refusal(bytes(body))


def test_a_wrong_crc_is_found_though_the_data_come_out_whole():
    body = bytearray(zipped([("data.json", TEXT)]))
    central = body.index(b"PK\x01\x02")
    struct.pack_into("<I", body, central + 16, 1)
    assert "CRC" in refusal(bytes(body))


@pytest.mark.parametrize(
    "body",
    [b"PK", b"PK\x03\x04", zipped([("data.json", TEXT)])[:-30]],
    ids=["two bytes", "magic", "cut short"],
)
def test_a_broken_zip_is_refused(body: bytes):
    assert "whole zip" in refusal(body)


def test_an_unknown_compression_is_refused():
    body = bytearray(zipped([("data.json", TEXT)]))
    struct.pack_into("<H", body, 8, 99)
    struct.pack_into("<H", body, body.index(b"PK\x01\x02") + 10, 99)
    assert "method 99" in refusal(bytes(body))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_zip_or_gzip_is_read_whole_or_refused_never_half(method: int):
    random = Random(20220323)  # noqa: S311 -- the same damage in every run
    members = [("META-INF/MANIFEST.mf", b"records: 2"), ("data.json", TEXT)]
    for body in (zipped(members, method), gzip.compress(TEXT), gzip.compress(gzip.compress(TEXT))):
        for _ in range(1500):
            damaged = bytearray(body)
            damaged[random.randrange(2, len(body))] = random.randrange(256)
            cut = random.randrange(2, len(body) * 4)
            file = io.BytesIO(damaged[:cut])
            zip_record_count(KEY, file)
            with suppress(BadInputError):
                assert b"".join(text_chunks(KEY, file, LIMITS)) == TEXT


def test_the_record_count_of_a_manifest_is_read():
    manifest = b"dataset name: pyGetSnapshot\r\nrecords: 558\r\nserver: x\r\n"
    body = zipped([("data.json", TEXT), ("META-INF/MANIFEST.mf", manifest)])
    assert zip_record_count(KEY, io.BytesIO(body)) == 558


@pytest.mark.parametrize(
    "body",
    [
        TEXT,
        b"",
        b"PK nonsense",
        zipped([("data.json", TEXT)]),
        zipped([("META-INF/MANIFEST.mf", b"records: many")]),
        zipped([("META-INF/MANIFEST.mf", b"no records: 5")]),
        zipped([("META-INF/MANIFEST.mf", b"x" * 100_000 + b"\nrecords: 5")]),
    ],
)
def test_without_a_readable_count_there_is_none(body: bytes):
    assert zip_record_count(KEY, io.BytesIO(body)) is None


def test_a_byte_order_mark_is_dropped():
    assert read(b"\xef\xbb\xbf" + TEXT) == [TEXT]
    assert read(b"\xef\xbb\xbf") == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_on_line_1(encoding: str):
    message = refusal(TEXT.decode().encode(encoding))
    assert "UTF-16" in message
    assert "line 1" in message


def test_bytes_that_are_not_utf_8_are_refused_with_their_line():
    limits = PayloadLimits(chunk_bytes=20)
    assert "line 5" in refusal(TEXT * 2 + b'{"a":"\xe9"}\n' + TEXT, limits)


def test_a_surrogate_in_bytes_is_not_utf_8():
    assert "line 1" in refusal(b'{"a":"\xed\xa0\x80"}\n')


@pytest.mark.parametrize("text", [TEXT.replace(b"\n", b"\r\n"), b"\n\n" + TEXT + b"\n", TEXT[:-1]])
def test_line_ends_and_blank_lines_stay_for_the_line_numbers(text: bytes):
    assert b"".join(read(text, PayloadLimits(chunk_bytes=8))) == text


@pytest.mark.parametrize("chunk_bytes", [1, 7, 8, 9, 100, 1000])
def test_chunks_are_whole_lines_and_no_larger_than_asked(chunk_bytes: int):
    lines = [b'{"a":"%s"}\n' % (b"x" * (n % 50)) for n in range(300)]
    text = b"".join(lines)
    chunks = read(gzip.compress(text), PayloadLimits(chunk_bytes=chunk_bytes))
    assert b"".join(chunks) == text
    for chunk in chunks:
        assert chunk.endswith(b"\n")
        assert len(chunk) <= chunk_bytes or chunk.count(b"\n") == 1


def test_a_row_of_nine_megabytes_works_with_the_defaults():
    row = b'{"pyData":"' + b"x" * 9_000_000 + b'"}\n'
    assert read(gzip.compress(row + TEXT, 1)) == [row + TEXT]


def test_a_row_over_the_limit_is_refused():
    limits = PayloadLimits(chunk_bytes=1000, max_row_bytes=20)
    assert read(TEXT, limits) == [TEXT]
    assert "20 bytes" in refusal(b'{"a":"%s"}\n' % (b"x" * 20), limits)
    assert "20 bytes" in refusal(b"x" * 5000, limits)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda text: zipped([("data.json", text)])])
def test_a_payload_over_the_limit_is_refused(pack):
    limits = PayloadLimits(max_payload_bytes=len(TEXT))
    assert read(pack(TEXT), limits) == [TEXT]
    assert "max_payload_bytes" in refusal(pack(TEXT + b"\n"), limits)


def test_a_bomb_is_stopped_while_it_unpacks():
    import tracemalloc

    body = gzip.compress(gzip.compress(b"\n" * 200_000_000, 1), 9)
    limits = PayloadLimits(chunk_bytes=2**20, max_payload_bytes=20 * 2**20)
    tracemalloc.start()
    try:
        refusal(body, PayloadLimits(chunk_bytes=2**30, max_payload_bytes=limits.max_payload_bytes))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * 2**20


def test_memory_is_a_few_chunks_whatever_the_payload_is():
    import tracemalloc

    body = gzip.compress(b'{"a":"' + b"x" * 990 + b'"}\n' + TEXT * 5_000_000, 1)
    tracemalloc.start()
    try:
        total = sum(map(len, text_chunks(KEY, io.BytesIO(body), PayloadLimits(chunk_bytes=2**20))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 80_000_000
    assert peak < 8 * 2**20
