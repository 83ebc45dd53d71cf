"""What is there and finished: gates, digests, addresses, and a hundred thousand keys."""

import random
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from lake_assets.errors import SettingsError, StorageError
from lake_assets.export.find import Found, export_source, find_exports, list_exports
from lake_assets.export.pega_tables import DATAMART_TABLES
from lake_assets.s3 import ObjectInfo, open_store
from lake_assets_tests.cost import cost_s
from lake_assets_tests.factories import export_files, put_bucket, put_folder

T0 = datetime(2026, 9, 29, 2, tzinfo=UTC)
STAMP = "20260929T020000.041"
NAME = f"Data-DM-Snapshot_pyGetSnapshot_{STAMP}GMT"


def info(key: str, *, size: int = 10, etag: str = "e", at: datetime = T0) -> ObjectInfo:
    return ObjectInfo(key, size, etag, at)


def pair(name: str, folder: str = "datamart/", **values: object) -> list[ObjectInfo]:
    """A data file and its sentinel."""
    return [
        replace(info(f"{folder}{name}"), **values),
        info(f"{folder}.{name}.meta", size=0, etag="m"),
    ]


def find(listing: Iterable[ObjectInfo], **options: bool | str) -> Found:
    return find_exports(listing, DATAMART_TABLES, **options)  # pyright: ignore[reportArgumentType]


def snapshots(found: Found) -> dict[str, list[str]]:
    return {export.id: [file.key for file in export.files] for export in found.exports["snapshot"]}


class TestGate:
    def test_files_of_one_time_stamp_are_one_export(self):
        found = find([*pair(f"{NAME}-2.json.gz"), *pair(f"{NAME}-1.zip"), *pair(f"{NAME}-3.json")])
        assert snapshots(found) == {
            STAMP: [f"datamart/{NAME}-{end}" for end in ("1.zip", "2.json.gz", "3.json")]
        }
        assert not any(found.waiting.values())
        assert found.n_ignored == 0

    def test_every_table_has_an_entry_even_without_files(self):
        found = find([])
        names = [spec.name for spec in DATAMART_TABLES]
        assert list(found.exports) == list(found.waiting) == names
        assert not any(found.exports.values())

    def test_a_file_without_its_sentinel_waits_and_stops_nothing(self):
        found = find([*pair(f"{NAME}-1.json"), info(f"datamart/{NAME}-2.json")])
        assert snapshots(found) == {STAMP: [f"datamart/{NAME}-1.json"]}
        [waiting] = found.waiting["snapshot"]
        assert waiting.key == f"datamart/{NAME}-2.json"
        assert "sentinel" in waiting.reason
        assert waiting.since == T0

    def test_a_sentinel_without_its_file_waits_and_stops_nothing(self):
        found = find([*pair(f"{NAME}-1.json"), info(f"datamart/.{NAME}-2.json.meta")])
        assert snapshots(found) == {STAMP: [f"datamart/{NAME}-1.json"]}
        [waiting] = found.waiting["snapshot"]
        assert waiting.key == f"datamart/.{NAME}-2.json.meta"
        assert "data file" in waiting.reason

    def test_a_sentinel_stands_only_for_the_file_beside_it(self):
        found = find([info(f"datamart/a/{NAME}-1.json"), info(f"datamart/b/.{NAME}-1.json.meta")])
        assert snapshots(found) == {}
        assert len(found.waiting["snapshot"]) == 2

    def test_without_the_gate_a_file_needs_no_sentinel_but_keeps_it(self):
        listing = [*pair(f"{NAME}-1.json"), info(f"datamart/{NAME}-2.json")]
        found = find(listing, require_meta=False)
        [export] = found.exports["snapshot"]
        assert [bool(file.sentinel) for file in export.files] == [True, False]
        assert found.waiting["snapshot"] == ()

    def test_another_sentinel_name_is_a_setting(self):
        listing = [info(f"datamart/{NAME}-1.json"), info(f"datamart/{NAME}-1.json.done")]
        assert list(snapshots(find(listing, sentinel="{name}.done"))) == [STAMP]

    def test_the_folder_layout_gates_each_file(self):
        folder = f"datamart/{NAME}-1/"
        found = find([*pair("files_001.json", folder), info(f"{folder}files_002.json")])
        assert snapshots(found) == {STAMP: [f"{folder}files_001.json"]}
        assert [w.key for w in found.waiting["snapshot"]] == [f"{folder}files_002.json"]

    def test_look_alikes_and_strangers_are_ignored_and_counted(self):
        strangers = [info(f"datamart/stranger {n:03}.csv") for n in range(30)]
        archive = pair(f"Data-DM-SnapshotArchive_pyGetSnapshot_{STAMP}GMT-1.json")
        found = find([*archive, *strangers, info("datamart/")])
        assert not any(found.exports.values())
        assert not any(found.waiting.values())
        assert found.n_ignored == 31
        assert len(found.ignored) == 20

    def test_a_key_with_dots_is_found_and_left_to_staging_to_refuse(self):
        [data, meta] = pair(f"{NAME}-1.json", "datamart/../up/")
        assert list(snapshots(find([data, meta]))) == [STAMP]

    def test_exports_are_ordered_by_time_those_without_one_by_their_newest_file(self):
        def at(hour: int) -> datetime:
            return datetime(2026, 9, 29, hour, tzinfo=UTC)

        stem = "Data-DM-Snapshot_pyGetSnapshot"
        listing = [
            *pair(f"{stem}_20260929T090000.000GMT-1.json", modified_at=at(1)),
            *pair(f"{stem}_20260929T010000_GMT.json", modified_at=at(23)),
            *pair(f"{stem}.json", "datamart/manual/", modified_at=at(5)),
        ]
        assert list(snapshots(find(listing))) == [
            "20260929T010000",
            "manual",
            "20260929T090000.000",
        ]


class TestDigest:
    LISTING = (*pair(f"{NAME}-1.json"), *pair(f"{NAME}-2.json"))

    @staticmethod
    def digest(listing: Iterable[ObjectInfo]) -> str:
        [export] = find(listing).exports["snapshot"]
        return export.digest

    def test_the_order_of_the_listing_does_not_matter(self):
        shuffled = list(self.LISTING)
        expected = self.digest(shuffled)
        for seed in range(10):
            random.Random(seed).shuffle(shuffled)  # noqa: S311 (no secret)
            assert self.digest(shuffled) == expected
        assert len(expected) == 64

    @pytest.mark.parametrize("at", range(4))
    @pytest.mark.parametrize("change", [{"size_bytes": 11}, {"etag": "f"}])
    def test_a_changed_file_or_sentinel_changes_it(self, at, change):
        changed = list(self.LISTING)
        changed[at] = replace(changed[at], **change)
        assert self.digest(changed) != self.digest(self.LISTING)

    def test_one_file_more_or_less_or_renamed_changes_it(self):
        digests = {
            self.digest(self.LISTING),
            self.digest(self.LISTING[:2]),
            self.digest([*self.LISTING, *pair(f"{NAME}-3.json")]),
            self.digest([*self.LISTING[:2], *pair(f"{NAME}-3.json")]),
        }
        assert len(digests) == 4

    def test_the_time_of_a_file_does_not_change_it(self):
        later = [replace(i, modified_at=datetime(2030, 1, 1, tzinfo=UTC)) for i in self.LISTING]
        assert self.digest(later) == self.digest(self.LISTING)

    def test_a_waiting_file_does_not_change_it(self):
        more = [*self.LISTING, info(f"datamart/{NAME}-3.json")]
        assert self.digest(more) == self.digest(self.LISTING)

    def test_no_key_can_imitate_another_set_of_files(self):
        folder = f"datamart/{NAME}"
        one = find([info(f"{folder}/a\0001\0e\n{folder}/b", size=2)], require_meta=False)
        two = find([info(f"{folder}/a", size=1), info(f"{folder}/b", size=2)], require_meta=False)
        assert one.exports["snapshot"][0].digest != two.exports["snapshot"][0].digest

    def test_a_name_that_is_not_utf8_has_a_digest(self):
        found = find([info(f"datamart/{NAME}/\udcff.json")], require_meta=False)
        assert len(found.exports["snapshot"][0].digest) == 64


def many(n_files: int) -> Iterable[ObjectInfo]:
    for n in range(n_files):
        day = f"202609{1 + n % 28:02}T{n // 28 % 24:02}{n // 700 % 60:02}00.000"
        key = f"datamart/Data-DM-Snapshot_pyGetSnapshot_{day}GMT-web{n}.json.gz"
        yield info(key)
        yield info(key.replace("datamart/", "datamart/.") + ".meta")


def test_sorting_keys_costs_their_number_and_100_000_are_sorted():
    found = find(many(50_000))
    assert sum(len(export.files) for export in found.exports["snapshot"]) == 50_000
    # What costs the square of the number takes 16 times as long.
    small, large = (partial(find, list(many(n))) for n in (2_500, 10_000))
    assert cost_s(large) < 9 * cost_s(small)


def test_a_key_costs_at_most_a_kilobyte_of_memory():
    tracemalloc.start()
    find(many(5_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000 * 1024


class TestAddresses:
    """``--exports`` and ``--datamart-folder`` over folders and buckets."""

    @pytest.fixture(params=["folder", "s3"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        """``<place>/prod/datamart`` holds one export of two files, ``datamart2`` another."""
        objects = export_files("snapshot", 4, files=2)
        other = export_files("snapshot", 4, files=1, export_id="20200101T000000.000")
        if request.param == "folder":
            put_folder(tmp_path / "prod", objects)
            put_folder(tmp_path / "aside", other)
            (tmp_path / "aside" / "datamart").rename(tmp_path / "prod" / "datamart2")
            return str(tmp_path)
        bucket = request.getfixturevalue("bucket")
        put_bucket(bucket, objects, request.getfixturevalue("s3_env"), "prod/")
        for item in other:
            moved = replace(item, key=item.key.replace("datamart/", "datamart2/", 1))
            put_bucket(bucket, [moved], request.getfixturevalue("s3_env"), "prod/")
        return f"s3://{bucket}"

    @pytest.mark.parametrize(
        ("exports", "folder"),
        [
            ("prod", "datamart"),
            ("prod/", "/datamart/"),
            ("prod/datamart", "datamart"),
            ("prod/datamart/", "datamart/"),
            ("", "prod/datamart"),
            ("/", "prod/datamart"),
            ("prod/datamart", "prod/datamart"),
            ("prod/datamart", ""),
        ],
    )
    def test_each_way_to_say_it_finds_the_same_export(self, place, exports, folder):
        url = f"{place}/{exports}" if exports else place
        found = list_exports(url, DATAMART_TABLES, folder=folder)
        [export] = found.exports["snapshot"]
        assert len(export.files) == 2
        assert not found.waiting["snapshot"]
        store, _ = export_source(url, folder)
        assert store.head(export.files[0].key) == export.files[0].data

    def test_only_the_folder_is_read(self, place):
        found = list_exports(f"{place}/prod", DATAMART_TABLES, folder="datamart2")
        assert [export.id for export in found.exports["snapshot"]] == ["20200101T000000.000"]
        found = list_exports(place, DATAMART_TABLES)
        assert found.exports["snapshot"] == ()

    def test_keys_are_alike_whichever_way_it_is_said(self, place):
        one = list_exports(f"{place}/prod", DATAMART_TABLES)
        two = list_exports(f"{place}/prod/datamart", DATAMART_TABLES)
        assert one.exports == two.exports
        assert one.exports["snapshot"][0].digest == two.exports["snapshot"][0].digest

    @pytest.mark.usefixtures("s3_env")
    def test_a_bucket_that_is_called_like_the_folder_is_a_bucket(self):
        store, prefix = export_source("s3://datamart", "datamart")
        assert (store.url, prefix) == ("s3://datamart", "datamart/")
        store, prefix = export_source("s3://x/mydatamart", "datamart")
        assert (store.url, prefix) == ("s3://x/mydatamart", "datamart/")

    def test_keys_at_the_root_of_a_bucket(self, bucket, s3_env):
        objects = [
            replace(o, key=o.key.removeprefix("datamart/")) for o in export_files("snapshot")
        ]
        put_bucket(bucket, objects, s3_env)
        found = list_exports(f"s3://{bucket}", DATAMART_TABLES, folder="")
        assert len(found.exports["snapshot"]) == 1

    @pytest.mark.usefixtures("s3_env")
    def test_a_place_that_is_not_there_is_an_error_that_names_it(self, tmp_path):
        with pytest.raises(StorageError, match=f"there is no folder {tmp_path}/nope"):
            list_exports(str(tmp_path / "nope"), DATAMART_TABLES)
        with pytest.raises(StorageError, match=f"there is no folder {tmp_path}/x/datamart"):
            list_exports(str(tmp_path / "x" / "datamart"), DATAMART_TABLES)
        with pytest.raises(StorageError, match="there is no bucket 'no-bucket-here'"):
            list_exports("s3://no-bucket-here/x", DATAMART_TABLES)
        with pytest.raises(SettingsError, match="scheme 'gs'"):
            list_exports("gs://b", DATAMART_TABLES)

    def test_a_file_in_place_of_a_folder_is_an_error_that_names_it(self, tmp_path):
        (tmp_path / "datamart").write_text("")
        for exports in (tmp_path, tmp_path / "datamart"):
            with pytest.raises(StorageError, match="datamart is a file"):
                list_exports(str(exports), DATAMART_TABLES)

    def test_a_folder_setting_does_not_lead_out(self, tmp_path):
        put_folder(tmp_path / "other", export_files("snapshot"))
        (tmp_path / "exports").mkdir()
        with pytest.raises(SettingsError, match="leads out of the exports"):
            list_exports(str(tmp_path / "exports"), DATAMART_TABLES, folder="../other/datamart")

    def test_a_datamart_folder_that_is_a_link_is_followed(self, tmp_path):
        put_folder(tmp_path / "real", export_files("snapshot"))
        (tmp_path / "exports").mkdir()
        (tmp_path / "exports" / "datamart").symlink_to(tmp_path / "real" / "datamart")
        for exports in ("exports", "exports/datamart"):
            found = list_exports(str(tmp_path / exports), DATAMART_TABLES)
            assert len(found.exports["snapshot"]) == 1

    def test_what_is_listed_of_a_folder_is_what_is_read(self, tmp_path):
        put_folder(tmp_path, export_files("snapshot"))
        [export] = list_exports(str(tmp_path), DATAMART_TABLES).exports["snapshot"]
        store = open_store(str(tmp_path))
        assert store.get(export.files[0].key, listed=export.files[0].data)
