"""The same line on buckets: same tables, nothing rewritten, and what only a bucket can hold."""

import boto3
import pytest

from lake_assets.demo.exports import ExportObject, demo_objects, expected
from lake_assets.errors import LakeError, StorageError
from lake_assets.export.pega_tables import DATAMART_TABLES
from lake_assets.lake import query, tables_of
from lake_assets_tests.factories import put_bucket, put_folder
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    listing,
    model,
    models,
    reasons,
    rows_of,
    run,
    run_models,
)


@pytest.fixture
def there(s3_env, bucket):
    """Puts objects into the exports of the bucket."""
    return lambda *objects: put_bucket(bucket, objects, s3_env, "in/")


def test_demo_on_s3_gives_the_tables_of_a_folder(there, bucket, tmp_path):
    objects = demo_objects(days=2, models=6)
    there(*objects)
    put_folder(tmp_path / "exports", objects)
    local = run(tmp_path / "exports", tmp_path / "lake")
    url = f"s3://{bucket}/lakes/prod"
    remote = run(f"s3://{bucket}/in", url)
    stories = expected(days=2, models=6)
    for name, report in remote.tables.items():
        assert report.as_dict() == local.tables[name].as_dict()
        assert report.rows == stories[name].rows
        assert content(url, name).equals(content(tmp_path / "lake", name))
    before = listing(url)
    assert not run(f"s3://{bucket}/in", url).changed
    assert listing(url) == before


def test_bucket_may_feed_a_folder_and_a_folder_a_bucket(there, bucket, tmp_path):
    objects = models(model("a"), model("b"), files=2)
    there(*objects)
    put_folder(tmp_path / "exports", objects)
    assert run_models(f"s3://{bucket}/in", tmp_path / "lake").rows == 2
    assert run_models(tmp_path / "exports", f"s3://{bucket}/lake").rows == 2
    assert content(f"s3://{bucket}/lake").equals(content(tmp_path / "lake"))


def test_exports_may_be_the_datamart_folder_itself(there, bucket):
    there(*models(model("a")))
    assert run_models(f"s3://{bucket}/in/datamart/", f"s3://{bucket}/lake").rows == 1


def test_exports_at_the_root_of_a_bucket_are_read(s3_env, bucket):
    put_bucket(bucket, models(model("a")), s3_env)
    assert run_models(f"s3://{bucket}", f"s3://{bucket}/lake").rows == 1


def test_key_with_dots_is_refused_by_name_and_its_neighbours_are_loaded(there, bucket):
    there(*models(model("a")))
    outside = models(model("evil"), night=NIGHTS[1])
    there(*[ExportObject(o.key.replace("datamart/", "datamart/../../"), o.body) for o in outside])
    there(*models(model("c"), night=NIGHTS[2]))
    report = run_models(f"s3://{bucket}/in", f"s3://{bucket}/lake")
    assert "expected a key without '..'" in reasons(report)[0]
    assert "datamart/../../" in reasons(report)[0]
    assert rows_of(f"s3://{bucket}/lake", MODELS, "pyModelID") == [("a",), ("c",)]


def test_key_names_with_odd_characters_are_read_and_told(there, bucket):
    data, meta = models(model("a"))
    odd = "datamart/50 % + größe/日本/"
    there(*[ExportObject(o.key.replace("datamart/", odd), o.body) for o in (data, meta)])
    run_models(f"s3://{bucket}/in", f"s3://{bucket}/lake")
    assert rows_of(f"s3://{bucket}/lake", MODELS, "_source_key") == [
        (data.key.replace("datamart/", odd),)
    ]


def test_overwritten_object_is_noticed(there, bucket):
    url = f"s3://{bucket}/lake"
    there(*models(model("a", pyName="one")))
    run_models(f"s3://{bucket}/in", url)
    there(*models(model("a", pyName="two")))
    run_models(f"s3://{bucket}/in", url)
    assert rows_of(url, MODELS, "pyName") == [("two",)]


def test_same_object_uploaded_again_changes_nothing(there, bucket):
    url = f"s3://{bucket}/lake"
    there(*models(model("a")))
    run_models(f"s3://{bucket}/in", url)
    before = listing(url)
    there(*models(model("a")))
    assert not run_models(f"s3://{bucket}/in", url).changed
    assert listing(url) == before


@pytest.mark.parametrize("which", ["exports", "root"])
def test_bucket_that_does_not_exist_is_an_error_that_names_it(there, bucket, which):
    there(*models(model("a")))
    places = {"exports": f"s3://{bucket}/in", "root": f"s3://{bucket}/lake"}
    places[which] = "s3://no-such-bucket-here/x"
    with pytest.raises(StorageError, match="no-such-bucket-here"):
        run_models(places["exports"], places["root"])


def test_wrong_credentials_do_not_appear_in_the_error(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "my-very-secret-key")
    with pytest.raises(LakeError) as caught:
        run_models(f"s3://{bucket}-not-there/in", f"s3://{bucket}/lake")
    assert "my-very-secret-key" not in str(caught.value)


def test_no_secret_stands_in_the_lake(there, bucket, s3_env, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "my-very-secret-key")
    there(*models(model("a")))
    run_models(f"s3://{bucket}/in", f"s3://{bucket}/lake")
    client = boto3.client("s3", endpoint_url=s3_env)
    for item in client.list_objects_v2(Bucket=bucket, Prefix="lake/")["Contents"]:
        assert (
            b"my-very-secret-key"
            not in client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        )


def test_tables_are_found_and_queried(there, bucket):
    url = f"s3://{bucket}/lake"
    there(*models(model("a"), model("b")))
    run_models(f"s3://{bucket}/in", url)
    assert set(tables_of(url)) == {spec.id for spec in DATAMART_TABLES}
    sql = "SELECT count(*) AS n FROM datamart.model_snapshot WHERE pyModelID > 'a'"
    assert query(url, sql).rows() == [(1,)]
