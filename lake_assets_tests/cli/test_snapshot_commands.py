"""``lake plan``, ``run snapshot``, ``status`` and ``validate``: what people and scripts see."""

import json
import os
import pty
import sys

import pytest

from lake_assets.cli.progress import LogProgress, clear_progress
from lake_assets.lake.snapshot import Snapshot
from lake_assets.staging.tasks import claim, new_worker, record_failure
from lake_assets_tests.cli.shop import NIGHTS, break_file, put_night, write_config
from lake_assets_tests.lake.line import MODELS, model, models, put
from lake_assets_tests.terminal import all_shown


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestPlan:
    def test_json_has_the_snapshots_their_groups_and_the_bound(self, shop, exports):
        put_night(exports, NIGHTS[1], n_files=3)
        ran = shop("plan", "shop.orders", "--group-size", "1GB", "--json")
        assert ran.code == 0
        table = ran.json["tables"]["shop.orders"]
        assert (table["format"], table["group_size_bytes"], table["waiting"]) == (
            "parquet",
            10**9,
            [],
        )
        older, newest = table["snapshots"]
        assert (older["snapshot"], older["wanted"], "groups" in older) == (NIGHTS[0], False, False)
        (group,) = newest["groups"]
        size = sum(file.stat().st_size for file in (exports / NIGHTS[1]).iterdir())
        assert newest["n_files"] == group["n_files"] == 3
        assert newest["size_bytes"] == group["size_bytes"] == size
        assert group["parts"] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]

    def test_it_is_a_look_that_writes_nothing_and_then_sees_what_is_staged(self, shop, root):
        assert "groups: 2, each of at most 4.0 kB" in shop("plan").out
        assert not root.exists()
        shop("run", "snapshot", "--until", "staging")
        before = files_below(root)
        ran = shop("plan")
        assert "staged whole" in ran.out
        assert files_below(root) == before

    def test_a_group_that_is_done_is_told_as_done(self, shop, exports):
        break_file(exports / NIGHTS[0] / "part-1.parquet")
        assert shop("run", "snapshot").code == 1
        groups = shop("plan", "--json").json["tables"]["shop.orders"]["snapshots"][0]["groups"]
        assert [group["status"] for group in groups] == ["done", "quarantined"]

    def test_what_waits_is_named_with_its_reason(self, shop, exports, tmp_path):
        write_config(tmp_path, ready="_SUCCESS")
        (exports / NIGHTS[0] / "_SUCCESS").touch()
        put_night(exports, NIGHTS[1])
        ran = shop("plan")
        assert f"finished {NIGHTS[0]}: 2 files, " in ran.out
        assert f"{exports / NIGHTS[1]}: its marker _SUCCESS is not there yet" in ran.out
        (waiting,) = shop("plan", "--json").json["tables"]["shop.orders"]["waiting"]
        assert waiting["key"].endswith(NIGHTS[1])

    def test_a_table_that_cannot_be_planned_stops_no_other(self, lake, tmp_path, exports):
        put_night(exports, NIGHTS[0])
        broken = {"source": "lake.yaml", "format": "parquet"}  # a file, no folder
        config = write_config(tmp_path, {"broken": broken})
        ran = lake("plan", "--config", config)
        assert ran.code == 1
        assert "lake: shop.broken: " in ran.err
        assert f"finished {NIGHTS[0]}" in ran.out


class TestRun:
    def test_first_run_publishes_and_a_second_changes_nothing(self, shop):
        first, second = shop("run", "snapshot", "shop.orders"), shop("run", "snapshot", "--json")
        assert (first.code, second.code) == (0, 0)
        assert first.out.splitlines()[1].split() == [
            "shop.orders",
            "2",
            "6",
            "–",
            "6",
            "2",
            "2",
            "0",
        ]
        assert "shop.orders: staging 2/2\n" in first.err
        table = second.json["tables"]["shop.orders"]
        assert (second.json["changed"], second.err) == (False, "")
        assert (table["rows_in"], table["rows"], table["version"]) == (6, 6, 0)
        assert "nothing was changed: the lake holds all of this already" in shop("run").out

    def test_it_ends_after_the_stage_that_was_named(self, shop, root):
        ran = shop("run", "snapshot", "--until", "staging")
        assert (ran.code, "nothing was published" in ran.out) == (0, True)
        assert sorted(path.name for path in root.iterdir()) == ["staging"]
        shop("run", "snapshot", "--until", "compacted")
        assert not list((root / "lake").rglob("_delta_log"))
        assert shop("run", "snapshot", "--json").json["tables"]["shop.orders"]["version"] == 0

    def test_a_refused_file_keeps_the_table_as_it_is_and_is_exit_code_one(self, shop, exports):
        shop("run", "snapshot")
        put_night(exports, NIGHTS[1])
        break_file(exports / NIGHTS[1] / "part-1.parquet")
        ran = shop("run", "snapshot", "--json")
        assert ran.code == 1
        assert f"lake: shop.orders: snapshot {NIGHTS[1]}: part-1.parquet: expected" in ran.err
        table = ran.json["tables"]["shop.orders"]
        assert (table["version"], table["snapshots"][0]["done"]) == (0, 1)
        assert "part-1.parquet" in table["error"]

    @pytest.mark.parametrize("mode", ["history", "replace"])
    def test_the_same_refusal_again_is_exit_code_one_and_writes_nothing(
        self, shop, exports, root, tmp_path, mode
    ):
        write_config(tmp_path, mode=mode)
        for night in NIGHTS:
            put_night(exports, night)
        break_file(exports / NIGHTS[1] / "part-1.parquet")
        assert shop("run", "snapshot").code == 1
        before = {path: (path.stat().st_mtime_ns, body) for path, body in files_below(root).items()}
        failed = [path for path in before if "catalog/log" in str(path)]
        assert len(failed) == 1
        ran = shop("run", "snapshot")
        assert (ran.code, "part-1.parquet" in ran.out + ran.err) == (1, True)
        after = {path: (path.stat().st_mtime_ns, body) for path, body in files_below(root).items()}
        assert after == before
        break_file(exports / NIGHTS[1] / "part-0.parquet")  # another refusal is told of
        assert shop("run", "snapshot").code == 1
        told = [path for path in files_below(root) if "catalog/log" in str(path)]
        assert len(told) == 2

    def test_a_place_without_snapshots_is_named(self, shop, tmp_path):
        write_config(tmp_path, source="nowhere/{snapshot}")
        ran = shop("run", "snapshot")
        assert (ran.code, f"{tmp_path}/nowhere/{{snapshot}}" in ran.out) == (0, True)
        assert "holds all of this" not in ran.out

    def test_without_a_line_both_run(self, shop, tmp_path):
        put(tmp_path / "pega", *models(model("a")))
        ran = shop("run", "--exports", tmp_path / "pega", "--json")
        assert ran.code == 0
        assert ran.json["datamart"]["tables"][MODELS]["rows"] == 1
        assert ran.json["snapshot"]["tables"]["shop.orders"]["rows"] == 6
        assert ran.json["changed"] is True
        again = shop("run", "--exports", tmp_path / "pega")
        assert (MODELS in again.out, "shop.orders" in again.out) == (True, True)
        assert shop("run", "--json").json.keys() == {"snapshot", "changed"}

    def test_on_a_terminal_one_line_is_written_over(self, monkeypatch):
        lead, follow = pty.openpty()
        with os.fdopen(follow, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            progress = LogProgress()
            for stage in ("staging", "lake"):
                progress("shop.orders", stage, 1, 1)
            clear_progress()
        said = all_shown(lead).decode()
        os.close(lead)
        lines = ["shop.orders: staging 1/1\r", "shop.orders: lake 1/1\r\n", "\r"]
        assert said == "".join(f"\x1b[2K{line}" for line in lines)

    def test_dagster_is_told_where_it_has_a_home(self, shop, tmp_path, monkeypatch):
        from dagster import AssetKey, DagsterInstance

        (tmp_path / "home").mkdir()
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
        ran = shop("run", "snapshot", "--json")
        assert (ran.code, "warning" in ran.err) == (0, False)
        with DagsterInstance.get() as instance:
            for stage in ("staging", "compacted", "lake"):
                told = instance.get_latest_materialization_event(
                    AssetKey([stage, "shop", "orders"])
                )
                assert told is not None

    @pytest.mark.parametrize(
        ("arguments", "finding"),
        [
            (["run", "snapshot", "shop.order"], "no database table 'shop.order'"),
            (["run", "snapshot", "--until", "nope"], "'nope' is not one of"),
            (["run", "snapshot", "--group-size", "12Q"], "'12Q' is no size"),
            (
                ["run", "snapshot", "--config", "nope.yaml"],
                "cannot read the configuration nope.yaml",
            ),
            (["run", "--json", "snapshot"], "options go behind the line"),
            (["plan", "orders"], "there is: shop.orders"),
            (["status", "shop.orders", "--snapshot", "2020"], f"there is: {NIGHTS[0]}"),
            (["validate", "datamart.snapshot"], "no database table 'datamart.snapshot'"),
        ],
    )
    def test_wrong_usage_is_exit_code_two_and_says_what(self, shop, root, arguments, finding):
        ran = shop(*arguments)
        assert (ran.code, finding in ran.err) == (2, True), ran.err
        assert not root.exists()

    @pytest.mark.parametrize(
        "verb", [["run"], ["run", "snapshot"], ["plan"], ["status", "a.b"], ["validate", "a.b"]]
    )
    def test_without_a_configured_database_it_says_how_to_add_one(self, lake, verb):
        ran = lake(*verb)
        assert (ran.code, "databases:" in ran.err) == (2, True)


class TestStatus:
    def test_every_task_has_its_state_tries_and_reason(self, shop, exports):
        break_file(exports / NIGHTS[0] / "part-1.parquet")
        before = shop("status", "shop.orders", "--json").json
        assert before["counts"]["open"] == len(before["tasks"]) == 2
        shop("run", "snapshot")
        found = shop("status", "shop.orders", "--json").json
        assert (found["snapshot"], found["staged"]) == (NIGHTS[0], False)
        assert [task["status"] for task in found["tasks"]] == ["done", "quarantined"]
        assert "part-1.parquet" in found["tasks"][1]["reason"]
        assert found["lake"]["version"] is None
        text = shop("status", "shop.orders").out
        assert f"snapshot {NIGHTS[0]}: 1 done, 1 quarantined; not staged yet" in text
        assert "task 1: part-1.parquet: expected" in text

    def test_failed_tasks_have_their_tries_and_taken_ones_their_worker(self, shop):
        orders, worker = Snapshot.open("shop.orders"), new_worker()
        plan, root = orders.plan(), orders.databases.root
        for reason in ("no answer", "the file was replaced"):
            record_failure(root, plan, plan.groups[0], reason)
        assert claim(root, plan, plan.groups[1], worker)
        failed, taken = shop("status", "shop.orders", "--json").json["tasks"]
        assert (failed["status"], failed["tries"]) == ("failed", 2)
        assert failed["reason"] == "the file was replaced"
        assert (taken["status"], taken["worker"]) == ("in_progress", worker)
        text = shop("status", "shop.orders").out
        assert f"in_progress by {worker}" in text
        assert "task 0: the file was replaced" in text

    def test_published_and_newer_snapshots_are_told_apart(self, shop, exports):
        shop("run", "snapshot", "--group-size", "1GB")
        whole = shop("status", "shop.orders")
        # Staged in one task, whatever the size is now.
        assert f"{NIGHTS[0]}: 1 done; staged whole" in whole.out
        assert "lake: version 0, 6 rows" in whole.out
        put_night(exports, NIGHTS[1])
        found = shop("status", "shop.orders", "--json").json
        assert (found["snapshot"], found["counts"]["open"]) == (NIGHTS[1], 2)
        assert (found["lake"]["snapshot"], found["staged_snapshots"]) == (NIGHTS[0], [NIGHTS[0]])
        shop("run", "snapshot", "--until", "staging")
        assert "newer and not published" in shop("status", "shop.orders").out
        old = shop("status", "shop.orders", "--snapshot", NIGHTS[0], "--json").json
        assert (old["snapshot"], old["staged"]) == (NIGHTS[0], True)


class TestValidate:
    def test_a_whole_table_is_valid(self, shop):
        shop("run", "snapshot")
        ran = shop("validate", "shop.orders")
        assert (ran.code, "shop.orders version 0: valid" in ran.out) == (0, True)
        found = shop("validate", "shop.orders", "--json").json
        assert (found["valid"], found["before"]["total_n_record"]) == (True, 6)
        assert found["after"]["n_partition"] == 2

    def test_a_damaged_table_is_exit_code_one_and_names_the_file(self, shop, root):
        shop("run", "snapshot")
        file = next((root / "lake").rglob("*.parquet"))
        file.write_bytes(file.read_bytes()[:-1])
        ran = shop("validate", "shop.orders")
        assert ran.code == 1
        assert file.name in ran.out
        told = shop("validate", "shop.orders", "--json")
        assert (told.code, json.loads(told.out)["valid"]) == (1, False)

    def test_nothing_published_is_not_valid(self, shop):
        ran = shop("validate", "shop.orders")
        assert (ran.code, "nothing is published yet" in ran.out) == (1, True)
