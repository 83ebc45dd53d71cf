"""Listings: start, levels, versions, pages; the quick parser beside boto3's."""

import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.errors import StorageError
from lake_assets.s3 import Access, Folder, ObjectInfo, Store, open_store
from lake_assets.s3.client import boto_client
from lake_assets.s3.listing import _page_of, _parse
from lake_assets_tests.fault_proxy import Fault, fault_proxy

MADE = ["a-b", "a/1", "a/2/x", "a/2/y/z", "a0", "b/1", "c.txt", "ä/ö ü", "日/本"]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "root"))
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some prefix+1")


def fill(store: Store, *keys: str) -> None:
    for key in keys:
        store.put(key, key.encode())


def keys(listing) -> list[str]:
    return [info.key for info in listing]


class TestListingContract:
    """What folders and buckets show alike."""

    @pytest.mark.parametrize(
        "after", ["", "a", "a/", "a/2", "a/2/x", "a/2/zzz", "b", "日/本", "龍"]
    )
    def test_start_after_gives_the_rest_of_the_listing(self, store, after):
        made = sorted(MADE)
        fill(store, *made)
        for prefix in ["", "a", "a/", "a/2/", "b"]:
            rest = [key for key in made if key.startswith(prefix) and key > after]
            assert keys(store.list(prefix, start_after=after)) == rest

    def test_browse_shows_one_level(self, store):
        fill(store, *MADE)
        level = list(store.browse())
        assert keys(level) == ["a-b", "a/", "a0", "b/", "c.txt", "ä/", "日/"]
        assert [type(item) for item in level[:3]] == [ObjectInfo, Folder, ObjectInfo]
        assert keys(store.browse("a/")) == ["a/1", "a/2/"]
        assert keys(store.browse("a")) == ["a-b", "a/", "a0"]
        assert keys(store.browse("a/2/")) == ["a/2/x", "a/2/y/"]
        assert keys(store.browse("nothing/")) == []

    def test_what_browse_shows_of_an_object_is_what_list_shows(self, store):
        fill(store, "x", "a/y")
        assert [store.head("x")] == [i for i in store.browse() if isinstance(i, ObjectInfo)]

    def test_browse_and_list_together_reach_every_key(self, store):
        fill(store, *MADE)

        def walk(prefix: str) -> Iterator[str]:
            for item in store.browse(prefix):
                if isinstance(item, Folder):
                    yield from walk(item.key)
                else:
                    yield item.key

        assert list(walk("")) == keys(store.list())


class TestBucketListing:
    """What only S3 has."""

    ODD = (
        "//two",
        "a//b",
        "..",
        "../up",
        "x/../y",
        "./dot",
        "a/",
        "a",
        "p/",
        "p//",
        "é%2F+ &<>\"'",
    )

    @pytest.fixture
    def odd(self, bucket: str) -> Store:
        from moto.backends import get_backend

        for key in self.ODD:
            get_backend("s3")["123456789012"]["aws"].put_object(bucket, key, b"1")
        return open_store(f"s3://{bucket}")

    def test_no_key_stops_a_listing_and_markers_are_no_objects(self, odd):
        assert keys(odd.list()) == sorted(key for key in self.ODD if not key.endswith("/"))

    def test_no_key_stops_a_look_at_one_level(self, odd):
        level = keys(odd.browse())
        assert level == sorted(
            {".", "..", "../", "./", "/", "a", "a/", "p/", "x/", self.ODD[-1]} & {*level}
        )
        assert {"..", "../", "./", "/", "a", "a/", "p/", "x/"} <= {*level}
        assert keys(odd.browse("p/")) == ["p//"]
        assert keys(odd.browse("a/")) == ["a//"]

    def test_a_level_of_more_than_a_page_is_whole_and_sorted(self, bucket):
        from moto.backends import get_backend

        backend = get_backend("s3")["123456789012"]["aws"]
        made = [f"{n:04d}/x" if n % 2 else f"{n:04d}" for n in range(2300)]
        for key in made:
            backend.put_object(bucket, key, b"")
        expected = [key.removesuffix("x") for key in made]
        assert keys(open_store(f"s3://{bucket}").browse()) == expected

    def test_versions_are_listed_newest_first_with_delete_markers(self, bucket, s3_env):
        client = boto3.client("s3", endpoint_url=s3_env)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        store = open_store(f"s3://{bucket}/p")
        store.put("x", b"1")
        store.put("x", b"22")
        store.put("y", b"333")
        store.delete("x")
        found = list(store.versions())
        assert [(v.key, v.size_bytes, v.is_latest, v.is_deleted) for v in found] == [
            ("x", 0, True, True),
            ("x", 2, False, False),
            ("x", 1, False, False),
            ("y", 3, True, False),
        ]
        assert len({v.version_id for v in found}) == 4
        assert keys(store.versions("y")) == ["y"]

    def test_without_versioning_each_object_has_one_version(self, bucket):
        store = open_store(f"s3://{bucket}")
        fill(store, "x")
        [version] = store.versions()
        assert (version.version_id, version.etag) == ("null", next(store.list()).etag)

    def test_others_who_share_the_client_get_boto3s_own_answer(self, bucket):
        store = open_store(f"s3://{bucket}")
        fill(store, "x")
        assert keys(store.list()) == ["x"]
        answer = boto_client(f"s3://{bucket}").list_objects_v2(Bucket=bucket)
        assert [item["Key"] for item in answer["Contents"]] == ["x"]
        assert "LakePage" not in answer

    @pytest.mark.parametrize("kind", ["503", "reset", "cut"])
    def test_a_listing_survives_a_fault_of_the_store(self, bucket, s3_env, monkeypatch, kind):
        fill(open_store(f"s3://{bucket}"), "x", "y")
        with fault_proxy(s3_env) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            proxy.faults.append(Fault(kind, times=2))
            assert keys(open_store(f"s3://{bucket}").list()) == ["x", "y"]
            assert len(proxy.requests) == 3

    def test_wrong_credentials_are_named_as_such(self, bucket, s3_env, monkeypatch):
        with fault_proxy(s3_env) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            proxy.faults.append(Fault("403"))
            store = open_store(f"s3://{bucket}/p")
            for ask in (store.list, store.browse, store.versions):
                with pytest.raises(StorageError, match=r"refused the credentials \(InvalidAcc"):
                    list(ask())

    def test_a_missing_bucket_is_named_as_such(self, s3_env):
        assert s3_env
        store = open_store("s3://not-there-at-all")
        for ask in (store.list, store.browse, store.versions):
            with pytest.raises(StorageError, match="there is no bucket 'not-there-at-all'"):
                list(ask())


class TestFolderListing:
    """What only folders have."""

    def test_a_folder_keeps_no_versions_and_says_so(self, tmp_path):
        with pytest.raises(StorageError, match="a folder keeps no versions"):
            open_store(str(tmp_path)).versions()

    def test_a_folder_on_disk_is_shown_even_where_it_is_empty(self, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / ".part-1").write_bytes(b"being written")
        store = open_store(str(tmp_path))
        assert list(store.browse()) == [Folder("empty/")]
        assert list(store.list()) == []


# --- the quick parser beside boto3's


def spelled(
    made: list[str], folders: list[str] = (), *, url: bool = True, aws: bool = True, space: str = ""
) -> bytes:
    """One answer, as S3 spells it; ``aws=False``: fields in another order, and more space."""
    write = (lambda text: quote(text, safe="")) if url else escape
    pieces = ["<EncodingType>url</EncodingType>" if url else "", "<IsTruncated>true</IsTruncated>"]
    pieces += ["<NextContinuationToken>more&amp;1</NextContinuationToken>"]
    for number, key in enumerate(made):
        etag = f"<ETag>&quot;{number:032x}&quot;</ETag>"
        stamp, size = "2026-09-29T02:00:00.123Z", f"<Size>{number * 10**10}</Size>"
        fields = [f"<Key>{write(key)}</Key>", f"<LastModified>{stamp}</LastModified>", etag]
        fields += ["<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"] * (number % 2)
        fields += [size, "<Owner><ID>1</ID><DisplayName/></Owner>" * (number % 3 == 1)]
        fields += ["<StorageClass>STANDARD</StorageClass>"]
        glue = "" if aws else "\n  "
        pieces.append(f"<Contents>{glue.join(fields if aws else fields[::-1])}</Contents>")
    pieces += [f"<CommonPrefixes><Prefix>{write(f)}</Prefix></CommonPrefixes>" for f in folders]
    start = f'<ListBucketResult xmlns="{space}">' if space else "<ListBucketResult>"
    return f'<?xml version="1.0"?>\n{start}{"".join(pieces)}</ListBucketResult>'.encode()


S3_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
KEY = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("%+&<>\"'/ \n"), min_size=1
)


@given(
    st.lists(KEY, max_size=6),
    st.lists(KEY, max_size=3),
    st.booleans(),
    st.sampled_from(["", S3_SPACE]),
)
def test_every_spelling_of_a_page_is_read_alike(made, folders, aws, space):
    page = _parse(spelled(made, folders, aws=aws, space=space))
    assert page is not None
    assert [row[0] for row in page.objects] == made
    assert [row[1] for row in page.objects] == [n * 10**10 for n in range(len(made))]
    assert [row[2].strip('"') for row in page.objects] == [f"{n:032x}" for n in range(len(made))]
    assert page.folders == folders
    assert page.next_token == "more&1"  # noqa: S105 (no secret)


def test_a_store_that_does_not_quote_keys_is_read_as_it_writes():
    made = ["a%20b+c", "x&y<z>", "ü"]
    page = _parse(spelled(made, url=False))
    assert page is not None
    assert [row[0] for row in page.objects] == made


def test_another_document_is_left_to_boto3():
    assert _parse(b"<Error><Code>InternalError</Code></Error>") is None


@contextmanager
def listing_server(answer) -> Iterator[tuple[Access, list[dict[str, list[str]]]]]:
    """A store that answers every listing with what ``answer(query)`` gives."""
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(parse_qs(urlsplit(self.path).query))
            body = answer(asked[-1])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        keys = {"access_key_id": "k", "secret_access_key": "s"}
        yield Access(endpoint_url=url, retry_attempts=2, **keys), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_store_that_repeats_a_page_ends_in_an_error_not_in_a_loop():
    with listing_server(lambda _: spelled(["x"])) as (access, asked):
        with pytest.raises(StorageError, match="the same page again"):
            list(open_store("s3://bucket", access).list())
        assert len(asked) == 2


def test_an_error_with_status_200_is_an_error():
    body = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>oh</Message></Error>'
    with listing_server(lambda _: body) as (access, asked):
        with pytest.raises(StorageError, match="InternalError"):
            list(open_store("s3://bucket", access).list())
        assert len(asked) == 2  # tried again before


def test_a_page_that_is_no_xml_is_an_error():
    with listing_server(lambda _: spelled(["x"])[:-30]) as (access, _):
        listing = open_store("s3://bucket", access).list()
        with pytest.raises(StorageError, match="cannot list s3://bucket"):
            list(listing)


def test_the_page_that_boto3_parses_serves_as_well():
    page = _page_of({"Contents": [{"Key": "k", "Size": 1, "ETag": '"e"', "LastModified": "t"}]})
    assert (page.objects, page.folders, page.next_token) == ([("k", 1, '"e"', "t")], [], None)


def long_listing(query: dict[str, list[str]]) -> bytes:
    first = int(query.get("continuation-token", ["0"])[0])
    n_pages = int(query["prefix"][0].strip("n/"))
    body = spelled([f"n{n_pages}/{first * 1000 + n:09d}" for n in range(1000)])
    more = str(first + 1) if first + 1 < n_pages else ""
    return body.replace(b"more&amp;1", more.encode())


def test_memory_is_that_of_a_page_however_many_there_are():
    with listing_server(long_listing) as (access, _):
        store = open_store("s3://bucket", access)
        peaks = []
        for n_pages in (2, 20):
            tracemalloc.start()
            assert sum(1 for _ in store.list(f"n{n_pages}/")) == n_pages * 1000
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def test_the_first_key_comes_before_the_last_page_is_asked_for():
    with listing_server(long_listing) as (access, asked):
        listing = open_store("s3://bucket", access).list("n50/")
        next(listing)
        assert len(asked) == 1
