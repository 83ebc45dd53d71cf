"""Looking around: attributes that neither collide nor lie, exact items, nothing fetched unasked."""

import keyword
import unicodedata

import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from upath import UPath

from lake_assets.arrays import (
    Cut,
    browse,
    migrate,
    open_zarr,
    read_any,
    write_any,
    write_chunked,
    write_json,
    write_npy,
    write_raw,
)
from lake_assets.arrays.attribute_names import attribute_of, name_of
from lake_assets.arrays.place import place_of
from lake_assets.errors import SourceChangedError, StorageError
from lake_assets.s3 import Access, open_store
from lake_assets.s3.client import boto_client
from lake_assets_tests.s3.places import fill_moto

OWN = {"load", "keys", "describe", "url"}
PIECES = [
    "_",
    "DOT",
    "DASH",
    "x5f",
    "NUM_",
    "X",
    "1",
    "-",
    ".",
    " ",
    "class",
    "load",
    "ﬁ",
    "e\u0301",
]


@pytest.fixture(scope="module")
def exp(tmp_path_factory) -> str:
    """A folder with every kind of name."""
    url = str(tmp_path_factory.mktemp("browser") / "exp")
    write_raw(f"{url}/a-b", np.arange(12, dtype="f4").reshape(3, 4))
    write_raw(f"{url}/a_b", np.array([1.5, 2.5]))
    write_npy(f"{url}/2nd.npy", np.eye(2))
    write_any(f"{url}/class/inner", np.zeros(3))
    write_any(f"{url}/cube", _lazy())
    write_json(f"{url}/load", {"a": 1})
    return url


def _lazy():
    import dask.array as da

    return da.ones((4, 6), chunks=(2, 6))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join) | st.text(min_size=1))
@example("a_DOT.b")
@example("_x2d_")
@example("·")
@example("XX_")
@example("NUM_NUM_1")
@example("load_")
def test_every_name_is_one_attribute_and_no_two_are_the_same(name):
    attribute = attribute_of(name, OWN)
    assert attribute is not None
    assert attribute.isidentifier()
    assert not keyword.iskeyword(attribute)
    assert attribute not in OWN
    assert not attribute.startswith("_")
    assert unicodedata.normalize("NFKC", attribute) == attribute
    assert name_of(attribute, OWN) == name  # so no other name has it


def test_children_are_attributes_that_do_not_collide(exp):
    b = browse(exp)
    offered = {name for name in dir(b) if not name.startswith("_")} - OWN
    assert offered == {"a_DASH_b", "a_b", "NUM_2nd_DOT_npy", "class_", "cube", "load_"}
    assert {getattr(b, name).url for name in offered} == {
        f"{exp}/{name.removesuffix('/')}" for name in b
    }
    np.testing.assert_array_equal(b.a_DASH_b.load(), np.arange(12.0).reshape(3, 4))
    assert b.a_b.load().tolist() == [1.5, 2.5]
    assert b.load_.load() == {"a": 1}
    assert b.class_.inner.load().shape == (3,)


def test_an_item_is_exactly_the_child_of_its_name(exp):
    b = browse(exp)
    assert list(b) == list(b.keys()) == ["2nd.npy", "a-b", "a_b", "class/", "cube/", "load"]
    assert len(b) == 6
    assert [b[name].url for name in b] == [f"{exp}/{name}" for name in b]
    assert b["class/inner"].load().tolist() == [0, 0, 0]
    assert "a-b" in b
    assert "a-" not in b
    assert "a-b/" not in b
    for missing in ("a.b", "a_DASH_b", "", "..", "class/../a-b", "a-b/"):
        with pytest.raises(KeyError, match="has no"):
            b[missing]


def test_a_missing_attribute_is_an_attribute_error_that_names_what_is_there(exp):
    b = browse(exp)
    for missing in ("a_c", "class_DASH_", "_private", "__array__", "X_DOT__DOT_"):
        assert not hasattr(b, missing)
    with pytest.raises(AttributeError, match=r"has no 'a_c'; there are 'a_b', '2nd\.npy', "):
        b.a_c  # noqa: B018 (it is asked for)
    with pytest.raises(AttributeError, match="'a-b' is a_DASH_b"):
        b.a_x2d_b  # noqa: B018 (another way to write it)


def test_a_browser_shows_kinds_sizes_shapes_and_dtypes(exp):
    shown = repr(browse(exp))
    assert shown.splitlines()[0] == f"{exp}: folder"
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert ["2nd.npy", "npy", "160", "B", "(2,", "2)", "float64"] in rows
    assert rows[1][:2] + rows[1][-3:] == ["a-b", "raw", "(3,", "4)", "float32"]
    assert ["cube/", "folder"] in rows
    assert repr(browse(exp).cube) == f"{exp}/cube: zarr (4, 6) float64"
    assert "<td>a-b</td><td>raw</td>" in browse(exp)._repr_html_()
    assert [each.kind for each in browse(exp).cube.describe()] == ["zarr"]


def test_what_is_shown_is_text_and_no_html(tmp_path):
    write_raw(str(tmp_path / "<b>x"), np.zeros(1))
    shown = browse(tmp_path)._repr_html_()
    assert "&lt;b&gt;x" in shown
    assert "<b>" not in shown


def test_a_number_is_no_name(exp):
    with pytest.raises(KeyError, match="have names, not 3"):
        browse(exp)[3]


def test_sidecars_are_part_of_their_file(exp, tmp_path):
    assert not [name for name in browse(exp) if name.endswith(".meta.json")]
    (tmp_path / "lonely.meta.json").write_text("[1]")
    assert list(browse(tmp_path)) == ["lonely.meta.json"]


def test_an_object_and_a_folder_of_one_name_are_both_there(bucket):
    root = f"s3://{bucket}/in"
    write_raw(f"{root}/x/below", np.array([1]))
    write_raw(f"{root}/x", np.array([7, 8]))
    write_raw(f"{root}/x-1", np.array([3]))
    b = browse(root)
    assert list(b) == ["x", "x-1", "x/"]
    assert b.x.load().tolist() == [7, 8]
    assert b.x.below.load().tolist() == [1]
    assert (b["x/"].url, b["x/"].load()["below"].tolist()) == (f"{root}/x/", [1])
    assert dir(b).count("x") == 1
    assert repr(b.x).splitlines()[0].startswith(f"{root}/x: raw")
    assert repr(b.x).splitlines()[0].endswith("and folder")


def test_a_bucket_is_asked_only_for_what_is_looked_at(bucket):
    fill_moto(bucket, [f"many/k{n:04}" for n in range(1005)])
    asked: list[str] = []
    access = Access(engine="boto3")  # whose requests can be watched
    client = boto_client(f"s3://{bucket}", access)
    note = lambda model, **_: asked.append(model.name)  # noqa: E731 (a handler)
    client.meta.events.register("before-call.s3", note)
    try:
        b = browse(f"s3://{bucket}/many", access=access)
        assert asked == []
        assert next(b.keys()) == "k0000"
        assert asked == ["ListObjectsV2"]
        assert b.k1004.url == f"s3://{bucket}/many/k1004"
        assert asked[1:] == ["HeadObject"]
        assert len(b) == 1005
        assert asked[2:] == ["ListObjectsV2"] * 2
        assert {"k0000", "k0999", "k1004"} <= set(dir(b))
        assert repr(b).endswith("…")
    finally:
        client.meta.events.unregister("before-call.s3", note)


def test_keys_are_taken_verbatim(bucket):
    root = f"s3://{bucket}/odd"
    names = ["100%25.txt", "a b", "a+b", "ü"]
    for n, name in enumerate(names):
        write_raw(f"{root}/{name}", np.array([n]))
    fill_moto(bucket, ["odd/e//deep"], b"x")
    b = browse(root)
    assert list(b) == [*names[:3], "e/", "ü"]
    assert [b[name].load().tolist() for name in names] == [[0], [1], [2], [3]]
    assert b.NUM_100_x25_25_DOT_txt.load().tolist() == [0]
    assert list(b["e"]) == ["/"]
    assert b["e"]["/"]["deep"].load() == b["e//deep"].load() == b"x"


def test_a_path_that_knows_its_store_is_browsed_read_and_written(bucket, moto_url, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    root = UPath(f"s3://{bucket}/in", endpoint_url=moto_url, key="testing", secret="testing")  # noqa: S106 (moto's)
    write_any(root / "raw", np.array([1, 2]))
    write_any(root / "cube", _lazy())
    write_any(root / "tree", {"a": np.array([3]), "b": {"c": np.array([4])}})
    assert read_any(root / "raw").tolist() == [1, 2]
    assert read_any(root / "cube").sum().compute() == 24
    write_chunked(root / "parts", np.arange(10.0), chunks=Cut(target_chunk_bytes=32))
    assert read_any(root / "parts").sum().compute() == 45
    assert [item.status for item in migrate(root / "tree", root / "new").items] == ["migrated"] * 2
    assert open_zarr(root / "new" / "a").compute().tolist() == [3]
    b = browse(root)
    assert b.tree.load()["b"]["c"].tolist() == [4]
    assert b.cube.load()[:2].sum().compute() == 12
    assert repr(b.cube).endswith("cube: zarr (4, 6) float64")


def test_a_refusal_is_no_missing_name(bucket):
    b = browse(f"s3://{bucket}-none")
    with pytest.raises(StorageError, match="no bucket") as caught:
        hasattr(b, "x")
    assert isinstance(caught.value.__cause__, ClientError)
    assert "cannot be looked at" in repr(b)
    assert open_store(f"s3://{bucket}").head("x") is None


def test_a_child_that_cannot_be_looked_at_is_a_line_of_its_own(tmp_path, monkeypatch):
    from lake_assets.arrays import browser

    errors = iter([SourceChangedError("replaced"), StorageError("no right to read it")])

    def failing(_place, _found):
        raise next(errors)

    rows = []
    monkeypatch.setattr(browser, "glance_at_object", failing)
    for _ in range(2):
        place = place_of(str(tmp_path / "x"))
        place.objects.write(place.key, memoryview(b"body"), {})
        rows.append(browser._row_of(place, "x"))
    assert [row.kind for row in rows] == ["gone or replaced", "unreadable: no right to read it"]
