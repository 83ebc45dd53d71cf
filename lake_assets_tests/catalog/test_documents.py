"""Documents: one spelling, an id that fits, written once."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog import (
    Document,
    canonical_json,
    content_id,
    read_document,
    write_document,
)
from lake_assets.errors import StorageError
from lake_assets.s3 import Store, open_store

DOCUMENT = Document("staging", {"rows": 3, "files": [{"name": "ü"}]}, {"at": "2026-09-28"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


@given(JSON)
def test_canonical_json_reads_back_as_the_same_value(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


def test_the_spelling_is_fixed_for_good():
    value = {"b": [1, 1.5, True, None], "a": {"ü": "\n"}, "A": 1e300}
    assert canonical_json(value).decode() == ('{"A":1e+300,"a":{"ü":"\\n"},"b":[1,1.5,true,null]}')
    assert content_id({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}]
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


def test_a_name_that_is_not_utf8_can_be_recorded(store: Store):
    document = Document("staging", {"name": "\udcff.json"}, {})
    assert write_document(store, "d", document)
    assert read_document(store, "d") == document


def test_the_id_is_of_kind_and_content_alone():
    same = Document("staging", {"files": [{"name": "ü"}], "rows": 3}, {"at": "another day"})
    assert same.id == DOCUMENT.id
    assert Document("compacted", DOCUMENT.content, DOCUMENT.facts).id != DOCUMENT.id
    assert Document("staging", {"rows": 4}, {}).id != DOCUMENT.id


def test_a_document_is_written_once_and_stays(store: Store):
    assert write_document(store, "m/1", DOCUMENT) is True
    assert write_document(store, "m/1", Document("staging", {"rows": 9}, {})) is False
    assert read_document(store, "m/1") == DOCUMENT


def test_one_of_many_writers_wins(store: Store):
    documents = [Document("staging", {"rows": number}, {}) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda document: write_document(store, "m", document), documents))
    assert sum(won) == 1
    assert read_document(store, "m") == documents[won.index(True)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b"", "no catalog document", id="empty"),
        pytest.param(b"\xff\xfe", "no catalog document", id="binary"),
        pytest.param(b"[1]", "no catalog document", id="a list"),
        pytest.param(b"null", "no catalog document", id="null"),
        pytest.param(b"[" * 100_000, "no catalog document", id="deep"),
        pytest.param(b'{"format": 1}', "no catalog document", id="fields missing"),
        pytest.param(b'{"format": "1"}', "no catalog document", id="format is text"),
        pytest.param(
            b'{"format":1,"kind":"k","id":"x","content":NaN,"facts":{}}', "no catalog", id="NaN"
        ),
        pytest.param(b'{"format": 2, "later": true}', "format 2.*up to 1; update", id="later"),
    ],
)
def test_what_is_no_document_is_an_error_that_names_it(store: Store, body: bytes, said: str):
    store.put("m/1", body)
    with pytest.raises(StorageError, match=f"m/1.*{said}"):
        read_document(store, "m/1")


def test_an_altered_document_is_found(store: Store):
    write_document(store, "m/1", DOCUMENT)
    store.put("m/1", store.get("m/1").replace(b'"rows":3', b'"rows":4'))
    with pytest.raises(StorageError, match="m/1 was altered"):
        read_document(store, "m/1")
