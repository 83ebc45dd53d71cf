"""The S3 resource: dagster-aws' fields, this library's store, the lake's own access."""

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from lake_assets.defs.resources import LakeResource, StoreResource
from lake_assets.errors import SettingsError
from lake_assets.lake import find
from lake_assets.lake.databases import find_exports
from lake_assets.s3 import Access, use_access
from lake_assets_tests.factories import export_files

NOWHERE = "http://127.0.0.1:9"
SECRET = "s3cr3t-of-test"  # noqa: S105 (invented)


@pytest.fixture
def bucket_elsewhere(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that the environment does not lead to."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    return bucket


def resource(endpoint: str, **also) -> StoreResource:
    return StoreResource(
        endpoint_url=endpoint,
        aws_access_key_id="AKID",
        aws_secret_access_key=SECRET,
        region_name="eu-west-1",
        **also,
    )


def test_it_takes_every_field_of_s3resource_and_is_one():
    assert issubclass(StoreResource, S3Resource)
    assert set(S3Resource.model_fields) <= set(StoreResource.model_fields)


def test_every_field_reaches_the_access():
    given = StoreResource(
        region_name="eu-west-1",
        endpoint_url="http://x",
        aws_access_key_id="k",
        aws_secret_access_key="s",  # noqa: S106
        aws_session_token="t",  # noqa: S106
        max_attempts=7,
        use_ssl=False,
        verify=False,
        addressing="path",
        engine="boto3",
    )
    assert given.access() == Access(
        region="eu-west-1",
        endpoint_url="http://x",
        access_key_id="k",
        secret_access_key="s",  # noqa: S106
        session_token="t",  # noqa: S106
        retry_attempts=7,
        use_tls=False,
        verify_tls=False,
        addressing="path",
        engine="boto3",
    )
    assert StoreResource(profile_name="p").access() == Access(profile="p")
    assert StoreResource(use_unsigned_session=True).access() == Access(anonymous=True)
    assert StoreResource().access() == Access()


def test_an_asset_gets_a_store_boto3s_client_and_options(bucket_elsewhere, moto_url):
    found = []

    @dg.asset
    def uses(s3: StoreResource) -> None:
        store = s3.open(f"s3://{bucket_elsewhere}/p")
        store.put("x", b"1")
        found.append([info.key for info in store.list()])
        found.append(s3.get_client().list_objects_v2(Bucket=bucket_elsewhere)["KeyCount"])
        found.append(s3.storage_options(f"s3://{bucket_elsewhere}")["aws_endpoint_url"])

    dg.materialize([uses], resources={"s3": resource(moto_url)})
    assert found == [["x"], 1, moto_url]


def test_it_is_configured_from_the_environment_as_dagster_does(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "k")
    monkeypatch.setenv("MY_SECRET", SECRET)
    found = []

    @dg.asset
    def uses(s3: StoreResource) -> None:
        found.append(s3.access().secret_access_key)
        s3.open(str(tmp_path / "folder")).put("x", b"")

    key, secret = dg.EnvVar("MY_KEY"), dg.EnvVar("MY_SECRET")
    s3 = StoreResource(aws_access_key_id=key, aws_secret_access_key=secret)
    dg.materialize([uses], resources={"s3": s3})
    assert found == [SECRET]
    assert (tmp_path / "folder" / "x").is_file()


def test_half_a_key_pair_is_refused():
    with pytest.raises(SettingsError, match="belong together"):
        StoreResource(aws_access_key_id="k").access()


def test_the_lake_reads_and_writes_by_the_access_of_its_resource(bucket_elsewhere, moto_url):
    url = f"s3://{bucket_elsewhere}"
    s3 = resource(moto_url, engine="boto3")
    lake = LakeResource(root=f"{url}/lake", exports=f"{url}/exports", s3=s3)
    found = []

    @dg.asset
    def asks(lake: LakeResource) -> None:
        store = lake.open().root
        store.put("x", b"1")
        found.append(store.get("x"))
        found.append(len(find(lake.open()).exports["model_snapshot"]))

    store = s3.open(f"{url}/exports")
    for item in export_files("model_snapshot"):
        store.put(item.key, item.body)
    try:
        dg.materialize([asks], resources={"lake": lake})
    finally:
        use_access(url, None)
    assert found == [b"1", 1]


def test_the_sources_of_databases_are_read_by_the_access_of_the_resource(
    bucket_elsewhere, moto_url, tmp_path
):
    source = f"s3://{bucket_elsewhere}/orders"
    s3 = resource(moto_url, engine="boto3")
    s3.open(source).put("2024-01-01/a.csv", b"n\n1\n")
    config = tmp_path / "lake.yaml"
    config.write_text(
        f"databases: {{shop: {{orders: {{source: '{source}/{{snapshot}}', format: csv}}}}}}"
    )
    lake = LakeResource(root=str(tmp_path / "lake"), config=str(config), s3=s3)
    try:
        (table,) = lake.open_databases().tables
        assert [snapshot.id for snapshot in find_exports(table).ready] == ["2024-01-01"]
    finally:
        use_access(source, None)
