"""Where credentials and endpoints come from: boto3's chain, for every library that reads or writes.

Environment, profiles, SSO, roles and ``AWS_ENDPOINT_URL`` are honoured here once; polars and
deltalake get the result as options, so that no two of them can disagree.
"""

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from lake_assets.errors import StorageError
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.store import Store
from lake_assets.s3.url import parse_url

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports]

__all__ = ["open_store", "storage_options"]

#: Connections of one client: more threads than this would wait for each other.
_POOL_CONNECTIONS = 50
#: A host that does not answer at all; botocore's own 60 s times its tries is five minutes.
_CONNECT_TIMEOUT_S = 10
#: Besides AWS_*: where the configuration lies, and the way out.
_ALSO = frozenset({"HOME", "USERPROFILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
#: The endpoints that polars and deltalake build themselves from the region; any other is passed on.
_AWS_ENDPOINT = re.compile(r"https://s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")


def open_store(url: str) -> Store:
    """The store at a folder or ``s3://bucket[/prefix]``; a folder need not exist yet.

    Raises:
        StorageError: The folder is a file, or the AWS configuration cannot be used.
        SettingsError: The address cannot be one.
    """
    parsed = parse_url(url)
    if not parsed.is_s3:
        return FolderStore(parsed.path)
    from lake_assets.s3.bucket import BucketStore

    return BucketStore(parsed, _client(url))


def storage_options(url: str) -> dict[str, str]:
    """Options for polars and deltalake to reach ``url``; empty for a folder.

    Raises:
        StorageError: boto3's chain finds no credentials, or its configuration cannot be used.
    """
    if not parse_url(url).is_s3:
        return {}
    client = _client(url)
    credentials = client._request_signer._credentials  # noqa: SLF001 (what this client signs with; no public way)
    if credentials is None:
        raise StorageError(f"no AWS credentials for {url}: set AWS_PROFILE, a key pair or a role")
    frozen = _frozen(credentials, url)
    endpoint = client.meta.endpoint_url
    options = {
        "aws_access_key_id": frozen.access_key,
        "aws_secret_access_key": frozen.secret_key,
        "aws_region": client.meta.region_name,
    }
    if frozen.token:
        options["aws_session_token"] = frozen.token
    if not _AWS_ENDPOINT.fullmatch(endpoint):
        options["aws_endpoint_url"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options


def _frozen(credentials: "Credentials", url: str) -> "ReadOnlyCredentials":
    from botocore.exceptions import BotoCoreError

    try:
        return credentials.get_frozen_credentials()  # a role or SSO asks for them here
    except BotoCoreError as error:
        raise StorageError(f"no AWS credentials for {url}: {error}") from error


def _client(url: str) -> "S3Client":
    from botocore.exceptions import BotoCoreError

    relevant = {k: v for k, v in os.environ.items() if k.startswith("AWS_") or k.upper() in _ALSO}
    try:
        return _cached_client(tuple(sorted(relevant.items())))
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise StorageError(
            f"cannot reach {url}: the AWS configuration does not work: {error}"
        ) from error


@lru_cache(maxsize=8)
def _cached_client(environment: tuple[tuple[str, str], ...]) -> "S3Client":  # noqa: ARG001 (the key of the cache)
    from boto3.session import Session
    from botocore.config import Config

    session = Session()
    return session.client(
        "s3",
        region_name=session.region_name or "us-east-1",
        config=Config(
            retries={"mode": "standard", "max_attempts": 5},
            max_pool_connections=_POOL_CONNECTIONS,
            connect_timeout=_CONNECT_TIMEOUT_S,
        ),
    )
