"""How a bucket is reached: what a caller says, or a path of fsspec or universal_pathlib.

Values only; where credentials come from that nobody gives is in ``client``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lake_assets.errors import SettingsError
from lake_assets.s3.url import Location, options_of, text_of

__all__ = ["Access", "Located", "access_of", "located"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a bucket; whatever is None comes from the environment, else from the profile."""

    region: str | None = None
    """Else AWS_REGION, AWS_DEFAULT_REGION, that of the profile, us-east-1."""
    endpoint_url: str | None = None
    """Else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, that of the profile, AWS itself."""
    profile: str | None = None
    """Wins over keys in the environment, as everything that is said here; else AWS_PROFILE."""
    access_key_id: str | None = None
    """With ``secret_access_key``; both or none."""
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    anonymous: bool = False
    """Sign nothing: public buckets."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Bucket in the path or in the host name; auto: in the path at an endpoint of one's own."""
    engine: Literal["auto", "boto3", "obstore"] = "auto"
    """Who moves bodies; boto3 alone serves where obstore cannot."""
    pool_connections: int = 50
    """Connections of one client: more threads than this would wait for each other."""
    retry_attempts: int = 5
    """Tries of one request, the first included."""
    read_timeout_s: float = 60.0
    """Longest silence in an answer before the request counts as failed and is tried again."""
    verify_tls: bool = True
    """Whether the server's certificate must be good."""
    use_tls: bool = True
    """Whether AWS itself is spoken to by https; at an own endpoint its address says so."""

    def __post_init__(self) -> None:  # noqa: D105 (checks the fields)
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise SettingsError(
                "access_key_id and secret_access_key belong together; set both or neither"
            )
        if self.anonymous and (self.access_key_id or self.profile):
            raise SettingsError("anonymous access takes no keys and no profile; drop one of them")
        if self.session_token and not self.access_key_id:
            raise SettingsError("session_token needs access_key_id and secret_access_key")
        if self.pool_connections < 1 or self.retry_attempts < 1:
            raise SettingsError("pool_connections and retry_attempts are at least 1")


@dataclass(frozen=True, slots=True)
class Located:
    """An address together with how it is reached, for calls that take an address alone."""

    url: str
    access: Access | None

    def __fspath__(self) -> str:
        """The address as a text, which makes it a path."""
        return self.url

    __str__ = __fspath__


def located(location: Location, access: Access | None = None) -> tuple[str, Access | None]:
    """The address as a text, and how to reach it: as the call says, else as the path says.

    Raises:
        SettingsError: It is no address.
    """
    if isinstance(location, Located):
        return location.url, access or location.access
    text = text_of(location)
    if access is None and text.startswith("s3://"):  # other stores' options have other meanings
        access = access_of(options_of(location))
    return text, access


def access_of(options: Mapping[str, Any]) -> Access | None:
    """What s3fs's options say about reaching a bucket; None where they say nothing of it.

    Read are key, secret, token, anon, profile, endpoint_url, use_ssl, of ``client_kwargs``
    endpoint_url, region_name and verify, of ``config_kwargs`` the addressing style.

    Example:
        >>> access_of({"anon": True, "client_kwargs": {"region_name": "eu-west-1"}}).region
        'eu-west-1'
    """
    client: Mapping[str, Any] = options.get("client_kwargs") or {}
    config: Mapping[str, Any] = options.get("config_kwargs") or {}
    addressing = (config.get("s3") or {}).get("addressing_style") or "auto"
    said = Access(
        region=client.get("region_name"),
        endpoint_url=options.get("endpoint_url") or client.get("endpoint_url"),
        profile=options.get("profile"),
        access_key_id=options.get("key"),
        secret_access_key=options.get("secret"),
        session_token=options.get("token"),
        anonymous=bool(options.get("anon")),
        addressing=addressing,
        verify_tls=client.get("verify") is not False,
        use_tls=options.get("use_ssl") is not False,
    )
    return None if said == Access() else said
