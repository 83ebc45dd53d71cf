"""Where pdstools' S3 loader (5.1.0) fails or errs, this line does not.

The numbers are those of the list in pega_exports.md, section 7.
"""

import boto3
import pytest

from lake_assets.demo.exports import ExportObject, export_objects
from lake_assets.export.pega_tables import find_table
from lake_assets.lake import scan_table
from lake_assets_tests.factories import put_bucket, truncated_gzip
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    model,
    models,
    put,
    remove,
    rows_of,
    run,
    run_models,
)


def moved(objects, old, new):
    return [ExportObject(item.key.replace(old, new, 1), item.body) for item in objects]


def test_1_half_written_file_without_its_sentinel_is_not_read(exports, root):
    whole, meta = models(model("a"), model("b"))
    put(exports, ExportObject(whole.key, truncated_gzip([model("a")] * 50)))
    report = run_models(exports, root)
    assert (report.rows, report.quarantined, [w.key for w in report.waiting]) == (
        0,
        (),
        [whole.key],
    )
    put(exports, whole, meta)
    assert run_models(exports, root).rows == 2


@pytest.mark.parametrize("layout", ["flat", "folder"])
def test_2_sentinel_without_its_file_stops_nothing_and_is_told(exports, root, layout):
    gone, meta, here, here_meta = models(model("a"), model("b"), files=2, layout=layout)
    put(exports, gone, meta, here, here_meta)
    remove(exports, gone)
    report = run_models(exports, root)
    assert (report.rows, [w.key for w in report.waiting]) == (1, [meta.key])


def test_3_deep_keys_root_keys_and_folder_markers_are_no_trouble(s3_env, bucket):
    client = boto3.client("s3", endpoint_url=s3_env)
    for marker in ("datamart/", "prod/", "prod/datamart/", "prod/datamart/run/"):
        client.put_object(Bucket=bucket, Key=marker, Body=b"")
    deep = moved(models(model("deep")), "datamart/", "prod/datamart/run/1/")
    at_root = moved(models(model("root"), night=NIGHTS[1]), "datamart/", "")
    put_bucket(bucket, [*deep, *at_root], s3_env)
    url = f"s3://{bucket}"
    assert run_models(url, f"{url}/one", datamart={"folder": "prod/datamart"}).rows == 1
    assert run_models(url, f"{url}/two", datamart={"folder": ""}).rows == 2


def test_5_another_bucket_with_the_same_keys_is_another_input(s3_env, bucket, tmp_path):
    client = boto3.client("s3", endpoint_url=s3_env)
    client.create_bucket(Bucket=f"{bucket}-b")
    put_bucket(bucket, models(model("first")), s3_env)
    put_bucket(f"{bucket}-b", models(model("second")), s3_env)
    for name, want in ((bucket, "first"), (f"{bucket}-b", "second")):
        run_models(f"s3://{name}", tmp_path / "lake")
        assert rows_of(tmp_path / "lake", MODELS, "pyModelID") == [(want,)]


def test_7_look_alikes_are_left_alone_and_both_prefixes_are_taken(exports, root):
    put(exports, *models(model("a")))
    other = models(model("b"), night=NIGHTS[1])
    put(exports, *moved(other, "_pzModelSnapshots_", "_pyModelSnapshots_"))
    third = models(model("c"), night=NIGHTS[2])
    put(exports, *moved(third, "_pzModelSnapshots_", "_pzModelSnapshotsFiltered_"))
    put(exports, *moved(third, "ADM-ModelSnapshot_", "ADM-ModelSnapshotArchive_"))
    report = run(exports, root)
    assert rows_of(root, MODELS, "pyModelID") == [("a",), ("b",)]
    assert report.n_ignored == 2


def test_9_columns_and_types_that_come_late_lose_nothing(exports, root):
    early = [{"pzInsKey": f"E{n:04d}", "pyValue": None, "pyCount": n} for n in range(500)]
    late = [
        {"pzInsKey": f"L{n}", "pyValue": f"v{n}", "pyCount": f"{n}.0", "pyNewName": n}
        for n in range(5)
    ]
    put(exports, *export_objects("snapshot", NIGHTS[0], [*early, *late], files=3))
    run(exports, root, "snapshot")
    found = rows_of(root, "snapshot", "pzInsKey", "pyValue", "pyCount", "pyNewName")
    assert len(found) == 505
    assert [row for row in found if row[0][0] == "L"] == [
        (f"L{n}", f"v{n}", n, str(n)) for n in range(5)
    ]
    assert [row[2] for row in found if row[0][0] == "E"] == list(range(500))


def test_9_files_that_disagree_about_a_type_are_one_table(exports, root):
    for night, value in zip(NIGHTS, (1, 1.5, None), strict=True):
        put(exports, *models(model(night, pyPerformance=value, pyMemory=value), night=night))
    run_models(exports, root)
    assert rows_of(root, MODELS, "pyPerformance", "pyMemory") == [
        (1.0, "1"),
        (1.5, "1.5"),
        (None, None),
    ]


def test_10_repeated_run_is_not_doubled(exports, root):
    for night in NIGHTS:
        put(exports, *models(*[model(f"m{n}", pyPositives=n) for n in range(10)], night=night))
    run_models(exports, root)
    assert sum(value for (value,) in rows_of(root, MODELS, "pyPositives")) == 45


def test_15_lazy_frame_of_a_version_stays_valid_when_the_next_one_is_published(exports, root):
    put(exports, *models(model("a")))
    run_models(exports, root)
    before = scan_table(str(root), find_table(MODELS))
    put(exports, *models(model("a", pyName="new"), model("b"), night=NIGHTS[1]))
    run_models(exports, root)
    assert before.select("pyModelID", "pyName").collect().rows() == [("a", None)]
    assert content(root).height == 2
