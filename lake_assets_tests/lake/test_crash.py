"""A process dies anywhere; the next run gives the table of one that was never interrupted."""

import signal
from dataclasses import replace

import pytest

from lake_assets.lake import run_datamart
from lake_assets.lake.profiles import table_profile
from lake_assets.s3 import open_store
from lake_assets_tests.lake.child import Mortal
from lake_assets_tests.lake.children import start
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    listing,
    model,
    models,
    opened,
    put,
    run_models,
)

pytestmark = pytest.mark.crash


def night(number):
    """Rows in two months, some of them also in the other nights, one that moves each night."""
    return [
        model(
            "moves", f"2026{9 + number % 2:02d}01T000000.000 GMT", pzInsKey="M", pyName=str(number)
        ),
        *[model(f"{number}-{n}", f"2026{9 + n % 2:02d}02T000000.000 GMT") for n in range(4)],
        model("same", pyName=str(number)),
    ]


@pytest.fixture
def before_and_after(exports, root, tmp_path):
    """A lake of one night, two more nights exported; its content, and that after a calm run."""
    put(exports, *models(*night(0)))
    run_models(exports, root)
    run_models(exports, tmp_path / "undisturbed")
    for number in (1, 2):
        put(exports, *models(*night(number), night=NIGHTS[number], files=2))
    run_models(exports, tmp_path / "undisturbed")
    return content(root), content(tmp_path / "undisturbed")


def profiled(root):
    return table_profile(open_store(str(root)), f"datamart.{MODELS}").profile.content()


@pytest.mark.parametrize(
    "die",
    [
        pytest.param(("before", "manifest-", 1), id="staged data without a manifest"),
        pytest.param(("after", "manifest-", 1), id="one export staged of two"),
        pytest.param(("after", "manifest-", 2), id="all staged, nothing compacted"),
        pytest.param(("before", "compacted/", 1), id="compacted files without a manifest"),
        pytest.param(("after", "compacted/", 1), id="one partition compacted of two"),
        pytest.param(("after", "compacted/", 2), id="all compacted, nothing published"),
        pytest.param(("after", "catalog/profiles/staging", 1), id="a profile, nothing staged"),
        pytest.param(("after", "catalog/profiles/compacted", 2), id="a profile, not compacted"),
    ],
)
def test_run_after_a_kill_gives_the_undisturbed_table(before_and_after, exports, root, die):
    before, after = before_and_after
    dying = start(exports, root, die=die, settings={"workers": 1})
    dying.communicate(timeout=60)
    assert dying.returncode == -signal.SIGKILL
    assert content(root).equals(before)
    report = run_models(exports, root)
    assert report.rows == after.height
    assert content(root).equals(after)
    assert profiled(root) == profiled(root.parent / "undisturbed")
    kept = listing(root)
    assert not run_models(exports, root).changed
    assert listing(root) == kept


class _DiedError(BaseException):
    """Nothing catches it."""


class _Raising(Mortal):
    def die(self):
        raise _DiedError


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_single_write_changes_nothing_for_readers(
    before_and_after, exports, root, when
):
    before, after = before_and_after
    lake = opened(exports, root, workers=1)
    deaths = 0
    while True:
        dying = replace(lake, root=_Raising(lake.root, when, "", deaths + 1))
        try:
            run_datamart(dying, tables=[MODELS])
        except _DiedError:
            deaths += 1
            assert content(root).equals(before)
        else:
            break
        assert deaths < 100
    assert deaths > 5
    assert content(root).equals(after)
