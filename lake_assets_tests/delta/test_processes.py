"""Several processes publish at once, or one dies: the table holds whole publishes, each once."""

import itertools
import random
import threading

import pytest

from lake_assets.delta import history, live_files, publish, table_version
from lake_assets_tests.delta.processes import go, results, start, turn
from lake_assets_tests.delta.tables import expected_rows, rows_by_reader, written

BEFORE = {
    ("2023", "12"): [1, 2],
    ("2024", "12"): [3],
    ("2024", "a/b 100%"): [4, 5],
    (None, "01"): [6],
    ("2023", "日本"): [7],
}
DIAGONAL = {("2023", "12"): [10], ("2024", "a/b 100%"): [11, 12], (None, "01"): [13]}


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def assert_holds(uri, *contents):
    want = expected_rows(*contents)
    assert rows_by_reader(uri) == {"polars": want, "pyarrow": want, "duckdb": want}


def test_two_processes_that_replace_other_partitions_both_succeed(uri):
    publish(uri, written(uri, BEFORE))
    other = {("2024", "12"): [20, 21], ("2023", "日本"): [], (None, None): [22]}
    ours = [turn({key: [n, *ids] for key, ids in DIAGONAL.items()}, n) for n in (101, 102, 103)]
    theirs = [turn({key: [n, *ids] for key, ids in other.items()}, n) for n in (201, 202, 203)]
    processes = [start(uri, ours, app="ours"), start(uri, theirs, app="theirs")]
    go(*processes)
    done = results(*processes)
    assert sorted(commit["version"] for commit in itertools.chain(*done)) == [1, 2, 3, 4, 5, 6]
    last = [{key: [n, *ids] for key, ids in c.items()} for n, c in ((103, DIAGONAL), (203, other))]
    assert_holds(uri, BEFORE, *last)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(list(DIAGONAL), id="held"),
        # Two additions that remove nothing: without the check of the version both would stay.
        pytest.param([("1999", "01"), (None, None)], id="new"),
    ],
)
def test_two_processes_that_fill_the_same_partitions_leave_one_publish_whole(uri, keys):
    publish(uri, written(uri, BEFORE))
    claims = [{key: [n, n + 1] for key in keys} for n in (100, 200)]
    processes = [start(uri, [turn(claim)], app=f"app {n}") for n, claim in enumerate(claims)]
    go(*processes)
    first, second = (commits[0]["version"] for commits in results(*processes))
    assert {first, second} == {1, 2}
    assert_holds(uri, BEFORE, claims[0] if first > second else claims[1])


def test_of_two_equal_publishes_at_once_one_is_written(uri):
    publish(uri, written(uri, BEFORE))
    processes = [start(uri, [turn(DIAGONAL, 2)], app="same") for _ in range(2)]
    go(*processes)
    assert sorted(commits[0]["committed"] for commits in results(*processes)) == [False, True]
    assert table_version(uri) == 1
    assert_holds(uri, BEFORE, DIAGONAL)


def test_many_creators_of_a_table_lose_no_row_and_double_none(uri):
    contents = [{(f"202{n}", "a/b"): [n], ("all", None): [0]} for n in range(3)]
    processes = [start(uri, [turn(each)], app=f"app {n}") for n, each in enumerate(contents)]
    go(*processes)
    done = [commits[0] for commits in results(*processes)]
    assert sorted(commit["version"] for commit in done) == [0, 1, 2]
    assert [commit["operation"] for commit in history(uri)].count("CREATE TABLE") == 1
    assert_holds(uri, *contents)


def test_many_threads_publish_into_one_table(uri):
    contents = [{("2024", str(n)): [n]} for n in range(8)]
    changes = [written(uri, each, app=str(n)) for n, each in enumerate(contents)]
    threads = [threading.Thread(target=publish, args=(uri, change)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_holds(uri, *contents)


@pytest.mark.crash
def test_files_of_a_process_that_died_before_its_commit_are_not_seen_and_can_be_published(uri):
    publish(uri, written(uri, BEFORE))
    process = start(uri, [turn(DIAGONAL, 2, die=True)], app="test")
    go(process)
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert table_version(uri) == 0
    assert_holds(uri, BEFORE)
    done = publish(uri, written(uri, DIAGONAL, generation=2))
    assert (done.version, len(done.added)) == (1, 3)
    assert_holds(uri, BEFORE, DIAGONAL)


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_anywhere_leaves_one_of_its_publishes_whole(uri, seed):
    publish(uri, written(uri, BEFORE))
    turns = [{key: [n, *ids] for key, ids in DIAGONAL.items()} for n in range(1000, 1400)]
    process = start(uri, [turn(each, n) for n, each in enumerate(turns, 2)], app="test")
    go(process)
    with pytest.raises(Exception, match="timed out"):
        process.communicate(timeout=random.Random(seed).uniform(0.1, 0.5))  # noqa: S311
    process.kill()
    process.communicate()
    version = table_version(uri)
    assert version < len(turns)
    assert len(live_files(uri)) == len(BEFORE)
    assert_holds(uri, BEFORE, *turns[:version])
    again = publish(uri, written(uri, turns[version], generation=version + 2))
    assert again.version == version + 1
    assert_holds(uri, BEFORE, turns[version])
