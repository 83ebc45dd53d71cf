"""The same publishes into a bucket, with the options passed and nothing in the environment."""

import pytest

from lake_assets.delta import (
    checkpoint,
    last_proof,
    live_files,
    publish,
    rows_of,
    scan,
    table_version,
    vacuum,
)
from lake_assets.errors import StorageError
from lake_assets_tests.delta.processes import go, results, start, turn
from lake_assets_tests.delta.tables import expected_rows, publication, rows_by_reader, written

BEFORE = {
    ("2023", "12"): [1, 2],
    ("2024", "a/b"): [3],
    ("2024", "100%"): [4, 5],
    (None, "a=b #?"): [6],
    ("2023", "日本"): [7],
}
DIAGONAL = {("2023", "12"): [10], ("2024", "100%"): [11, 12], (None, "a=b #?"): []}
SECRET = "not-to-be-told"  # noqa: S105


@pytest.fixture
def options(moto_url, monkeypatch):
    for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    return {
        "aws_access_key_id": "testing",
        "aws_secret_access_key": SECRET,
        "aws_region": "us-east-1",
        "aws_endpoint_url": moto_url,
        "aws_allow_http": "true",
    }


@pytest.fixture
def uri(bucket, options):  # noqa: ARG001  (the bucket is made while the environment is set)
    return f"s3://{bucket}/lake/pega/models"


def test_a_table_in_a_bucket_is_created_replaced_read_and_kept_up(uri, options):
    assert table_version(uri, options) is None
    first = written(uri, BEFORE, options)
    assert publish(uri, first, options).version == 0
    assert not publish(uri, first, options).committed
    checkpoint(uri, options)
    done = publish(uri, written(uri, DIAGONAL, options, generation=2), options)
    assert (len(done.added), len(done.removed)) == (2, 3)
    want = expected_rows(BEFORE, DIAGONAL)
    assert rows_by_reader(uri, options) == {"polars": want, "pyarrow": want, "duckdb": want}
    assert len(scan(uri, options).collect()) == rows_of(uri, options) == len(want)
    assert last_proof(uri, options) == {"lake.generation": "2"}
    assert vacuum(uri, 0, dry_run=False, storage_options=options) == sorted(done.removed)
    assert rows_by_reader(uri, options)["polars"] == want


def test_two_processes_create_and_replace_in_a_bucket(uri, options):
    contents = [{("2024", str(n)): [n], (None, f"{n}%"): [n, n + 1]} for n in range(2)]
    later = [{key: [10 + n] for key in each} for n, each in enumerate(contents)]
    processes = [
        start(uri, [turn(a, 1), turn(b, 2)], app=f"app {n}", options=options)
        for n, (a, b) in enumerate(zip(contents, later, strict=True))
    ]
    go(*processes)
    done = results(*processes)
    assert sorted(commit["version"] for commits in done for commit in commits) == [0, 1, 2, 3]
    assert rows_by_reader(uri, options)["polars"] == expected_rows(*contents, *later)


@pytest.mark.parametrize("ask", [table_version, live_files, scan, last_proof, checkpoint])
def test_a_missing_bucket_is_named_and_no_secret_told(options, ask):
    uri = "s3://nowhere-to-be-found/lake/table"
    with pytest.raises(StorageError, match=uri) as caught:
        ask(uri, storage_options=options)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_publishing_into_a_missing_bucket_is_named(options):
    uri = "s3://nowhere-to-be-found/lake/table"
    with pytest.raises(StorageError, match=uri):
        publish(uri, publication({}), options)


def test_a_secret_in_the_stores_answer_is_not_passed_on(uri, options):
    # An access key that also stands in the address: whatever the store quotes, it is not repeated.
    bucket = uri.split("/")[2]
    missing = bucket + "-missing"
    told = options | {"aws_session_token": missing}
    with pytest.raises(StorageError) as caught:
        table_version(f"s3://{missing}/t", told)
    assert missing not in str(caught.value).split("t: ", 1)[1]
    assert caught.value.__cause__ is None
