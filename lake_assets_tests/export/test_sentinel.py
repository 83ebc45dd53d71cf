"""Sentinels: what is understood, and that nothing in one can do harm."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.export.sentinel import SentinelFacts, parse_sentinel, sentinel_target
from lake_assets_tests.cost import cost_s

NOTHING = SentinelFacts()
BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "9"><!ENTITY y "&x;&x;&x;&x;">]>
<file><name>a.json</name><size>&y;</size></file>"""
OUTSIDE = b"""<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a size="1">&x;</a>"""


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        pytest.param(b'{"name":"a.json","size":10,"recordCount":2}', (10, 2), id="json"),
        pytest.param(b'\xef\xbb\xbf{"size": 10}', (10, None), id="json with BOM"),
        pytest.param(b'{"Name":"x/y/a.json","File-Size":"10","Number of Records":" 2 "}', (10, 2),
                     id="other spellings"),
        pytest.param(b'[{"name":"b.json","size":1},{"name":"a.json","size":2}]', (2, None),
                     id="a list of files"),
        pytest.param(b'{"recordCount": 99, "files":[{"fileName":"b"},{"fileName":"a.json",'
                     b'"records":7}]}', (None, 7), id="files inside"),
        pytest.param(b'{"name":"other.json","size":10,"records":2}', (None, None),
                     id="of another file only"),
        pytest.param(b'{"meta":{"file":{"size":4}}}', (4, None), id="nested"),
        pytest.param(b'{"size":0,"records":0}', (0, 0), id="zero"),
        pytest.param(b"<file><name>a.json</name><size>10</size><recordCount>2</recordCount></file>",
                     (10, 2), id="xml"),
        pytest.param(b'<m:files xmlns:m="u"><m:file name="b" size="1"/><m:file name="a.json"'
                     b' size="3"/></m:files>', (3, None), id="xml attributes and namespaces"),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><a size="3"/>', (3, None),
                     id="xml of an unknown encoding"),
        pytest.param(b"name: a.json\r\nsize: 10\r\nrecords = 2\r\n", (10, 2), id="lines"),
        pytest.param(b"size:\nrecords: 5", (None, 5), id="a line without its value"),
        pytest.param(b"", (None, None), id="empty"),
        pytest.param(b"  \n ", (None, None), id="blank"),
        pytest.param(b"done", (None, None), id="a word"),
        pytest.param(b"\x00\xff\xfe", (None, None), id="binary"),
        pytest.param(b'{"size": 10', (None, None), id="broken json"),
        pytest.param(b"<a><size>1</a>", (None, None), id="broken xml"),
        pytest.param(BOMB, (None, None), id="entities"),
        pytest.param(OUTSIDE, (None, None), id="an entity from outside"),
        pytest.param(b'{"size":true,"records":null}', (None, None), id="wrong types"),
        pytest.param(b'{"size":[1],"records":{"a":1}}', (None, None), id="containers"),
        pytest.param(b'{"size":-1,"records":1.5}', (None, None), id="no counts"),
        pytest.param(b'{"size":1e400,"records":NaN}', (None, None), id="no numbers"),
        pytest.param(b'{"size":' + b"9" * 19 + b"}", (None, None), id="beyond 64 bits"),
        pytest.param(b'{"size":' + b"9" * 5000 + b"}", (None, None), id="5000 digits"),
        pytest.param(b'"size: 3"', (None, None), id="a JSON text"),
        pytest.param(b"[1, null, [2]]", (None, None), id="a list of numbers"),
    ],
)  # fmt: skip
def test_a_sentinel_claims_what_it_says_of_the_file(body, facts):
    assert parse_sentinel(body, "a.json") == SentinelFacts(*facts)


HARMFUL = {
    "deep json": lambda n: b"[" * 20 * n,
    "deep objects": lambda n: b'{"a":' * 8 * n,
    "deep xml": lambda n: b"<a>" * 8 * n,
    "a line of blanks": lambda n: b"a" + b" " * 40 * n + b"b",
    "a long word": lambda n: b"a.b-" * 10 * n,
    "many files": lambda n: json.dumps([{"size": 1, "name": "x"}] * 2 * n).encode(),
    "many lists": lambda n: b"[" + b"[]," * 8 * n + b"[]]",
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_sentinel_made_to_do_harm_costs_no_more_than_its_length(kind):
    small, large = (HARMFUL[kind](n) for n in (5_000, 20_000))
    assert parse_sentinel(large, "a.json") == NOTHING
    # What costs its length takes 4 times as long, what costs the square of it 16 times. Below a
    # millisecond the clock says nothing.
    costs_s = [cost_s(partial(parse_sentinel, body, "a.json")) for body in (small, large)]
    assert costs_s[1] < 9 * max(costs_s[0], 0.001)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]<>!":=\\ size019nameé\n').map(str.encode))
def test_no_content_is_an_error(body):
    facts = parse_sentinel(body, "a.json")
    assert all(value is None or value >= 0 for value in (facts.size_bytes, facts.rows))


@given(
    st.text(alphabet="abc_.- %+é", min_size=1).filter(lambda name: "/" not in name),
    st.integers(0, 10**17),
    st.integers(0, 10**17),
)
def test_what_a_json_sentinel_says_is_read_exactly(name, size, rows):
    body = json.dumps({"name": name, "size": size, "records": rows}).encode()
    assert parse_sentinel(body, name) == SentinelFacts(size, rows)


@pytest.mark.parametrize(
    ("key", "pattern", "target"),
    [
        ("datamart/.a.json.meta", ".{name}.meta", "datamart/a.json"),
        (".a.json.meta", ".{name}.meta", "a.json"),
        ("d//.a.meta", ".{name}.meta", "d//a"),
        ("datamart/a.json", ".{name}.meta", None),
        ("datamart/a.json.meta", ".{name}.meta", None),
        ("datamart/.meta", ".{name}.meta", None),
        ("datamart/..meta", ".{name}.meta", None),
        ("datamart/.a.meta/b.json", ".{name}.meta", None),
        ("d/a.json.done", "{name}.done", "d/a.json"),
        ("d/READY-a.json", "READY-{name}", "d/a.json"),
        ("d/.done", "{name}.done", None),
    ],
)
def test_a_sentinel_points_to_the_file_beside_it(key, pattern, target):
    assert sentinel_target(key, pattern) == target
