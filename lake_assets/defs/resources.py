"""Resources: configuration and one method that opens a library object."""

from typing import Any, Literal

import dagster as dg
from dagster_aws.s3 import S3Resource
from pydantic import Field

from lake_assets.lake import Datamart, open_datamart
from lake_assets.lake.databases import Databases, open_databases
from lake_assets.s3 import Access, Store, open_store, storage_options, use_access
from lake_assets.s3.client import boto_client
from lake_assets.settings import LakeSettings, load_settings

__all__ = ["LakeResource", "StoreResource"]


class StoreResource(S3Resource):
    """dagster-aws' S3Resource, handing out this library's store beside boto3's client.

    A configuration of ``S3Resource`` can be used as it is. What is not set comes from the
    environment, then from the profile: boto3's chain with SSO, roles and AWS_ENDPOINT_URL.
    """

    addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="Bucket in the path or in the host name of a request."
    )
    engine: Literal["auto", "boto3", "obstore"] = Field(
        default="auto", description="Who moves bodies; boto3 works where obstore cannot."
    )

    def access(self) -> Access:
        """The fields as the library takes them."""
        return Access(
            region=self.region_name,
            endpoint_url=self.endpoint_url,
            profile=self.profile_name,
            access_key_id=self.aws_access_key_id,
            secret_access_key=self.aws_secret_access_key,
            session_token=self.aws_session_token,
            anonymous=self.use_unsigned_session,
            addressing=self.addressing,
            engine=self.engine,
            retry_attempts=self.max_attempts,
            verify_tls=self.verify is not False,
            use_tls=self.use_ssl,
        )

    def open(self, url: str) -> Store:
        """The store at a folder or ``s3://bucket[/prefix]``."""
        return open_store(url, self.access())

    def storage_options(self, url: str) -> dict[str, str]:
        """What polars and deltalake need to reach ``url``."""
        return storage_options(url, self.access())

    def get_client(self) -> Any:  # noqa: ANN401 (as S3Resource declares it)
        """boto3's client, as S3Resource gives it."""
        return boto_client("s3://", self.access())


class LakeResource(dg.ConfigurableResource):
    """The lake and the exports that feed it.

    What is not set here comes from LAKE_ROOT, LAKE_EXPORTS and the YAML file (LAKE_CONFIG, else
    lake.yaml). Credentials are boto3's: profiles, SSO, roles, environment, AWS_ENDPOINT_URL.
    """

    root: str | None = None
    """A folder or ``s3://bucket/prefix``."""
    exports: str | None = None
    """What holds the datamart folder: a folder, a bucket or a prefix."""
    config: str | None = None
    """A YAML file."""
    s3: StoreResource | None = None
    """How to reach the buckets of both, where the environment does not say it."""

    def settings(self) -> LakeSettings:
        """The settings in force."""
        settings = load_settings(self.config, root=self.root, exports=self.exports)
        if self.s3 is not None:
            # The line knows addresses only, in threads of its own: so by bucket, for this process.
            tables = [t for tables in settings.databases.values() for t in tables.values()]
            sources = [t.source for t in tables if t.source.startswith("s3://")]
            for url in (settings.root, settings.exports_url, *sources):
                use_access(url, self.s3.access())
        return settings

    def open(self) -> Datamart:
        """The opened datamart line."""
        return open_datamart(self.settings())

    def open_databases(self) -> Databases:
        """The opened databases."""
        return open_databases(self.settings())
