"""A process dies anywhere; the next run gives the table of one that was never interrupted."""

import signal
import socket
import subprocess
from dataclasses import replace

import pytest

from lake_assets import delta
from lake_assets.lake import snapshot_run
from lake_assets.lake.snapshot_run import run_snapshots
from lake_assets_tests.lake.child import Mortal
from lake_assets_tests.snapshot_line.child import start
from lake_assets_tests.snapshot_line.shop import rows

pytestmark = pytest.mark.crash


@pytest.fixture
def before_and_after(shop, tmp_path):
    """A published snapshot, another one exported; the content now, and that after a calm run."""
    shop.put(a=rows("1", "moves"), b=rows("2", month="02"))
    shop.run()
    before = shop.content
    shop.put(b=rows("2", "moves", month="02", at=2), c=rows("3", month="03"))
    calm = replace(shop, root=str(tmp_path / "calm"))
    calm.run()
    return before, calm.content


@pytest.mark.parametrize(
    "die",
    [
        pytest.param(("after", "/data/", 1), id="staged data without its group's manifest"),
        pytest.param(("after", "-done-", 2), id="two groups staged of three"),
        pytest.param(("before", "/manifest-", 1), id="all groups staged, no snapshot manifest"),
        pytest.param(("before", "compacted/", 1), id="lake files without a partition manifest"),
        pytest.param(("after", "compacted/", 3), id="all compacted, nothing published"),
    ],
)
def test_run_after_a_kill_gives_the_undisturbed_table(shop, before_and_after, die):
    before, after = before_and_after
    dying = start(shop, die=die)
    dying.communicate(timeout=60)
    assert dying.returncode == -signal.SIGKILL
    assert shop.content.equals(before)
    report = shop.run()
    assert report.rows == after.height
    assert shop.content.equals(after)
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept


class _DiedError(BaseException):
    """Nothing catches it."""


class _Raising(Mortal):
    def die(self):
        raise _DiedError


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_single_write_changes_nothing_for_readers(
    shop, before_and_after, when, monkeypatch
):
    # What dies here is not this process: its claims would hold until they expire.
    done = subprocess.Popen(["true"])
    done.wait()
    gone = f"{socket.gethostname()}:{done.pid}:gone"
    monkeypatch.setattr(snapshot_run, "new_worker", lambda: gone)
    before, after = before_and_after
    databases, table = shop.opened
    deaths = 0
    while True:
        dying = replace(databases, root=_Raising(databases.root, when, "", deaths + 1))
        try:
            run_snapshots(dying, table)
        except _DiedError:
            deaths += 1
            assert shop.content.equals(before)
        else:
            break
        assert deaths < 100
    assert deaths >= 5  # each one comes a write later, and what is written stays
    assert shop.content.equals(after)


def test_death_after_the_commit_leaves_nothing_to_do(shop, before_and_after, monkeypatch):
    def publish_and_die(*given):
        done(*given)
        raise _DiedError

    done = delta.publish
    monkeypatch.setattr(delta, "publish", publish_and_die)
    with pytest.raises(_DiedError):
        shop.run()
    monkeypatch.undo()
    assert shop.content.equals(before_and_after[1])
    kept = shop.listing
    assert not shop.run().changed
    assert shop.listing == kept
