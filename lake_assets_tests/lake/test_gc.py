"""What is removed, and what never is: needed, retained, young, or taken up by a writer."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from lake_assets.catalog import Document, write_document
from lake_assets.catalog.objects import Objects
from lake_assets.errors import SettingsError, StorageError
from lake_assets.lake.gc import find_garbage, sweep
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.verify import verify
from lake_assets.lake.versions import rollback
from lake_assets.s3 import open_store
from lake_assets.s3.folder import FolderStore
from lake_assets_tests.lake.children import result, start, together
from lake_assets_tests.lake.line import (
    NIGHTS,
    content,
    listing,
    model,
    models,
    put,
    rows_of,
    run_models,
)
from lake_assets_tests.snapshot_line.shop import Shop, rows

AUGUST = "20260801T000000.000 GMT"


def aged(root, days, pattern="**/*"):
    """Let files be that old; gives the root."""
    for path in Path(root).glob(pattern):
        if path.is_file():
            os.utime(path, (time.time() - days * 86_400,) * 2)
    return str(root)


def collected(root, **options):
    return sweep(root, find_garbage(root, **options), **options)


def kinds(garbage):
    return {item.kind for item in garbage}


def whole(root):
    found = verify(str(root), level="bytes", grace=timedelta(0))
    assert found.findings == ()
    return found.notes == ()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What ``shop`` and ``corrected`` are copies of."""
    place = tmp_path_factory.mktemp("made")
    shop = Shop(f"{place}/shop/source", f"{place}/shop/lake")
    for status in ("new", "paid", "sent"):
        shop.put(a=rows("1", "2", status=status), b=rows("3", month="02", status=status))
        shop.run()
    exports, root = place / "datamart/exports", place / "datamart/lake"
    put(exports, *models(model("a"), model("b")), *models(model("c"), night=NIGHTS[1]))
    run_models(exports, root)
    put(exports, *models(model("a", AUGUST), model("b")))
    run_models(exports, root)
    return place


@pytest.fixture
def shop(made, tmp_path):
    """One export of two groups, corrected twice: three versions of the table."""
    shutil.copytree(made / "shop", tmp_path / "shop")
    return Shop(f"{tmp_path}/shop/source", f"{tmp_path}/shop/lake")


@pytest.fixture
def corrected(made, tmp_path):
    """A datamart table of two nights, the first of them corrected: a row moved to August."""
    shutil.copytree(made / "datamart", tmp_path / "datamart")
    return tmp_path / "datamart/exports", tmp_path / "datamart/lake"


def test_what_is_superseded_goes_and_a_second_time_there_is_nothing(shop):
    before, kept = shop.content, set(shop.listing)
    root = aged(shop.root, 10)
    swept = collected(root)
    assert kinds(swept.removed) == {"staging", "compacted"}
    assert (swept.spared, swept.lost) == ((), ())
    assert kept - set(shop.listing) == {item.key for item in swept.removed}
    assert not [key for key in kept - set(shop.listing) if "/manifest-" in key]
    assert find_garbage(root) == ()
    assert whole(root)
    now = shop.listing
    assert not shop.run().changed
    assert (shop.listing, shop.content.equals(before)) == (now, True)


def test_a_datamart_table_goes_on_as_before(corrected):
    exports, root = corrected
    before = content(root)
    swept = collected(aged(root, 10))
    assert kinds(swept.removed) == {"staging", "compacted", "profile"}
    assert find_garbage(str(root)) == ()
    assert whole(root)
    now = listing(root)
    assert not run_models(exports, root).changed
    assert (listing(root), content(root).equals(before)) == (now, True)
    # Planning looks at where the rows of the corrected export were.
    put(exports, *models(model("b", pyPositives=3), night=NIGHTS[2]))
    assert run_models(exports, root).rows == 3
    assert whole(root)


def test_what_was_removed_is_made_again_where_an_export_goes_back_to_it(shop, corrected):
    collected(aged(shop.root, 10))
    shop.put(a=rows("1", "2", status="new"), b=rows("3", month="02", status="new"))
    assert shop.run().rows == 3
    assert set(shop.column("status")) == {"new"}
    exports, root = corrected
    collected(aged(root, 10))
    put(exports, *models(model("a"), model("b")))
    run_models(exports, root)
    assert [month for _, month in rows_of(root, "model_snapshot", "pyModelID", "_month")] == [
        "2026-09"
    ] * 3
    assert whole(shop.root)
    assert whole(root)


def test_every_version_of_the_retention_can_be_read_and_earlier_ones_go(shop):
    root, uri = aged(shop.root, 30), table_uri(shop.root, "shop.orders")
    then = {version: scan_uri(uri, version=version).collect() for version in range(3)}
    for version, days in enumerate((30, 10, 5)):  # version 0 was the newest until 10 days ago
        aged(root, days, f"lake/shop/orders/_delta_log/{version:020}.json")
    aged(root, 30, "compacted/**/*")
    assert "compacted" not in kinds(collected(root, retention=timedelta(days=12)).removed)
    assert scan_uri(uri, version=0).collect().equals(then[0])
    swept = collected(root, retention=timedelta(days=7))
    assert len([item for item in swept.removed if item.kind == "compacted"]) == 2
    for version in (1, 2):
        assert scan_uri(uri, version=version).collect().equals(then[version])
    with pytest.raises(Exception, match=r"No such file|not found"):
        scan_uri(uri, version=0).collect()


def test_nothing_younger_than_the_grace_or_the_retention_goes(shop):
    week, day = timedelta(days=7), timedelta(days=1)
    now = datetime.now(UTC)
    assert find_garbage(shop.root, retention=timedelta(0)) == ()  # all of it is seconds old
    assert find_garbage(shop.root, grace=timedelta(0)) == ()  # superseded seconds ago
    assert find_garbage(shop.root, now=now + day - timedelta(hours=1)) == ()
    assert kinds(find_garbage(shop.root, now=now + week + day)) == {"staging", "compacted"}


def test_a_manifest_that_is_recent_keeps_its_files_though_nothing_published_them(shop):
    shop.put(a=rows("9"))
    shop.run(until="compacted")
    aged(shop.root, 10, "lake/**/*.parquet")
    found = {item.key for item in find_garbage(shop.root)}
    assert found == set()
    aged(shop.root, 10)
    found = find_garbage(shop.root)
    live = {file for file in shop.listing if file.startswith("lake/") and ".parquet" in file}
    assert len([item for item in found if item.kind == "compacted"]) < len(live)
    unpublished = [item for item in found if item.kind == "compacted"]
    assert sweep(shop.root, found).spared == ()
    assert unpublished
    assert shop.run().rows == 2  # compacted again


def test_leftovers_of_every_kind_go_and_what_a_document_names_stays(shop):
    root = open_store(shop.root)
    objects = Objects(root)
    named, inner, left = (objects.put(body).id for body in (b'{"a": 1}', b"inner", b"left"))
    outer = objects.put(f'{{"sketch": "{inner}"}}'.encode()).id
    for number, blob in enumerate((named, outer)):
        document = Document("materialization", {"config_id": blob}, {})
        write_document(root, f"catalog/log/2026-11-0{number + 1}/x.json", document)
    plan = shop.plan.tasks_folder
    claim = Document("claim", {"task": "x"}, {"worker": "w:1:x", "until": "2026-01-01T00:00+00:00"})
    write_document(root, f"{plan}000000-claim-000001.json", claim)
    place = Path(shop.root)
    strays = {
        "partial": place / "lake/shop/orders/.part-0a1b-1",
        "staging": place / f"{shop.plan.folder}data/month=01/{'0' * 32}.parquet",
        "compacted": place / f"lake/shop/orders/month=01/{'0' * 32}.parquet",
    }
    for path in strays.values():
        path.write_bytes(b"left")
    own = [place / "lake/shop/orders/.part-of-mine", place / "lake/mine/own/x.parquet"]
    own.append(place / f"{shop.plan.folder}x.parquet")
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a person's file")
    removed = {item.key: item.kind for item in collected(aged(shop.root, 10)).removed}
    assert {kind: removed[str(p.relative_to(place))] for kind, p in strays.items()} == {
        kind: kind for kind in strays
    }
    assert removed[f"{plan}000000-claim-000001.json"] == "claim"
    assert [key[-64:] for key, kind in removed.items() if kind == "blob"] == [left]
    assert objects.get(inner) == b"inner"
    assert all(path.exists() for path in own)
    assert find_garbage(shop.root) == ()


def test_a_half_staged_snapshot_stays_resumable(tmp_path):
    shop = Shop(f"{tmp_path}/source", f"{tmp_path}/lake").put(a=rows("1"), b=b"broken")
    assert shop.try_run().error
    assert find_garbage(aged(shop.root, 100)) == ()
    given_up = shop.plan.tasks_folder
    shop.put(b=rows("2")).run()
    aged(shop.root, 50, f"{shop.plan.tasks_folder}*")
    removed = {item.key for item in collected(shop.root).removed}
    assert removed
    assert {key.startswith(given_up) for key in removed} == {True}  # its data counts, in the other
    assert whole(shop.root)
    shop.put(a=rows("7"), b=b"broken again")
    assert shop.try_run().error
    aged(aged(shop.root, 50), 20, f"{shop.plan.tasks_folder}*")
    assert find_garbage(shop.root) == ()  # a correction that may come to its end yet


def test_a_delta_table_that_others_write_keeps_what_its_log_needs(tmp_path):
    root, uri = str(tmp_path), str(tmp_path / "lake/catalog/files")
    for value in ("a b", "a b", "c"):
        frame = pl.DataFrame({"asset": ["x/y", "z"], "n": [value, value]})
        write_deltalake(uri, frame, mode="overwrite", partition_by=["asset"])
    stray = tmp_path / "lake/catalog/files/part-0.parquet"
    stray.write_bytes(b"never committed")
    aged(root, 10)
    aged(root, 1, "lake/catalog/files/_delta_log/*2.json")
    found = verify(root)
    assert [(finding.kind, finding.uri) for finding in found.findings] == [("orphaned", str(stray))]
    removed = collected(root).removed
    assert len([item for item in removed if item.key != "lake/catalog/files/part-0.parquet"]) == 2
    assert whole(root)
    for version in (1, 2):
        assert scan_uri(uri, version=version).collect().height == 2


def test_an_unreadable_record_ends_it_before_anything_goes(shop):
    root = aged(shop.root, 10)
    done = [Path(root, key) for key in shop.listing if "-done-" in key]
    newest = open_store(root)
    manifest = max(key for key in shop.listing if "/manifest-" in key)
    needed = [path for path in done if path.name in newest.get(manifest).decode()]
    body = needed[0].read_bytes()
    needed[0].unlink()
    kept = shop.listing
    with pytest.raises(StorageError, match=r"is gone, which .*manifest-000003"):
        collected(root)
    needed[0].write_bytes(body.replace(b'"rows":', b'"rowz":'))
    with pytest.raises(StorageError, match="altered"):
        collected(root)
    assert set(kept) <= set(shop.listing)


def test_what_is_needed_again_by_the_time_of_the_sweep_is_spared(shop):
    root = aged(shop.root, 10)
    found = find_garbage(root)
    rollback(root, "shop.orders", 0)
    swept = sweep(root, found)
    assert {item.kind for item in swept.spared} == {"compacted"}
    assert set(shop.column("status")) == {"new"}
    assert (whole(root), swept.lost) == (True, ())


def test_a_version_restored_in_the_moment_of_the_removal_is_named(shop, monkeypatch):
    root = aged(shop.root, 10)
    delete, restored = FolderStore.delete, []

    def late(store, key):
        if not restored:  # records go before any data file does
            restored.append(key)
            rollback(root, "shop.orders", 0)
        delete(store, key)

    monkeypatch.setattr(FolderStore, "delete", late)
    lost = collected(root).lost
    assert lost
    assert {finding.uri for finding in verify(root).damage} == {f"{root}/{key}" for key in lost}


def test_a_version_that_is_replaced_while_marks_are_made_stays_readable(shop, monkeypatch):
    root, listing_of, published = aged(shop.root, 10), FolderStore.list, []

    def late(store, prefix="", **options):
        found = list(listing_of(store, prefix, **options))
        if prefix.endswith("_delta_log/") and not published:
            published.append(prefix)
            shop.put(a=rows("9"))
            assert shop.run().version == 3
        return iter(found)

    monkeypatch.setattr(FolderStore, "list", late)
    assert collected(root, retention=timedelta(0)).removed
    uri = table_uri(root, "shop.orders")
    assert [scan_uri(uri, version=v).collect().height for v in (2, 3)] == [3, 2]


def test_nothing_is_lost_while_a_writer_runs_in_another_process(exports, root):
    for number in range(2):  # what there is to remove
        put(exports, *models(model("a", pyPositives=number), model(f"b{number}", AUGUST)))
        run_models(exports, root)
    aged(root, 10)
    writer = start(exports, root, wait=True, times=3)
    together(writer)
    options = {"retention": timedelta(0), "grace": timedelta(minutes=1)}
    removed, number = 0, 2
    while writer.poll() is None:
        put(exports, *models(model("a", pyPositives=number), model(f"b{number}", AUGUST)))
        number += 1
        removed += len(collected(str(root), **options).removed)
    result(writer)
    run_models(exports, root)
    assert removed > 0
    last = f"b{number - 1}"
    assert [name for (name,) in rows_of(root, "model_snapshot", "pyModelID")] == ["a", last]
    found = verify(str(root), level="bytes")
    assert found.findings == ()


def test_only_the_named_tables_are_swept_and_wrong_options_are_refused(shop):
    root = aged(shop.root, 10)
    Objects(open_store(root)).put(b"left")
    aged(root, 10, "catalog/**/*")
    assert "blob" not in kinds(find_garbage(root, tables=["shop.orders"]))
    with pytest.raises(SettingsError, match=r"there is: shop\.orders"):
        find_garbage(root, tables=["shop.order"])
    with pytest.raises(SettingsError, match="cannot be below 0"):
        find_garbage(root, retention=timedelta(-1))


def test_a_lake_on_s3_is_swept_alike(bucket):
    shop = Shop(f"s3://{bucket}/source", f"s3://{bucket}/lake")
    for name in ("1", "2"):
        shop.put(a=rows(name))
        shop.run()
    later = datetime.now(UTC) + timedelta(days=10)
    assert kinds(collected(shop.root, now=later).removed) == {"staging", "compacted"}
    assert find_garbage(shop.root, now=later) == ()
    assert whole(shop.root)
    assert verify(shop.root, level="head").findings == ()
    assert not shop.run().changed
