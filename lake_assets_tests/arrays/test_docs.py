"""The pages on arrays are true: every block of Python runs as written, and shows what it shows."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lake_assets.arrays import Coordinate, LabelledArray, write_npy, write_raw, write_zarr
from lake_assets_tests.graph.line import NESTED_RESOURCE, QUIET

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def working(tmp_path, monkeypatch, bucket_maker):
    """A working directory, and a bucket that is called as on the pages."""
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(bucket_maker.exceptions.BucketAlreadyOwnedByYou):
        bucket_maker.create_bucket(Bucket="bucket")
    return tmp_path


@pytest.mark.usefixtures("s3_env")
@pytest.mark.filterwarnings(NESTED_RESOURCE)
def test_the_page_on_arrays_runs():
    import dagster as dg

    kinds = LabelledArray(
        np.ones((2, 3)),
        ("model", "snapshot"),
        {"channel": Coordinate(("model",), np.array(["Web", "Mobile"]))},
    )
    write_zarr(".lake/arrays/datamart/auc_history", kinds)
    names: dict[str, Any] = {}
    for block in blocks("arrays.md"):
        exec(block, names)  # noqa: S102 (what readers copy)
    with dg.DagsterInstance.ephemeral() as instance:
        job = names["defs"].resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
    assert names["open_zarr"](".lake/arrays/eeg/power").shape == (64,)


@pytest.mark.usefixtures("s3_env")
def test_the_page_for_users_of_cottoncandy_runs():
    write_raw("s3://bucket/subject1/bold", np.ones((4, 3)))
    names: dict[str, Any] = {}
    for block in blocks("coming-from-cottoncandy.md"):
        exec(block, names)  # noqa: S102 (what readers copy)
    assert names["read_any"]("s3://bucket/subject1/mean").tolist() == [1, 1, 1]


def test_paths_with_a_profile_and_an_endpoint_run_as_on_the_page(working, monkeypatch, moto_url):
    said = "[profile lab]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
    (working / "config").write_text(f"{said}region = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(working / "config"))
    *_, block = blocks("file-system.md")
    block = block.replace("https://minio.local", moto_url)
    names: dict[str, Any] = {}
    before, _, after = block.partition("read_any(root")
    exec(before, names)  # noqa: S102 (what readers copy)
    write_raw(names["root"] / "subject1" / "bold", np.ones(3))
    exec(f"read_any(root{after}", names)  # noqa: S102 (what readers copy)


def test_the_browser_shows_what_the_page_shows(working):
    write_npy("lake/2026.npy", np.zeros((3, 3)))
    write_zarr("lake/cube", np.zeros((100, 200)))
    write_raw("lake/subject-1/bold", np.zeros((40, 64), "f4"))
    write_raw("lake/subject_1/bold", np.ones(3))
    names: dict[str, Any] = {}
    [session] = [block for block in blocks("file-system.md") if block.startswith(">>>")]
    for step in session.replace("/data/lake", f"{working}/lake").split(">>> ")[1:]:
        line, _, expected = step.partition("\n")
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            try:
                exec(compile(line, "file-system.md", "single"), names)  # noqa: S102 (as typed)
            except AttributeError as error:
                print(f"AttributeError: {error}")  # noqa: T201 (as Python shows it)
        assert shown.getvalue().strip() == expected.strip()
