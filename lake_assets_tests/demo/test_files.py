"""Files of invented exports are sound: names, packings, sentinels, and how a folder gets them."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lake_assets.demo.files import ExportObject, export_objects, write_folder
from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import DATAMART_TABLES, find_table
from lake_assets_tests import factories
from lake_assets_tests.demo.reading import NAME, sentinel_key, unpacked

TABLES = [spec.name for spec in DATAMART_TABLES]


@pytest.mark.parametrize("packing", ["json.gz", "json", "zip"])
@pytest.mark.parametrize("layout", ["flat", "folder"])
def test_files_hold_the_rows_in_order_under_names_as_in_the_bucket(layout, packing):
    made = factories.model_rows(10)
    objects = export_objects(
        "model_snapshot", "20260301T020000.000", made, files=3, layout=layout, packing=packing
    )
    data = [item for item in objects if not item.is_sentinel]
    assert [len(unpacked(item.body)) for item in data] == [3, 3, 4]
    assert [row for item in data for row in unpacked(item.body)] == made
    assert [item.key for item in objects if item.is_sentinel] == [sentinel_key(d.key) for d in data]
    assert len({item.key for item in objects}) == 6
    parts = data[0].key.split("/")
    found = NAME.match(parts[1])
    assert found
    assert found["cls"] == "Data-Decision-ADM-ModelSnapshot"
    assert (found["ds"], found["ts"]) == ("pzModelSnapshots", "20260301T020000.000")
    assert parts[-1].endswith(f".{packing}")
    if layout == "folder":
        assert parts[2:] == [f"files_001.{packing}"]
    else:
        assert found["uid"] == "web7831461772330400005"


@pytest.mark.parametrize("table", TABLES)
def test_names_lead_back_to_the_table(table):
    item, _ = factories.export_files(table)
    found = NAME.match(item.key.removeprefix("datamart/"))
    assert found
    assert found["cls"] == find_table(table).class_name
    assert found["ds"][2:] in find_table(table).datasets


def test_a_zip_has_pegas_manifest_with_the_record_count():
    item, _ = export_objects("snapshot", "20260301T020000.000", [{"a": 1}] * 4, packing="zip")
    with zipfile.ZipFile(io.BytesIO(item.body)) as archive:
        assert "records: 4" in archive.read("META-INF/MANIFEST.mf").decode().splitlines()


@pytest.mark.parametrize("spelling", ["json", "xml", "empty", "none"])
def test_sentinels_tell_name_size_and_records_in_their_spelling(spelling):
    objects = export_objects(
        "snapshot", "20260301T020000.000", factories.table_rows("snapshot", 5), sentinel=spelling
    )
    if spelling == "none":
        assert [item.is_sentinel for item in objects] == [False]
        return
    data, meta = objects
    told = (data.key.removeprefix("datamart/"), len(data.body), 5)
    if spelling == "empty":
        assert meta.body == b""
    elif spelling == "json":
        found = json.loads(meta.body)
        assert (found["name"], found["size"], found["recordCount"]) == told
    else:
        file = ET.fromstring(meta.body).find("files/file")  # noqa: S314 - our own bytes
        assert file is not None
        assert tuple(element.text for element in file) == tuple(map(str, told))


def test_rows_may_be_dealt_by_hand_and_files_may_be_empty():
    a, b, c = factories.model_rows(3)
    objects = export_objects("model_snapshot", "20260301T020000.000", [[a], [], [b, c]])
    counts = [len(unpacked(item.body)) for item in objects if not item.is_sentinel]
    assert counts == [1, 0, 2]
    nothing, _ = export_objects("histogram", "20260301T020000.000", [])
    assert gzip.decompress(nothing.body) == b""


def test_exports_may_lie_at_the_root():
    data, meta = export_objects("histogram", "20260301T020000", [], folder="")
    assert data.key.startswith("Data-DM-Histogram_pyGetHistogram_20260301T020000GMT-web")
    assert meta.key == f".{data.key}.meta"


def test_no_files_for_rows_are_an_error():
    with pytest.raises(SettingsError, match="0 were asked"):
        export_objects("histogram", "20260301T020000.000", [{"a": 1}], files=0)


def test_a_folder_gets_every_object_whole_and_sentinels_last(tmp_path: Path):
    objects = factories.export_files("snapshot", 9, files=3)
    factories.put_folder(tmp_path / "exports", reversed(objects))
    found = {
        path.relative_to(tmp_path / "exports").as_posix(): path
        for path in (tmp_path / "exports").rglob("*")
        if path.is_file()
    }
    assert {key: path.read_bytes() for key, path in found.items()} == {
        item.key: item.body for item in objects
    }
    written = {key: path.stat().st_mtime_ns for key, path in found.items()}
    data = [written[item.key] for item in objects if not item.is_sentinel]
    assert max(data) <= min(written[item.key] for item in objects if item.is_sentinel)


@pytest.mark.parametrize("key", ["../a.json", "datamart/../../a.json", "/tmp/a.json"])  # noqa: S108
def test_a_key_that_leaves_the_folder_is_refused_before_anything_is_written(key, tmp_path: Path):
    with pytest.raises(SettingsError, match="leaves the folder"):
        write_folder([ExportObject("fine.json", b"{}"), ExportObject(key, b"{}")], tmp_path / "in")
    assert list(tmp_path.rglob("*")) == []
