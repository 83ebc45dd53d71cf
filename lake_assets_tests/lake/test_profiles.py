"""Profiles of the datamart: written with the rows, merged without them, and free on a rerun."""

import json
import os
import time
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, write_deltalake

from lake_assets.catalog import Document, write_document
from lake_assets.catalog.profile import (
    PROFILES,
    Profile,
    Profiler,
    profile_key,
    put_profile,
    read_profile,
)
from lake_assets.errors import SettingsError, StorageError
from lake_assets.lake import query
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.lake.gc import find_garbage, sweep
from lake_assets.lake.profiles import complete_profiles, table_profile
from lake_assets.lake.verify import verify
from lake_assets.s3 import open_store
from lake_assets_tests.lake.line import (
    NIGHTS,
    content,
    listing,
    model,
    models,
    put,
    run_models,
)

TABLE = "datamart.model_snapshot"
OFF = {"datamart": {"profile": False}}


def night(number: int) -> list[dict[str, object]]:
    """Rows of two months; one of them is in every night, and only its newest counts."""
    each = [
        model(
            f"m{number}-{n}",
            f"2026{8 + n % 2:02d}03T000000.000 GMT",
            pyPerformance=0.5 + n / 100 if n % 3 else None,
            pyChannel="Web" if n % 2 else "Mobile",
        )
        for n in range(8)
    ]
    return [*each, model("same", pyChannel=str(number))]


@pytest.fixture
def store(exports, root):
    """A lake of two nights."""
    for number in (0, 1):
        put(exports, *models(*night(number), night=NIGHTS[number]))
    run_models(exports, root)
    return open_store(str(root))


def profiled(store, *partitions: str):
    return table_profile(store, TABLE, partitions)


def test_the_profile_of_a_table_is_that_of_its_rows(store, root):
    found = profiled(store)
    assert (found.version, found.parts) == (0, ("_month=2026-08", "_month=2026-09"))
    rows = content(root)
    assert found.profile.rows == rows.height == 17  # of 18, one is superseded
    whole = Profiler()
    whole.add(rows)
    expected = whole.profile()
    present = {name for name, column in expected.columns.items() if column.nulls < column.count}
    assert present >= {"pyModelID", "pyPerformance", "pyChannel", "pySnapshotTime", "_month"}
    for name in present:
        assert found.profile.columns[name].content() == expected.columns[name].content(), name


def test_a_partition_and_an_export_have_profiles_of_their_own(store):
    august = profiled(store, "_month=2026-08").profile
    assert august.columns["_month"].values.top.counts == (("2026-08", 8),)
    export = profiled(store, NIGHTS[1])
    assert (export.parts, export.profile.rows) == ((NIGHTS[1],), 9)
    assert dict(export.profile.columns["pyChannel"].values.top.counts)["1"] == 1
    assert "_export_id" not in export.profile.columns
    both = profiled(store, *NIGHTS[:2]).profile
    assert both.rows == 18


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        (["_month=1999-01"], r"neither a partition nor an export '_month=1999-01'.*_month=2026-08"),
        ([NIGHTS[0], "_month=2026-08"], "ask for the one or the other"),
    ],
)
def test_a_partition_that_is_not_there_is_an_error_that_names_those_there_are(
    store, partitions, said
):
    with pytest.raises(SettingsError, match=said):
        profiled(store, *partitions)


@pytest.mark.usefixtures("store")
def test_a_rerun_is_free(exports, root):
    before = listing(root)
    assert len([key for key in before if key.startswith(PROFILES)]) == 4
    assert not run_models(exports, root).changed
    assert not run_models(exports, root, **OFF).changed  # the switch makes nothing stale
    assert listing(root) == before


def test_without_profiles_it_is_said_how_to_get_them_and_that_gives_the_same(
    store, exports, tmp_path
):
    bare = open_store(str(tmp_path / "bare"))
    run_models(exports, bare.url, **OFF)
    assert list(bare.list(PROFILES)) == []
    with pytest.raises(SettingsError, match=rf"lake profile {TABLE} --compute"):
        profiled(bare)
    before = listing(bare.url)
    done = complete_profiles(bare, TABLE, Profiler)
    assert done == ("_month=2026-08", "_month=2026-09")
    assert profiled(bare).profile.content() == profiled(store).profile.content()
    assert complete_profiles(bare, TABLE, Profiler) == ()
    assert before.items() <= listing(bare.url).items()


def test_partitions_without_a_profile_are_named_beside_those_with_one(store):
    gone = next(info.key for info in store.list(f"{PROFILES}compacted/") if "2026-08" in info.key)
    store.delete(gone)
    found = profiled(store)
    assert (found.parts, found.missing) == (("_month=2026-09",), ("_month=2026-08",))


def test_values_of_a_hidden_column_are_nowhere(exports, root):
    put(exports, *models(*night(0)))
    hidden = {"tables": {"model_snapshot": {"hidden": ["modelId"]}}}
    run_models(exports, root, datamart=hidden)
    texts = [path.read_text() for path in Path(root, PROFILES).rglob("*.json") if path.is_file()]
    assert len(texts) == 3
    assert not any("m0-1" in text for text in texts)
    column = profiled(open_store(str(root))).profile.columns["pyModelID"]
    assert (column.kind, column.count, column.nulls) == ("hidden", 9, 0)


def test_of_two_writers_the_first_stays_and_a_left_profile_of_another_manifest_goes(tmp_path):
    store = open_store(str(tmp_path))
    profiler = Profiler()
    profiler.add(pl.DataFrame({"a": range(1000)}))
    manifest = Document("compacted", {"asset": "compacted/s/t", "partition": "all"}, {})
    for _ in range(2):  # the sketches of equal rows differ
        put_profile(store, "compacted/s/t/all/x.json", manifest, profiler.profile())
        first = store.get(profile_key("compacted/s/t/all/x.json"))
    put_profile(store, "compacted/s/t/all/x.json", manifest, profiler.profile())
    assert store.get(profile_key("compacted/s/t/all/x.json")) == first
    other = Document("compacted", {"asset": "compacted/s/t", "partition": "all", "n": 2}, {})
    profiler.add(pl.DataFrame({"a": [1]}))
    put_profile(store, "compacted/s/t/all/x.json", other, profiler.profile())
    assert read_profile(store, "compacted/s/t/all/x.json").rows == 1001
    assert read_profile(store, "compacted/s/t/all/y.json") is None


def test_gc_takes_profiles_of_superseded_manifests_only(store, exports, root):
    before = {info.key for info in store.list(PROFILES)}
    # A correction of the first night: its partitions are written anew.
    put(exports, *models(*night(0)[:-1], night=NIGHTS[0]))
    run_models(exports, root)
    old = time.time() - 30 * 86_400
    for path in Path(root).rglob("*"):
        os.utime(path, (old, old))
    garbage = find_garbage(store.url)
    taken = {item.key for item in garbage if item.kind == "profile"}
    # The versions before are asked for by a drift check, the first night's manifest by nobody.
    assert taken == {
        key for key in before if f"staging/{TABLE.replace('.', '/')}/{NIGHTS[0]}" in key
    }
    assert len(taken) == 1
    wanted = profiled(store).profile.content()
    sweep(store.url, garbage)
    assert profiled(store).profile.content() == wanted
    assert verify(store.url, level="head").damage == ()


def test_an_altered_profile_is_named_by_verify_and_never_believed(store, root):
    path = next(Path(root, PROFILES).rglob("*.json"))
    path.write_text(path.read_text().replace('"rows":', '"rows":1'))
    [damage] = verify(store.url, level="head").damage
    assert (damage.kind, PROFILES in damage.uri) == ("changed", True)
    with pytest.raises(StorageError, match="was altered"):
        profiled(store, *(NIGHTS[:2] if "staging" in str(path) else ()))


def test_profiles_are_tables_of_the_catalog_once(store):
    index_catalog(store)
    assert index_catalog(store).documents == 0
    rows = query(
        store.url,
        "SELECT m.kind, p.partition_key, p.n, p.nulls, p.mean FROM catalog.profiles p"
        " JOIN catalog.materializations m USING (manifest_id)"
        " WHERE p.\"column\" = 'pyPerformance' AND m.kind = 'compacted' ORDER BY 2",
    ).rows()
    assert [row[:4] for row in rows] == [
        ("compacted", "_month=2026-08", 8, 4),
        ("compacted", "_month=2026-09", 9, 3),
    ]
    counted = query(
        store.url,
        "SELECT SUM(b.count) FROM catalog.profile_buckets b JOIN catalog.profiles p"
        ' USING (manifest_id, "column") WHERE p."column" = \'pyPerformance\''
        " AND p.asset_key = 'compacted/datamart/model_snapshot'",
    )
    assert counted.item() == 10


def peak_bytes(work) -> int:
    """Of Python's objects, the sketches included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_four_times_the_partitions_take_no_more_memory_to_merge(tmp_path):
    profiler = Profiler()
    profiler.add(pl.DataFrame({f"c{n}": pl.Series(range(300)) / (n + 1) for n in range(3)}))
    profile, peaks = profiler.profile(), []
    for n in (32, 128):
        store = open_store(str(tmp_path / str(n)))
        partitions = {f"p={number:03}": {"manifest": "x"} for number in range(n)}
        for name in partitions:
            key = f"compacted/shop/orders/{name}/x.json"
            document = Document("compacted", {"asset": "a", "partition": name}, {})
            put_profile(store, key, document, profile)
        told = {"lake.partitions": json.dumps(partitions), "lake.inputs": "x"}
        write_deltalake(
            f"{store.url}/lake/shop/orders",
            pl.DataFrame({"a": [1]}),
            commit_properties=CommitProperties(custom_metadata=told),
        )
        assert table_profile(store, "shop.orders").profile.rows == 300 * n
        peaks.append(peak_bytes(lambda store=store: table_profile(store, "shop.orders")))
    assert peaks[1] <= 1.75 * peaks[0]  # 3 where all parts are held


def compacted(n: int, key: str = "compacted/s/t/all/x.json") -> tuple[str, Document]:
    """A manifest as compaction writes it, without files."""
    content = {"asset": "compacted/s/t", "partition": "all", "inputs": [], "outputs": [], "rows": n}
    facts = {"inputs": [], "folder": "lake/s/t/", "written_at": "2026-09-01T00:00:00+00:00"}
    return key, Document("compacted", content, facts)


def of_rows(n: int) -> Profile:
    profiler = Profiler()
    profiler.add(pl.DataFrame({"a": range(n)}))
    return profiler.profile()


def indexed(store) -> list[tuple[str, int]]:
    index_catalog(store)
    rows = query(
        store.url,
        "SELECT m.manifest_id, p.n FROM catalog.materializations m LEFT JOIN catalog.profiles p"
        " USING (manifest_id) ORDER BY p.n",
    ).rows()
    assert query(store.url, "SELECT COUNT(*) FROM catalog.profiles").item() == len(rows)
    return rows


def test_the_index_has_the_one_profile_that_counts_for_each_materialization(tmp_path):
    store = open_store(str(tmp_path))
    key, killed = compacted(10)
    put_profile(store, key, killed, of_rows(10))  # and its writer was killed before the manifest
    assert indexed(store) == []
    _, first = compacted(20)
    put_profile(store, key, first, of_rows(20))
    write_document(store, key, first)
    assert indexed(store) == [(first.id, 20)]
    _, loser = compacted(30)  # of another process that did the same work, and came second
    put_profile(store, key, loser, of_rows(30))
    assert (write_document(store, key, loser), read_profile(store, key).rows) == (False, 20)
    assert indexed(store) == [(first.id, 20)]
    _, second = compacted(40)  # the files of the first were gone: it is replaced
    store.delete(key)
    put_profile(store, key, second, of_rows(40))
    write_document(store, key, second)
    assert indexed(store) == [(first.id, 20), (second.id, 40)]
    before = listing(tmp_path)
    assert index_catalog(store).documents == 0
    assert listing(tmp_path) == before
