"""Objects in a bucket of an S3-compatible store.

By boto3: its PUT is whole or not at all, where a stream of pyarrow's S3 filesystem
that is closed by an exception stores what had arrived; and what it raises tells causes
apart. It takes half a millisecond of CPU more for each GET.
"""

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blocks import s3_client
from blocks.storage_error import StorageError

PIECE_BYTES = 256 * 2**10
"""How much of an object is in memory while it is read, and lost with a broken connection."""

MULTIPART_BYTES = 64 * 2**20
"""From this size a file is uploaded in parts: two requests more than their number."""

PART_BYTES = 16 * 2**20
UPLOAD_THREADS = 4

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


class BucketError(StorageError, OSError):
    """What a bucket refuses, or fails at; the message is one sentence for people."""


class NoBucketError(BucketError, FileNotFoundError):
    """A bucket that is not there, as is nothing in it."""


class AccessDeniedError(BucketError, PermissionError):
    """What these credentials may not use."""


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3-compatible store.

    Whatever the store refuses, or still fails at after several attempts, is a
    :class:`BucketError` that names the bucket and the cause.

    Attributes
    ----------
    name
        Its name.
    block
        Name of a saved ``AwsCredentials`` block of Prefect; empty for what boto3 finds.
    """

    name: str
    block: str = ""

    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield the content of an object by one GET, and one more each time that it breaks off.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        AccessDeniedError
            If it may not be read.
        """
        from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError

        offset, failures = 0, 0
        conditions: dict[str, str] = {}
        while True:
            answer = self._call("get_object", key, **conditions)
            end = offset + answer["ContentLength"]
            try:
                while piece := answer["Body"].read(PIECE_BYTES):
                    yield piece
                    offset += len(piece)
                    failures = 0
            except BotoCoreError as error:
                failures += 1
                breaks_off = isinstance(error, (HTTPClientError, IncompleteReadError))
                if not breaks_off or failures == s3_client.max_attempts():
                    raise self._explained(error, "GetObject", key) from error
                time.sleep(s3_client.delay_seconds(failures))
            finally:
                answer["Body"].close()
            if offset == end:
                return
            conditions = {"Range": f"bytes={offset}-"} if offset else {}
            # Half of one object must not be continued with half of another.
            conditions |= {"IfMatch": answer["ETag"]} if "ETag" in answer else {}

    def put(self, key: str, data: bytes) -> None:
        """Store an object by one PUT."""
        self._call("put_object", key, Body=data)

    def upload(self, key: str, path: Path) -> None:
        """Store a file, large ones in parts; whole or not at all."""
        if path.stat().st_size < MULTIPART_BYTES:
            with open(path, "rb") as file:
                self._call("put_object", key, Body=file)
        elif not self._upload_parts(key, path) and not self._upload_parts(key, path):
            raise BucketError(f"The upload of {self._address(key)} was aborted by someone else.")

    def exists(self, key: str) -> bool:
        """Return whether there is an object, by one HEAD."""
        try:
            self._call("head_object", key)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        self._call("delete_object", key)

    def check_writable(self, key: str) -> None:
        """Make sure that objects can be stored and removed; gives up early."""
        with s3_client.few_attempts():
            self.put(key, b"")
            self.delete(key)

    def objects(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Yield key, size in bytes and entity tag of objects, by one LIST for each thousand."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for entry in page.get("Contents", ()):
                yield entry["Key"], entry["Size"], entry["ETag"]
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _upload_parts(self, key: str, path: Path) -> bool:
        """Upload a file in parts; False if it is unknown what became of it."""
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import BotoCoreError, ClientError

        config = TransferConfig(
            multipart_threshold=MULTIPART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=UPLOAD_THREADS,
            preferred_transfer_client="classic",
        )
        try:
            # When a part fails, it aborts the upload: nothing is stored.
            s3_client.client(self.block).upload_file(str(path), self.name, key, Config=config)
        except (BotoCoreError, S3UploadFailedError) as error:
            cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
            if isinstance(cause, ClientError) and _code(cause) == "NoSuchUpload":
                # The answer to its completion was lost, and so it was completed twice.
                return False
            assert isinstance(cause, Exception)
            raise self._explained(cause, "UploadPart", key) from error
        return True

    def _call(self, method: str, key: str | None = None, **options: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        client = s3_client.client(self.block)
        if key is not None:
            options["Key"] = key
        try:
            return getattr(client, method)(Bucket=self.name, **options)
        except (BotoCoreError, ClientError) as error:
            operation = client.meta.method_to_api_mapping[method]
            raise self._explained(error, operation, key) from error

    def _address(self, key: str | None) -> str:
        return f"s3://{self.name}" if key is None else f"s3://{self.name}/{key}"

    def _explained(self, error: Exception, operation: str, key: str | None) -> Exception:
        """Turn what boto3 raised into what callers can handle, or people understand."""
        from botocore.exceptions import ClientError

        where = self._address(key)
        if not isinstance(error, ClientError):
            return BucketError(self._explained_locally(error, where))
        code, status = _code(error), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        times = f"{s3_client.max_attempts()} times in a row"
        if code in ("NoSuchKey", "404"):
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
        if code == "NoSuchBucket":
            return NoBucketError(
                f"There is no bucket {self.name} at {self._endpoint()}: create it, or correct "
                "the address."
            )
        if code in DENIED_CODES:
            return AccessDeniedError(
                f"Access to {where} is denied ({operation}): give these credentials the right to "
                "it, or use others."
            )
        if code in CREDENTIALS_CODES:
            return BucketError(
                f"{self._endpoint()} does not accept the credentials for bucket {self.name} "
                f"({code}): correct {self._settings()}."
            )
        if code == "PreconditionFailed":
            return BucketError(f"{where} was replaced while it was read: run the same again.")
        if code in s3_client.SLOW_DOWN_CODES or status == 429:
            return BucketError(
                f"Bucket {self.name} asks to slow down, {times} ({code}): use fewer workers "
                "or try later; what is finished stays."
            )
        if status >= 500:
            return BucketError(
                f"Bucket {self.name} fails at {operation}, {times} ({status} {code}): try later; "
                "what is finished stays."
            )
        message = error.response.get("Error", {}).get("Message", "")
        return BucketError(
            f"Bucket {self.name} refuses {operation} of {where} ({code}: {message})."
        )

    def _explained_locally(self, error: Exception, where: str) -> str:
        """Return a sentence for what went wrong before an answer arrived, or while one did."""
        from botocore import exceptions

        times = f"{s3_client.max_attempts()} times in a row"
        if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError)):
            return (
                f"Bucket {self.name} cannot be reached at {self._endpoint()} "
                f"({type(error).__name__}, {times}): check the network and AWS_ENDPOINT_URL; "
                "what is finished stays."
            )
        if isinstance(error, exceptions.IncompleteReadError):
            return f"{where} breaks off, {times}: check the network; what is finished stays."
        if isinstance(error, exceptions.FlexibleChecksumError):
            return f"{where} arrived damaged (its checksum differs): run the same again."
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
                f"There are no credentials for bucket {self.name} ({type(error).__name__}): "
                f"give {self._settings()}."
            )
        if isinstance(error, exceptions.ParamValidationError):
            return f"{where} cannot be used: {self.name} is no valid name of a bucket."
        return f"{where} cannot be used: {error}"

    def _endpoint(self) -> str:
        """Return the address of the store, without a password that may be in it."""
        parts = urlsplit(s3_client.client(self.block).meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def _settings(self) -> str:
        """Return where the credentials are set."""
        if self.block:
            return f"Prefect's block aws-credentials/{self.block}"
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
