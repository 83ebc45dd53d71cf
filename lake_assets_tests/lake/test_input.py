"""Input that loads exactly, and input that is refused by name, through the whole line."""

import gzip
import io
import json
import math
import zipfile

import pytest

from lake_assets.demo.exports import ndjson
from lake_assets_tests.factories import (
    flipped_byte,
    gzip_bomb,
    gzipped,
    json_array_file,
    truncated_gzip,
    zip_of,
    zip_with_dotdot,
    zip_with_two_members,
)
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    model,
    models,
    put,
    reasons,
    rows_of,
    run_models,
    wrapped,
)

ROWS = [model("a", pyName="first"), model("b", pyName="second")]
TEXT = ndjson(ROWS)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xef\xbb\xbf" + TEXT, id="BOM"),
        pytest.param(TEXT.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"\n\n" + TEXT.replace(b"\n", b"\n\n \n") + b"\n", id="blank lines"),
        pytest.param(TEXT.rstrip(b"\n"), id="no trailing newline"),
        pytest.param(gzip.compress(TEXT[:80]) + gzip.compress(TEXT[80:]), id="two gzip members"),
        pytest.param(gzip.compress(gzip.compress(TEXT)), id="gzip in gzip"),
        pytest.param(
            gzip.compress(b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n")), id="BOM in gzip"
        ),
        pytest.param(zip_of([("a/b/data.json", TEXT)]), id="nested zip member"),
        pytest.param(
            zip_of([("other.json", TEXT), ("readme.txt", b"x")]), id="zip with another name"
        ),
        pytest.param(TEXT.replace(b'":"', b'" : "'), id="blanks around colons"),
    ],
)
def test_wrapping_does_not_change_the_rows(exports, root, body):
    put(exports, *wrapped(body))
    report = run_models(exports, root)
    assert reasons(report) == []
    assert rows_of(root, MODELS, "pyModelID", "pyName") == [("a", "first"), ("b", "second")]


@pytest.mark.parametrize(
    "body",
    [b"", gzip.compress(b""), b"\xef\xbb\xbf", b"\n\n", zip_of([("data.json", b"")])],
    ids=["zero bytes", "gzip of nothing", "BOM", "blank lines", "zip of nothing"],
)
def test_payload_without_a_row_is_an_empty_typed_table(exports, root, body):
    put(exports, *wrapped(body))
    report = run_models(exports, root)
    assert (report.rows, report.version, reasons(report)) == (0, 0, [])


def test_row_of_nine_megabytes_is_whole(exports, root):
    value = "".join(chr(0x4E00 + n % 5000) for n in range(3_000_000))
    put(exports, *models(model("a", pyModelData=value), model("b")))
    run_models(exports, root, workers=2)
    found = content(root).filter(pyModelID="a")["pyModelData"].item()
    assert found == value


def test_first_of_duplicate_keys_wins_and_is_counted(exports, root):
    line = b'{"pyModelID":"a","pyName":"first","pyName":"second","pyIssue":"x"}\n'
    put(exports, *wrapped(line))
    report = run_models(exports, root)
    assert rows_of(root, MODELS, "pyName") == [("first",)]
    assert [outcome.duplicate_keys for outcome in report.staged] == [1]


def test_integer_of_thirty_digits_keeps_every_digit(exports, root):
    digits = "123456789012345678901234567890"
    line = f'{{"pyModelID":"a","pyBig":{digits},"pyPositives":{digits}}}\n'.encode()
    put(exports, *wrapped(line))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyBig", "pyPositives", "_rescued_data") == [
        (digits, None, json.dumps({"pyPositives": digits}))
    ]


def test_nan_and_infinity_are_floats_where_the_contract_says_float(exports, root):
    numbers = b'"pyPerformance":NaN,"pyPositives":Infinity,"pyNegatives":-Infinity'
    line = b'{"pyModelID":"a",' + numbers + b',"pyName":NaN}\n'
    put(exports, *wrapped(line))
    run_models(exports, root)
    ((nan, high, low, text),) = rows_of(
        root, MODELS, "pyPerformance", "pyPositives", "pyNegatives", "pyName"
    )
    assert math.isnan(nan)
    assert (high, low, text) == (math.inf, -math.inf, "NaN")


@pytest.mark.parametrize(
    "name",
    ["py Name", "py%41", "py+a", "größe", "日本", "a.b", "a/b", "a=b", "a'b", 'a"b', "a;b(c)"],
)
def test_any_column_name_is_kept(exports, root, name):
    put(exports, *models(*[model(f"m{n}", **{name: f"v{n}"}) for n in range(3)]))
    run_models(exports, root)
    assert rows_of(root, MODELS, name) == [("v0",), ("v1",), ("v2",)]


def test_values_keep_their_text(exports, root):
    texts = [
        "1.50",
        " padded ",
        "",
        "null",
        "\u2028",
        "🦆",
        "tab\there",
        'quote"',
        "\\",
        "line\nbreak",
    ]
    put(exports, *models(*[model(f"m{n}", pyName=text) for n, text in enumerate(texts)]))
    run_models(exports, root)
    assert [text for _, text in rows_of(root, MODELS, "pyModelID", "pyName")] == texts


def test_nested_values_are_their_json_text(exports, root):
    line = b'{"pyModelID":"a","pyName":{"x": [1, 2.50]},"pyIssue":[],"pyGroup":true}\n'
    put(exports, *wrapped(line))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyName", "pyIssue", "pyGroup") == [
        ('{"x": [1, 2.50]}', "[]", "true")
    ]


def _encrypted() -> bytes:
    body = bytearray(zip_of([("data.json", TEXT)]))
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


def _zip_without_data() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "expected", "remedy"),
    [
        pytest.param(truncated_gzip(ROWS), "a whole gzip", "export it again", id="truncated gzip"),
        pytest.param(flipped_byte(gzipped(ROWS), -6), "a whole gzip", "fetch", id="flipped byte"),
        pytest.param(
            flipped_byte(zip_of([("data.json", TEXT * 9)]), 60),
            "a whole zip",
            "fetch",
            id="flipped byte in a zip",
        ),
        pytest.param(
            b"<html>no</html>", "one JSON object per line", "export it again", id="not JSON"
        ),
        pytest.param(
            TEXT + b'{"pyModelID": "c"', "one JSON object per line", "repair", id="cut line"
        ),
        pytest.param(json_array_file(ROWS), "one JSON object per line", "NDJSON", id="JSON array"),
        pytest.param(b"[1, 2]\n", "one JSON object per line", "NDJSON", id="list per line"),
        pytest.param(b'"text"\n', "one JSON object per line", "NDJSON", id="text per line"),
        pytest.param(
            TEXT.replace(b"\n", b""), "one JSON object per line", "NDJSON", id="all on one line"
        ),
        pytest.param(
            zip_with_two_members(ROWS), "one *.json member", "pack one", id="zip with two members"
        ),
        pytest.param(
            zip_with_dotdot(ROWS), "names inside the zip's own folder", "pack", id="zip with ../"
        ),
        pytest.param(_zip_without_data(), "one *.json member", "pack", id="empty zip"),
        pytest.param(_encrypted(), "a readable zip", "pack", id="encrypted zip"),
        pytest.param("grün".encode("latin-1"), "UTF-8", "UTF-8", id="not UTF-8"),
        pytest.param(TEXT.decode().encode("utf-16"), "UTF-8", "UTF-8", id="UTF-16"),
    ],
)
def test_bad_body_is_refused_by_name_and_nothing_of_it_is_loaded(
    exports, root, body, expected, remedy
):
    data, meta = wrapped(body)
    put(exports, data, meta)
    put(exports, *models(model("neighbour"), night=NIGHTS[1]))
    report = run_models(exports, root)
    (reason,) = reasons(report)
    assert reason.startswith(f"{data.key}: expected ")
    assert expected in reason
    assert ", found " in reason
    assert remedy in reason
    assert rows_of(root, MODELS, "pyModelID") == [("neighbour",)]
    assert [refused.export_id for refused in report.quarantined] == [NIGHTS[0]]


def test_bomb_is_refused_before_it_is_unpacked(exports, root):
    put(exports, *wrapped(gzip_bomb(30_000_000)))
    report = run_models(exports, root, max_payload_size="5MB")
    assert "at most 5000000 bytes of text when unpacked" in reasons(report)[0]
    assert report.rows == 0


def test_row_beyond_the_limit_is_refused(exports, root):
    put(exports, *models(model("a", pyName="x" * 200_000)))
    report = run_models(exports, root, max_row_size="100KB")
    assert "rows of at most 100000 bytes" in reasons(report)[0]
