"""Every form of key that is known of Pega, and those that only look like one."""

from datetime import UTC, datetime

import pytest

from lake_assets.export.names import ExportName, export_time, parse_key
from lake_assets.export.pega_tables import DATAMART_TABLES, configured_tables
from lake_assets.settings import TableSettings

ADM = "Data-Decision-ADM-ModelSnapshot"
PREDICTORS = "Data-Decision-ADM-PredictorBinningSnapshot"
STAMP = "20230317T093742.534"


@pytest.mark.parametrize(
    ("key", "table", "export_id"),
    [
        # The names of the screenshot of a real bucket.
        (
            f"perdops/datamart/{ADM}_pzModelSnapshots_{STAMP}GMT-web7831471679046321678.zip",
            "model_snapshot", STAMP,
        ),
        (
            "d/Data-DM-BinaryDistribution_pyGetBinaryDistribution_20230317T093743.740GMT-web78.zip",
            "binary_distribution", "20230317T093743.740",
        ),
        (f"datamart/{PREDICTORS}_pzADMPredictorSnapshots_{STAMP}GMT-a1.json.gz",
         "predictor_snapshot", STAMP),
        (f"datamart/{PREDICTORS}_pyADMPredictorSnapshots_{STAMP}GMT.json",
         "predictor_snapshot", STAMP),
        (f"datamart/Data-DM-ContingencyTable_pyGetContingencyData_{STAMP}GMT-1.gz",
         "contingency_table", STAMP),
        (f"datamart/Data-DM-Histogram_pyGetHistogram_{STAMP}GMT-1.json.zip", "histogram", STAMP),
        (f"datamart/Data-DM-Notification_pyNotificationStore_{STAMP}GMT-1", "notification", STAMP),
        # py, pz and px name the same data set.
        (f"datamart/{ADM}_pyModelSnapshots_{STAMP}GMT-1.json", "model_snapshot", STAMP),
        (f"datamart/{ADM}_pxModelSnapshots_{STAMP}GMT-1.json", "model_snapshot", STAMP),
        # A manual export of Dev Studio: no ms, underscore before GMT, no id.
        ("datamart/Data-DM-Snapshot_pyGetSnapshot_20220323T095545_GMT.zip",
         "snapshot", "20220323T095545"),
        # At the root of a bucket, and deep.
        (f"Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT-1.zip", "snapshot", STAMP),
        (f"a/b c/datamart/d/e/Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT-1.zip", "snapshot", STAMP),
        # Folder layout: the folder names the table; the nearest that does.
        (f"datamart/Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT-1/files_001.json", "snapshot", STAMP),
        (f"datamart/Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT-1/x/y/part_a.json.gz",
         "snapshot", STAMP),
        (
            f"Data-DM-Snapshot_pyGetSnapshot/Data-DM-Histogram_pyGetHistogram_{STAMP}GMT/files.gz",
            "histogram", STAMP,
        ),
        # No time stamp: the folder's name, else the key without its extension.
        ("datamart/Data-DM-Snapshot_pyGetSnapshot/files_001.json",
         "snapshot", "Data-DM-Snapshot_pyGetSnapshot"),
        ("datamart/run 7/Data-DM-Snapshot_pyGetSnapshot.json", "snapshot", "run 7"),
        ("datamart/Data-DM-Snapshot_pyGetSnapshot.json.gz",
         "snapshot", "datamart/Data-DM-Snapshot_pyGetSnapshot"),
        ("datamart/Data-DM-Snapshot_pyGetSnapshot-web12.zip",
         "snapshot", "datamart/Data-DM-Snapshot_pyGetSnapshot-web12"),
        ("Data-DM-Snapshot_pyGetSnapshot.ndjson", "snapshot", "Data-DM-Snapshot_pyGetSnapshot"),
    ],
)  # fmt: skip
def test_a_key_names_its_table_and_its_export(key, table, export_id):
    assert parse_key(key, DATAMART_TABLES) == ExportName(table, export_id)


@pytest.mark.parametrize(
    "key",
    [
        f"datamart/Data-DM-SnapshotArchive_pyGetSnapshot_{STAMP}GMT-1.zip",
        f"datamart/Data-DM-Snapshot_pyGetSnapshotArchive_{STAMP}GMT-1.zip",
        f"datamart/{ADM}_pzModelSnapshotsFiltered_{STAMP}GMT-1.zip",
        f"datamart/{ADM}Old_pzModelSnapshots_{STAMP}GMT-1.zip",
        f"datamart/Old-{ADM}_pzModelSnapshots_{STAMP}GMT-1.zip",
        f"datamart/{ADM.lower()}_pzModelSnapshots_{STAMP}GMT-1.zip",
        f"datamart/{ADM}_pzmodelsnapshots_{STAMP}GMT-1.zip",
        f"datamart/{ADM}.zip",
        f"datamart/{ADM}_",
        f"datamart/x{ADM}_pzModelSnapshots_{STAMP}GMT-1.zip.bak",
        f"datamart/{ADM}_pzModelSnapshots_{STAMP}GMT-1.parquet",
        f"datamart/Data-DM-SnapshotArchive_pyGetSnapshot_{STAMP}GMT-1/files_001.json",
        # A look-alike in the folder of a table is not that table.
        f"datamart/Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT/Data-DM-SnapshotArchive_pyGetX.json",
        f"datamart/Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT/.DS_Store",
        "datamart/readme.txt",
        "",
        "/",
        "datamart/",
    ],
)
def test_a_look_alike_is_no_export(key):
    assert parse_key(key, DATAMART_TABLES) is None


@pytest.mark.parametrize("folder", ["prod/datamart", "/prod/datamart/", "prod"])
def test_the_datamart_folder_itself_names_no_export(folder):
    name = folder.strip("/")
    key = f"{name}/Data-DM-Snapshot_pyGetSnapshot.json"
    found = parse_key(key, DATAMART_TABLES, folder=folder)
    assert found == ExportName("snapshot", key.removesuffix(".json"))
    inner = parse_key(f"{name}/r1/Data-DM-Snapshot_pyGetSnapshot.json", DATAMART_TABLES,
                      folder=folder)  # fmt: skip
    assert inner == ExportName("snapshot", "r1")


def test_a_table_of_ones_own_is_found_by_any_data_set_name():
    values = {"class": "MyCo-Data-Offer", "key": "ID", "time": "At"}
    some = configured_tables({"offer": TableSettings.model_validate(values)})
    for dataset in ("pyOffers", "Offers", "ExportOffers2"):
        found = parse_key(f"datamart/MyCo-Data-Offer_{dataset}_{STAMP}GMT-1.json", some)
        assert found == ExportName("offer", STAMP)
    values["dataset"] = "ExportOffers"
    one = configured_tables({"offer": TableSettings.model_validate(values)})
    assert parse_key(f"d/MyCo-Data-Offer_ExportOffers_{STAMP}GMT.json", one)
    assert parse_key(f"d/MyCo-Data-Offer_pyExportOffers_{STAMP}GMT.json", one)
    assert parse_key(f"d/MyCo-Data-Offer_ExportOffersOld_{STAMP}GMT.json", one) is None


@pytest.mark.parametrize(
    ("export_id", "time"),
    [
        ("20220323T101155.427", datetime(2022, 3, 23, 10, 11, 55, 427000, tzinfo=UTC)),
        ("20220323T101155", datetime(2022, 3, 23, 10, 11, 55, tzinfo=UTC)),
        ("20220323T101155.4", datetime(2022, 3, 23, 10, 11, 55, 400000, tzinfo=UTC)),
        ("20240229T235959.999999", datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
        ("20230229T000000", None),
        ("99999999T999999", None),
        ("run 7", None),
        ("20220323T101155.427 ", None),
    ],
)
def test_the_time_of_an_export_is_in_its_id(export_id, time):
    assert export_time(export_id) == time


@pytest.mark.parametrize("run", ["a...b", "a\x07b"])
def test_an_export_id_is_a_name_that_dagster_takes_as_a_partition_key(run):
    name = parse_key(f"datamart/{run}/Data-DM-Snapshot_pyGetSnapshot.json", DATAMART_TABLES)
    assert name is not None
    assert "..." not in name.export_id
    assert name.export_id.isprintable()
