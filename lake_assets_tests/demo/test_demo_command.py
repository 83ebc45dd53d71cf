"""``lake demo`` as a person runs it: in an empty folder, twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.demo.exports import expected
from lake_assets_tests.graph.line import bytes_below

REPOSITORY = Path(__file__).parents[2]
LAKE = "import sys; from lake_assets.cli import main; sys.exit(main())"


def demo(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LAKE, "demo", *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Path, str, str, dict, dict]:
    """The folder, what two demos in it printed, and the lake's files after each."""
    folder = tmp_path_factory.mktemp("empty")
    printed, files = [], []
    for _ in range(2):
        done = demo(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
        files.append(bytes_below(folder / ".lake"))
    return folder, *printed, *files


def test_it_shows_what_went_in_and_what_came_out(shown):
    for table, story in expected().items():
        (line,) = re.findall(rf"^{table} .*$", shown[1], re.MULTILINE)
        counts = [int(text.replace(",", "")) for text in re.findall(r"[\d,]+", line)]
        assert counts[1] == story.rows_in, line
        assert story.rows in counts, line


def test_it_names_what_waits_what_is_quarantined_and_what_was_rescued(shown):
    for table, story in expected().items():
        for key in (*story.waiting, *story.missing):
            assert key.rpartition("/")[2] in shown[1]
        for export_id, word in story.quarantined.items():
            (line,) = [line for line in shown[1].splitlines() if line.startswith("quarantined")]
            assert f"{table} export {export_id}" in line
            assert word in line
        if story.rescued:
            assert f"rescued {table}" in shown[1]


def test_it_shows_a_query_and_how_to_open_the_ui(shown):
    assert "FROM datamart.model_performance" in shown[1]
    assert "lake ui --root" in shown[1]
    assert "lake query --root" in shown[1]


def test_a_second_demo_writes_nothing(shown):
    assert "nothing was changed" in shown[2]
    assert "\n0 runs in" in shown[2]
    assert shown[3] == shown[4]
    assert len(shown[3]) > 50


def test_its_runs_are_in_the_instance_of_the_lake(shown):
    with dg.DagsterInstance.from_config(str(shown[0] / ".lake" / ".dagster")) as instance:
        runs = instance.get_runs()
        assert len(runs) == 14
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert {run.tags["lake/stage"] for run in runs} == {"staging", "compacted"}
        exports = instance.get_dynamic_partitions("datamart_model_snapshot_exports")
        assert sorted(exports) == sorted(expected()["model_snapshot"].exports)
        made = dg.AssetKey(["lake", "datamart", "model_performance"])
        assert instance.get_latest_materialization_event(made) is not None


def test_nothing_lies_outside_the_lake(shown):
    assert [item.name for item in shown[0].iterdir()] == [".lake"]


def test_a_lake_on_s3_is_refused_with_what_to_do(tmp_path):
    done = demo(tmp_path, "--root", "s3://somebodys/lake")
    assert done.returncode == 2
    assert "--root FOLDER" in done.stderr
