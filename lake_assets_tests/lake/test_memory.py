"""Four times the data, the same memory: a process of its own is measured at its peak."""

import random

from lake_assets.demo.exports import export_objects
from lake_assets_tests.factories import put_folder, table_rows
from lake_assets_tests.lake.children import result, start_anew
from lake_assets_tests.lake.line import MODELS

#: Small enough that the smaller amount already does not fit.
SETTINGS = {"memory": "16MiB", "workers": 2, "target_file_size": "2MB"}
ROWS = 15_000


def exported(folder, runs):
    """Export runs of ROWS rows in one month, of which no two are one record."""
    base, rng = table_rows(MODELS, 100), random.Random(1)  # noqa: S311
    for number in range(runs):
        rows = [
            {
                **base[n % 100],
                "pzInsKey": f"DATA-DECISION-ADM-MODELSNAPSHOT {rng.getrandbits(64):016X}",
                "pySnapshotTime": f"202609{1 + n % 28:02d}T{n % 24:02d}0000.{n % 1000:03d} GMT",
            }
            for n in range(ROWS)
        ]
        put_folder(folder, export_objects(MODELS, f"202610{number + 1:02d}T020000.000", rows))
    return folder


def test_peak_memory_does_not_grow_with_the_data(tmp_path):
    peaks: list[int] = []
    for runs in (2, 8):
        exports = exported(tmp_path / f"exports-{runs}", runs)
        report = result(start_anew(exports, tmp_path / f"lake-{runs}", settings=SETTINGS))
        assert report["tables"][MODELS]["rows"] == runs * ROWS
        peaks.append(report["peak_kb"])
    assert peaks[1] <= 1.3 * peaks[0], f"peak {peaks[0]} KB, with four times the data {peaks[1]} KB"
