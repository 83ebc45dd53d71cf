"""Where credentials and endpoints come from: boto3's chain, for every library that reads or writes.

What an ``Access`` says wins over the environment, the environment over the profile. Profiles, SSO,
roles and ``AWS_ENDPOINT_URL`` are honoured here once; obstore, polars and deltalake get the result,
so that no two of them can disagree.
"""

import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.errors import SettingsError, StorageError
from lake_assets.s3.access import Access, located
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.listing import teach_listing
from lake_assets.s3.store import Store
from lake_assets.s3.url import Location, StoreUrl, parse_url

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials
    from botocore.loaders import Loader
    from mypy_boto3_s3 import S3Client  # pyright: ignore[reportMissingImports] (stubs)
    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

__all__ = [
    "Access",
    "access_in_force",
    "boto_client",
    "endpoint_in_force",
    "obstore_store",
    "open_store",
    "storage_options",
    "use_access",
]

#: A host that does not answer at all; botocore's own 60 s times its tries is five minutes.
_CONNECT_TIMEOUT_S = 10
#: How long obstore keeps credentials. botocore renews them 10 minutes before they expire.
_CREDENTIALS_FOR = timedelta(minutes=5)
#: Served by obstore alone. Here, so that a folder does not load it.
_CLOUDS = frozenset({"gs", "az", "abfs", "abfss"})
#: Besides AWS_*: where the configuration lies, and the way out.
_ALSO = frozenset({"HOME", "USERPROFILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
#: The endpoints that the Rust libraries build themselves from the region; any other is passed on.
_AWS_ENDPOINT = re.compile(r"https://s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")


_DEFAULT = Access()
#: What this process was told to use, by bucket; see ``use_access``.
_told: dict[str, Access] = {}


def use_access(url: Location, access: Access | None) -> None:
    """Let every later call of this process for the bucket of ``url`` use ``access`` by default.

    For a configuration that is read once and serves code which only knows addresses, as a Dagster
    resource does. None forgets it. A call's own ``access`` still wins. Nothing for a folder.
    """
    parsed = parse_url(url)
    if parsed.is_s3 and access is None:
        _told.pop(parsed.bucket, None)
    elif parsed.is_s3 and access is not None:
        _told[parsed.bucket] = access


def open_store(url: Location, access: Access | None = None) -> Store:
    """The store at a folder or ``s3://bucket[/prefix]``; a folder need not exist yet.

    ``gs://`` and ``az://`` are served by obstore as far as it goes, untested: see ``cloud.py``.

    Raises:
        StorageError: The folder is a file, or the AWS configuration cannot be used.
        SettingsError: The address cannot be one.
    """
    url, access = located(url, access)
    if url.partition("://")[0].lower() in _CLOUDS:
        from lake_assets.s3.cloud import open_cloud

        return open_cloud(url)
    parsed = parse_url(url)
    if not parsed.is_s3:
        return FolderStore(parsed.path)
    from lake_assets.s3.bucket import BucketStore
    from lake_assets.s3.bucket_obstore import FastBucketStore

    client, told = boto_client(url, access), access_in_force(url, access)
    once = replace(told, retry_attempts=1)  # boto3 tries again what fails
    try:
        fast = None if told.engine == "boto3" else _cached_obstore(parsed.bucket, client, once)
    except StorageError:  # no credentials: boto3 says so at the first request
        fast = None
    return FastBucketStore(parsed, client, fast) if fast else BucketStore(parsed, client)


def boto_client(url: Location, access: Access | None = None) -> "S3Client":
    """boto3's S3 client for ``url``; one for all callers of the same access and environment.

    Raises:
        StorageError: The AWS configuration cannot be used: no such profile, no address.
    """
    from botocore.exceptions import BotoCoreError

    url, access = located(url, access)
    access = access_in_force(url, access)
    relevant = {k: v for k, v in os.environ.items() if k.startswith("AWS_") or k.upper() in _ALSO}
    try:
        return _cached_client(tuple(sorted(relevant.items())), access)
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise StorageError(
            f"cannot reach {url}: the AWS configuration does not work: {error}"
        ) from error


def obstore_store(url: Location, access: Access | None = None) -> "S3Store":
    """An obstore store of the bucket of ``url``: its paths are full keys.

    One for all callers of the same bucket, access and environment, with its connections.
    Credentials are asked of boto3 again before they expire.

    Raises:
        StorageError: boto3's chain finds no credentials, or its configuration cannot be used.
        SettingsError: ``url`` is a folder.
    """
    url, access = located(url, access)
    parsed = parse_url(url)
    if not parsed.is_s3:
        raise SettingsError(f"{url} is a folder; obstore serves s3://bucket only")
    return _cached_obstore(parsed.bucket, boto_client(url, access), access_in_force(url, access))


def storage_options(url: Location, access: Access | None = None) -> dict[str, str]:
    """Options for polars and deltalake to reach ``url``; empty for a folder.

    Raises:
        StorageError: boto3's chain finds no credentials, or its configuration cannot be used.
    """
    url, access = located(url, access)
    parsed = parse_url(url)
    if not parsed.is_s3:
        return {}
    client = boto_client(url, access)
    credentials = _credentials(client, url)
    options = {"aws_region": client.meta.region_name}
    if credentials is None:
        options["aws_skip_signature"] = "true"
    else:
        frozen = _frozen(credentials, url)
        options["aws_access_key_id"] = frozen.access_key
        options["aws_secret_access_key"] = frozen.secret_key
        # Without it the Rust libraries take the variable's, which belongs to other keys; given
        # empty only then, for not every store takes an empty one.
        if frozen.token or os.environ.get("AWS_SESSION_TOKEN"):
            options["aws_session_token"] = frozen.token or ""
    options.update(_endpoint_options(parsed, client))
    if not access_in_force(url, access).verify_tls:
        options["allow_invalid_certificates"] = "true"
    return options


def access_in_force(url: Location, access: Access | None = None) -> Access:
    """How ``url`` is reached: as the call says, else as ``use_access`` said for its bucket.

    For work that is sent to other processes: what this one was told is not known there.
    """
    url, access = located(url, access)
    if access is None and _told and url.partition("://")[2]:  # s3:// alone: all buckets
        access = _told.get(parse_url(url).bucket)
    return access or _DEFAULT


def endpoint_in_force(url: Location, access: Access | None = None) -> str:
    """The address of the server that ``url`` is asked of; empty for a folder.

    Buckets and keys are the same names at every endpoint: with this they are names of one object.

    Raises:
        StorageError: The AWS configuration cannot be used.
    """
    url, access = located(url, access)
    return boto_client(url, access).meta.endpoint_url if parse_url(url).is_s3 else ""


def _endpoint_options(parsed: StoreUrl, client: "S3Client") -> dict[str, str]:
    options: dict[str, str] = {}
    endpoint, virtual = _endpoint(parsed.bucket, client)
    if endpoint:
        # Delta Lake's store lets the variable of the second name win over the first option.
        options["aws_endpoint_url"] = options["aws_endpoint_url_s3"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    if virtual:
        options["aws_virtual_hosted_style_request"] = "true"
    return options


@lru_cache(maxsize=16)
def _cached_obstore(bucket: str, client: "S3Client", access: Access) -> "S3Store":
    from obstore.store import S3Store

    credentials = _credentials(client, f"s3://{bucket}")
    endpoint, virtual = _endpoint(bucket, client)
    config: S3Config = {  # each value is given, for obstore reads AWS_* where one is not
        "region": client.meta.region_name,
        "virtual_hosted_style_request": virtual,
        "skip_signature": credentials is None,
    }
    if endpoint:  # by both names: obstore takes the second from the environment otherwise
        config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
    options: ClientConfig = {
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        "allow_invalid_certificates": not access.verify_tls,
        "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_S),
        "read_timeout": timedelta(seconds=access.read_timeout_s),
    }
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle and Path(bundle).is_file():
        options["root_certificate"] = Path(bundle).read_bytes()
    return S3Store(
        bucket,
        config=config,
        credential_provider=None if credentials is None else _provider(credentials),
        client_options=options,
        retry_config={"max_retries": access.retry_attempts - 1},
    )


def _provider(credentials: "Credentials") -> Any:  # noqa: ANN401 (obstore's protocol is no class)
    """What obstore asks for credentials whenever the last ones are old."""

    def provide() -> "S3Credential":
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_FOR,
        }

    return provide


def _endpoint(bucket: str, client: "S3Client") -> tuple[str | None, bool]:
    """The address for a Rust library (None for AWS itself), and whether it holds the bucket."""
    endpoint = client.meta.endpoint_url
    style = (client.meta.config.s3 or {}).get("addressing_style", "auto")
    if _AWS_ENDPOINT.fullmatch(endpoint):
        # A dot in the name has no certificate below *.s3.amazonaws.com.
        return None, style != "path" and "." not in bucket
    if style == "virtual":
        scheme, _, host = endpoint.partition("://")
        return f"{scheme}://{bucket}.{host}", True
    return endpoint, False


def _credentials(client: "S3Client", url: str) -> "Credentials | None":
    """What the client signs with; None for anonymous access."""
    from botocore import UNSIGNED

    if client.meta.config.signature_version is UNSIGNED:
        return None
    found = client._request_signer._credentials  # noqa: SLF001 (no public way)
    if found is None:
        raise StorageError(f"no AWS credentials for {url}: set AWS_PROFILE, a key pair or a role")
    return found


def _frozen(credentials: "Credentials", url: str) -> "ReadOnlyCredentials":
    from botocore.exceptions import BotoCoreError

    try:
        return credentials.get_frozen_credentials()  # a role or SSO asks for them here
    except BotoCoreError as error:
        raise StorageError(f"no AWS credentials for {url}: {error}") from error


@lru_cache(maxsize=4)
def _loader(data_path: str | None) -> "Loader":
    """Descriptions of S3 for all sessions: to parse them is three quarters of a client's cost."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


@lru_cache(maxsize=8)
def _cached_client(environment: tuple[tuple[str, str], ...], access: Access) -> "S3Client":
    from boto3.session import Session
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import get_session

    own = get_session()
    session = Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        aws_session_token=access.session_token,
        profile_name=access.profile,
        botocore_session=own,
    )
    own.register_component("data_loader", _loader(own.get_config_variable("data_path")))
    # AWS_REGION is every other SDK's name for it; boto3 reads the second one only.
    named = dict(environment)
    region = access.region or named.get("AWS_REGION") or named.get("AWS_DEFAULT_REGION")
    client = session.client(
        "s3",
        region_name=region or session.region_name or "us-east-1",
        endpoint_url=access.endpoint_url,
        use_ssl=access.use_tls,
        verify=None if access.verify_tls else False,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": access.retry_attempts},
            max_pool_connections=access.pool_connections,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=access.read_timeout_s,
            # Said, or boto3 presigns with version 2, which KMS and newer regions refuse.
            signature_version=UNSIGNED if access.anonymous else "s3v4",
            # Left out it comes from the profile.
            s3=None if access.addressing == "auto" else {"addressing_style": access.addressing},
        ),
    )
    teach_listing(client)
    return client
