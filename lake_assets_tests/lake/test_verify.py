"""Each kind of damage is seen and named exactly; what is no damage is told and does no harm."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from lake_assets import delta
from lake_assets.catalog import Document, write_document
from lake_assets.catalog.objects import Objects
from lake_assets.errors import SettingsError
from lake_assets.lake.verify import verify
from lake_assets.s3 import open_store
from lake_assets_tests.lake.line import NIGHTS, model, models, put, run_models
from lake_assets_tests.snapshot_line.shop import Shop, rows

DAY = 86_400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake with a table of each line and a blob that nothing names."""
    place = tmp_path_factory.mktemp("made")
    shop = Shop(f"{place}/source", f"{place}/lake")
    shop.put(a=rows("1", "2"), b=rows("3", month="02"))
    shop.run()
    for night in NIGHTS[:2]:
        put(place / "exports", *models(model(night), night=night))
    run_models(place / "exports", place / "lake")
    Objects(open_store(f"{place}/lake")).put(b"a log")
    return place


@pytest.fixture
def lake(made, tmp_path):
    """A copy of it; the exports stay where they are."""
    shutil.copytree(made / "lake", tmp_path / "lake")
    return tmp_path / "lake"


def one(lake, pattern):
    return min(path for path in lake.glob(pattern) if not path.name.endswith(".index.parquet"))


def flip(path):
    """Another byte in the middle, as large and as old as before."""
    about = path.stat()
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def rewrite(path):
    """Another byte at its end, as large as before."""
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def grow(path):
    path.write_bytes(path.read_bytes() + b"\0")


STAGED, STAGED_ORDERS = "staging/datamart/**/*.parquet", "staging/shop/**/*.parquet"
LIVE, LIVE_ORDERS = "lake/datamart/**/*.parquet", "lake/shop/**/*.parquet"


@pytest.mark.parametrize("level", ["list", "head", "bytes"])
def test_a_whole_lake_is_whole_at_every_level(lake, level):
    found = verify(str(lake), level=level)
    assert (found.findings, found.notes) == ((), ())
    assert found.tables == ("datamart.model_snapshot", "shop.orders")
    data = [path for path in lake.rglob("*.parquet") if "_delta_log" not in str(path)]
    blobs = list(lake.glob("catalog/objects/**/*"))
    assert found.objects == len(data) + len([path for path in blobs if path.is_file()])
    if level == "bytes":
        sizes = sum(path.stat().st_size for path in [*data, *blobs] if path.is_file())
        assert found.bytes_read == sizes


@pytest.mark.parametrize("pattern", [STAGED_ORDERS, LIVE])
@pytest.mark.parametrize(
    ("damage", "level", "kind"),
    [
        pytest.param(Path.unlink, "list", "missing", id="missing"),
        pytest.param(cut, "list", "truncated", id="truncated"),
        pytest.param(grow, "list", "changed", id="grown"),
        pytest.param(rewrite, "head", "changed", id="rewritten"),
        pytest.param(flip, "bytes", "changed", id="flipped"),
    ],
)
def test_damage_is_named_exactly(lake, pattern, damage, level, kind):
    path = one(lake, pattern)
    damage(path)
    [finding] = verify(str(lake), level=level).findings
    assert (finding.kind, finding.uri, finding.is_damage) == (kind, str(path), True)
    assert finding.table == ("shop.orders" if "/shop/" in pattern else "datamart.model_snapshot")
    assert finding.remedy.startswith("restore it")


@pytest.mark.parametrize(
    "pattern",
    [
        "staging/shop/*/*/plan-*/*-done-*.json",
        "compacted/*/*/*/*.json",
    ],
)
def test_a_document_that_is_altered_or_gone_is_damage(lake, pattern):
    path = one(lake, pattern)
    path.write_text(path.read_text().replace('"content":{', '"content":{"more":1,'))
    [changed] = verify(str(lake), level="bytes").findings
    path.unlink()
    [gone] = verify(str(lake)).findings
    assert [(f.kind, f.uri) for f in (changed, gone)] == [
        ("changed", str(path)),
        ("missing", str(path)),
    ]


def test_an_altered_staging_manifest_is_damage_and_without_it_its_files_are_orphans(lake):
    path = one(lake, "staging/*/*/*/manifest-*.json")
    path.write_text(path.read_text().replace('"content":{', '"content":{"more":1,'))
    [changed] = verify(str(lake)).damage
    assert (changed.kind, changed.uri) == ("changed", str(path))
    path.unlink()
    left = [str(p) for p in path.parent.rglob("*.parquet") if os.utime(p, (0, 0)) is None]
    findings = verify(str(lake)).findings
    assert sorted((f.kind, f.uri) for f in findings) == [("orphaned", p) for p in sorted(left)]


def test_orphans_are_named_and_are_no_damage_and_young_ones_are_somebodys_work(lake):
    strays = [
        one(lake, pattern).with_name("0" * 32 + ".parquet")
        for pattern in (STAGED, STAGED_ORDERS, LIVE, LIVE_ORDERS)
    ]
    for path in strays:
        path.write_bytes(b"left")
    blob = next(path for path in lake.glob("catalog/objects/**/*") if path.is_file())
    assert verify(str(lake)).findings == ()
    for path in (*strays, blob):
        os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)
    found = verify(str(lake), grace=timedelta(days=1))
    assert {f.uri for f in found.findings} == {str(path) for path in (*strays, blob)}
    assert ({f.kind for f in found.findings}, found.damage) == ({"orphaned"}, ())


def test_files_of_earlier_versions_are_no_orphans(tmp_path):
    shop = Shop(f"{tmp_path}/source", f"{tmp_path}/lake")
    for content in ("1", "2"):
        shop.put(a=rows(content))
        shop.run()
    found = verify(shop.root, grace=timedelta(0))
    assert found.findings == ()
    live = {file.path for file in delta.live_files(f"{shop.root}/lake/shop/orders")}
    assert len(list(Path(shop.root).glob("lake/shop/**/*.parquet"))) == len(live) + 1


def test_a_changed_blob_is_damage(lake):
    blob = next(path for path in lake.glob("catalog/objects/**/*") if path.is_file())
    flip(blob)
    [finding] = verify(str(lake), level="bytes").findings
    assert (finding.kind, finding.uri, finding.table) == ("changed", str(blob), "")


def test_an_altered_record_and_a_blob_that_a_record_misses_are_damage(lake):
    root = open_store(str(lake))
    blobs = [Objects(root).put(body).id for body in (b"1", b"2")]
    for day, blob in zip(("01", "02"), blobs, strict=True):
        document = Document("materialization", {"config_id": blob, "log_id": None}, {})
        write_document(root, f"catalog/log/2026-11-{day}/x.json", document)
    assert verify(str(lake), level="head").findings == ()
    gone = lake / f"catalog/objects/sha256/{blobs[1][:2]}/{blobs[1]}"
    gone.unlink()
    altered = lake / "catalog/log/2026-11-01/x.json"
    altered.write_text(altered.read_text().replace('"content":{', '"content":{"more":1,'))
    found = verify(str(lake), level="head").damage
    assert [(f.kind, f.uri) for f in found] == [("changed", str(altered)), ("missing", str(gone))]
    assert "config_id of catalog/log/2026-11-02/x.json" in found[1].found


def test_an_export_that_changed_since_is_told_and_one_that_is_gone_is_not(tmp_path):
    shop = Shop(f"{tmp_path}/source", f"{tmp_path}/lake")
    shop.put(a=rows("1", "2"), b=rows("3"))
    shop.run()
    shop.remove("b")
    shop.put(a=rows("1"))
    found = verify(shop.root)
    [finding] = found.findings
    assert (finding.kind, finding.uri) == ("source changed", f"{tmp_path}/source/a.parquet")
    assert found.damage == ()


def test_a_sample_is_a_share_and_the_same_one_each_time(lake):
    for path in lake.rglob("*.parquet"):
        path.unlink()
    whole, half = (verify(str(lake), sample=share) for share in (1.0, 0.5))
    again = verify(str(lake), sample=0.5)
    assert 0 < len(half.damage) < len(whole.damage)
    assert half.findings == again.findings
    assert set(half.findings) < set(whole.findings)


def test_only_the_named_tables_are_looked_at(lake):
    one(lake, LIVE).unlink()
    assert verify(str(lake), tables=["shop.orders"]).damage == ()
    assert len(verify(str(lake), tables=["datamart.model_snapshot"]).damage) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": "deep"}, "no level 'deep'"),
        ({"sample": 0.0}, "above 0"),
        ({"tables": ["shop.order"]}, "there is: datamart.model_snapshot, shop.orders"),
    ],
)
def test_wrong_options_are_refused(lake, options, says):
    with pytest.raises(SettingsError, match=says):
        verify(str(lake), **options)
