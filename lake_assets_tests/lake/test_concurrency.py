"""Several processes on one lake at once: every row once, no error, as if one had run alone."""

import time

import pytest

from lake_assets_tests.factories import put_bucket
from lake_assets_tests.lake.children import result, start, together
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    listing,
    model,
    models,
    put,
    run_models,
)


def night(number, rows=60):
    own = [
        model(f"{number}-{n}", f"2026{1 + n % 12:02d}02T000000.000 GMT", pyPositives=n)
        for n in range(rows)
    ]
    moving = model("moves", f"2026{1 + number % 12:02d}01T000000.000 GMT", pzInsKey="M")
    return [*own, moving, model("same", pyName=str(number))]


def nights(n=3):
    return [
        item
        for number in range(n)
        for item in models(*night(number), night=f"202609{number + 1:02d}T020000.000", files=2)
    ]


@pytest.mark.parametrize("n", [2, 4])
def test_processes_at_once_on_a_folder(exports, root, tmp_path, n):
    put(exports, *nights())
    alone = run_models(exports, tmp_path / "alone")
    processes = [start(exports, root, wait=True) for _ in range(n)]
    together(*processes)
    reports = [result(process)["tables"][MODELS] for process in processes]
    assert {report["rows"] for report in reports} == {alone.rows}
    assert content(root).equals(content(tmp_path / "alone"))
    kept = listing(root)
    assert not run_models(exports, root).changed
    assert listing(root) == kept


def test_two_processes_at_once_on_a_bucket(s3_env, bucket):
    put_bucket(bucket, nights(2), s3_env)
    url = f"s3://{bucket}"
    alone = run_models(url, f"{url}/alone")
    processes = [start(url, f"{url}/lake", wait=True) for _ in range(2)]
    together(*processes)
    assert {result(p)["tables"][MODELS]["rows"] for p in processes} == {alone.rows}
    assert content(f"{url}/lake").equals(content(f"{url}/alone"))


def test_processes_that_run_on_while_exports_arrive(exports, root, tmp_path):
    put(exports, *models(*night(0)))
    processes = [start(exports, root, wait=True, times=4) for _ in range(2)]
    together(*processes)
    for number in range(1, 6):
        # The second time a correction of what may be staged at this moment.
        put(exports, *models(*night(number), night=f"202609{number + 1:02d}T020000.000"))
        time.sleep(0.1)
        put(exports, *models(*night(number, rows=40), night=f"202609{number + 1:02d}T020000.000"))
    for process in processes:
        out, err = process.communicate(timeout=100)
        # A file that is replaced between listing and reading is an error that asks to run again.
        assert process.returncode == 0 or "run again" in err, (out, err)
    run_models(exports, root)
    run_models(exports, tmp_path / "alone")
    assert content(root).equals(content(tmp_path / "alone"))


def test_two_processes_with_other_settings_agree(exports, root, tmp_path):
    put(exports, *nights())
    run_models(exports, tmp_path / "alone")
    processes = [
        start(exports, root, wait=True, settings={"memory": memory, "workers": 2})
        for memory in (60_000, 10**9)
    ]
    together(*processes)
    assert {result(p)["tables"][MODELS]["rows"] for p in processes} == {
        content(tmp_path / "alone").height
    }
    assert content(root).equals(content(tmp_path / "alone"))


def test_nights_are_what_the_tests_above_take_them_for():
    assert NIGHTS[0] == "20260901T020000.000"
    assert len(nights()) == 3 * 2 * 2
