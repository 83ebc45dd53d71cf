"""Where credentials and endpoints come from: boto3's chain, for every library that reads or writes.

Environment, profiles, SSO, roles and ``AWS_ENDPOINT_URL`` are honoured here once; polars and
deltalake get the result as options, so that no two of them can disagree.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from lake_assets.errors import StorageError
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.store import Store
from lake_assets.s3.url import parse_url

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingModuleSource, reportMissingImports]

__all__ = ["open_store", "storage_options"]

#: Connections of one client: more threads than this would wait for each other.
_POOL_CONNECTIONS = 50


def open_store(url: str) -> Store:
    """The store at a folder or ``s3://bucket[/prefix]``; a folder need not exist yet.

    Raises:
        StorageError: The folder is a file.
        SettingsError: The address cannot be one.
    """
    parsed = parse_url(url)
    if not parsed.is_s3:
        return FolderStore(parsed.path)
    from lake_assets.s3.bucket import BucketStore

    return BucketStore(parsed, _client())


def storage_options(url: str) -> dict[str, str]:
    """Options for polars and deltalake to reach ``url``; empty for a folder.

    Raises:
        StorageError: boto3's chain finds no credentials.
    """
    if not parse_url(url).is_s3:
        return {}
    client = _client()
    credentials = client._request_signer._credentials  # noqa: SLF001 (what this client signs with; no public way)
    if credentials is None:
        raise StorageError(f"no AWS credentials for {url}: set AWS_PROFILE, a key pair or a role")
    frozen = credentials.get_frozen_credentials()
    endpoint = client.meta.endpoint_url
    options = {
        "aws_access_key_id": frozen.access_key,
        "aws_secret_access_key": frozen.secret_key,
        "aws_region": client.meta.region_name,
    }
    if frozen.token:
        options["aws_session_token"] = frozen.token
    if "amazonaws.com" not in endpoint:
        options["aws_endpoint_url"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options


def _client() -> "S3Client":
    import os

    relevant = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    return _cached_client(relevant)


@lru_cache(maxsize=8)
def _cached_client(environment: tuple[tuple[str, str], ...]) -> "S3Client":  # noqa: ARG001 (the key of the cache)
    import boto3
    from botocore.config import Config

    session = boto3.session.Session()
    return session.client(
        "s3",
        region_name=session.region_name or "us-east-1",
        config=Config(
            retries={"mode": "standard", "max_attempts": 5},
            max_pool_connections=_POOL_CONNECTIONS,
        ),
    )
