"""History, rollback, export and validation of a published database table."""

import gzip
import json
import shutil

import polars as pl
import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.lake.export_table import export_table
from lake_assets.lake.snapshot import Snapshot
from lake_assets.lake.versions import history, rollback, version_as_of
from lake_assets_tests.snapshots import orders, put_files


def opened(place) -> Snapshot:
    table = {
        "source": f"{place}/source/{{snapshot}}",
        "format": "parquet",
        "record_id": "order_id",
        "create_time": "created_at",
        "partition_by": {"hour": {"sql": "STRFTIME(create_time, '%H')"}},
        "count_on": "status",
    }
    settings = {"root": f"{place}/lake", "databases": {"shop": {"orders": table}}}
    return Snapshot.open("shop.orders", settings=settings)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two published snapshots of one table: 4 orders, then 6."""
    place = tmp_path_factory.mktemp("published")
    for day, rows in (("2024-01-01", 4), ("2024-01-02", 6)):
        put_files(place / "source" / day, {"a.parquet": orders(rows)})
        assert opened(place).run().error is None
    return place


@pytest.fixture
def shop(published, tmp_path):
    """A copy of it, opened anew by each call."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return lambda: opened(tmp_path)


def ids(snapshot, version=None):
    return snapshot.scan(version).select("order_id").collect().to_series().sort().to_list()


def test_history_tells_each_version_newest_first(shop):
    told = history(shop().databases.root.url, "shop.orders")
    assert [(v.version, v.operation, v.rows, v.proof["lake.snapshot"]) for v in told] == [
        (1, "publish", 6, "2024-01-02"),
        (0, "publish", 4, "2024-01-01"),
    ]
    assert json.loads(json.dumps(told[0].as_dict()))["rows"] == 6
    between = told[0].committed_at
    assert version_as_of(shop().databases.root.url, "shop.orders", between) == 1
    before = told[1].committed_at.replace(year=2000)
    assert version_as_of(shop().databases.root.url, "shop.orders", before) is None


def test_a_rollback_is_a_new_version_and_stays_until_something_new_comes(shop, tmp_path):
    orders_table = shop()
    before = ids(orders_table, 0)
    assert orders_table.rollback(0) == 2
    assert ids(orders_table) == before != ids(orders_table, 1)
    again = shop().run()
    assert (again.changed, again.version, again.rows) == (False, 2, 4)
    assert shop().rollback(0) == 2  # holds those files already
    put_files(tmp_path / "source" / "2024-01-03", {"a.parquet": orders(7)})
    assert (shop().run().rows, shop().history()[1].operation) == (7, "rollback to 0")


def test_a_version_that_is_not_there_cannot_be_restored(shop):
    root = shop().databases.root.url
    with pytest.raises(SettingsError, match="has the versions 0 to 1, not 7"):
        rollback(root, "shop.orders", 7)
    with pytest.raises(SettingsError, match="no table"):
        rollback(root, "shop.nothing", 0)


def test_a_rollback_to_files_that_a_vacuum_took_is_refused_and_changes_nothing(shop, tmp_path):
    for file in (tmp_path / "lake/lake/shop/orders").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(StorageError, match="cannot be restored"):
        shop().rollback(0)
    assert shop().history()[0].version == 1


def test_a_whole_table_is_valid_and_says_what_it_counted(shop):
    found = shop().validate()
    assert (found.valid, found.problems) == (True, ())
    told = found.as_dict()
    assert told["source"]["total_n_record"] == told["after"]["total_n_record"] == 6
    assert told["before"]["n_partition"] == told["after"]["n_partition"] == 6
    filled = orders(6)["status"].len() - orders(6)["status"].null_count()
    assert sum(p["count_on"] for p in told["after"]["partitions"]) == filled


def damage_bytes(file):
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_bytes, "does not have the bytes that were written"),
        (lambda file: file.unlink(), "is live and not there"),
    ],
)
def test_a_damaged_file_is_named_and_its_partition_is_not_valid(shop, tmp_path, damage, says):
    names = [v.rpartition("/")[2] for v in _live_paths(shop())]
    file = next(f for f in (tmp_path / "lake/lake").rglob("*.parquet") if f.name == names[0])
    damage(file)
    found = shop().validate()
    assert not found.valid
    assert any(says in problem and file.name in problem for problem in found.problems)


def _live_paths(snapshot):
    from lake_assets import delta

    return [f.path for f in delta.live_files(f"{snapshot.databases.root.url}/lake/shop/orders")]


def test_rows_that_something_else_committed_are_noticed(shop):
    from deltalake import write_deltalake

    snapshot = shop()
    extra = snapshot.scan().head(1).collect()
    write_deltalake(f"{snapshot.databases.root.url}/lake/shop/orders", extra, mode="append")
    found = shop().validate()
    assert any("was not written by this project" in problem for problem in found.problems)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
def test_a_table_is_exported_as_one_file(shop, tmp_path, kind, packed):
    root = shop().databases.root.url
    if packed and kind == "parquet":
        with pytest.raises(SettingsError, match="compressed inside"):
            export_table(root, "shop.orders", format=kind, gzip=True)
        return
    out = tmp_path / "out"
    out.mkdir()
    done = export_table(root, "shop.orders", str(out), format=kind, gzip=packed, version=0)
    body = (out / f"orders.{kind}{'.gz' if packed else ''}").read_bytes()
    assert (done.rows, done.size_bytes, done.version) == (4, len(body), 0)
    plain = gzip.decompress(body) if packed else body
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson}[kind](plain)
    assert sorted(read["order_id"]) == ids(shop(), 0)
    assert [file.name for file in out.iterdir()] == [(out / done.path).name]


def test_an_export_to_a_bucket_is_one_object(shop, bucket):
    done = export_table(shop().databases.root.url, "shop.orders", f"s3://{bucket}/x/")
    assert (done.path, done.rows) == (f"s3://{bucket}/x/orders.parquet", 6)


def test_csv_of_nested_columns_is_refused_by_name(tmp_path):
    frame = pl.DataFrame({"id": ["a"], "tags": [["x", "y"]]})
    put_files(tmp_path / "source", {"a.parquet": frame})
    settings = {
        "root": str(tmp_path / "lake"),
        "databases": {"shop": {"orders": {"source": f"{tmp_path}/source", "format": "parquet"}}},
    }
    assert Snapshot.open("shop.orders", settings=settings).run().error is None
    with pytest.raises(SettingsError, match="'tags'"):
        export_table(str(tmp_path / "lake"), "shop.orders", str(tmp_path), format="csv")
