"""Tasks of several workers: leases, workers that were killed, races, and very many tasks."""

import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from lake_assets.catalog import Document, write_document
from lake_assets.export.source import Group
from lake_assets.lake.databases import stage_groups
from lake_assets.lake.snapshot_run import run_snapshots
from lake_assets.staging import tasks
from lake_assets.staging.tasks import claim, new_worker, release, task_states
from lake_assets_tests.lake.children import result, together
from lake_assets_tests.snapshot_line.child import start
from lake_assets_tests.snapshot_line.shop import Shop, rows


def statuses(shop, **options):
    return [outcome.status for outcome in stage_groups(shop.opened[0], shop.plan, **options)]


def test_claimed_task_is_left_to_its_worker_until_it_is_given_back(shop):
    shop.put(a=rows("1"), b=rows("2"))
    plan, root = shop.plan, shop.opened[0].root
    held = claim(root, plan, plan.groups[0], worker := new_worker())
    assert held is not None
    assert claim(root, plan, plan.groups[0], new_worker()) is None
    assert [(task.status, task.worker) for task in shop.tasks] == [
        ("in_progress", worker),
        ("open", None),
    ]
    assert statuses(shop) == ["busy", "staged"]
    release(root, held)
    assert statuses(shop) == ["staged", "unchanged"]
    assert [task.status for task in shop.tasks] == ["done", "done"]


def claimed_by(shop, worker, until):
    plan = shop.plan
    facts = {"worker": worker, "until": until.isoformat()}
    document = Document("claim", {"task": plan.groups[0].id}, facts)
    write_document(shop.opened[0].root, f"{plan.tasks_folder}000000-claim-000001.json", document)


def test_claim_of_another_host_holds_until_it_expires(shop):
    shop.put(a=rows("1"))
    soon = datetime.now(UTC) + timedelta(seconds=1)
    claimed_by(shop, "another-host:1:abcd", soon)
    assert statuses(shop) == ["busy"]
    assert shop.run().rows == 1  # waits for it
    assert datetime.now(UTC) >= soon
    assert [task.status for task in shop.tasks] == ["done"]


@pytest.mark.crash
def test_task_of_a_killed_worker_is_taken_over_at_once(shop):
    shop.put(a=rows("1"), b=rows("2"))
    dying = start(shop, die=("before", "-done-", 1))
    dying.communicate(timeout=60)
    assert dying.returncode == -signal.SIGKILL
    assert any("-claim-" in key for key in shop.listing)
    assert {task.status for task in shop.tasks} <= {"open", "done"}
    began = time.monotonic()
    assert shop.run().rows == 2
    assert time.monotonic() - began < tasks.CLAIM_FOR.total_seconds() / 10


def test_task_that_runs_again_writes_the_same_objects(shop):
    shop.put(a=pl.concat([rows("1", "2"), rows("3", month="02")]))
    assert statuses(shop) == ["staged"]
    kept = shop.listing
    [done] = [key for key in kept if "-done-" in key]
    shop.opened[0].root.delete(done)
    assert statuses(shop) == ["staged"]
    assert shop.listing.keys() == kept.keys()
    assert {k: v for k, v in shop.listing.items() if k != done}.items() <= kept.items()


class Asked:
    """A store with something that happens at every request of one kind, and a count of all."""

    def __init__(self, store, kind="", then=lambda *_: None):
        self.times, self._store, self._kind, self._then = 0, store, kind, then

    def __getattr__(self, name):
        self.times += name != "url"
        if name == self._kind:
            self._then()
        return getattr(self._store, name)


def test_claim_that_is_given_back_while_it_is_looked_at_is_no_error(shop):
    shop.put(a=rows("1"))
    plan, root = shop.plan, shop.opened[0].root
    held = claim(root, plan, plan.groups[0], new_worker()) or ""
    vanishing: Any = Asked(root, "get", lambda: release(root, held))
    assert claim(vanishing, plan, plan.groups[0], new_worker()) is not None


@pytest.mark.crash
def test_two_processes_at_once_make_one_table_and_stage_nothing_twice_that_shows(shop):
    for number in range(12):
        month = f"{number % 3:02d}"
        shop.put(**{f"f{number:02d}": rows(f"{number}", "same", month=month, at=number)})
    pair = [start(shop, wait=True), start(shop, wait=True)]
    together(*pair)
    reports = [result(process) for process in pair]
    assert [report.get("error") for report in reports] == [None, None]
    assert [report["rows"] for report in reports] == [13, 13]
    assert shop.column("id") == sorted([*map(str, range(12)), "same"])
    assert len([key for key in shop.listing if "-done-" in key]) == 12
    assert not [key for key in shop.listing if "-claim-" in key]
    assert len([key for key in shop.listing if "_delta_log/" in key]) == 1
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept


def test_six_thousand_tasks_are_told_by_one_listing(shop, tmp_path):
    shop.put(a=rows("1"))
    plan = shop.plan
    groups = tuple(Group(number, plan.groups[0].parts, 1) for number in range(6_000))
    many = replace(plan, groups=groups)
    folder = tmp_path / "lake" / many.tasks_folder
    folder.mkdir(parents=True)
    for group in groups[:-1]:
        (folder / f"{group.number:06d}-done-{group.id}.json").touch()
    states = task_states(shop.opened[0].root, many)
    assert [state.number for state in states] == list(range(6_000))
    assert [state.number for state in states if state.status != "done"] == [5_999]


def test_what_a_run_asks_of_the_store_grows_with_the_groups_and_no_faster(shop):
    asked = []
    for n in (10, 20):
        shop.put(**{f"f{i:02d}": rows(str(i)) for i in range(n)})
        databases, table = Shop(shop.source, f"{shop.root}-{n}").opened
        root: Any = Asked(databases.root)
        assert run_snapshots(replace(databases, root=root), table).rows == n
        asked.append(root.times)
    assert asked[1] < 2 * asked[0]
    assert asked[1] / 20 < 15
