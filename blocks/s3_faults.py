"""What stores refuse or fail at, as sentences for people."""

import errno
import os
import re
from dataclasses import dataclass
from typing import Any

from blocks import s3_client
from blocks.storage_error import StorageError

DENIED_CODES = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
CREDENTIALS_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)
REGION_CODES = frozenset(
    {
        *("301", "307", "PermanentRedirect", "TemporaryRedirect", "Redirect"),
        *("AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"),
        *("IllegalLocationConstraintException", "IncorrectEndpoint"),
    }
)
CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})


class BucketError(StorageError, OSError):
    """What a bucket refuses, or fails at; the message is one sentence for people."""


class NoBucketError(BucketError, FileNotFoundError):
    """A bucket that is not there, as is nothing in it."""


class UnchangedError(BucketError):
    """An object that is as it was when it was last read."""


class AccessDeniedError(BucketError, PermissionError):
    """What these credentials may not use."""


@dataclass(frozen=True)
class Attempt:
    """A request that failed.

    Attributes
    ----------
    bucket, where, operation
        The bucket, the address of the object or bucket, and what was asked of it.
    endpoint, region
        Where it was asked.
    settings
        Where the credentials are set.
    times
        How often it was sent, for people.
    """

    bucket: str
    where: str
    operation: str
    endpoint: str
    region: str
    settings: str
    times: str


def no_store(attempt: Attempt) -> BucketError:
    """Return the error of an answer that no store gives: a console, or the page of a network."""
    return BucketError(
        f"What answers at {attempt.endpoint} for bucket {attempt.bucket} is no S3 store, but sends "
        "a page or the like: correct AWS_ENDPOINT_URL (the port of the store, not of its console), "
        "or sign in to the network."
    )


def explained(error: Exception, attempt: Attempt) -> Exception:
    """Turn what boto3 raised into what callers can handle, or people understand."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _of_an_answer(error, attempt)
    return BucketError(_without_an_answer(error, attempt))


def code(error: Any) -> str:
    """Return the code of a store's refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_an_answer(error: Any, attempt: Attempt) -> Exception:
    said, status = code(error), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if not said:
        return no_store(attempt)
    if said in ("NoSuchKey", "404"):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), attempt.where)
    if status == 304:
        return UnchangedError(f"{attempt.where} is unchanged.")
    if said == "NoSuchBucket":
        return NoBucketError(
            f"There is no bucket {attempt.bucket} at {attempt.endpoint}: create it, or correct "
            "the address."
        )
    if said in DENIED_CODES:
        return AccessDeniedError(
            f"Access to {attempt.where} is denied ({attempt.operation}): give these credentials "
            "the right to it, or use others."
        )
    return BucketError(_refusal(error, attempt, said, status))


def _refusal(error: Any, attempt: Attempt, said: str, status: int) -> str:
    region = _region(error)
    if said in REGION_CODES and (region or said not in CREDENTIALS_CODES):
        other = f", in {region}" if region else ""
        return (
            f"Bucket {attempt.bucket} lies in another region than {attempt.region}{other} "
            f"({said}): set AWS_DEFAULT_REGION{f'={region}' if region else ' to it'}, and the "
            "endpoint of that region if AWS_ENDPOINT_URL names one."
        )
    if said in CREDENTIALS_CODES:
        return (
            f"{attempt.endpoint} does not accept the credentials for bucket {attempt.bucket} "
            f"({said}): correct {attempt.settings}."
        )
    if said in CLOCK_CODES:
        return (
            f"The clock of this machine differs too much from that of {attempt.endpoint} ({said}): "
            "set it, and let it be kept by NTP."
        )
    if said == "PreconditionFailed":
        return f"{attempt.where} was replaced while it was read: run the same again."
    if said in s3_client.SLOW_DOWN_CODES or status == 429:
        return (
            f"Bucket {attempt.bucket} asks to slow down, {attempt.times} ({said}): use fewer "
            "workers or try later; what is finished stays."
        )
    if status in s3_client.PASSING_STATUSES:
        return (
            f"Bucket {attempt.bucket} fails at {attempt.operation}, {attempt.times} ({status} "
            f"{said}): try later; what is finished stays."
        )
    message = error.response.get("Error", {}).get("Message", "")
    return (
        f"Bucket {attempt.bucket} refuses {attempt.operation} of {attempt.where} "
        f"({said}: {message})."
    )


def _region(error: Any) -> str:
    """Return the region that a refusal names; empty if it names none."""
    details = error.response.get("Error", {})
    headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    endpoint = re.search(r"s3[.-]([a-z]+-[a-z-]+-\d)\.", details.get("Endpoint", ""))
    named = details.get("Region") or headers.get("x-amz-bucket-region")
    return str(named or (endpoint[1] if endpoint else ""))


def _without_an_answer(error: Exception, attempt: Attempt) -> str:
    """Return a sentence for what went wrong before an answer arrived, or while one did."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    if isinstance(error, exceptions.SSLError):
        return (
            f"{attempt.endpoint} cannot be trusted for bucket {attempt.bucket} (its certificate): "
            "name the authority's by AWS_CA_BUNDLE, or correct AWS_ENDPOINT_URL."
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return (
            f"Bucket {attempt.bucket} cannot be reached at {attempt.endpoint} "
            f"({type(error).__name__}, {attempt.times}): check the network and AWS_ENDPOINT_URL; "
            "what is finished stays."
        )
    if isinstance(error, exceptions.IncompleteReadError):
        return (
            f"{attempt.where} breaks off, {attempt.times}: check the network; what is finished "
            "stays."
        )
    if isinstance(error, exceptions.FlexibleChecksumError):
        return f"{attempt.where} arrived damaged (its checksum differs): run the same again."
    credentials = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.TokenRetrievalError,
        exceptions.SSOError,
        exceptions.LoginError,
    )
    if isinstance(error, credentials):
        return (
            f"There are no credentials for bucket {attempt.bucket} ({type(error).__name__}): "
            f"give {attempt.settings}."
        )
    if isinstance(error, exceptions.ParamValidationError):
        return f"{attempt.where} cannot be used: {attempt.bucket} is no valid name of a bucket."
    if isinstance(error, ResponseParserError):
        return str(no_store(attempt))
    if isinstance(error, RecursionError):
        return (
            f"{attempt.endpoint} sends requests for bucket {attempt.bucket} in circles: correct "
            "AWS_ENDPOINT_URL and AWS_DEFAULT_REGION."
        )
    return f"{attempt.where} cannot be used: {error}"
