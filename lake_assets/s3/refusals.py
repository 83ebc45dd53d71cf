"""What a store's answer means for the person who asked: boto3's errors as ours.

botocore is imported only where a bucket is spoken to, so that folders never pay for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lake_assets.errors import StorageError

__all__ = ["code_of", "is_answer", "refusals", "refused"]

_REFUSED = frozenset(
    {
        *("403", "Forbidden", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired"),
    }
)
_SAID = {
    "BucketNotEmpty": "the bucket is not empty; remove what is in it first, or force it",
    "BucketAlreadyExists": "the name is taken by somebody else; choose another",
    "BucketAlreadyOwnedByYou": "the bucket is there already",
    "InvalidBucketName": "no bucket may be called so: 3-63 of a-z, 0-9, '-' and '.'",
    "NoCredentialsError": "no AWS credentials; set AWS_PROFILE, a key pair or a role",
    "PartialCredentialsError": "half a key pair; set both halves, AWS_PROFILE or a role",
    "404": "it is not there",
    "NoSuchKey": "it is not there",
    "412": "it was replaced since it was listed, or made in between; run again",
    "PreconditionFailed": "it was replaced since it was listed, or made in between; run again",
}


@contextmanager
def refusals(asked: str, bucket: str = "") -> Iterator[None]:
    """Errors of boto3 in the block as StorageError: ``asked``, and what was answered.

    Raises:
        StorageError: The store refused, or could not be reached.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise refused(asked, error, bucket) from error


def refused(asked: str, error: Exception, bucket: str = "") -> StorageError:
    """One error of boto3 as ours."""
    code = code_of(error)
    said = _SAID.get(code) or str(error)
    if code in _REFUSED:
        said = f"the store refused the credentials ({code})"
    if code == "NoSuchBucket":
        which = f"no bucket {bucket!r}" if bucket else "no such bucket"
        said = f"there is {which} at this endpoint"
    return StorageError(f"cannot {asked}: {said}")


def is_answer(error: BaseException | None) -> bool:
    """Whether the store itself said no, so that asking in another way may help."""
    return isinstance(getattr(error, "response", None), dict)


def code_of(error: BaseException | None) -> str:
    """S3's error code; a HEAD has no body, so its bare status. Else the name of the class."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return type(error).__name__
